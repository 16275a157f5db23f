"""The SQLite database that MLflow keeps under the results folder: made whole, mended, and followed when the folder moves."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cycada.core.errors import CycadaError

NEEDED = frozenset({"experiments", "runs", "metrics", "latest_metrics", "params", "tags"})
"""Tables without which nothing can be tracked."""


def prepare_database(
    path: Path, artifacts: Path | None, make: Callable[[str], object], warn: Callable[[str], None]
) -> None:
    """See to it that a sound database is at `path`. Nobody else may do so meanwhile.

    A new one is made under another name and then put in place, so that a process that is killed while MLflow makes it leaves nothing
    half-made behind. One that is broken and holds no run that could be read is put aside under the name `mlflow.db.broken-N`.

    Args:
        path: The database file.
        artifacts: The folder in which files of runs are kept beside it; what the database says of another place is corrected. None
            where somebody else decides that.
        make: Opens the database at a SQLite URI, and makes its tables where there are none.
        warn: Is told where a broken one was put.

    Raises:
        CycadaError: Where something is in the way that is no file, or a broken database may hold runs.
    """
    if path.is_dir():
        raise CycadaError(f"{path}: found a folder, expected MLflow's database. Move it away.")
    for old in path.parent.glob(f".{path.name}.*.tmp*"):  # whoever made it died: there is a lock
        old.unlink(missing_ok=True)
    if path.exists() and (fault := _fault(path) or _unusable(path, make)):
        aside = next(
            p for n in range(1, 1000) if not (p := path.with_name(f"{path.name}.broken-{n}")).exists()
        )
        path.replace(aside)
        for rest in ("-journal", "-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        warn(f"{path}: {fault}. It is put aside as {aside.name}, and a new one is made from the run folders.")
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            make(f"sqlite:///{temporary}")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    if artifacts:
        _follow(path, artifacts)


def _unusable(path: Path, make: Callable[[str], object]) -> str:
    """Why MLflow cannot use a database without runs, such as one that it had not finished; empty where it can.

    Raises what MLflow raises where there are runs: an older database wants to be upgraded, as MLflow then says.
    """
    try:
        make(f"sqlite:///{path}")
    except Exception as error:
        if _runs(path):
            raise
        return f"MLflow had not finished making it ({' '.join(str(error).split())[:100]})"
    return ""


def _runs(path: Path) -> int:
    with closing(_reading(path)) as database:
        return int(database.execute("SELECT COUNT(*) FROM runs").fetchone()[0])


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def _fault(path: Path) -> str:
    """Say why a file is no database that MLflow has finished making; empty where it is one. Raises CycadaError where it holds runs."""
    try:
        with closing(_reading(path)) as database:
            tables = {
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            runs = database.execute("SELECT COUNT(*) FROM runs").fetchone()[0] if "runs" in tables else 0
            version = (
                database.execute("SELECT COUNT(*) FROM alembic_version").fetchone()[0]
                if "alembic_version" in tables
                else 0
            )
            if tables >= NEEDED and version:
                return (
                    ""
                    if runs or database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
                    else "the database is damaged"
                )
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return ""  # somebody writes into it, so it is one
        return f"no database can be read from it ({error})"
    except sqlite3.DatabaseError as error:
        return f"it is no database, or a damaged one ({error})"
    if runs:
        raise CycadaError(
            f"{path}: the database is half-made, but holds {runs} runs. Move it away; the run folders hold everything."
        )
    return "the database was not made to its end"


def _follow(path: Path, artifacts: Path) -> None:
    """Correct where files of runs are, after the results folder was moved or copied: MLflow stores whole addresses."""
    now = artifacts.as_uri()
    with closing(sqlite3.connect(path, timeout=30)) as database:
        ours = f"%/{artifacts.name}"
        rows = database.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE artifact_location LIKE ?", (ours,)
        ).fetchall()
        for experiment, before in rows:
            if before == now or not before.startswith("file:"):
                continue
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (now, experiment)
            )
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (now, len(before) + 1, experiment, len(before) + 1, f"{before}/"),
            )
        database.commit()
