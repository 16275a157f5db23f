"""Arrays that a report keeps: found again by their inputs, and never needed."""

import numpy as np

from cycada.report.cache import NO_CACHE, Cache


def counted():
    calls = []

    def compute():
        calls.append(1)
        return np.arange(3.0)

    return calls, compute


def test_cache_computes_once_for_equal_inputs(tmp_path):
    calls, compute = counted()
    features = np.ones((2, 3), np.float16)
    for _ in range(2):
        assert Cache(tmp_path / "cache").get("tsne", [features], compute).tolist() == [0, 1, 2]
    assert len(calls) == 1
    for kind, inputs in (
        ("other", [features]),
        ("tsne", [features.T]),
        ("tsne", [features.astype(np.float32)]),
    ):
        Cache(tmp_path / "cache").get(kind, inputs, compute)
    assert len(calls) == 4


def test_cache_replaces_a_damaged_file(tmp_path):
    calls, compute = counted()
    Cache(tmp_path).get("tsne", [np.ones(2)], compute)
    next(tmp_path.glob("*.npy")).write_bytes(b"nothing")
    assert Cache(tmp_path).get("tsne", [np.ones(2)], compute).tolist() == [0, 1, 2]
    assert len(calls) == 2


def test_cache_without_a_place_to_write_computes(tmp_path):
    calls, compute = counted()
    (tmp_path / "file").write_text("")
    Cache(tmp_path / "file").get("tsne", [np.ones(2)], compute)
    NO_CACHE.get("tsne", [np.ones(2)], compute)
    assert len(calls) == 2


def test_cache_keeps_texts_and_finds_them_by_all_that_they_depend_on(tmp_path):
    cache, calls = Cache(tmp_path), []

    def compute():
        calls.append(1)
        return "a text\nin two lines"

    inputs = ["a", 1, None, ("b", np.arange(3)), {"c": [2.0]}]
    for _ in range(2):
        assert cache.get_text("text", inputs, compute, ".txt") == "a text\nin two lines"
    assert len(calls) == 1
    for other in (
        ["a", 1.0, None, ("b", np.arange(3)), {"c": [2.0]}],
        ["a", 1, None, ("b", np.arange(4)), {"c": [2.0]}],
        ["a", 1, None, "b", np.arange(3), {"c": [2.0]}],
        ["a", 1, None, ("b", np.arange(3)), {"d": [2.0]}],
    ):
        cache.get_text("text", other, compute, ".txt")
    assert len(calls) == 5
