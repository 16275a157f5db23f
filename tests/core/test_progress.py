"""What a run shows: one line a report where there is no terminal."""

import pytest

from cycada.core.progress import Progress

VALUES = {"loss/gan_t": 0.5, "loss/cycle_s": 1.25, "monitor/certainty": 0.75}


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves: a list with the present second."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def test_a_report_is_a_line_with_losses_rate_and_the_time_left(clock, capsys):
    screen = Progress()
    screen.begin("pixel", 100, 1000)
    clock[0] = 10
    screen.update(200, 1234.5, VALUES)
    assert capsys.readouterr().err == (
        "pixel: step 200 of 1000, gan_t 0.500  cycle_s 1.250, 1,234 images/s, 0:01:20 left\n"
    )
    screen.update(1000, 1234.5, VALUES)
    assert capsys.readouterr().err == "pixel: step 1000 of 1000, gan_t 0.500  cycle_s 1.250, 1,234 images/s\n"


def test_quiet_shows_none_and_verbose_every_value(clock, capsys):
    for screen in (Progress(quiet=True), Progress(verbose=True)):
        screen.begin("pixel", 0, 10)
        screen.update(5, 0.0, VALUES)
    assert capsys.readouterr().err == (
        "pixel: step 5 of 10, gan_t 0.500  cycle_s 1.250  monitor/certainty 0.750, 0:00:00 left\n"
    )


def test_work_without_losses_is_a_line_every_ten_seconds(clock, capsys):
    screen = Progress()
    screen.begin("translate", 0, 100)
    for done in range(1, 101):
        clock[0] = done / 4
        screen.update(done, 4.0, {})
    screen.update(100, 4.0, {})  # what was read is done
    assert capsys.readouterr().err.splitlines() == [
        "translate: 40 of 100, 4 images/s, 0:00:15 left",
        "translate: 80 of 100, 4 images/s, 0:00:05 left",
        "translate: 100 of 100, 4 images/s",
    ]
