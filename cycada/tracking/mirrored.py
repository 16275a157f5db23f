"""Whether MLflow's own database holds a finished experiment already, found out without importing MLflow.

The same command again then says that everything is reused, without the seconds that importing MLflow takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cycada.config.schema import digest
from cycada.core.files import file_state, prepare_folder, write_text
from cycada.core.sources import toolkit_digest
from cycada.tracking.mlflow_database import open_read_only, page_command

HELD = """
    SELECT runs.experiment_id, runs.artifact_uri FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid
    WHERE tags.key = ? AND tags.value = ? AND runs.status = 'FINISHED' AND runs.lifecycle_stage = 'active'
"""
"""Finished runs that nobody deleted, by one of their tags."""


@dataclass(frozen=True)
class MirrorMemory:
    """Memory of a finished experiment that the database under the results folder holds to its last file.

    It is kept under results/cache/tracking; any file there may be deleted.

    Attributes:
        results: The results folder.
        shown: What identifies the experiment in MLflow beside its runs, such as its name and seed.
        config_id: The hash of its config, by which MLflow's run is found.
        stage_ids: The ids of its stages, by which their runs are found.
        folders: Folders whose files MLflow holds; a file that changes is mirrored again.
    """

    results: Path
    shown: str
    config_id: str
    stage_ids: Sequence[str]
    folders: Sequence[Path]

    def recall(self) -> str:
        """Return the command that shows the experiment; empty where it has to be mirrored (again)."""
        with suppress(OSError, sqlite3.Error):  # there is no database, or none that can be read
            if self._file().exists():
                return self._held()
        return ""

    def remember(self) -> None:
        """Keep that the experiment was mirrored, if the database holds it."""
        with suppress(OSError, sqlite3.Error):
            if self._held():
                file = self._file()
                prepare_folder(file.parent)
                write_text(file, self.config_id)

    def _file(self) -> Path:
        content = [toolkit_digest(), self.shown, self.config_id, self.stage_ids, [*self._described_files()]]
        return self.results / "cache" / "tracking" / digest(content)

    def _described_files(self) -> Iterator[list[str | int]]:
        """Yield of each file what changes whenever it is written."""
        for folder in self.folders:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    yield [str(file), *file_state(file)]

    def _held(self) -> str:
        """Return the command that shows the experiment, if all of its runs are held."""
        database = self.results.resolve() / "mlflow.db"
        tags = [("cycada.config_id", self.config_id), *(("cycada.stage_id", i) for i in self.stage_ids)]
        with closing(open_read_only(database)) as opened:
            found = [opened.execute(HELD, tag).fetchall() for tag in tags]
        present = [{experiment for experiment, address in runs if _is_folder(address)} for runs in found]
        common = set.intersection(*present)
        return page_command(f"sqlite:///{database}", str(min(common))) if common else ""


def _is_folder(address: str) -> bool:
    """Return whether the files of a run are where MLflow's database says."""
    return Path(unquote(urlsplit(address).path)).is_dir()
