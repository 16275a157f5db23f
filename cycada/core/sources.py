"""Which source files a registered entry is made of: what a plug-in's author may edit between two runs."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

from cycada.core.files import bytes_digest

TOOLKIT = Path(__file__).resolve().parents[1]
INSTALLED = ("site-packages", "dist-packages")


def plugin_source(entry: object) -> str:
    """16 hex characters that depend on every byte of the code of an entry that is being registered; empty where it is the toolkit's.

    That is the file that registers it, the file that defines it, and every module which these import, wherever in them, and which lies
    beside them: in the same folder or package. Installed packages are known by their versions. To be called while it is registered.
    """
    frame = _outside(sys._getframe(1))
    if frame is None:
        return ""
    files = {Path(frame.f_code.co_filename)}
    with suppress(TypeError, OSError):
        files.add(Path(inspect.getfile(entry)))  # type: ignore[arg-type]
    files = {f.resolve() for f in files if f.is_file()}
    files = {
        f
        for f in files
        if not f.is_relative_to(TOOLKIT) and (f.samefile(frame.f_code.co_filename) or not _installed(f))
    }
    if not files:  # typed into an interpreter
        with suppress(TypeError, OSError):
            return bytes_digest(inspect.getsource(entry).encode(), size=8)  # type: ignore[arg-type]
        return ""
    found: dict[Path, bytes] = {}
    for file in sorted(files):
        _collect(file, _root(file), found)
    return bytes_digest(b"\0".join(found[file] for file in sorted(found)), size=8)


def _outside(frame: FrameType | None) -> FrameType | None:
    """Whoever asks for the entry to be registered: the nearest caller outside the toolkit, or None where that is a module of its own."""
    while frame is not None:
        if not Path(frame.f_code.co_filename).resolve().is_relative_to(TOOLKIT):
            return frame
        if frame.f_code.co_name == "<module>":
            return None
        frame = frame.f_back
    return None


def _root(file: Path) -> Path:
    """The folder that holds a module's outermost package, or the module itself: what its imports begin at."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _installed(file: Path) -> bool:
    return any(part in INSTALLED for part in file.parts) or file.is_relative_to(
        Path(inspect.__file__).resolve().parent
    )


def _collect(file: Path, root: Path, found: dict[Path, bytes]) -> None:
    """The file, and what it imports of those beside it, into `found`."""
    if file in found:
        return
    found[file] = content = file.read_bytes().replace(b"\r\n", b"\n")
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return
    package = file.parent.relative_to(root).parts
    for name in _imported(tree, package):
        for beside in _files(name, root, package):
            _collect(beside, root, found)


def _imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every dotted name that an import statement may mean by a module, as parts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def _files(name: tuple[str, ...], root: Path, package: tuple[str, ...]) -> Iterator[Path]:
    """The file of a module beside; of a name inside a module, the module's."""
    if not name or (
        _installed(root / "x") and name[:1] != package[:1]
    ):  # beside an installed plug-in lie other people's packages
        return
    for parts in (name, name[:-1]):
        for file in (
            (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")) if parts else ()
        ):
            if file.is_file() and not file.resolve().is_relative_to(TOOLKIT):
                yield file.resolve()
                return
