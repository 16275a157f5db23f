"""The real-vs-fake study without a browser: what the page gives away, what the server takes, what the score
says."""

import base64
import io
import json
import math
import re
import shutil
import signal
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers.study_key import TASK, key_of
from PIL import Image

from cycada import CycadaError, build_study, score_study
from cycada.study.pairs import draw_pairs
from cycada.study.rates import Fooled, over_people, rate_of, wilson
from cycada.study.records import Key

pytestmark = pytest.mark.trains


def page_data(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)[1]
    )


def unveiled(data, code):
    mask = data["study"].encode()
    return json.loads(
        bytes(b ^ mask[i % len(mask)] for i, b in enumerate(base64.b64decode(data["methods"][code])))
    )


def answers(built, method="blurred", person="p1", fooled=0, practice_wrong=0, **over):
    """A session in which the first `fooled` of the scored trials took the fake for the real one."""
    key = key_of(built)
    code = built.codes[method]
    number = sum(map(ord, person + method))
    started = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=number % 997)

    def trial(i, pair, practice, wrong):
        left, right = pair if i % 2 else pair[::-1]
        real = "left" if key.is_real(left) else "right"
        other = {"left": "right", "right": "left"}[real]
        return {
            "practice": practice,
            "left": left,
            "right": right,
            "answer": other if wrong else real,
            "milliseconds": 500 + i,
            "exposure": 1000 * key.settings.seconds,
            "hidden": False,
            "by": "key",
        }

    pairs, n = key.pairs[code], key.settings.trials
    return {
        "format": "cycada-study-answers",
        "version": 1,
        "study": key.study,
        "participant": person,
        "session": f"{number:016x}",
        "method": code,
        "started": started.isoformat(),
        "finished": (started + timedelta(minutes=4)).isoformat(),
        "screen": {"width": 1366, "height": 768, "ratio": 1, "shown": 256},
        "trials": [
            *(trial(i, p, True, i < practice_wrong) for i, p in enumerate(pairs.practice)),
            *(trial(i, p, False, i < fooled) for i, p in enumerate(pairs.scored[:n])),
        ],
    } | over


def write(folder, name, content):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


# --- pairs


def test_all_methods_get_the_same_scenes_and_no_picture_comes_twice(scenes):
    drawn = draw_pairs(*scenes, "same", 2, 6, seed=3)
    for before, after in drawn.values():
        pairs = before + after
        assert len(before) == 2
        assert len(after) == 6
        assert all(p.real.stem == p.fake.stem for p in pairs)
        assert len({p.real for p in pairs}) == len({p.fake for p in pairs}) == 8
    assert [p.real for p in drawn["blurred"][1]] == [p.real for p in drawn["tinted"][1]]
    assert draw_pairs(*scenes, "same", 2, 6, seed=3) == drawn
    assert draw_pairs(*scenes, "same", 2, 6, seed=4) != drawn


def test_random_pairs_show_no_scene_twice_where_there_are_enough(scenes):
    for before, after in draw_pairs(*scenes, "random", 1, 5, seed=0).values():
        pairs = before + after
        assert not {p.real.stem for p in pairs} & {p.fake.stem for p in pairs}
        assert len({p.real for p in pairs}) == len({p.fake for p in pairs}) == 6
    for before, after in draw_pairs(*scenes, "random", 2, 10, seed=0).values():  # as many as there are
        assert len({p.fake for p in before + after}) == 12


# --- the page


def test_the_page_needs_nothing_and_gives_nothing_away(built, scenes):
    text, data, key = built.page.read_text(), page_data(built.page), key_of(built)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|url\(""", text)
    for word in ("scene_", "blurred", "tinted", "a real photo", *map(str, scenes[1].values())):
        assert word not in text
        assert base64.b64encode(word.encode()).decode().rstrip("=")[:-1] not in text
    assert len({len(x) for x in data["pictures"].values()}) == 1
    assert list(data["pictures"]) == sorted(data["pictures"])
    for packed in data["pictures"].values():
        with Image.open(io.BytesIO(base64.b64decode(packed))) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (32, 32), "RGB")
            assert set(image.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            image.load()
    for code, pairs in key.pairs.items():
        seen = unveiled(data, code)
        assert [len(p) for p in seen["scored"]] == [2] * 6  # nothing says which is real
        assert [p[2] for p in seen["practice"]] == [int(key.is_real(p[1])) for p in pairs.practice]
        assert (
            sorted(key.pictures[i].method is None for pair in pairs.scored for i in pair)
            == [False] * 6 + [True] * 6
        )


def test_neither_place_nor_order_tells_which_is_real(scenes, tmp_path):
    """Over many seeds the real one is first in a pair, and among all pictures, as often as not."""
    first, early = [], []
    for seed in range(12):
        key = key_of(
            build_study(
                tmp_path / f"{seed}.html", scenes[0], {"blurred": scenes[1]["blurred"]}, seed=seed, **TASK
            )
        )
        pairs = next(iter(key.pairs.values()))
        first += [key.is_real(p[0]) for p in pairs.scored + pairs.practice]
        ids = sorted(key.pictures)
        early += [key.is_real(i) for i in ids[: len(ids) // 2]]
    for shares in (first, early):  # 96 fair coins: 4 standard errors are 0.2
        assert abs(np.mean(shares) - 0.5) < 0.2


def test_equal_arguments_give_equal_files_and_another_study_spares_the_key(scenes, tmp_path, built):
    again = build_study(tmp_path / "again.html", *scenes, **TASK)
    assert again.page.read_bytes() == built.page.read_bytes()
    assert again.key.read_bytes() == built.key.read_bytes()
    build_study(tmp_path / "again.html", *scenes, **TASK)
    with pytest.raises(CycadaError, match="another study"):
        build_study(tmp_path / "again.html", *scenes, seed=1, **TASK)
    assert again.key.read_bytes() == built.key.read_bytes()


def test_a_page_of_the_user_s_own_is_spared(scenes, tmp_path):
    page = tmp_path / "index.html"
    page.write_text("<title>mine</title>")
    with pytest.raises(CycadaError, match="nothing in it says that cycada study wrote it"):
        build_study(page, *scenes, **TASK)
    assert page.read_text() == "<title>mine</title>"


def test_practice_and_pool(scenes, tmp_path):
    key = key_of(
        build_study(tmp_path / "s.html", *scenes, trials=3, practice=0, pool=7, size=(16, 32), format="png")
    )
    assert {len(p.scored) for p in key.pairs.values()} == {7}
    assert {len(p.practice) for p in key.pairs.values()} == {0}
    packed = next(iter(page_data(tmp_path / "s.html")["pictures"].values()))
    with Image.open(io.BytesIO(base64.b64decode(packed))) as image:
        assert (image.format, image.size) == ("PNG", (32, 16))


def test_what_would_make_it_too_easy(scenes, tmp_path):
    real, methods = scenes
    small = tmp_path / "small"
    small.mkdir()
    for file in methods["blurred"].iterdir():
        with Image.open(file) as image:
            image.resize((24, 24)).save(small / file.name)
    notes = build_study(tmp_path / "s.html", real, {"small": small}, **TASK).notes
    assert any("48 x 48 and 24 x 24" in n for n in notes)
    assert any("enlarged" in n for n in notes)
    for file in small.iterdir():
        with Image.open(file) as image:
            wide = image.resize((48, 24))
        wide.save(file)
    with pytest.raises(CycadaError, match="different parts"):
        build_study(tmp_path / "t.html", real, {"wide": small}, **TASK)
    shutil.rmtree(small)
    shutil.copytree(real, small)
    with pytest.raises(CycadaError, match="its pixels are those"):
        build_study(tmp_path / "t.html", real, {"copy": small}, **TASK)


def test_mistakes_are_sentences(cycada, scenes, tmp_path):
    real, methods = scenes
    out, blurred = tmp_path / "s.html", f"blurred={methods['blurred']}"
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "other"
    shutil.copytree(methods["blurred"], other)
    for file in other.iterdir():
        file.rename(other / f"{file.stem}_fake.png")
    damaged = tmp_path / "damaged"
    shutil.copytree(methods["blurred"], damaged)
    for file in damaged.iterdir():
        file.write_bytes(file.read_bytes()[:90])
    few = ("--trials", 6, "--practice", 2)
    for words, hint in (
        (("--method", "blurred"), "NAME=DIR"),
        (("--method", blurred, "--method", blurred), "twice"),
        (("--method", blurred, "--method", f"x={methods['blurred']}", *few), "twice"),
        (("--method", blurred), "expected 50 (10 for practice and 40 to be scored)"),
        (("--method", blurred, "--pairing", "random"), "found 12 pictures"),
        (("--method", f"x={other}", *few), "scene_00_fake.png"),
        (("--method", f"x={empty}"), "no pictures"),
        (("--method", f"x={tmp_path / 'none'}"), "no such folder"),
        (("--method", f"x={damaged}", *few), "not a readable image"),
        (("--method", blurred, *few, "--size", "big"), "HEIGHTxWIDTH"),
        (("--method", blurred, *few, "--size", "4"), "16 to 1024"),
        (("--method", blurred, *few, "--seconds", "0"), "0.05 to 60"),
        (("--method", blurred, "--trials", "6", "--pool", "2"), "no fewer pairs"),
    ):
        code, _, err = cycada("study", "build", out, "--real", real, *words)
        assert (code, hint in err, "Traceback" in err) == (2, True, False), err
        assert not out.exists()


def test_build_by_command(cycada, scenes, tmp_path):
    real, methods = scenes
    words = [x for name, folder in methods.items() for x in ("--method", f"{name}={folder}")]
    about = '<b>Lab 12</b> & "friends"'
    out = tmp_path / "page.html"
    code, said, _ = cycada(
        "study",
        "build",
        out,
        "--real",
        real,
        *words,
        "--trials",
        4,
        "--practice",
        2,
        "--size",
        "32x48",
        "--about",
        about,
    )
    assert code == 0
    assert "&lt;b&gt;Lab 12&lt;/b&gt;" in out.read_text()
    for name, c in {
        n: c for c, n in Key.model_validate_json((tmp_path / "page.key.json").read_text()).methods.items()
    }.items():
        assert f"{c}  {name}" in said


# --- the score


def test_wilson_against_its_formula():
    z = 1.959963984540054
    for k, n in ((0, 40), (1, 40), (17, 40), (40, 40), (333, 1000)):
        p = k / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        assert wilson(k, n) == pytest.approx((max(0, middle - half), min(1, middle + half)), abs=1e-9)


def test_the_interval_over_people_against_closed_forms():
    assert over_people([Fooled(3, 10)]) is None
    assert over_people([Fooled(3, 10)] * 5) == (
        0.3,
        0.3,
    )  # people who are all alike differ from no other sample of people
    assert over_people([Fooled(0, 10), Fooled(10, 10)]) == (0.0, 1.0)  # 0, 1/2, 1 with chances 1/4, 1/2, 1/4
    people = [Fooled(k, 40) for k in np.random.default_rng(0).binomial(40, 0.3, 200)]
    low, high = over_people(people)
    rates = np.array([p.count / 40 for p in people])
    error = rates.std() / math.sqrt(len(rates))  # of a resample's mean
    assert (low, high) == pytest.approx((rates.mean() - 1.96 * error, rates.mean() + 1.96 * error), abs=0.003)


def test_clusters_widen_the_interval():
    """Half of the people always fooled, half never: Wilson sees 800 coins, the bootstrap 20 people."""
    rate = rate_of([Fooled(40, 40)] * 10 + [Fooled(0, 40)] * 10)
    assert rate.rate == rate.mean == 0.5
    assert rate.error == pytest.approx(math.sqrt(20 / 19 * 0.25 / 20))
    assert rate.wilson[1] - rate.wilson[0] < 0.075
    assert rate.people[1] - rate.people[0] > 0.35
    assert rate_of([]) is rate_of([Fooled(0, 0)]) is None


def test_score(built, tmp_path, cycada):
    folder = tmp_path / "answers"
    for i, fooled in enumerate((0, 3, 6)):
        write(folder, f"s{i}.json", answers(built, "blurred", f"s{i}", fooled))
    write(folder, "t.json", answers(built, "tinted", "t", 3))
    scored = score_study([folder], out=tmp_path / "out")
    blurred, tinted = scored.rates["blurred"], scored.rates["tinted"]
    assert (blurred.count, blurred.trials, blurred.rate, blurred.participants) == (9, 18, 0.5, 3)
    assert blurred.wilson == wilson(9, 18)
    assert (tinted.count, tinted.trials, tinted.people, tinted.error) == (3, 6, None, None)
    assert {p.practice for p in scored.people} == {(2, 2)}
    for name in ("study.md", "study.csv", "study.json", "study.svg", "people.csv"):
        assert (tmp_path / "out" / name).stat().st_size > 100
    assert "| blurred | 50.0 |" in (tmp_path / "out" / "study.md").read_text()
    stored = json.loads((tmp_path / "out" / "study.json").read_text())
    assert stored["methods"]["blurred"]["wilson"] == list(wilson(9, 18))
    score_study([folder], out=tmp_path / "out")
    for name in ("study.md", "study.csv", "study.json", "study.svg", "people.csv"):
        own = tmp_path / "own" / name
        shutil.rmtree(own.parent, ignore_errors=True)
        write(own.parent, name, "name,age\nAnn,33\n")
        code, _, err = cycada("study", "score", folder, "--out", own.parent)
        assert (code, f"{own}: there is a file of this name" in err) == (2, True)
        assert [(p.name, p.read_text()) for p in own.parent.iterdir()] == [(name, "name,age\nAnn,33\n")]
    code, out, _ = cycada("study", "score", folder / "s0.json", folder / "t.json", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["methods"]["blurred"]["count"] == 0
    code, out, err = cycada("study", "score", folder)
    assert (code, "Traceback" in err) == (0, False)
    assert "50.0" in out
    score_study([folder], out=folder)
    again = score_study([folder])  # rates among the answers are no answers
    assert (again.left_out, again.rates) == ([], scored.rates)


def test_answers_that_are_not_there_are_not_called_a_missing_key(built, tmp_path, cycada):
    (tmp_path / "empty").mkdir()
    for where in ("empty", "typo"):
        code, _, err = cycada("study", "score", tmp_path / where)
        assert (code, f"{tmp_path / where}: found no files of answers" in err) == (2, True), err


def test_exclusions_are_options_and_counted(built, tmp_path):
    folder = tmp_path / "answers"
    sleepy, slow, away = (
        answers(built, person="a", practice_wrong=2),
        answers(built, person="b", fooled=6),
        answers(built, person="c", fooled=6),
    )
    slow["trials"][2]["exposure"], slow["trials"][3]["exposure"], slow["trials"][4]["exposure"] = (
        1201,
        1199,
        799,
    )
    away["trials"][2]["hidden"] = True
    away["trials"][2]["exposure"] = 5000
    for name, content in (("a", sleepy), ("b", slow), ("c", away)):
        write(folder, f"{name}.json", content)
    scored = score_study([folder])
    assert scored.trials_left_out == {"hidden": 1, "exposure_off": 2}
    assert (scored.rates["blurred"].count, scored.rates["blurred"].trials) == (4 + 5, 6 + 4 + 5)
    scored = score_study([folder], keep_hidden=True, exposure_off=9)
    assert (scored.rates["blurred"].count, scored.rates["blurred"].trials) == (12, 18)
    scored = score_study([folder], min_practice=0.6)
    assert [x.path.name for x in scored.left_out] == ["a.json"]
    assert "0 of 2 right" in scored.left_out[0].reason
    assert scored.rates["blurred"].participants == 2
    away["trials"] = [t | {"hidden": True} for t in away["trials"]]
    write(folder, "c.json", away)
    scored = score_study([folder / "c.json"], out=tmp_path / "none")
    assert scored.rates == {"blurred": None}
    assert "| blurred | – |" in (tmp_path / "none" / "study.md").read_text()


def test_what_does_not_belong_is_named_and_left_out(built, scenes, tmp_path, cycada):
    folder, good = tmp_path / "answers", answers(built, person="good", fooled=2)
    other = build_study(tmp_path / "sub" / "other.html", *scenes, seed=9, **TASK)
    trials = good["trials"]
    bad = {
        "cut": json.dumps(good)[:400],
        "empty": "",
        "list": "[]",
        "deep": "[" * 100_000,
        "other": answers(other, person="x"),
        "extra": {**good, "session": "1" * 16, "participant": "y", "note": "hello"},
        "name": {**good, "session": "2" * 16, "participant": "../../etc"},
        "short": {**good, "session": "3" * 16, "participant": "z", "trials": trials[:-1]},
        "twice": {**good, "session": "4" * 16, "participant": "v", "trials": [*trials[:-1], trials[-2]]},
        "group": {**good, "session": "5" * 16, "participant": "w", "method": "AAA"},
        "mixed": {**answers(built, "tinted", "u"), "trials": trials},
        "number": {
            **good,
            "session": "6" * 16,
            "participant": "q",
            "trials": [{**trials[0], "exposure": "1000"}, *trials[1:]],
        },
        "copy": good,
        "again": {**good, "session": "7" * 16, "started": "2031-01-01T00:00:00Z"},
    }
    write(folder, "a_good.json", good)
    for name, content in bad.items():
        write(folder, f"{name}.json", content)
    scored = score_study([folder, folder / "missing.json"])
    assert [p.file for p in scored.people] == ["a_good.json"]
    assert (scored.rates["blurred"].count, scored.rates["blurred"].trials) == (2, 6)
    assert {x.path.stem for x in scored.left_out} == {*bad, "missing"}
    reasons = {x.path.stem: x.reason for x in scored.left_out}
    for name, hint in {
        "cut": "damaged",
        "other": other.study,
        "short": "incomplete",
        "twice": "twice",
        "group": "group AAA",
        "mixed": "none of the page's",
        "copy": "duplicate",
        "again": "takes part again",
        "missing": "cannot be read",
        "extra": "note",
        "number": "exposure",
    }.items():
        assert hint in reasons[name], reasons[name]
    assert len(score_study([folder], repeats=True).people) == 2
    assert score_study([folder], repeats=True).rates["blurred"].participants == 1
    both = score_study([folder], keys=[built.key, other.key])
    assert set(both.studies) == {built.study, other.study}
    assert both.rates["blurred"].trials == 12
    code, _, err = cycada("study", "score", folder / "cut.json")
    assert (code, "cut.json" in err, "Traceback" in err) == (2, True, False)
    (tmp_path / "far").mkdir()
    write(tmp_path / "far" / "away", "a.json", good)
    code, _, err = cycada("study", "score", tmp_path / "far" / "away")
    assert (code, "--key" in err) == (2, True)
    shutil.copy(built.key, tmp_path / "far" / "away" / "k.json")  # the key among the answers is the key
    assert cycada("study", "score", tmp_path / "far" / "away")[0] == 0


# --- the server


def ask(address, data=None, **headers):
    request = urllib.request.Request(address, data, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_serve(server, built, tmp_path):
    address, process, out = server
    assert ask(address) == (200, built.page.read_bytes())
    assert ask(f"{address}?method=X")[0] == 200
    for path in ("study.key.json", "../study.key.json", "answers", "%2e%2e/study.key.json"):
        assert ask(address + path)[0] == 404
    good = answers(built, person="p", fooled=1)
    sent, to = json.dumps(good).encode(), f"{address}answers"
    assert ask(to, sent)[0] == 201
    assert ask(to, sent)[0] == 200  # the same once more
    assert ask(to, json.dumps({**good, "method": "BBB"}).encode())[0] == 409  # never written over
    assert ask(to, b"{}")[0] == 400
    assert ask(to, json.dumps({**good, "study": "0" * 16}).encode())[0] == 400
    assert ask(to, json.dumps({**good, "participant": "../x"}).encode())[0] == 400
    assert ask(to, b" " * 1_000_001)[0] == 413
    assert ask(f"{address}else", sent)[0] == 404
    other = {**good, "session": "f" * 16}
    assert ask(to, json.dumps(other).encode(), **{"Content-Type": "text/plain"})[0] == 415
    assert ask(to, json.dumps(other).encode(), Origin="http://example.org")[0] == 403
    assert ask(address, Host="example.org")[0] == 403
    assert [f.read_bytes() for f in out.iterdir()] == [sent]
    assert score_study([out]).rates["blurred"].count == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "1 answers file" in err
    assert "Traceback" not in err


def test_a_thousand_answers_of_fifty_people_arrive_while_slow_clients_hold_the_line(server, built):
    address, process, out = server
    threading.Thread(
        target=process.stdout.read, daemon=True
    ).start()  # a line for each, more than a pipe holds
    good, to = answers(built, person="p"), f"{address}answers"
    with ExitStack() as slow, ThreadPoolExecutor(50) as people:
        for i in range(100):
            line = slow.enter_context(socket.create_connection(("127.0.0.1", urlsplit(address).port)))
            line.sendall(
                [
                    b"",
                    b"POST /answers HTTP/1.1\r\n",
                    b"POST /answers HTTP/1.1\r\nContent-Length: 999\r\n\r\n{",
                ][i % 3]
            )
        sent = [json.dumps({**good, "session": f"{i:016x}"}).encode() for i in range(1000)]
        assert {status for status, _ in people.map(partial(ask, to), sent)} == {201}
    assert sorted(file.read_bytes() for file in out.iterdir()) == sorted(sent)


def test_serve_refuses_what_is_no_study(cycada, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html></html>")
    assert cycada("study", "serve", page)[0] == 2
    code, _, err = cycada("study", "serve", tmp_path / "none.html")
    assert (code, "cannot be read" in err) == (2, True)
