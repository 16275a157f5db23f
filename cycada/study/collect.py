"""Collect files of answers with the keys of their pages, and name those that do not count."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.study.records import KEY, Answers, Key, Trial, parsed, read_bytes


@dataclass(frozen=True)
class Session:
    """The answers of one session, which fit the key of their page.

    Attributes:
        path: The file of the answers.
        answers: Its contents.
        key: The key of the page.
    """

    path: Path
    answers: Answers
    key: Key

    @property
    def method(self) -> str:
        """The name of the method whose pictures were shown."""
        return self.key.methods[self.answers.method]

    def trials(self, practice: bool) -> list[Trial]:
        """Return the practice trials, or the scored ones."""
        return [t for t in self.answers.trials if t.practice == practice]

    def fooled(self, trial: Trial) -> bool:
        """Return whether the generated picture was taken for the real one."""
        return not self.key.is_real(trial.chosen)


@dataclass(frozen=True)
class LeftOut:
    """A file that does not count, and the reason in words."""

    path: Path
    reason: str


def collect(
    files: Sequence[Path], keys: Sequence[Path], repeats: bool
) -> tuple[list[Session], list[LeftOut]]:
    """Return the sessions that count, and the files that do not.

    A session that was copied to two files counts once.

    Args:
        files: Files of answers; keys among them are used as keys.
        keys: The keys of their pages. If empty, `*.key.json` next to the answers and one folder up are tried.
        repeats: Also count the later sessions of a participant.

    Returns:
        The sessions in the order in which they began, and the files that are left out.

    Raises:
        CycadaError: There is no key at all.
    """
    given = [f for f in files if _is_key(f)]
    nearby = {
        k.resolve(): k
        for f in files
        for folder in (f.parent, f.parent / "..")
        for k in sorted(folder.glob("*.key.json"))
    }
    known = {
        key.study: key
        for key in (parsed(Key, read_bytes(k), str(k)) for k in [*(keys or nearby.values()), *given])
    }
    if not known:
        raise CycadaError(
            "Found no key, expected the *.key.json that `cycada study build` wrote next to the page: the "
            "page itself does not know which pictures are real. Give the key with --key FILE."
        )
    sessions: list[Session] = []
    left_out: list[LeftOut] = []
    for path in (f for f in files if f not in given):
        try:
            answers = parsed(Answers, read_bytes(path), "damaged, or not a file of answers")
            sessions.append(Session(path, answers, _key_for(answers, known)))
        except CycadaError as error:
            left_out.append(LeftOut(path, str(error).removeprefix(f"{path}: ")))
    return _without_repeats(
        sorted(sessions, key=lambda s: (s.answers.started, str(s.path))), left_out, repeats
    )


def _is_key(path: Path) -> bool:
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(read, dict) and read.get("format") == KEY


def _key_for(answers: Answers, known: dict[str, Key]) -> Key:
    """Return the key of the answers' page, after checking that the answers fit it."""
    key = known.get(answers.study)
    if key is None:
        raise CycadaError(
            f"foreign: these are answers to the page {answers.study}, expected "
            f"{_join_alternatives(known)}. Give its key with --key FILE."
        )
    if answers.method not in key.methods:
        raise CycadaError(
            f"foreign: found group {answers.method}, which the page does not have, expected "
            f"{_join_alternatives(key.methods)}."
        )
    pairs, settings = key.pairs[answers.method], key.settings
    for practice, known_pairs, expected in (
        (True, pairs.practice, settings.practice),
        (False, pairs.scored, settings.trials),
    ):
        trials = [t for t in answers.trials if t.practice == practice]
        word = "practice pairs" if practice else "pairs that count"
        if len(trials) != expected:
            raise CycadaError(f"incomplete: found {len(trials)} {word}, expected {expected}.")
        shown = Counter(frozenset((t.left, t.right)) for t in trials)
        if unknown := set(shown) - {frozenset(pair) for pair in known_pairs}:
            raise CycadaError(
                f"foreign: the pictures {' and '.join(sorted(unknown.pop()))} are none of the page's {word} "
                f"of group {answers.method}."
            )
        if max(shown.values(), default=0) > 1:
            raise CycadaError(f"damaged: a pair was shown twice among the {word}, expected once.")
    return key


def _join_alternatives(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))


def _without_repeats(
    sessions: Sequence[Session], left_out: list[LeftOut], repeats: bool
) -> tuple[list[Session], list[LeftOut]]:
    kept: list[Session] = []
    for session in sessions:
        same = next((s for s in kept if s.answers.session == session.answers.session), None)
        person = next((s for s in kept if s.answers.participant == session.answers.participant), None)
        if same:
            left_out.append(LeftOut(session.path, f"duplicate: it is the session of {same.path.name}."))
        elif person and not repeats:
            left_out.append(
                LeftOut(
                    session.path,
                    f"{session.answers.participant} takes part again, after {person.path.name} (--repeats "
                    "keeps it).",
                )
            )
        else:
            kept.append(session)
    return kept, left_out
