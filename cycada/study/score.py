"""Score files of answers: the fooling rate of each method, and everything that was left out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from cycada.core.errors import CycadaError, list_some
from cycada.study.collect import LeftOut, Session, collect
from cycada.study.rates import Fooled, Person, Rules, Scored, rate_of
from cycada.study.records import RATES, RATES_SIGN, Trial, read_bytes


def score_study(
    answers: Sequence[Path | str],
    keys: Sequence[Path | str] = (),
    out: Path | str | None = None,
    *,
    min_practice: float = 0.0,
    keep_hidden: bool = False,
    exposure_off: float = 0.2,
    repeats: bool = False,
    seed: int = 0,
) -> Scored:
    """Compute the fooling rate of each method.

    It is the share of scored trials in which the fake was taken for the real picture; 0.5 is chance. Damaged,
    foreign and repeated files are left out and named.

    Args:
        answers: Files of answers, or folders of them.
        keys: The `*.key.json` of their pages; by default those next to the answers or one folder up.
        out: A folder for study.md, study.csv, study.json, study.svg and people.csv; nothing is written if
            None.
        min_practice: See `Rules`.
        keep_hidden: See `Rules`.
        exposure_off: See `Rules`.
        repeats: See `Rules`.
        seed: The seed of the bootstrap over people.

    Raises:
        CycadaError: There are no answers or no key, or no file can be scored.
    """
    rules = Rules(min_practice, keep_hidden, exposure_off, repeats)
    if not 0 <= min_practice <= 1 or not exposure_off >= 0:
        raise CycadaError(
            f"Found min_practice {min_practice:g} and exposure_off {exposure_off:g}, expected 0 to 1, and 0 "
            "or more."
        )
    sessions, left_out = collect(_files(answers), [Path(k) for k in keys], repeats)
    everyone = [_person(s, rules) for s in sessions]
    kept = []
    for session, person in zip(sessions, everyone, strict=True):
        right, answered = person.practice
        if answered and right / answered < min_practice:
            reason = f"practice: {right} of {answered} right, expected at least {100 * min_practice:g} %."
            left_out.append(LeftOut(session.path, reason))
        else:
            kept.append(person)
    if not kept:
        reasons = "\n".join(f"  {x.path}: {x.reason}" for x in left_out[:10])
        raise CycadaError(
            f"None of {len(left_out)} files can be scored:\n{reasons}"
            if left_out
            else "Found no files of answers."
        )
    rates = {
        m: rate_of(_by_person([p for p in kept if p.method == m]), seed=seed)
        for m in sorted({p.method for p in kept})
    }
    ranked = dict(sorted(rates.items(), key=lambda item: -(item[1].rate if item[1] else -1)))
    studies = {s.key.study: s.key.settings.model_dump(mode="json") for s in sessions}
    scored = Scored(ranked, kept, left_out, rules, studies)
    if out is not None:
        from cycada.study.sheets import write

        write(scored, Path(out))
    return scored


def _files(given: Sequence[Path | str]) -> list[Path]:
    """Return each file once, with folders replaced by the JSON files in them but those of an earlier score.

    Raises:
        CycadaError: There is no file, and no JSON file in a folder.
    """
    files = [f for path in map(Path, given) for f in (_answers_in(path) if path.is_dir() else [path])]
    if not any(f.exists() for f in files):
        places = list_some([str(path) for path in given])
        raise CycadaError(f"{places}: found no files of answers, expected them, or folders that hold them.")
    return list({f.resolve(): f for f in files}.values())


def _answers_in(folder: Path) -> list[Path]:
    own = folder / RATES
    return [f for f in sorted(folder.glob("*.json")) if f != own or RATES_SIGN not in read_bytes(f)]


def _person(session: Session, rules: Rules) -> Person:
    """Apply the rules to one session."""
    intended = 1000 * session.key.settings.seconds
    scored, practice = session.trials(False), session.trials(True)

    def off(trial: Trial) -> bool:
        return abs(trial.exposure - intended) > rules.exposure_off * intended

    hidden = [] if rules.keep_hidden else [t for t in scored if t.hidden]
    wrong = [t for t in scored if t not in hidden and off(t)]
    counted = [t for t in scored if t not in hidden and t not in wrong]
    return Person(
        participant=session.answers.participant,
        method=session.method,
        file=session.path.name,
        fooled=Fooled(sum(map(session.fooled, counted)), len(counted)),
        practice=(sum(not session.fooled(t) for t in practice), len(practice)),
        hidden=len(hidden),
        exposure_off=len(wrong),
        left=sum(t.answer == "left" for t in scored) / len(scored),
        median_milliseconds=statistics.median(t.milliseconds for t in scored),
    )


def _by_person(people: Sequence[Person]) -> list[Fooled]:
    """Return one entry per person, with the counts of all their sessions added: they are one cluster."""
    names = dict.fromkeys(p.participant for p in people)
    own = [[p.fooled for p in people if p.participant == name] for name in names]
    return [Fooled(sum(f.count for f in counts), sum(f.trials for f in counts)) for counts in own]
