"""Predictions: probabilities over all names, restricted, backed off, as CSV and JSON, for files, bytes and PIL pictures."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval import backoff, names, predict
from eval.features import unit
from tests.hub import Hub

ROOT = Path(__file__).parents[2]
LINEAGES = [
    [["Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus", "major"], "Great Tit"],
    [["Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Lynx", "lynx"], "Eurasian Lynx"],
    [["Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Lynx", "rufus"], "Bobcat"],
    [["Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Puma", "concolor"], "Cougar"],
    [["Plantae", "Tracheophyta", "", "", "Pinaceae", "Pinus", "sylvestris"], ""],
]


@pytest.fixture
def folder(model, tmp_path):
    """A matrix of five names."""
    draw = np.random.default_rng(0)
    np.save(tmp_path / names.MATRIX, unit(draw.normal(size=(5, model.dim)).astype(np.float32)).T)
    (tmp_path / names.NAMES).write_text(json.dumps(LINEAGES))
    return tmp_path


@pytest.fixture
def pictures(mini):
    return sorted((mini / "plantdoc" / "test" / "leaf a").glob("*.jpg"))


def test_probabilities_are_the_softmax_over_all_names_and_sums_of_it(model, folder, pictures):
    known = names.read(str(folder), model.dim)
    found = list(predict.Predictor(model, known).predict(pictures, k=9, batch=3))
    squares = np.stack([model.seeing.see(Image.open(p).convert("RGB")) for p in pictures])
    import torch

    images = unit(model.image_features(torch.from_numpy(squares)))
    chances = backoff.softmax(model.scale * (images @ np.load(folder / names.MATRIX)))
    species = [f"{path[5]} {path[6]}" for path, _ in LINEAGES]
    for i, one in enumerate(found):
        said = {taxon["species"]: taxon["probability"] for taxon in one["taxa"]}
        assert list(said) == [species[j] for j in np.argsort(-chances[i], kind="stable")]
        assert said == pytest.approx(dict(zip(species, chances[i], strict=True)), abs=1e-5)
    by_family = list(predict.Predictor(model, known).predict(pictures, rank="family", k=9))
    for i, one in enumerate(by_family):
        said = {taxon["family"]: taxon["probability"] for taxon in one["taxa"]}
        assert said == pytest.approx(
            {"Paridae": chances[i][0], "Felidae": chances[i][1:4].sum(), "Pinaceae": chances[i][4]},
            abs=1e-5,
        )
        assert "species" not in one["taxa"][0]
    assert (
        found[0]["taxa"][0]["vernacularName"]
        == dict(zip(species, (c for _, c in LINEAGES), strict=True))[found[0]["taxa"][0]["species"]]
        or None
    )


def test_files_bytes_and_pil_pictures_are_all_pictures(model, folder, pictures):
    asked = predict.Predictor(model, names.read(str(folder), model.dim))
    ways = [pictures[0], str(pictures[0]), pictures[0].read_bytes(), Image.open(pictures[0])]
    found = [one["taxa"] for one in asked.predict(ways)]
    assert all(one == found[0] for one in found)
    bad = list(asked.predict([b"<html>", Path("nowhere.jpg"), pictures[0]]))
    assert bad[0]["error"] and bad[1]["error"] and bad[2]["error"] is None and "taxa" not in bad[0]
    for wrong in ({"rank": "tribe"}, {"k": 0}, {"confidence": 2}):
        with pytest.raises(ValueError, match=r"rank|k and batch"):
            list(asked.predict(pictures, **wrong))


def test_the_answer_is_the_deepest_that_is_sure_enough(model, folder, pictures):
    known = names.in_clade(names.read(str(folder), model.dim), "genus=lynx")
    deep = next(predict.Predictor(model, known).predict(pictures[:1], confidence=1.0))
    assert (deep["answer"], deep["answer_rank"], deep["answer_probability"]) == (
        "Lynx",
        "genus",
        1.0,
    )
    any_of = next(predict.Predictor(model, known).predict(pictures[:1], confidence=0.5))
    assert any_of["answer_rank"] == "species" and any_of["answer"].startswith("Lynx ")


def test_names_can_be_restricted(model, folder, sample):
    whole = names.read(str(folder), model.dim)
    assert len(names.in_clade(whole, "family=Felidae")) == 3
    cats = names.in_clade(whole, "family=Felidae")
    draw = np.random.default_rng(1).normal(size=(4, model.dim)).astype(np.float32)
    assert np.allclose(cats.scores(draw), whole.scores(draw)[:, 1:4])
    mixed, unknown = names.listed(
        whole, ["bobcat", "Parus major", "Nessiteras rhombopteryx", "bobcat", ""], model
    )
    assert [row["species"] for row in mixed.rows] == [
        "Parus major",
        "Lynx rufus",
        "Nessiteras rhombopteryx",
    ] and unknown == ["Nessiteras rhombopteryx"]
    assert np.allclose(mixed.scores(draw)[:, :2], whole.scores(draw)[:, [0, 2]])
    for clade, said in (
        ("Felidae", "is not RANK=NAME"),
        ("family=Felida", "did you mean 'Felidae'"),
        ("famly=Felidae", "did you mean 'family'"),
    ):
        with pytest.raises(ValueError, match=said):
            names.in_clade(whole, clade)
    with pytest.raises(ValueError, match="recorded in XX"):
        names.in_region(whole, ["XX"], str(sample))
    with pytest.raises(ValueError, match="empty"):
        names.listed(whole, [" "], model)


def test_a_region_keeps_what_was_recorded_there(model, tmp_path, sample):
    import pyarrow.parquet as pq

    rows = [
        row
        for file in sample.glob("metadata/*/catalog-*.parquet")
        for row in pq.read_table(
            file, columns=["kingdom", "genus", "species", "countryCode"]
        ).to_pylist()
    ]
    here = next(row for row in rows if row["countryCode"] and row["species"])
    wanted = {
        (r["kingdom"], r["species"])
        for r in rows
        if r["countryCode"] == here["countryCode"] and r["species"]
    }
    every = sorted(
        {
            (r["kingdom"], r["genus"], r["species"])
            for r in rows
            if r["species"] and r["genus"] and r["kingdom"]
        }
    )
    said = [[[k, "", "", "", "", g, s.removeprefix(f"{g} ")], ""] for k, g, s in every]
    np.save(tmp_path / names.MATRIX, np.ones((model.dim, len(said)), dtype=np.float32))
    (tmp_path / names.NAMES).write_text(json.dumps(said))
    found = names.in_region(
        names.read(str(tmp_path), model.dim), [here["countryCode"].lower()], str(sample)
    )
    assert {(row["kingdom"], row["species"]) for row in found.rows} == wanted & {
        (k, s) for k, _, s in every
    }


@pytest.mark.parametrize(("change", "said"), [
    ("other", "the matrix of another model"), ("short", "do not belong together"), ("pickle", "has no names"), ("form", r"is not \[\[seven")])  # fmt: skip
def test_a_matrix_that_does_not_fit_is_told(model, folder, change, said):
    if change == "other":
        np.save(folder / names.MATRIX, np.zeros((7, 5), dtype=np.float32))
    elif change == "short":
        np.save(folder / names.MATRIX, np.zeros((model.dim, 4), dtype=np.float32))
    elif change == "pickle":
        np.save(folder / names.MATRIX, np.array([{}], dtype=object), allow_pickle=True)
    else:
        (folder / names.NAMES).write_text(json.dumps([["x"]] * 5))
    with pytest.raises(ValueError, match=said):
        names.read(str(folder), model.dim)


HUB = """
import sys
import huggingface_hub
from eval import names
api = huggingface_hub.HfApi()
api.create_repo("org/tree", repo_type="dataset")
api.upload_folder(repo_id="org/tree", repo_type="dataset", folder_path=sys.argv[1], path_in_repo="embeddings", allow_patterns=["txt_emb*"])
print(len(names.read("org/tree", int(sys.argv[2]))))
for place in ("org/none", "hf-hub:org/model"):
    try:
        names.read(place, 1)
    except ValueError as error:
        print(error)
"""


def test_names_come_from_a_dataset_on_the_hub(model, folder, tmp_path):
    with Hub(tmp_path / "hub") as hub:
        env = {**os.environ, **hub.env(False), "HF_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", HUB, str(folder), str(model.dim)],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    said = done.stdout.splitlines()
    assert said[0] == "5", done.stderr
    assert "has no names on the Hub" in said[1] and "--names" in said[2]


def test_the_command_writes_csv_and_json(folder, pictures, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    asked = [
        str(pictures[0].parent),
        str(tmp_path / "bad.jpg"),
        "--model",
        "tiny-vit:random",
        "--names",
        str(folder),
        "--k",
        "2",
    ]
    assert predict.main([*asked, "--out", str(tmp_path / "o.csv")]) == 0
    with (tmp_path / "o.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * len(pictures) + 1
    assert (
        [row["place"] for row in rows[:2]] == ["1", "2"]
        and rows[0]["species"]
        and rows[0]["answer"] is not None
    )
    assert rows[-1]["error"] and not rows[-1]["species"]
    assert predict.main([*asked, "--out", str(tmp_path / "o.json")]) == 0
    told = json.loads((tmp_path / "o.json").read_text())
    assert [len(one.get("taxa", [])) for one in told] == [2] * len(pictures) + [0]
    capsys.readouterr()
    assert predict.main(asked) == 0
    assert capsys.readouterr().out.splitlines()[0].split(",")[:3] == ["picture", "error", "answer"]
    assert predict.main([str(tmp_path / "bad.jpg"), *asked[2:]]) == 1, (
        "not one picture could be read"
    )


def test_a_file_that_is_there_stays_until_there_is_another(folder, pictures, tmp_path, capsys):
    (tmp_path / "old.csv").write_text("kept")
    asked = [
        str(pictures[0]),
        "--model",
        "tiny-vit:random",
        "--names",
        str(folder),
        "--out",
        str(tmp_path / "old.csv"),
    ]
    assert (
        predict.main([*asked, "--rank", "tribe"]) == 2
        and (tmp_path / "old.csv").read_text() == "kept"
    )
    assert predict.main([*asked[:-1], str(tmp_path / "new" / "x.csv")]) == 2
    assert "in a folder that is there" in capsys.readouterr().err
    assert predict.main(asked) == 0 and (tmp_path / "old.csv").read_text().startswith("picture,")


@pytest.mark.parametrize(("more", "said"), [
    (["--out", "x.txt"], "must end in .csv or .json"), (["--region", "DE"], "--recorded-in"), (["--list", "nowhere.txt"], "cannot be read"),
    (["--model", "timm:vit_tiny_patch16_224:random"], "no text tower"), (["--names", "nowhere"], "has no names")])  # fmt: skip
def test_what_the_user_has_to_mend_is_told_at_once(folder, pictures, capsys, more, said):
    args = [str(pictures[0]), "--model", "tiny-vit:random", "--names", str(folder)]
    assert predict.main([*args, *more]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("said", "good"), [
    ("[]", True), (" [ 1 , [2, 3] ]\n", True), ("[1,2] garbage", False), ("[1,,2]", False), ("[1,2", False), ("[1 2]", False), ("{}", False), ("", False),
    ('["a]", "b,"]', True), ("[1,]", False)])  # fmt: skip
def test_a_list_read_entry_by_entry_is_the_list_that_json_reads(said, good):
    if good:
        assert list(names._entries(said)) == json.loads(said)
    else:
        with pytest.raises(ValueError):
            list(names._entries(said))
        with pytest.raises(ValueError):
            assert isinstance(json.loads(said), list) or int("not a list")
