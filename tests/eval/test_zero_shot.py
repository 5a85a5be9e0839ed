"""Zero-shot: open_clip's own classifier, brute force over a streamed matrix, names as they are and as they should be."""

import numpy as np
import open_clip
import pytest
import torch

from eval import examples as sets
from eval import listing, zero_shot
from eval.features import features
from training import text


def test_the_classifier_is_open_clips_own(model):
    torch.manual_seed(0)
    net = open_clip.create_model("tiny-vit", pretrained=None)
    names = ["Puma concolor", "Quercus_robur", "La Punaise du Chou (Eurydema oleracea)"]
    tokenizer = open_clip.get_tokenizer("tiny-vit")
    theirs = open_clip.build_zero_shot_classifier(
        net.eval(), tokenizer, names, text.templates(), num_classes_per_batch=2
    )
    ours = zero_shot.classifier(model, names, text.templates())
    assert ours.shape == (3, model.dim)
    assert np.abs(ours.T - theirs.numpy()).max() < 1e-5


@pytest.mark.parametrize("k", [1, 5, 40])
def test_a_streamed_matrix_gives_what_a_whole_one_gives(k, tmp_path):
    draw = np.random.default_rng(k)
    images = draw.integers(-3, 4, (60, 6)).astype(np.float32)  # whole numbers: ties are many
    matrix = draw.integers(-3, 4, (6, 37)).astype(np.float32)
    where, best = zero_shot.nearest(images, zero_shot.columns(matrix, at_once=5), k)
    np.save(tmp_path / "m.npy", matrix)
    on_disk = np.load(tmp_path / "m.npy", mmap_mode="r")
    assert np.array_equal(
        zero_shot.nearest(images, zero_shot.columns(on_disk, at_once=5), k)[0], where
    )
    scores = images @ matrix
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert where.tolist() == wanted.tolist()
    assert np.array_equal(best, np.take_along_axis(scores, wanted, 1))


def test_compat_names_are_those_of_the_original_and_fixed_ones_are_mended(tmp_path):
    table = tmp_path / "t.csv"
    rows = ["kingdom,cls,family,genus,species,common_name,filepath,class",
            "animalia,aves,,gallus,GALLUS,red junglefowl,a.jpg,x", ",,,Pinus,sylvestris,,b.jpg,y"]  # fmt: skip
    table.write_text("\n".join(rows) + "\n")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    asked = sets.from_table(table)
    assert zero_shot.strings(asked, "taxon_com", "compat") == [
        "Animalia  Aves   Gallus gallus with common name red junglefowl", "Pinus sylvestris"]  # fmt: skip
    assert zero_shot.strings(asked, "taxon_com", "fixed") == [
        "Animalia Aves Gallus gallus with common name red junglefowl", "Pinus sylvestris"]  # fmt: skip
    assert zero_shot.strings(asked, "sci", "fixed") == ["Gallus gallus", "Pinus sylvestris"]
    assert zero_shot.strings(asked, "asis", "compat") == ["x", "y"]


def test_a_subspecies_stands_behind_its_species(tmp_path):
    (tmp_path / "t.csv").write_text(
        "filepath,kingdom,genus,species,subspecies\na.jpg,animalia,canis,lupus,dingo\nb.jpg,animalia,canis,lupus,Arctos\n"
    )
    (tmp_path / "a.jpg").write_bytes(b"")
    asked = sets.from_table(tmp_path / "t.csv")
    assert zero_shot.strings(asked, "taxon", "compat") == [
        "Animalia     Canis lupus dingo",
        "Animalia     Canis lupus arctos",
    ]
    assert zero_shot.strings(asked, "sci", "compat") == ["Canis lupus dingo", "Canis lupus arctos"]
    assert len(set(zero_shot.strings(asked, "taxon", "fixed"))) == 2


def test_classes_that_share_a_lineage_stay_apart(tmp_path):
    rows = ["file,scientific_name,order,family", "a.jpg,Parus major,Passeriformes,Paridae", "b.jpg,Poecile palustris,Passeriformes,Paridae"]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "a.jpg").write_bytes(b"")
    asked = sets.from_table(tmp_path / "t.csv")
    assert asked.column("genus") == ["Parus", "Poecile"] and asked.kind == "taxon_com"
    assert zero_shot.strings(asked, "taxon", "fixed") == [
        "Passeriformes Paridae Parus major",
        "Passeriformes Paridae Poecile palustris",
    ]
    (tmp_path / "t.csv").write_text("file,label,family\na.jpg,male,Paridae\nb.jpg,female,Paridae\n")
    assert zero_shot.strings(sets.from_table(tmp_path / "t.csv"), "taxon", "fixed") == [
        "Paridae male",
        "Paridae female",
    ]


def test_labels_are_cleaned_by_rule_and_never_merged():
    assert zero_shot.cleaned(["Emiliania_huxleyi", "Tomato___Late_blight"], "") == [
        "Emiliania huxleyi",
        "Tomato Late blight",
    ]
    assert zero_shot.cleaned(["Amanita fulva (Schaeff.) Fr."], "authors") == ["Amanita fulva"]
    assert zero_shot.cleaned(["Le Pentatome (Graphosoma lineatum)", "Les Réduves (Rhynocoris)"], "binomial in brackets") == [
        "Graphosoma lineatum", "Les Réduves (Rhynocoris)"]  # fmt: skip
    same = ["Aus bus Fr.", "Aus bus L.", "Aus cus L."]
    assert zero_shot.cleaned(same, "authors") == ["Aus bus Fr.", "Aus bus L.", "Aus cus"]
    assert zero_shot.cleaned(["Allen's Hummingbird (Adult male)"], "") == [
        "Allen's Hummingbird (Adult male)"
    ]


def test_figures_are_of_the_pictures_that_can_be_read(model, mini, tmp_path):
    asked = listing.read("fungi", mini)
    found = features(model, asked, tmp_path, workers=0)
    outcome = zero_shot.zero_shot(model, asked, found, "asis", "compat")
    images = torch.from_numpy(found.unit())
    names = list(dict.fromkeys(asked.column("label")))
    words = torch.from_numpy(zero_shot.classifier(model, names, text.templates()))
    wanted = (images @ words.T).argmax(1)
    assert outcome.answers["answer"].to_pylist() == [names[i] for i in wanted]
    assert outcome.chance == pytest.approx(1 / len(names))
    assert set(outcome.answers["truth"].to_pylist()) == set(names)
    found.good[:3] = False
    assert (
        zero_shot.zero_shot(model, asked, found, "asis", "compat").answers.num_rows
        == len(asked) - 3
    )


def test_lineages_can_only_be_asked_where_there_are_any(model, mini):
    with pytest.raises(ValueError, match="plankton states no ranks"):
        zero_shot.strings(listing.read("plankton", mini), "taxon", "fixed")
    with pytest.raises(ValueError, match="choose of asis, sci"):
        zero_shot.strings(listing.read("plankton", mini), "latin", "fixed")
