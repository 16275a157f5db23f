"""The key of a study that a test made."""

from cycada.study.records import Key

TASK = {"trials": 6, "practice": 2, "size": 32}


def key_of(built):
    return Key.model_validate_json(built.key.read_text())
