"""Compute how often a method fooled people, and with what uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cycada.metrics.statistics import mean_and_error
from cycada.study.collect import LeftOut

LEVEL = 0.95
"""The level of all intervals."""


@dataclass(frozen=True)
class Fooled:
    """The counts of one person.

    Attributes:
        count: The number of trials in which the fake was taken for the real picture.
        trials: The number of all trials.
    """

    count: int
    trials: int


@dataclass(frozen=True)
class Rate:
    """The fooling rate of a method, from 0 to 1; at 0.5 nobody can tell fake from real.

    Attributes:
        count: The number of trials in which the fake was taken for the real picture.
        trials: The number of all trials.
        participants: The number of people.
        rate: `count` divided by `trials`.
        wilson: 95 % interval of the rate that treats all trials as independent.
        mean: The unweighted mean of the people's own rates.
        error: Its standard error; None for fewer than 2 people.
        people: 95 % interval over people; None for fewer than 2 people.
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
    """Return the fooling rate of a method, or None where no trial is left.

    Args:
        sessions: The counts of each person, one entry per person.
        resamples: The number of bootstrap resamples.
        seed: The seed of the bootstrap.
    """
    sessions = [s for s in sessions if s.trials]
    if not sessions:
        return None
    count, trials = sum(s.count for s in sessions), sum(s.trials for s in sessions)
    mean, error = mean_and_error([s.count / s.trials for s in sessions])
    people = over_people(sessions, resamples, seed)
    return Rate(count, trials, len(sessions), count / trials, wilson(count, trials), mean, error, people)


def wilson(count: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a binomial share (Wilson 1927), for trials that are independent.

    It has a positive width even where `count` is 0 or `trials`, and is close to its level for few trials.
    """
    from scipy.stats import binomtest

    interval = binomtest(count, trials).proportion_ci(LEVEL, "wilson")
    return float(interval.low), float(interval.high)


def over_people(
    sessions: Sequence[Fooled], resamples: int = 10_000, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a bootstrap over people, or None for fewer than 2 people.

    People are drawn with replacement, each with all of their trials (Davison & Hinkley 1997, section 3.8),
    because the trials of one person are not independent. The rate of a resample is its fooled trials divided
    by its trials.

    Args:
        sessions: The counts of each person, one entry per person.
        resamples: The number of resamples.
        seed: The seed of the draw.
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
    """The rules by which sessions and trials are left out.

    Attributes:
        min_practice: The share of right answers in practice, 0 to 1, below which a session is left out.
        keep_hidden: Also count trials during which the tab was hidden.
        exposure_off: By what share of the intended time on screen the measured time may differ from it.
        repeats: Also count the later sessions of a person.
    """

    min_practice: float = 0.0
    keep_hidden: bool = False
    exposure_off: float = 0.2
    repeats: bool = False


@dataclass(frozen=True)
class Person:
    """One session after the rules were applied.

    Attributes:
        participant: The code of the person.
        method: The name of the method.
        file: The name of the file of answers.
        fooled: The counts of the scored trials that are kept.
        practice: How many practice answers were right, and how many there were.
        hidden: How many trials were left out because the tab was hidden.
        exposure_off: How many trials were left out because their time on screen was wrong.
        left: The share of all scored answers that chose the left picture.
        median_milliseconds: The median time from the end of a pair to the answer.
    """

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
    """The results of a study.

    Attributes:
        rates: Method -> its fooling rate, highest first; None where no trial is left.
        people: The sessions that count.
        left_out: The files that do not count.
        rules: The rules by which they were left out.
        studies: The id of each page -> its settings.
    """

    rates: dict[str, Rate | None]
    people: list[Person]
    left_out: list[LeftOut]
    rules: Rules
    studies: dict[str, dict[str, Any]]

    @property
    def trials_left_out(self) -> dict[str, int]:
        """The number of trials that were left out for each reason, "hidden" and "exposure_off"."""
        return {reason: sum(getattr(p, reason) for p in self.people) for reason in ("hidden", "exposure_off")}

    def as_dict(self) -> dict[str, Any]:
        """Return the results as plain values for JSON."""
        return {
            "methods": {m: r and asdict(r) for m, r in self.rates.items()},
            "people": [asdict(p) for p in self.people],
            "left_out": [{"file": x.path.name, "reason": x.reason} for x in self.left_out],
            "trials_left_out": self.trials_left_out,
            "rules": asdict(self.rules),
            "studies": self.studies,
        }
