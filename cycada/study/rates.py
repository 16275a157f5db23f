"""How often a method fooled people, and how sure that is. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cycada.metrics.statistics import mean_and_error
from cycada.study.collect import LeftOut

LEVEL = 0.95


@dataclass(frozen=True)
class Fooled:
    """Of the trials of one person: how many there were, and in how many the fake was taken for real."""

    count: int
    trials: int


@dataclass(frozen=True)
class Rate:
    """Shares from 0 to 1; 0.5 is where nobody can tell.

    rate: of all trials. wilson: 95 % interval as if they were independent. mean, error: of the people's own rates, unweighted, and its
    standard error. people: 95 % interval over people; with fewer than 2 of them neither it nor the error is known.
    """

    count: int
    trials: int
    participants: int
    rate: float
    wilson: tuple[float, float]
    mean: float
    error: float | None
    people: tuple[float, float] | None


def rate_of(sessions: Sequence[Fooled], resamples: int = 10_000, seed: int = 0) -> Rate | None:
    """The fooling rate of a method from one entry a person, None where no trial is left."""
    sessions = [s for s in sessions if s.trials]
    if not sessions:
        return None
    count, trials = sum(s.count for s in sessions), sum(s.trials for s in sessions)
    mean, error = mean_and_error([s.count / s.trials for s in sessions])
    people = over_people(sessions, resamples, seed)
    return Rate(count, trials, len(sessions), count / trials, wilson(count, trials), mean, error, people)


def wilson(count: int, trials: int) -> tuple[float, float]:
    """95 % score interval of a binomial share (Wilson 1927; scipy). Never empty at 0 or `trials`, and near its level for few trials.

    It takes the trials as independent.
    """
    from scipy.stats import binomtest

    found = binomtest(count, trials).proportion_ci(LEVEL, "wilson")
    return float(found.low), float(found.high)


def over_people(
    sessions: Sequence[Fooled], resamples: int = 10_000, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of a cluster bootstrap: people are drawn with replacement, each with all of their trials

    (Davison & Hinkley 1997, section 3.8), as the trials of one person are not independent. The rate of a resample is its fooled trials
    over its trials. None for fewer than 2 people.
    """
    n = len(sessions)
    if n < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    rates = (drawn @ [s.count for s in sessions]) / (drawn @ [s.trials for s in sessions])
    low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Rules:
    """What does not count. min_practice: share right in practice below which a session is left out, 0 to 1; 0 leaves none out.

    keep_hidden: count trials during which the tab was out of sight. exposure_off: share by which a measured exposure may differ from
    the wished one. repeats: count a person's further sessions too.
    """

    min_practice: float = 0.0
    keep_hidden: bool = False
    exposure_off: float = 0.2
    repeats: bool = False


@dataclass(frozen=True)
class Person:
    """A session as it counts. practice: how many were right, of how many. left: share of all scored answers that said left."""

    participant: str
    method: str
    file: str
    fooled: Fooled
    practice: tuple[int, int]
    hidden: int
    exposure_off: int
    left: float
    median_milliseconds: float


@dataclass(frozen=True)
class Scored:
    """rates: method -> its rate, highest first; None where no trial is left. seconds: of exposure, of all the pages."""

    rates: dict[str, Rate | None]
    people: list[Person]
    left_out: list[LeftOut]
    rules: Rules
    studies: dict[str, dict[str, Any]]

    @property
    def trials_left_out(self) -> dict[str, int]:
        return {why: sum(getattr(p, why) for p in self.people) for why in ("hidden", "exposure_off")}

    def as_dict(self) -> dict[str, Any]:
        return {
            "methods": {m: r and asdict(r) for m, r in self.rates.items()}, "people": [asdict(p) for p in self.people],
            "left_out": [{"file": x.path.name, "reason": x.reason} for x in self.left_out], "trials_left_out": self.trials_left_out,
            "rules": asdict(self.rules), "studies": self.studies,
        }  # fmt: skip
