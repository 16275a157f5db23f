"""Versions of the installed packages and of this code, which manifests and trackers keep."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from cycada.core.sources import TOOLKIT

PACKAGES = ("cycada", "torch", "torchvision", "timm", "numpy")


def environment() -> dict[str, str]:
    """Return the versions of Python, packages and this code, for manifests and tags."""
    return dict(_environment())


@cache
def _environment() -> Mapping[str, str]:
    """Return them as they were when the process first asked, since it runs the code of that moment."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: installed_version(package) for package in PACKAGES},
        "git": git_revision(),
    }


def installed_version(package: str) -> str:
    """Return the version of a package, or `not installed`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def git_revision() -> str:
    """Return the commit of this code, followed by `+` where files differ from it; `unknown` outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        # without a lock, which the user's own git would trip over, and which a killed run would leave
        changes = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no", ".")
        return head + ("+" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*words: str) -> str:
    result = subprocess.run(
        ["git", *words], cwd=TOOLKIT, capture_output=True, text=True, check=True, timeout=10
    )
    return result.stdout.strip()
