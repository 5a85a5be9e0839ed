"""Tasks beyond species: both tracks on the miniatures, every quirk in a case worked by hand, hostile files refused."""

import json
import os
import pickle
import random

import numpy as np
import pytest
import torch

from eval import listing, probes, results
from eval.examples import from_rows
from eval.features import Features
from eval.features import features as found_for
from eval.tasks import awa2, fishnet, herbarium19, newt, plantdoc

TASKS = {
    "newt": newt.newt,
    "fishnet": fishnet.fishnet,
    "awa2": awa2.awa2,
    "herbarium19": herbarium19.herbarium19,
    "plantdoc": plantdoc.plantdoc,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(probes, "SEARCH_DRAWS", 4)
    monkeypatch.setattr(probes, "EPOCHS", 5)


@pytest.mark.parametrize("track", ["compat", "fixed"])
@pytest.mark.parametrize("name", sorted(TASKS))
def test_each_runs_on_its_miniature(mini, model, tmp_path, name, track):
    asked = listing.read(name, mini)
    found = found_for(model, asked, tmp_path, workers=0)
    more = {"seeds": (0,)} if name != "plantdoc" else {}
    more |= {"workers": 1} if name == "newt" else {}
    (outcome,) = TASKS[name]("m", asked, found, track, **more)
    assert outcome.benchmark == name and outcome.track == track
    assert 0 <= results.value(outcome.answers, outcome.metric) <= 1
    assert set(outcome.answers["example"].to_pylist()) <= set(asked.column("example"))
    (again,) = TASKS[name]("m", asked, found, track, **more)
    assert again.answers.equals(outcome.answers), "equal seeds, equal answers"


def _features(vectors):
    return Features(np.asarray(vectors, dtype=np.float32), np.ones(len(vectors), dtype=bool), None)


def _set(tmp_path, **columns):
    n = len(columns["label"])
    return from_rows(
        "x",
        tmp_path,
        [
            {"example": f"{i}", **{key: values[i] for key, values in columns.items()}}
            for i in range(n)
        ],
    )


def test_plantdoc_compat_shifts_the_classes_behind_the_one_without_test_pictures(tmp_path):
    names = ["a", "b", "c", "d"]  # "b" has no test picture
    asked = _set(tmp_path, label=[*names, "a", "c", "d"], split=["train"] * 4 + ["test"] * 3)
    eye = np.eye(4)
    found = _features([*eye, eye[0], eye[2], eye[3]])  # every answer is right
    (fixed,) = plantdoc.plantdoc("m", asked, found, "fixed")
    (compat,) = plantdoc.plantdoc("m", asked, found, "compat")
    assert results.value(fixed.answers, "accuracy") == 1
    assert results.value(compat.answers, "accuracy") == pytest.approx(1 / 3), (
        "c is taken for b, d for c"
    )
    assert fixed.notes == ("no test picture of: b",)


def test_the_probe_of_compat_keeps_dropout_on_and_says_yes_above_a_half(monkeypatch):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 8)).astype(np.float32)
    y = x[:, :3] > 0
    fixed = probes.probe(x, y, x, rate=1e-2, track="fixed", seed=0, epochs=30)
    assert (fixed == y).mean() > 0.95
    twice = np.concatenate([x, x])  # the same pictures asked twice
    compat = probes.probe(x, y, twice, rate=1e-2, track="compat", seed=0, epochs=30)
    assert (compat[:400] != compat[400:]).any(), (
        "half its numbers are dropped, by chance, while it is asked"
    )
    both = probes.probe(x, y, twice, rate=1e-2, track="fixed", seed=0, epochs=30)
    assert (both[:400] == both[400:]).all()

    class Says(torch.nn.Module):  # a logit of 0.3 for every question
        def forward(self, rows):
            return torch.full((len(rows), 3), 0.3)

    monkeypatch.setattr(probes, "_net", lambda *_: Says())
    monkeypatch.setattr(probes, "_epochs", lambda *_: iter([None]))
    assert not probes.probe(x, y, x, rate=1.0, track="compat", seed=0).any()
    assert probes.probe(x, y, x, rate=1.0, track="fixed", seed=0).all()


def test_fishnet_reads_columns_by_name_else_by_place_and_leaves_out_rows_with_a_trait_unknown(
    tmp_path,
):
    def write(heads, *rows):
        for split in ("train", "test"):
            (tmp_path / f"{split}.csv").write_text(
                "\n".join([",".join(heads), *(",".join(row) for row in rows)]) + "\n"
            )

    yes = ["pelagic", *"10100100"]
    write(
        ["Folder", "image", *fishnet.TRAITS],
        ["Fam", "x/1.jpg", *yes],
        ["Fam", "2.jpg", "", *"10100100"],
    )
    found = fishnet.examples(tmp_path)
    assert (
        found.column("label") == ["110100100"] * 2
        and found.column("example")[0] == "Image_Library/Fam/1.jpg"
    )
    assert found.left_out == (("Image_Library/Fam/2.jpg", "trait_unknown"),) * 2
    write(
        ["0", "1", "2", "url", *"456789ab", "family", "c", *fishnet.TRAITS],
        ["", "", "", "a/b/1.jpg", *[""] * 8, "Fam", "", *yes],
    )
    assert fishnet.examples(tmp_path).column("example") == ["Image_Library/Fam/1.jpg"] * 2
    write(["image", "Folder"], ["1.jpg", "Fam"])
    with pytest.raises(ValueError, match="lacks the column 'FeedingPath'"):
        fishnet.examples(tmp_path)


def test_awa2_strips_numbers_and_tells_files_that_do_not_fit(mini, tmp_path):
    found = awa2.matrix(mini / "awa2")
    assert (
        len(found) == 6
        and {len(row) for row in found.values()} == {85}
        and all("\t" not in name for name in found)
    )
    (tmp_path / "classes.txt").write_text("1\ta\n2\tb\n")
    (tmp_path / "predicate-matrix-binary.txt").write_text("0 1 0\n")
    with pytest.raises(ValueError, match="1 rows for 2 classes"):
        awa2.matrix(tmp_path)


def test_newt_search_is_the_same_for_equal_seeds_and_survives_few_pictures():
    draw = np.random.default_rng(0)
    x = (
        np.repeat(np.eye(2), 20, axis=0) @ draw.normal(size=(2, 8)) + draw.normal(size=(40, 8))
    ).astype(np.float32)
    y = np.repeat([0, 1], 20)
    for track in ("compat", "fixed"):
        one, other = (
            probes.svm(x[::2], y[::2], x[1::2], track=track, seed=3, workers=1) for _ in range(2)
        )
        assert one.tolist() == other.tolist() and (one == y[1::2]).mean() > 0.6
        assert probes.svm(x[:3], [0, 0, 1], x, track=track, seed=0, workers=1).shape == (40,)
        assert set(probes.svm(x[:3], [1, 1, 1], x, track=track, seed=0, workers=1)) == {1}


def _brute(x, taught, n):
    """One round of semi-supervised k-means from the mean of what is labelled, by loops."""
    centres = [x[taught == c].mean(0) for c in range(n)]
    return [
        int(t) if t >= 0 else min(range(n), key=lambda c: float(((row - centres[c]) ** 2).sum()))
        for row, t in zip(x, taught, strict=True)
    ]


def test_k_means_finds_what_is_there_and_equals_loops_where_all_classes_are_known():
    draw = np.random.default_rng(0)
    truth = np.repeat(np.arange(6), 30)
    x = (np.eye(6)[truth] * 8 + draw.normal(size=(180, 6))).astype(np.float32)
    taught = np.where((truth < 3) & (np.arange(180) % 2 == 0), truth, -1)
    for track in ("compat", "fixed"):
        cluster = herbarium19.k_means(x, taught, 6, track=track, seed=0)
        assert (cluster[taught >= 0] == truth[taught >= 0]).all()
    assert herbarium19._matched(cluster, truth).mean() > 0.95
    near = x[truth < 3] / 8
    known = taught[truth < 3]
    found = herbarium19.k_means(near, known, 3, track="compat", seed=0)
    assert (found == _brute(near, known, 3)).mean() > 0.95


@pytest.mark.parametrize("track", ["compat", "fixed"])
def test_k_means_never_gives_nan_where_a_cluster_loses_all_its_pictures(track):
    x = np.zeros((40, 4), dtype=np.float32)  # all alike: every cluster but one is empty
    x[:4] = np.eye(4)
    taught = np.full(40, -1)
    taught[:2] = [0, 1]
    found = herbarium19.k_means(x, taught, 8, track=track, seed=0)
    assert found.shape == (40,) and found.min() >= 0 and found.max() < 8
    if track == "fixed":
        assert len(set(found.tolist())) >= 4, "the rows that differ have clusters of their own"


@pytest.mark.parametrize("track", ["compat", "fixed"])
def test_a_known_class_without_labels_draws_nothing_to_it(track):
    draw = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 20)
    x = (np.eye(4)[truth] * 9 + draw.normal(size=(80, 4))).astype(np.float32)
    taught = np.where(
        (truth % 2 == 0) & (np.arange(80) % 4 == 0), truth, -1
    )  # of 0, 1 and 2, class 1 has no label
    found = herbarium19.k_means(x, taught, 4, track=track, seed=0)
    assert np.bincount(found, minlength=4).max() < 40 and len(set(found.tolist())) == 4


def test_fixed_labels_some_of_every_known_class():
    truth = np.repeat(np.arange(5), [1, 2, 3, 40, 50])
    chosen = herbarium19._labelled(np.arange(96), truth, "fixed")
    assert (
        set(truth[chosen]) == set(range(5))
        and len(set(chosen.tolist())) == len(chosen) == 1 + 2 + 2 + 32 + 40
    )
    old = np.arange(10, 106)
    np.random.seed(0)
    theirs = np.random.choice(
        len(old), size=int(0.8 * len(old)), replace=False
    )  # the original's draw
    assert herbarium19._labelled(old, truth, "compat").tolist() == old[theirs].tolist()


def test_clusters_are_matched_apart_in_compat_and_at_once_in_fixed():
    cluster = np.array([0, 0, 0, 1, 1])
    truth = np.array([0, 0, 1, 1, 1])  # classes: 0 known, 1 new
    is_new = truth == 1
    assert herbarium19._matched(cluster, truth).mean() == pytest.approx(4 / 5)
    apart = herbarium19._apart(np.array([0, 0, 0, 0, 0]), truth, is_new)
    assert apart.all(), (
        "one cluster serves for a known and for a new class: the original's figure allows it"
    )
    assert herbarium19._matched(np.zeros(5, dtype=int), truth).mean() == pytest.approx(3 / 5)


class _Calls:
    def __reduce__(self):
        return (os.system, ("touch owned",))


@pytest.mark.parametrize("what", [
    pickle.dumps(_Calls()), pickle.dumps({"Old": [0], "New": _Calls()}), pickle.dumps({"Old": [0], "New": {1}}), b"", b"\x80\x04N.",
    pickle.dumps({"Old": [0, True], "New": [1]}), pickle.dumps({"Old": [0]}), pickle.dumps([0, 1]), b"cos\nsystem\n(S'touch owned'\ntR.",
    pickle.dumps({"Old": np.arange(3), "New": [3]}), b"Pwhatever\n.", b"\x80\x04\x95" + b"\xff" * 8 + b"."])  # fmt: skip
def test_a_class_split_that_is_no_plain_pickle_is_refused(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "herbarium_19_class_splits.pkl").write_bytes(what)
    with pytest.raises(ValueError, match="is no class split"):
        herbarium19.class_split(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_damaged_class_split_is_refused_or_still_plain(tmp_path):
    good = pickle.dumps({"Old": list(range(40)), "New": list(range(40, 80))})
    draw = random.Random(0)
    for _ in range(400):
        bad = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        (tmp_path / "herbarium_19_class_splits.pkl").write_bytes(bytes(bad))
        try:
            found = herbarium19.class_split(tmp_path)
        except ValueError:
            continue
        assert all(type(i) is int for part in found.values() for i in part)


def test_a_class_split_is_read_from_the_pickle_or_from_json_and_must_fit(mini, tmp_path):
    assert herbarium19.class_split(mini / "herbarium19") == {"Old": [0, 1, 2], "New": [3, 4, 5]}
    (tmp_path / "class_splits.json").write_text(json.dumps({"Old": [0], "New": [1]}))
    assert herbarium19.class_split(tmp_path) == {"Old": [0], "New": [1]}
    (tmp_path / "small-train").symlink_to(mini / "herbarium19" / "small-train")
    with pytest.raises(ValueError, match="names 1 \\+ 1 classes, small-train has 6"):
        herbarium19.examples(tmp_path)
    (tmp_path / "class_splits.json").write_text("x" * 2_000_000)
    with pytest.raises(ValueError, match="far larger"):
        herbarium19.class_split(tmp_path)
