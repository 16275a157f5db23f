"""A profile counts each second once, for the innermost span, and nothing where none is recorded."""

import pytest

from cycada.core import profile
from cycada.core.profile import OTHER, Profile, recording, span


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves: `clock[0]` is the time."""
    now = [0.0]
    monkeypatch.setattr(profile.time, "perf_counter", lambda: now[0])
    return now


def test_profile_counts_each_second_for_the_innermost_span(clock):
    @span("inner")
    def work(seconds):
        clock[0] += seconds

    found = Profile()
    with recording(found):
        clock[0] += 1
        with span("outer"):
            clock[0] += 2
            work(4)
            work(8)
    assert found.seconds == {OTHER: 1, "outer": 2, "inner": 12}
    assert found.times == {OTHER: 1, "outer": 1, "inner": 2}
    assert found.total == 15
    assert list(found.parts()) == ["inner", "outer", OTHER]


def test_profile_goes_on_after_an_error_within_a_span(clock):
    @span("outer")
    def fail():
        clock[0] += 1
        raise ValueError("broken")

    found = Profile()
    with pytest.raises(ValueError, match="broken"), recording(found):
        fail()
    with span("outer"):
        clock[0] += 1
    assert found.seconds == {OTHER: 0, "outer": 1}


def test_profile_waits_for_the_device_before_it_counts(clock):
    def wait():
        clock[0] += 1

    found = Profile(wait)
    with recording(found), span("part"):
        pass
    assert found.seconds == {OTHER: 2, "part": 1}
