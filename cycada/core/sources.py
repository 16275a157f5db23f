"""Source files of plug-ins, whose hash is part of stage ids, since they may be edited between two runs.

The hash of the toolkit's own files tells whether what was kept of an earlier run was made by the same code.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType

from cycada.core.errors import CycadaError, shown
from cycada.core.files import bytes_digest

TOOLKIT = Path(__file__).resolve().parents[1]
"""Folder of this package, whose own entries are identified by its version."""
CODE = (".py", ".j2", ".css", ".js", ".yaml")
"""Endings of the toolkit's files that decide what it computes and draws."""
INSTALLED = ("site-packages", "dist-packages")
"""Names of folders with installed packages, which are identified by their versions."""


@cache
def toolkit_digest() -> str:
    """Return a hash of the toolkit's own files, 16 hex characters."""
    files = {path.relative_to(TOOLKIT).as_posix(): path for path in TOOLKIT.rglob("*")}
    code = sorted(name for name, path in files.items() if path.suffix in CODE)
    return bytes_digest(b"\0".join(name.encode() + files[name].read_bytes() for name in code), size=8)


_places: list[Path] = []
"""The folders that `look_for_modules_in` was given."""
_registered: list[str] = []
"""The file of each entry that plug-ins registered so far."""
_idle: set[str] = set()
"""The plug-ins that registered nothing when they were imported first."""


def look_for_modules_in(folder: Path) -> None:
    """Let Python find modules in a folder, after those in all places that it already looks in."""
    place = folder.resolve()
    if str(place) not in sys.path:
        sys.path.append(str(place))
    if place not in _places:
        _places.append(place)


def import_plugin(module: str, key: str) -> None:
    """Import a module that registers entries.

    Args:
        module: Its name, PACKAGE.MODULE.
        key: The setting that names it, with which the message begins.

    Raises:
        CycadaError: It cannot be imported, it ends the program, or Python finds another module of its name
            before the file beside the config.
    """
    before, is_new = len(_registered), module not in sys.modules
    try:
        found = importlib.import_module(module)
    except CycadaError:
        raise
    except (Exception, SystemExit) as error:  # a module may raise anything when it is imported
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        advice = "It was found, and its code raised this error: mend it."
        if isinstance(error, SystemExit):
            advice = "It ends the program when it is imported."
        elif isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            advice = (
                "It is looked for beside the config, in the working directory and on PYTHONPATH; is it "
                "there, and is it PACKAGE.MODULE?"
            )
        raise CycadaError(f"{key}: cannot import {shown(module)} ({reason}). {advice}") from error
    parts = module.split(".")
    files = [
        file
        for place in _places
        for file in (place.joinpath(*parts).with_suffix(".py"), place.joinpath(*parts, "__init__.py"))
        if file.is_file()
    ]
    taken = getattr(found, "__file__", None)
    if files and (taken is None or Path(taken).resolve() not in [file.resolve() for file in files]):
        raise CycadaError(
            f"{key}: {shown(module)} is {taken or 'a module of Python'}, which Python finds before "
            f"{files[0]}. Give that file another name."
        )
    if is_new and len(_registered) == before:
        _idle.add(module)


def registers_nothing(module: str) -> bool:
    """Return whether an imported plug-in registered no entry, by itself or by what it imports."""
    return module in _idle


def plugin_source(entry: object) -> str:
    """Return a hash of the source files of an entry that a plug-in is registering.

    It must be called during the registration. The files are the one that registers the entry, the one that
    defines it, and all modules in the same folder or package that these two import, also inside functions.

    Returns:
        16 hex characters that depend on every byte of the files; empty for an entry of the toolkit itself.
    """
    frame = _outside(sys._getframe(1))
    if frame is None:
        return ""
    _registered.append(frame.f_code.co_filename)
    files = {Path(frame.f_code.co_filename)}
    with suppress(TypeError, OSError):
        files.add(Path(inspect.getfile(entry)))  # type: ignore[arg-type] # a TypeError is expected
    files = {f.resolve() for f in files if f.is_file()}
    files = {
        f
        for f in files
        if not f.is_relative_to(TOOLKIT) and (f.samefile(frame.f_code.co_filename) or not _installed(f))
    }
    if not files:  # the entry was typed into an interpreter
        with suppress(TypeError, OSError):
            return bytes_digest(inspect.getsource(entry).encode(), size=8)  # type: ignore[arg-type] # as above
        return ""
    contents: dict[Path, bytes] = {}
    for file in sorted(files):
        _collect(file, _root(file), contents)
    return bytes_digest(b"\0".join(contents[file] for file in sorted(contents)), size=8)


def _outside(frame: FrameType | None) -> FrameType | None:
    """Return the nearest caller outside the toolkit, or None if the toolkit itself registers the entry."""
    while frame is not None:
        if not _in_toolkit(frame.f_code.co_filename):
            return frame
        if frame.f_code.co_name == "<module>":
            return None
        frame = frame.f_back
    return None


@cache  # a hundred entries are registered at each start
def _in_toolkit(file: str) -> bool:
    return Path(file).resolve().is_relative_to(TOOLKIT)


def _root(file: Path) -> Path:
    """Return the folder from which a module's imports start: that of its outermost package, or its own."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _installed(file: Path) -> bool:
    return any(part in INSTALLED for part in file.parts) or file.is_relative_to(
        Path(inspect.__file__).resolve().parent
    )


def _collect(file: Path, root: Path, contents: dict[Path, bytes]) -> None:
    """Put a file, and the modules beside it that it imports, into `contents`."""
    if file in contents:
        return
    contents[file] = content = file.read_bytes().replace(b"\r\n", b"\n")
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return
    package = file.parent.relative_to(root).parts
    for name in _imported(tree, package):
        for beside in _files(name, root, package):
            _collect(beside, root, contents)


def _imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield every dotted name in an import statement that may be a module, as a tuple of its parts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def _files(name: tuple[str, ...], root: Path, package: tuple[str, ...]) -> Iterator[Path]:
    """Yield the file of an imported module under `root`; of a name within a module, the module's file."""
    # Beside an installed plug-in lie packages of others, which are no part of it.
    if not name or (_installed(root / "x") and name[:1] != package[:1]):
        return
    for parts in (name, name[:-1]):
        for file in (
            (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")) if parts else ()
        ):
            if file.is_file() and not file.resolve().is_relative_to(TOOLKIT):
                yield file.resolve()
                return
