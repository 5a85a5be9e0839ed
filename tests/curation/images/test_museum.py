"""The museum scorer: nearest class of a support set, its margin, and what it refuses at the start."""

import numpy as np
import pytest
from PIL import Image

from curation import recipe, support
from curation.images import embedding, museum
from curation.images.museum import UNSURE, Pictures
from curation.sample import draw
from curation.sample.naming import ALL_SPECIES

CLASSES = ("bone", "label", "skin")


def clouds(n=60, dim=12, spread=0.3, seed=0):
    """Vectors of three classes that differ in one direction each, under noise that is strong in another direction."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(3), n)
    vectors = spread * rng.normal(size=(3 * n, dim))
    vectors[np.arange(3 * n), of] += 1
    vectors[:, 5] += 4 * rng.normal(size=3 * n)  # varies everywhere, tells nothing
    return embedding.unit(vectors), [CLASSES[i] for i in of]


def test_classes_are_told_apart_though_most_of_the_variation_tells_nothing():
    vectors, labels = clouds()
    known = museum.support(vectors, labels, "m")
    fresh, truth = clouds(seed=1)
    said, margins = museum.museum(fresh, known)
    plain = np.stack([embedding.unit(vectors[np.array(labels) == c].mean(0, keepdims=True))[0] for c in CLASSES])  # fmt: skip
    naive = [CLASSES[i] for i in (fresh @ plain.T).argmax(1)]
    right, by_plain_centroids = (np.mean([a == b for a, b in zip(x, truth, strict=True)]) for x in (said, naive))  # fmt: skip
    assert right > 0.9 and right > by_plain_centroids + 0.05
    wrong = np.array([a != b for a, b in zip(said, truth, strict=True)])
    assert margins.min() >= 0 and margins[wrong].mean() < 0.5 * margins[~wrong].mean()


def test_labels_and_margins_are_those_of_the_brute_force_twin():
    vectors, labels = clouds(n=120)
    known = museum.support(vectors, labels, "m")
    said, margins = museum.museum(vectors[:40], known)
    for vector, label, margin in zip(vectors[:40], said, margins, strict=True):
        moved = known.whiten.T @ (vector - known.mean)
        moved = moved / np.linalg.norm(moved)
        best = {}
        for centroid, name in zip(known.centroids, known.labels, strict=True):
            best[name] = max(best.get(name, -2.0), float(centroid @ moved))
        first, second = sorted(best.values(), reverse=True)[:2]
        assert label == max(best, key=best.get) and margin == pytest.approx(first - second, abs=1e-5)  # fmt: skip
    assert known.labels.count("bone") == 2, "a class earns a second centroid with its hundredth picture"  # fmt: skip


def test_a_support_set_survives_its_file_and_is_refused_by_another_model(tmp_path):
    vectors, labels = clouds(n=10)
    known = museum.support(vectors, labels, "m 1")
    path = tmp_path / "support.npz"
    path.write_bytes(known.bytes())
    again = museum.read(path, "m 1")
    assert again.labels == known.labels and np.array_equal(again.centroids, known.centroids)
    assert museum.support(vectors, labels, "m 1").bytes() == known.bytes(), "made anew it is the same"  # fmt: skip
    with pytest.raises(ValueError, match=r"was made by m 1, and the recipe's model is m 2; make it anew by --support"):  # fmt: skip
        museum.read(path, "m 2")


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY", "pickled"])
def test_what_is_no_support_set_is_refused_and_never_unpickled(tmp_path, junk):
    path = tmp_path / "support.npz"
    if junk == "pickled":
        np.savez(path, centroids=np.array([{"a": 1}], dtype=object), mean=np.zeros(1), whiten=np.eye(1),
                 labels=np.array(["a"]), model=np.array("m"))  # fmt: skip
    else:
        path.write_bytes(junk)
    with pytest.raises(ValueError, match="is no support set; make one by --support FOLDER"):
        museum.read(path, "m")


def _folder(tmp_path, n=8):
    looks = draw.looks(ALL_SPECIES, seed=3)
    names = list(looks)
    for k in range(n):
        for label, image in (("specimen", draw.draw(looks[names[9 * k]], individual=k)), ("text", draw.museum_label(500 + k))):  # fmt: skip
            path = tmp_path / "set" / label / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    return tmp_path / "set"


RECIPE = """name = "m"
[museum]
model = "pixels"
support = "support.npz"
[[source]]
kind = "own"
name = "o"
path = "o.csv"
"""


def test_the_command_writes_the_set_and_prints_how_well_it_tells(tmp_path, capsys):
    folder = _folder(tmp_path)
    (folder / "text" / "broken.jpg").write_bytes(b"no picture")
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    made = support.make(recipe.read(str(path)), tmp_path / "root", folder)
    out = capsys.readouterr().out
    assert made == tmp_path / "support.npz" and made.exists()
    assert "left out, for it cannot be decoded: text/broken.jpg" in out
    assert "16 pictures of 2 classes, 2 centroids" in out and "recall  precision" in out
    assert "verdict.min_museum_score   decided   right of those decided" in out
    known = museum.read(made, museum.model_name("pixels", None))
    said, _ = museum.museum(embedding.opened("pixels", None).encode(
        [embedding.opened("pixels", None).see(draw.museum_label(900))]), known)  # fmt: skip
    assert said == ["text"]


def test_a_folder_that_will_not_do_is_refused_with_what_is_missing(tmp_path):
    encoder = embedding.opened("pixels", None)
    folder = _folder(tmp_path, n=3)
    with pytest.raises(ValueError, match=r"too few pictures of specimen \(3\), text \(3\); every class needs 5"):  # fmt: skip
        museum.pictures(folder, encoder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has 0 folders with pictures; a support set needs one for each of two classes"):  # fmt: skip
        museum.pictures(tmp_path / "empty", encoder)


def test_a_model_that_does_not_read_cannot_be_asked_in_words():
    with pytest.raises(ValueError, match=r"does not read, so museum\.support must name a folder of labelled pictures"):  # fmt: skip
        museum.in_words(embedding.opened("pixels", None), "pixels")


def test_a_model_that_reads_is_asked_in_words():
    def words(texts):
        return embedding.unit(np.stack([np.eye(4)[("label" in t) + 2 * ("fossil" in t)] for t in texts]))  # fmt: skip

    known = museum.in_words(embedding.Encoder(lambda i: i, lambda s: np.zeros((1, 4)), words), "m")
    said, margins = museum.museum(np.eye(4, dtype=np.float32)[1:3], known)
    assert said == ["text", "fossil"] and (margins > 0.5).all()


def test_cross_validation_never_asks_a_set_that_has_seen_the_picture():
    rng = np.random.default_rng(0)
    vectors = embedding.unit(
        rng.normal(size=(80, 40))
    )  # noise: who has seen the answers does well, who has not does not
    labels = tuple("ab"[i % 2] for i in range(80))
    seen, _ = museum.museum(vectors, museum.support(vectors, labels, "m"))
    unseen, _ = museum.cross_validated(Pictures(vectors, labels, (), ()), "m")
    right = [np.mean([a == b for a, b in zip(said, labels, strict=True)]) for said in (seen, unseen)]  # fmt: skip
    assert right[0] > right[1] + 0.15 and right[1] < 0.62


def test_the_confusion_table_counts_unsure_apart():
    lines = list(museum.table(["a", "a", "b", "b"], ["a", "b", "b", UNSURE]))
    assert lines[0].split()[-3:] == [UNSURE, "recall", "precision"]
    assert lines[1].split() == ["a", "1", "1", "0", "0.500", "1.000"]
    assert lines[2].split() == ["b", "0", "1", "1", "0.500", "0.500"]


def test_a_plain_colour_has_a_vector_too():
    encoder = embedding.opened("pixels", None)
    vector = encoder.encode([encoder.see(Image.new("RGB", (3, 400), c)) for c in ("white", "black")])  # fmt: skip
    assert np.isfinite(vector).all() and np.allclose(np.linalg.norm(vector, axis=1), 1)
