"""A session of the real-vs-fake study, played in headless Chromium by keyboard and by finger."""

import json
import re
import time

import pytest
from helpers import chromium
from helpers.study_images import write_scenes
from helpers.study_key import key_of

from cycada import build_study, score_study

pytestmark = [
    pytest.mark.trains,
    pytest.mark.skipif(
        chromium.find() is None,
        reason="no Chromium on this machine: apt-get install chromium, or set CHROMIUM",
    ),
]

PRACTICE, TRIALS, SECONDS = 2, 4, 0.2
STATE = "document.getElementById('trial').className"


@pytest.fixture(scope="module")
def browser():
    with chromium.Browser() as page:
        yield page


@pytest.fixture
def built(tmp_path):
    return build_study(
        tmp_path / "study.html",
        *write_scenes(tmp_path, 8, 64),
        trials=TRIALS,
        practice=PRACTICE,
        pool=6,
        seconds=SECONDS,
        size=64,
    )


def hidden(page, name):
    return page.look(f"document.getElementById('{name}').hidden")


def text(page, name):
    return page.look(f"document.getElementById('{name}').textContent")


def begin(page, address, downloads=None):
    page.events.clear()
    page.open(address, downloads)
    page.look("document.getElementById('consent').click()")
    page.look("document.getElementById('start').focus()")
    page.press("Enter")
    page.until(f"{STATE} === 'fixing'")


def painted(page):
    """Whether each side shows anything but nothing."""
    return page.look(
        "SIDES.map((s) => document.getElementById(s).getContext('2d')"
        ".getImageData(0, 0, 64, 64).data.some((x) => x > 0))"
    )


def answer(page, how, seen):
    """One pair up to its answer, looked at closely on the way."""
    page.until(f"{STATE} === 'showing'")
    assert painted(page) == [True, True]
    assert page.look("document.getElementById('choose-left').getAttribute('aria-disabled')") == "true"
    page.press("ArrowLeft")  # too early: it counts for nothing
    page.until(f"{STATE} === 'asking'")
    assert painted(page) == [False, False]
    assert text(page, "prompt") == "Which one was real?"
    seen.append(text(page, "count"))
    how()
    page.until(f"{STATE} !== 'asking'")


def practise(page, go_on):
    seen = []
    for _ in range(PRACTICE):
        answer(page, lambda: page.press("ArrowRight"), seen)
        page.until("!document.getElementById('next').hidden")
        assert re.fullmatch(r"(✓ Right|✗ No): the (left|right) one was real\.", text(page, "prompt"))
        assert page.look("document.activeElement.id") == "next"
        go_on("next")
    assert seen == ["Practice 1 of 2", "Practice 2 of 2"]
    page.until("!document.getElementById('between').hidden")
    go_on("onward")


def test_a_session_by_keyboard(browser, built, tmp_path):
    page, saved = browser, tmp_path / "saved"
    page.screen(1366, 768)
    begin(page, f"{built.page.as_uri()}?method={built.codes['blurred']}&participant=P07", saved)
    practise(page, lambda _: page.press(" "))
    seen, sides = [], ["ArrowLeft", "ArrowRight", "ArrowRight", "ArrowLeft"]
    for side in sides:
        answer(page, lambda side=side: page.press(side), seen)
        assert hidden(page, "next")
        assert "was real." not in text(page, "prompt")  # no feedback
    assert seen == [f"Pair {i} of 4" for i in (1, 2, 3, 4)]
    page.until("!document.getElementById('end').hidden")
    page.until("document.activeElement.id === 'save'")
    assert "save the file" in text(page, "arrived")
    assert page.look("unsaved")
    page.press("Enter")
    end = time.monotonic() + 10
    while not (files := list(saved.glob("*.json"))) and time.monotonic() < end:
        time.sleep(0.05)
    assert not page.look("unsaved")
    found = json.loads(files[0].read_text())
    assert files[0].name == f"answers_P07_{found['session']}.json"
    assert files[0].read_text() == page.look("document.getElementById('text').value")
    assert (found["participant"], found["method"], found["study"]) == (
        "P07",
        built.codes["blurred"],
        built.study,
    )
    assert [t["practice"] for t in found["trials"]] == [True] * PRACTICE + [False] * TRIALS
    assert [f"Arrow{t['answer'].title()}" for t in found["trials"][PRACTICE:]] == sides
    assert {t["by"] for t in found["trials"]} == {"key"}
    assert not any(t["hidden"] for t in found["trials"])
    assert len({i for t in found["trials"] for i in (t["left"], t["right"])}) == 2 * (PRACTICE + TRIALS)
    assert found["screen"] == {"width": 1366, "height": 768, "ratio": 1, "shown": 64}
    assert page.complaints() == []
    assert page.requests() == [f"{built.page.as_uri()}?method={built.codes['blurred']}&participant=P07"]
    scored = score_study([saved], keys=[built.key], exposure_off=5)  # a busy machine may drop frames
    key = key_of(built)
    chosen = [t[t["answer"]] for t in found["trials"] if not t["practice"]]
    assert scored.rates["blurred"].count == sum(not key.is_real(c) for c in chosen)
    assert scored.rates["blurred"].trials == TRIALS
    exposures = [t["exposure"] for t in found["trials"]]
    assert min(exposures) > 1000 * SECONDS - 9  # half a frame
    assert sorted(exposures)[len(exposures) // 2] < 1000 * SECONDS + 60


def test_a_session_by_finger_reaches_the_server(browser, built, server):
    page, (address, _, out) = browser, server
    page.screen(390, 844, dark=True, phone=True)
    begin(page, address)
    assert page.look("document.documentElement.scrollWidth <= innerWidth")
    practise(page, lambda name: page.tap(f"#{name}"))
    seen = []
    for place in ("#choose-left", "#choose-right", "#frame-left", "#frame-right"):
        answer(page, lambda place=place: page.tap(place), seen)
    page.until("document.getElementById('arrived').textContent.includes('have arrived')")
    assert not page.look("unsaved")
    found = json.loads(next(out.glob("*.json")).read_text())
    assert [(t["answer"], t["by"]) for t in found["trials"][PRACTICE:]] == [
        (s, "pointer") for s in ("left", "right") * 2
    ]
    assert found["method"] in built.codes.values()
    assert page.complaints() == []
    assert score_study([out], exposure_off=5).people[0].participant == found["participant"]


def test_a_tab_that_goes_out_of_sight_is_marked_and_wiped(browser, built):
    page = browser
    page.screen(1366, 768)
    begin(page, built.page.as_uri())
    page.until(f"{STATE} === 'showing'")
    page.look("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    page.look("document.dispatchEvent(new Event('visibilitychange'))")
    assert painted(page) == [False, False]
    page.look("delete document.hidden")
    page.until(f"{STATE} === 'asking'")
    page.press("ArrowLeft")
    page.until("!document.getElementById('next').hidden")
    page.press(" ")
    answer(page, lambda: page.press("ArrowLeft"), [])
    page.press(" ")
    page.until("!document.getElementById('between').hidden")
    page.press(" ")
    for _ in range(TRIALS):
        answer(page, lambda: page.press("ArrowLeft"), [])
    page.until("!document.getElementById('end').hidden")
    trials = json.loads(page.look("document.getElementById('text').value"))["trials"]
    assert [t["hidden"] for t in trials] == [True] + [False] * (PRACTICE + TRIALS - 1)
    assert trials[0]["exposure"] < 1000 * SECONDS


def test_the_first_screen_wants_consent_and_a_known_group(browser, built):
    page = browser
    page.look("unsaved = false")
    page.open(f"{built.page.as_uri()}?method=AAA")
    assert not hidden(page, "trouble")
    assert page.look("document.getElementById('start').disabled")
    page.open(built.page.as_uri())
    page.look("document.getElementById('start').click()")
    assert not hidden(page, "welcome")
    assert page.look("document.getElementById('consent').validity.valueMissing")
    page.look("document.getElementById('participant').value = 'Ann Lee'")
    assert page.look("document.getElementById('participant').validity.patternMismatch")
    unnamed = (
        "[...document.querySelectorAll('input, select, textarea, progress')]"
        ".filter((e) => !e.labels.length).map((e) => e.id)"
    )
    assert page.look(unnamed) == []
