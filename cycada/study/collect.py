"""Answers files, each with the key of its page: those that count, and those left out, each with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.study.records import KEY, Answers, Key, Trial, content, parsed


@dataclass(frozen=True)
class Session:
    """One file that fits its key."""

    path: Path
    answers: Answers
    key: Key

    @property
    def method(self) -> str:
        return self.key.methods[self.answers.method]

    def trials(self, practice: bool) -> list[Trial]:
        return [t for t in self.answers.trials if t.practice == practice]

    def fooled(self, trial: Trial) -> bool:
        return not self.key.is_real(trial.chosen)


@dataclass(frozen=True)
class LeftOut:
    """A file that does not count, and why."""

    path: Path
    reason: str


def collect(
    files: Sequence[Path], keys: Sequence[Path], repeats: bool
) -> tuple[list[Session], list[LeftOut]]:
    """Sessions in the order in which they began. keys: where empty, `*.key.json` beside the answers and one folder up are tried.

    One session copied to two files counts once; and a person's first session alone, unless `repeats`. Raises CycadaError where there is
    no key at all.
    """
    given = [f for f in files if _is_key(f)]
    beside = {
        k.resolve(): k
        for f in files
        for folder in (f.parent, f.parent / "..")
        for k in sorted(folder.glob("*.key.json"))
    }
    known = {
        key.study: key
        for key in (parsed(Key, content(k), str(k)) for k in [*(keys or beside.values()), *given])
    }
    if not known:
        raise CycadaError(
            "Found no key, expected the *.key.json that `cycada study build` wrote beside the page: the page itself does not know which "
            "pictures are real. Give it with --key FILE."
        )
    found: list[Session] = []
    out: list[LeftOut] = []
    for path in (f for f in files if f not in given):
        try:
            answers = parsed(Answers, content(path), "damaged or no answers file")
            found.append(Session(path, answers, _fitting(answers, known)))
        except CycadaError as error:
            out.append(LeftOut(path, str(error).removeprefix(f"{path}: ")))
    return _once(sorted(found, key=lambda s: (s.answers.started, str(s.path))), out, repeats)


def _is_key(path: Path) -> bool:
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(read, dict) and read.get("format") == KEY


def _fitting(answers: Answers, known: dict[str, Key]) -> Key:
    """The key of the answers' page, once all that they say of it is true."""
    key = known.get(answers.study)
    if key is None:
        raise CycadaError(
            f"foreign: answers to the page {answers.study}, expected {_listed(known)}. Give its key with --key FILE."
        )
    if answers.method not in key.methods:
        raise CycadaError(
            f"foreign: group {answers.method}, which the page does not have, expected {_listed(key.methods)}."
        )
    pairs, settings = key.pairs[answers.method], key.settings
    for practice, there, expected in (
        (True, pairs.practice, settings.practice),
        (False, pairs.scored, settings.trials),
    ):
        trials = [t for t in answers.trials if t.practice == practice]
        word = "practice pairs" if practice else "pairs that count"
        if len(trials) != expected:
            raise CycadaError(f"incomplete: {len(trials)} {word}, expected {expected}.")
        shown = Counter(frozenset((t.left, t.right)) for t in trials)
        if unknown := set(shown) - {frozenset(pair) for pair in there}:
            raise CycadaError(
                f"foreign: {' and '.join(sorted(unknown.pop()))} are none of the page's {word} of group {answers.method}."
            )
        if max(shown.values(), default=0) > 1:
            raise CycadaError(f"damaged: a pair was shown twice among the {word}, expected once.")
    return key


def _listed(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))


def _once(
    sessions: Sequence[Session], out: list[LeftOut], repeats: bool
) -> tuple[list[Session], list[LeftOut]]:
    kept: list[Session] = []
    for session in sessions:
        same = next((s for s in kept if s.answers.session == session.answers.session), None)
        person = next((s for s in kept if s.answers.participant == session.answers.participant), None)
        if same:
            out.append(LeftOut(session.path, f"duplicate: the session of {same.path.name}."))
        elif person and not repeats:
            out.append(
                LeftOut(
                    session.path,
                    f"{session.answers.participant} takes part again, after {person.path.name} (--repeats keeps it).",
                )
            )
        else:
            kept.append(session)
    return kept, out
