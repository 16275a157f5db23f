"""A process that is killed again and again, and goes on each time.

    python killer.py SEED MOST_EVENTS KILLS WORDS...

It imports the toolkit once and forks for every try. A try runs the command line and counts events: before and
after a file is renamed, synced or removed, a row is appended, half a file is written, a stage is evaluated,
and around every call to MLflow. At an event that is drawn from the seed it ends by SIGKILL. After KILLS
kills, or when a try got through, the last one runs undisturbed. Its standard output is one JSON object: the
events that it was killed at, and the exit code of the last try.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_once(mark):
    """Kill the process the first time.

    It stands here since a worker that imports this module need not import torch.
    """
    if not mark.exists():
        mark.touch()
        die()


class Events:
    """Counts, and says on a pipe which event was the last."""

    def __init__(self, fatal, pipe):
        self.left, self.pipe = fatal, pipe

    def __call__(self, name):
        self.left -= 1
        if self.left == 0:
            os.write(self.pipe, name.encode())
            die()


def around(owner, name, event, label):
    """Before and after every call of a function."""
    before = getattr(owner, name)

    def call(*values, **named):
        event(f"before {label}")
        found = before(*values, **named)
        event(f"after {label}")
        return found

    setattr(owner, name, call)


def arm(event):
    """Put the events in: nothing of the toolkit knows of them."""
    import torch
    from mlflow import MlflowClient
    from PIL import Image

    from cycada.evaluation import analysis
    from cycada.runs import stage_training
    from cycada.storage.store import RunFolder

    for name in ("replace", "fsync", "unlink", "mkdir"):
        around(os, name, event, name)
    around(torch, "save", event, "torch.save")
    around(stage_training, "evaluate_stage", event, "evaluate")
    around(stage_training, "write_analysis", event, "findings")
    around(RunFolder, "append_metrics", event, "a row")
    around(RunFolder, "finish", event, "finish")
    around(analysis, "analyse", event, "analyse")
    for name in (
        "create_experiment",
        "create_run",
        "log_batch",
        "log_artifact",
        "set_tag",
        "set_terminated",
        "update_run",
        "log_artifacts",
    ):
        if hasattr(MlflowClient, name):
            around(MlflowClient, name, event, f"mlflow {name}")
    write_bytes = Path.write_bytes

    def killing_write_bytes(self, content):
        if event.left == 1:
            with self.open("wb") as file:
                file.write(memoryview(content)[: len(content) // 2])
        event("half of write_bytes")
        return write_bytes(self, content)

    save = Image.Image.save

    def killing_save(self, where, *rest, **named):
        if event.left == 1 and isinstance(where, (str, Path)):
            with Path(where).open("wb") as file:
                file.write(b"\x89PNG\r\n half a picture")
        event("half of a picture")
        return save(self, where, *rest, **named)

    Path.write_bytes, Image.Image.save = killing_write_bytes, killing_save
    append = RunFolder.append_metrics

    def killing_append(self, step, values):
        if event.left == 1:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write('{"step": 3, "loss/ta')
        event("half of a row")
        append(self, step, values)

    RunFolder.append_metrics = killing_append


def one_try(words, arming=None):
    """Run the command line in a fork. -> (how it ended as os.waitpid says it, the event that it died of).

    arming: called in the fork, with the end of a pipe to tell the event, before the command line.
    """
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listen)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        if arming:
            arming(tell)
        from cycada.cli.main import main

        sys.argv = ["cycada", *words]
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException as error:  # the parent has to hear of it
            print(repr(error), file=sys.stderr)
            code = 70
        finally:
            sys.stderr.flush()
        os._exit(code)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    name = os.read(listen, 100).decode()
    os.close(listen)
    return status, name


def main():
    seed, most, kills, *words = sys.argv[1:]
    random = np.random.default_rng(int(seed))
    import mlflow  # noqa: F401
    import torch

    torch.set_num_threads(1)
    died, code = [], None
    while len(died) < int(kills) and code is None:
        fatal = int(random.integers(1, int(most) + 1))
        status, name = one_try(words, lambda tell, fatal=fatal: arm(Events(fatal, tell)))
        if os.WIFSIGNALED(status):
            died.append(name)
        else:
            code = os.WEXITSTATUS(status)
            if code:
                print(json.dumps({"died": died, "code": code}))
                return
    status, _ = one_try(words)
    print(json.dumps({"died": died, "code": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    main()
