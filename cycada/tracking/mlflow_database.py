"""Keep MLflow's SQLite database under the results folder sound, also where the folder was moved."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cycada.core.errors import CycadaError

NEEDED = frozenset({"experiments", "runs", "metrics", "latest_metrics", "params", "tags"})
"""Tables that tracking needs."""
MODELS = {"logged_models": "artifact_location", "model_versions": "storage_location"}
"""Tables of models, which an older MLflow does not have, with the column of their address."""


def prepare_database(
    path: Path, artifacts: Path | None, make: Callable[[str], object], warn: Callable[[str], None]
) -> None:
    """Ensure that there is a sound database at `path`; the caller holds the lock against other processes.

    A new database is created under another name and then moved into place, so that a process that is killed
    meanwhile leaves nothing half-made behind. A broken database without a readable run is put aside as
    `mlflow.db.broken-N`.

    Args:
        path: The database file.
        artifacts: The folder for the files of runs; addresses in the database that lead elsewhere are
            corrected. None leaves them as they are.
        make: Opens the database at a SQLite URI, and makes its tables where there are none.
        warn: Is told where a broken one was put.

    Raises:
        CycadaError: Where a folder is in the way, or a broken database may hold runs.
    """
    if path.is_dir():
        raise CycadaError(f"{path}: found a folder, expected MLflow's database. Move it away.")
    for old in path.parent.glob(f".{path.name}.*.tmp*"):  # left by a dead process, as this one holds the lock
        old.unlink(missing_ok=True)
    if path.exists() and (fault := _fault(path) or _unusable(path, make)):
        aside = next(
            p for n in range(1, 1000) if not (p := path.with_name(f"{path.name}.broken-{n}")).exists()
        )
        path.replace(aside)
        for rest in ("-journal", "-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        warn(f"{path}: {fault}. It is put aside as {aside.name}; a new one is filled from the run folders.")
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
    """Return why MLflow cannot use a database without runs; empty where it can.

    Where there are runs, MLflow's own error is raised: it says how to upgrade an older database.
    """
    try:
        make(f"sqlite:///{path}")
    except Exception as error:
        if _count_runs(path):
            raise
        return f"MLflow did not finish creating it ({' '.join(str(error).split())[:100]})"
    return ""


def _count_runs(path: Path) -> int:
    with closing(open_read_only(path)) as database:
        return int(database.execute("SELECT COUNT(*) FROM runs").fetchone()[0])


def page_command(address: str, experiment: str) -> str:
    """Return the command that opens MLflow's page, and the address of an experiment in it.

    The address asks for the view of training; otherwise MLflow shows that of agents.

    Args:
        address: MLflow's tracking address, without a password.
        experiment: MLflow's id of the experiment.
    """
    page = f"#/experiments/{experiment}/runs?workflowType=machine_learning"
    if address.startswith("http"):
        return f"{address.rstrip('/')}/{page}"
    command = f"mlflow ui --backend-store-uri {shlex.quote(address)}"
    return f"{command}  # http://127.0.0.1:5000/{page}"


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a database that is not to be changed, and not to be made where there is none.

    Args:
        path: The database file.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def _fault(path: Path) -> str:
    """Return what is wrong with a database of MLflow; empty where it is sound.

    Raises:
        CycadaError: Where it is incomplete but holds runs.
    """
    try:
        with closing(open_read_only(path)) as database:
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
            return ""  # another process writes into it, so it is in use
        return f"no database can be read from it ({error})"
    except sqlite3.DatabaseError as error:
        return f"it is no database, or a damaged one ({error})"
    if runs:
        raise CycadaError(
            f"{path}: the database is incomplete, but holds {runs} runs. "
            "Move it away; the run folders hold all results."
        )
    return "the database is incomplete"


def _follow(path: Path, artifacts: Path) -> None:
    """Correct the addresses of files after the results folder was moved: MLflow stores absolute ones."""
    current = artifacts.as_uri()
    with closing(sqlite3.connect(path, timeout=30)) as database:
        pattern = f"%/{artifacts.name}"
        rows = database.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE artifact_location LIKE ?",
            (pattern,),
        ).fetchall()
        named = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        models = {table: MODELS[table] for (table,) in named if table in MODELS}
        for experiment, before in rows:
            if before == current or not before.startswith("file:"):
                continue
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (current, experiment)
            )
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (current, len(before) + 1, experiment, len(before) + 1, f"{before}/"),
            )
            for table, column in models.items():
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (current, len(before) + 1, len(before) + 1, f"{before}/"),
                )
        database.commit()
