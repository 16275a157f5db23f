"""`cycada study score`: answers files into fooling rates, with everything that was left out beside them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.study.collect import LeftOut, Session, collect
from cycada.study.rates import Fooled, Person, Rules, Scored, rate_of
from cycada.study.records import Trial


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
    """Fooling rate of each method: the share of scored trials in which the fake was taken for the real one; 0.5 is chance.

    answers: files, or folders of them. keys: the `*.key.json` of their pages; by default those beside the answers or one folder up. The
    other options are those of `Rules`. out: a folder for study.md, .csv, .json, .svg and people.csv. seed: of the bootstrap. Damaged,
    foreign and repeated files are left out and named. Raises CycadaError where nothing is left.
    """
    rules = Rules(min_practice, keep_hidden, exposure_off, repeats)
    if not 0 <= min_practice <= 1 or not exposure_off >= 0:
        raise CycadaError(
            f"Found min_practice {min_practice:g} and exposure_off {exposure_off:g}, expected 0 to 1, and 0 or more."
        )
    sessions, left_out = collect(_files(answers), [Path(k) for k in keys], repeats)
    everyone = [_person(s, rules) for s in sessions]
    kept = []
    for session, person in zip(sessions, everyone, strict=True):
        right, of = person.practice
        if of and right / of < min_practice:
            left_out.append(
                LeftOut(
                    session.path, f"practice: {right} of {of} right, expected a share of {min_practice:g}."
                )
            )
        else:
            kept.append(person)
    if not kept:
        reasons = "\n".join(f"  {x.path}: {x.reason}" for x in left_out[:10])
        raise CycadaError(
            f"None of {len(left_out)} files can be scored:\n{reasons}"
            if left_out
            else "Found no answers files."
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
    """Each once, folders opened."""
    found = [
        f for path in map(Path, given) for f in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]
    return list({f.resolve(): f for f in found}.values())


def _person(session: Session, rules: Rules) -> Person:
    wished = 1000 * session.key.settings.seconds
    scored, practice = session.trials(False), session.trials(True)

    def off(trial: Trial) -> bool:
        return abs(trial.exposure - wished) > rules.exposure_off * wished

    hidden = [] if rules.keep_hidden else [t for t in scored if t.hidden]
    wrong = [t for t in scored if t not in hidden and off(t)]
    counted = [t for t in scored if t not in hidden and t not in wrong]
    return Person(
        session.answers.participant, session.method, session.path.name,
        Fooled(sum(map(session.fooled, counted)), len(counted)),
        (sum(not session.fooled(t) for t in practice), len(practice)), len(hidden), len(wrong),
        sum(t.answer == "left" for t in scored) / len(scored), statistics.median(t.milliseconds for t in scored),
    )  # fmt: skip


def _by_person(people: Sequence[Person]) -> list[Fooled]:
    """The sessions of one person are one cluster."""
    names = dict.fromkeys(p.participant for p in people)
    own = [[p.fooled for p in people if p.participant == name] for name in names]
    return [Fooled(sum(f.count for f in several), sum(f.trials for f in several)) for several in own]
