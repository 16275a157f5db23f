"""Distances against closed forms and naive loops; scores of translations against a loop over files; nothing
measured twice; one table."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
import yaml
from helpers.experiments import tiny_config, write_config
from helpers.streets import STREETS

from cycada.core.errors import CycadaError
from cycada.data import resize_logits, to_bytes, to_float
from cycada.data.streets.domain import Streets
from cycada.image_quality import quality as module
from cycada.image_quality.metrics import Batch, LabelScore, Pixels
from cycada.image_quality.quality import quality
from cycada.image_quality.table import as_csv, markdown, notes, quality_tables, row_names
from cycada.metrics import confusion_matrix, scores
from cycada.metrics.image_quality import Moments, frechet_distance, kernel_distance, squared_mmd
from cycada.metrics.structure import self_similarity, structure_distance
from cycada.networks.inception import Inception, read_inception
from cycada.runs.reuse import load_stage, trained_networks
from cycada.runs.run import run
from cycada.storage.store import RunFolder
from cycada.train.device import Device
from experiments import translation


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def of(vectors, parts=1):
    moments = Moments()
    for part in vectors.chunk(parts):
        moments.add(part)
    return moments


# the distances


def test_moments_in_parts_are_numpys_also_far_from_zero():
    x = torch.randn(101, 6, generator=random(), dtype=torch.float64) + 1e6
    for parts in (1, 4, 101):
        found = of(x, parts)
        assert found.n == 101
        assert np.allclose(found.mean, x.mean(0), rtol=1e-12)
        assert np.allclose(found.covariance, np.cov(x.numpy().T), rtol=1e-6, atol=1e-8)


def test_frechet_is_the_formula_with_scipys_root():
    mix = torch.randn(2, 7, 7, generator=random(), dtype=torch.float64)
    a, b = (torch.randn(40, 7, generator=random(k + 1), dtype=torch.float64) @ mix[k] + k for k in (0, 1))
    ca, cb = (np.cov(x.numpy().T) for x in (a, b))
    root = scipy.linalg.sqrtm(ca @ cb)
    expected = float(((a.mean(0) - b.mean(0)) ** 2).sum()) + np.trace(ca + cb - 2 * root.real)
    found = frechet_distance(of(a, 3), of(b, 2))
    assert found.distance == pytest.approx(expected, rel=1e-9)
    assert found.full_rank


def test_frechet_of_gaussians_in_closed_form():
    """Independent coordinates: |m - n|^2 + sum (sd - te)^2."""
    cube = torch.tensor(
        [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=torch.float64
    ) * math.sqrt(7 / 8)
    sd, te, shift = (
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([2.0, 2.0, 0.5]),
        torch.tensor([0.0, 1.0, -2.0]),
    )
    found = frechet_distance(of(cube * sd), of(cube * te + shift)).distance
    assert found == pytest.approx(float((shift**2).sum() + ((sd - te) ** 2).sum()), rel=1e-9)
    assert frechet_distance(of(cube), of(cube)).distance == pytest.approx(0, abs=1e-12)


def test_frechet_says_where_there_are_too_few():
    few, more = torch.randn(5, 8, generator=random()), torch.randn(9, 8, generator=random(1))
    found = frechet_distance(of(few), of(more))
    assert not found.full_rank
    assert found.distance > 0
    assert frechet_distance(of(more), of(more)).full_rank
    with pytest.raises(ValueError, match="found 1 and 5"):
        frechet_distance(of(few[:1]), of(few))


def naive_mmd(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    x, y = x.tolist(), y.tolist()
    n, m = len(x), len(y)
    within = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (n * (n - 1))
    other = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (m * (m - 1))
    return within + other - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kid_is_the_naive_double_loop():
    x, y = (
        torch.randn(n, 5, generator=random(n), dtype=torch.float64) + shift for n, shift in ((7, 0), (9, 0.5))
    )
    assert float(squared_mmd(x, y)) == pytest.approx(naive_mmd(x, y), rel=1e-9)
    found = kernel_distance(x, y, subsets=20)
    drawn, each = torch.Generator().manual_seed(0), []
    for _ in range(20):
        rows = [torch.randperm(n, generator=drawn)[:3] for n in (7, 9)]
        each.append(naive_mmd(x[rows[0]], y[rows[1]]))
    assert found.size == 3
    assert found.mean == pytest.approx(np.mean(each), rel=1e-9)
    assert found.error == pytest.approx(np.std(each, ddof=1) / math.sqrt(20), rel=1e-9)


def test_kid_is_unbiased_and_sees_a_shift():
    x, y = (torch.randn(400, 4, generator=random(s)) for s in (1, 2))
    same, apart = kernel_distance(x, y), kernel_distance(x, y + 1)
    assert abs(same.mean) < 0.1
    assert apart.mean > 10 * abs(same.mean)
    with pytest.raises(ValueError, match="at least 4"):
        kernel_distance(x[:3], y)


def test_structure_is_the_naive_loop_and_sees_places_alone():
    a, b = (torch.randn(2, 3, 4, 5, generator=random(s)) for s in (1, 2))
    for i, found in enumerate(structure_distance(a, b)):
        flat = [x[i].flatten(1).T for x in (a, b)]
        total = 0.0
        for p in range(20):
            for q in range(20):
                one, other = (float(torch.cosine_similarity(f[p], f[q], dim=0)) for f in flat)
                total += (one - other) ** 2
        assert float(found) == pytest.approx(total / 400, rel=1e-5)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=random(3))).Q
    turned = torch.einsum("ij,njhw->nihw", turn, a) * 2.5  # other features in the same places
    assert structure_distance(a, turned).abs().max() < 1e-10
    assert self_similarity(a).diagonal(dim1=1, dim2=2).allclose(torch.ones(2, 20))
    assert structure_distance(
        torch.randn(1, 2, 40, 70, generator=random(4)), torch.randn(1, 2, 40, 70, generator=random(5))
    ).shape == (1,)


# the judges


def test_labels_are_decoded_and_held_against_masks():
    palette = Streets.palette
    scenes = Streets(look="photo", width=32, height=16, test=2).load(None, "test")
    masks = [scenes.read(i)[1] for i in range(2)]
    maps = to_float(torch.tensor(palette, dtype=torch.uint8)[torch.stack(masks).long()].permute(0, 3, 1, 2))
    wrong = maps.clone()
    wrong[:, :, :4] = to_float(torch.tensor(palette[0], dtype=torch.uint8)).reshape(1, 3, 1, 1)
    judge = LabelScore(palette)
    judge.update(Batch("source", "test", maps, masks))
    judge.update(Batch("target", "test", maps, masks, fake=wrong + 0.02))
    found = judge.compute()
    assert found["real"]["pixel_accuracy"] == found["real"]["miou"] == 1
    said = torch.stack(masks).clone()
    said[:, :4] = 0
    count = confusion_matrix(said, torch.stack(masks), len(palette))
    for name in ("pixel_accuracy", "mean_class_accuracy", "miou"):
        assert found["ts"][name] == pytest.approx(float(scores[name](count)), abs=1e-6)
    photos = LabelScore(palette)  # whose source is no label map: nearest colours mean nothing
    photos.update(
        Batch("source", "test", to_float(torch.stack([scenes.read(i)[0] for i in range(2)])), masks)
    )
    photos.update(Batch("target", "test", maps, masks, fake=maps))
    assert photos.compute() == {}


def test_pixels_know_the_truth():
    real = torch.rand(4, 3, 16, 16, generator=random()) - 0.5
    judge = Pixels()
    judge.update(Batch("source", "test", real, fake=real + 0.1, truth=real + 0.2))
    judge.update(Batch("target", "test", 2 * real))
    found = judge.compute()["st"]
    assert found["l1"] == pytest.approx(0.1, abs=1e-6)
    assert found["psnr"] == pytest.approx(10 * math.log10(4 / 0.01), abs=1e-4)
    assert found["untranslated_l1"] == pytest.approx(0.2, abs=1e-6)
    assert found["diversity"] == pytest.approx(0.5, abs=1e-5)
    assert "ts" not in judge.compute()


# a finished run

SCENES = STREETS["data"] | {
    "source": {"name": "streets", "look": "game", "train": 6, "test": 5},
    "target": {"name": "streets", "look": "photo", "train": 5, "test": 6},
}
STAGES = {
    "pixel": {"method": "cyclegan", "steps": 1, "crop": [16, 32], "options": {"pool": 2}},
    "scorer": {"method": "target_only", "steps": 6, "optimizer": {"lr": 0.005}},
}
ALONE = {
    "method": "cyclegan",
    "steps": 1,
    "crop": [16, 32],
    "losses": {"cycle_s": 0, "cycle_t": 0},
    "options": {"pool": 2},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(the stages by name, results)."""
    results = tmp_path_factory.mktemp("quality")
    summary = run(tiny_config(STAGES, **(STREETS | {"data": SCENES}), results=str(results)))
    return {s.name: s for s in summary.stages}, results


@pytest.fixture(scope="module")
def found(made):
    stages, results = made
    return quality(stages["pixel"].folder, stages["scorer"].id, stages["scorer"].id, results=results)


def test_the_real_row_is_the_scorers_own_score(found, made):
    """The same network on the same photos at the same size, one batch after the other."""
    assert found["fcn"]["real"] == made[0]["scorer"].scores["target"] | {"n": 6}
    assert found["fcn"]["protocol"]["fcn"]["own_scores"] == made[0]["scorer"].scores["target"]


def test_the_fcn_score_is_a_loop_over_pictures(found, made):
    stages, _ = made
    networks = {}
    for name in ("pixel", "scorer"):
        folder = RunFolder(stages[name].folder)
        config, stage = load_stage(folder)
        networks[name] = trained_networks(folder, config, stage, 9, Device.find("cpu")).eval()
    scenes = Streets(look="game", test=5).load(None, "test")
    counts = {"st": 0, "untranslated": 0}
    for i in range(5):
        image, mask, _ = scenes.read(i)
        small = (
            torch.nn.functional.interpolate(image[None].float(), (32, 64), mode="bilinear", antialias=True)
            .round()
            .byte()
        )
        with torch.no_grad():
            for name, seen in (
                ("st", to_float(to_bytes(networks["pixel"].g_st(to_float(small))))),
                ("untranslated", to_float(small)),
            ):
                answer = resize_logits(networks["scorer"].f_t(seen).logits, mask.shape).argmax(1)[0]
                counts[name] = counts[name] + confusion_matrix(answer, mask, 9)
    for name, count in counts.items():
        for score in ("pixel_accuracy", "mean_class_accuracy", "miou"):
            assert found["fcn"][name][score] == pytest.approx(float(scores[score](count)), abs=1e-4)


def test_both_directions_have_distances_with_their_rulers(found, made):
    block, scorer = found["features"], made[0]["scorer"]
    assert (block["st"]["n"], block["st"]["n_real"], block["ts"]["n"], block["ts"]["n_real"]) == (5, 6, 6, 5)
    for way in ("st", "ts"):
        assert {"fid", "kid", "structure", "diversity", "untranslated_fid", "real_fid", "real_kid"} <= set(
            block[way]
        )
        assert not block[way]["fid_full_rank"]  # 16 features
        assert 0 < found["pixels"][way]["l1"] < 2
    ruler = block["protocol"]["features"]
    assert (ruler["run"], ruler["role"], len(ruler["weights"])) == (scorer.id, "f_t", 16)
    assert found["labels"] == {}


def test_real_pictures_are_measured_on_as_many_as_translations(made, monkeypatch):
    """FID and KID's subsets grow with fewer images, so a row of more would flatter real pictures."""
    stages, results = made
    seen = {}

    def update(_, batch):
        key = f"{batch.side} {batch.split}"
        seen[key] = seen.get(key, 0) + len(batch.real)

    monkeypatch.setattr(module.Distances, "update", update)
    monkeypatch.setattr(module, "measured", lambda folder: {})
    monkeypatch.setattr(RunFolder, "write_json", lambda *_: None)  # nothing is kept of these measurements
    quality(stages["pixel"].folder, None, stages["scorer"].id, results=results)
    # of 6 training images of the source as many as the target's 6 test images, of the target's 5 all
    assert seen == {"source test": 5, "target test": 6, "source train": 6, "target train": 5}


def test_what_was_measured_is_read(found, made, monkeypatch):
    stages, results = made
    folder = stages["pixel"].folder
    before = (folder / "quality.json").read_bytes()

    def never(*_):
        raise AssertionError("measured again")

    with monkeypatch.context() as patched:
        patched.setattr(module, "load_datasets", never)
        assert (
            quality(folder, stages["scorer"].folder, f"{stages['scorer'].id}#f_t", results=results) == found
        )
        assert (
            quality(folder, stages["scorer"].folder / "weights.safetensors", results=results)["fcn"]
            == found["fcn"]
        )
        assert quality(folder)["pixels"] == found["pixels"]
    assert (folder / "quality.json").read_bytes() == before
    content = json.loads(before)["measured"]
    (folder / "quality.json").write_text(
        json.dumps({"format": module.FORMAT, "measured": {"labels": content["labels"]}})
    )
    assert (
        quality(folder, stages["scorer"].id, stages["scorer"].id, results=results) == found
    )  # to the last digit
    assert (folder / "done").exists()


def test_what_an_older_version_measured_by_other_rules_is_not_read(tmp_path):
    content = {"format": 1, "measured": {"pixels": {"st": {"l1": 0.5}}}}  # its means were over other classes
    (tmp_path / "quality.json").write_text(json.dumps(content))
    assert module.measured(RunFolder(tmp_path)) == {}


def test_refusals(made, tmp_path, monkeypatch):
    stages, results = made
    pixel, scorer = stages["pixel"], stages["scorer"]
    for words, message in (
        ((pixel.folder, pixel.id), "no classifier 'f_t'"),
        ((pixel.folder, f"{scorer.id}#g_st"), "no classifier 'g_st'"),
        ((scorer.folder,), "translates nothing"),
        ((pixel.folder, None, "missing.pth"), "there is no file missing.pth"),
        ((pixel.folder, None, "nowhere"), "No run 'nowhere'"),
    ):
        with pytest.raises(CycadaError, match=message):
            quality(*words, results=results)
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    with pytest.raises(CycadaError, match=r"extractor: cannot read .*bad\.pth"):
        quality(pixel.folder, None, tmp_path / "bad.pth", results=results)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CycadaError, match=r"extractor: .*other\.pth lacks"):
        quality(pixel.folder, None, tmp_path / "other.pth", results=results)
    other = module.find_scorer
    monkeypatch.setattr(
        module,
        "find_scorer",
        lambda *a: type("Scorer", (), vars(other(*a)) | {"classes": ("a",), "key": "new"})(),
    )
    with pytest.raises(CycadaError, match="found a scorer of the classes"):
        quality(pixel.folder, scorer.id, results=results)
    nothing = SimpleNamespace(classes=())
    with pytest.raises(CycadaError, match="have no classes, so that"):
        module._check_scorer(RunFolder(pixel.folder), SimpleNamespace(key="s", classes=("a",)), None, nothing)


def test_the_data_have_to_be_those_of_the_stage(made):
    stages, results = made
    folder = RunFolder(stages["pixel"].folder)
    manifest = folder.read_json("manifest.json")
    kept = (folder.path / "quality.json").read_bytes() if (folder.path / "quality.json").exists() else None
    (folder.path / "quality.json").unlink(missing_ok=True)
    folder.write_json("manifest.json", manifest | {"data_fingerprint": "other"})
    folder.finish()
    try:
        with pytest.raises(CycadaError, match="found other data than the stage was trained with"):
            quality(folder.path, results=results)
    finally:
        folder.write_json("manifest.json", manifest)
        folder.finish()
        if kept:
            (folder.path / "quality.json").write_bytes(kept)


# Inception


def test_inception_is_torchvisions(tmp_path):
    torch.manual_seed(0)
    reference = Inception().eval()
    weights = {k: v * 0.5 if k.endswith("conv.weight") else v for k, v in reference.body.state_dict().items()}
    reference.body.load_state_dict(weights)
    torch.save(
        weights | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)},
        tmp_path / "inception.pth",
    )
    net = read_inception(str(tmp_path / "inception.pth"))
    images = 2 * torch.rand(1, 3, 299, 299, generator=random()) - 1
    with torch.no_grad():
        seen = net(images)
        assert seen.pooled.shape == (1, 2048)
        assert torch.allclose(seen.pooled, reference.body(images).unflatten(1, (2048, 64)).mean(2), atol=1e-6)
        assert seen.maps.shape == (1, 2048, 8, 8)
    torch.save({"fc.weight": torch.zeros(1008, 2048)}, tmp_path / "port.pth")
    with pytest.raises(CycadaError, match="pools in another way"):
        read_inception(str(tmp_path / "port.pth"))


class Scripted(torch.nn.Module):
    def forward(self, pixels, return_features: bool = False):
        return pixels.float().mean((2, 3)) if return_features else pixels


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_fids_own_inception_gets_bytes(tmp_path):
    torch.jit.save(torch.jit.script(Scripted()), str(tmp_path / "fid.pt"))
    images = 2 * torch.rand(2, 3, 8, 8, generator=random()) - 1
    seen = read_inception(str(tmp_path / "fid.pt"))(images)
    assert torch.equal(seen.pooled, to_bytes(images).float().mean((2, 3)))
    assert seen.maps is None


# tables


def test_the_command_shows_a_table(found, made, cycada):
    stages, results = made
    words = [
        "quality",
        stages["pixel"].id,
        "--scorer",
        stages["scorer"].id,
        "--extractor",
        stages["scorer"].id,
        "--results",
        results,
    ]
    code, out, err = cycada(*words, stages["pixel"].id, "--json")  # a run that is named twice is one
    assert code == 0
    whole = json.loads(out)
    assert whole["runs"] == [json.loads(json.dumps(found))]
    assert [row["method"] for row in whole["table"]] == ["CycleGAN", "untranslated", "real pictures"] * 2
    code, out, err = cycada(*words)
    assert code == 0
    assert "CycleGAN" in out
    assert "There are fewer pictures than features" in err
    assert cycada("quality", "nowhere", "--results", results)[0] == 2


def test_tables_average_over_seeds_and_refuse_what_was_measured_otherwise(found):
    other = json.loads(json.dumps(found)) | {"seed": 1, "seconds": 5.0}
    other["fcn"]["st"]["miou"] += 0.1
    (st, ts) = quality_tables([("a", found), ("a", other)])
    row = st.rows[0]
    assert (row.seeds, [r.name for r in st.rows]) == ((0, 1), ["a", "untranslated", "real pictures"])
    assert row.values["class_iou"] == pytest.approx((found["fcn"]["st"]["miou"] + 0.05, 0.05))
    assert st.rows[2].values["class_iou"] == (found["fcn"]["real"]["miou"], None)
    assert st.rows[1].values["fid"] == (found["features"]["st"]["untranslated_fid"], None)
    assert "class_iou" not in ts.columns  # nothing decodes these pictures into labels
    one_way = other | {"features": {key: value for key, value in other["features"].items() if key != "ts"}}
    said = notes([found, other, one_way])
    assert (
        sum(note.startswith("FID, KID") for note in said) == 1
    )  # one extractor, one sentence, whatever directions a row has
    text = markdown([st, ts], said)
    assert f"| {found['features']['st']['real_fid']:.2f} |" in text
    lines = list(csv.DictReader(as_csv([st, ts]).splitlines()))
    assert float(lines[0]["class_iou_error"]) == pytest.approx(0.05, rel=1e-6)
    assert lines[3]["direction"] == "ts"
    assert row_names([found, other], ["x", "x"]) == ["CycleGAN"] * 2
    assert row_names([found, found | {"stage": "else"}], ["x", "y"]) == [
        "CycleGAN (tiny, pixel)",
        "CycleGAN (tiny, else)",
    ]
    assert row_names([found, other | {"id": "other"}], ["x", "y"]) == [
        f"CycleGAN (tiny, pixel, {found['id']})",
        "CycleGAN (tiny, pixel, other)",
    ]
    with pytest.raises(CycadaError, match="have seed 0 and equal settings"):
        quality_tables([("a", found), ("a", found)])
    other["fcn"]["protocol"]["fcn"]["weights"] = "other"
    with pytest.raises(CycadaError, match="must be measured alike"):
        quality_tables([("a", found), ("b", other)])


def test_the_runner_makes_the_table_of_a_sweep(made, tmp_path, capsys):
    config = STREETS | {"data": SCENES, "results": str(made[1])}
    write_config(tmp_path / "experiment.yaml", STAGES | {"alone": ALONE}, **config)
    sweep = {
        "name": "swept",
        "experiment": "experiment.yaml",
        "base": None,
        "variants": {"CycleGAN": {"stage": "pixel"}, "GAN alone": {"stage": "alone"}},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    translation.main([str(tmp_path / "sweep.yaml"), "--scorer", "scorer", "--out", str(tmp_path / "tables")])
    text = (tmp_path / "tables" / "swept.md").read_text()
    assert text in capsys.readouterr().out
    rows = json.loads((tmp_path / "tables" / "swept.json").read_text())["rows"]
    assert [(r["direction"], r["method"], r["seeds"]) for r in rows[:4]] == [
        ("st", "CycleGAN", [0]),
        ("st", "GAN alone", [0]),
        ("st", "untranslated", []),
        ("st", "real pictures", []),
    ]
    assert rows[3]["values"]["class_iou"][0] > 0
    assert str(made[1]) not in text
    assert str(tmp_path) not in text
    assert sum(1 for line in (tmp_path / "tables" / "swept.csv").read_text().splitlines()) == 9
