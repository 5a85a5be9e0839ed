"""A run becomes a folder that plain open_clip loads, and pybioclip names pictures with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch
from PIL import Image

from tests.hub import Hub
from tests.trainer import sets
from training import export as program
from training import text

ROOT = Path(__file__).parents[2]
ASK = """
import json, sys
import bioclip._constants as constants
from bioclip import CustomLabelsClassifier, TreeOfLifeClassifier
from bioclip.predict import Rank
constants.TOL_MODELS["hf-hub:org/model"] = "org/tree"
import bioclip.predict
paths = json.loads(sys.argv[1])
found = TreeOfLifeClassifier(model_str="hf-hub:org/model").predict(paths, Rank.SPECIES, k=3)
custom = CustomLabelsClassifier(["Puma concolor", "Quercus robur"], model_str="hf-hub:org/model").predict(paths[:1])
print(json.dumps([found, custom], default=float))
"""


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory):
    """The folder of a model trained for a few steps, with averaged weights and a replay head."""
    from tests.training.conftest import FAST
    from tests.training.test_data import tars
    from training import train

    folder = tmp_path_factory.mktemp("model")
    replay = tars(folder / "replay", n=1, per=8)
    how = sets(image__side_px=224, data__batch=8, optimizer__steps=2, optimizer__ema=0.5, replay__batch=4,
               validation__every_steps=2, validation__n_pictures=8)  # fmt: skip
    assert train.main(["sample", "--data", str(sample), "--replay", str(replay), "--out", str(folder / "run"), *FAST, *how]) == 0  # fmt: skip
    assert program.main([str(folder / "run")]) == 0
    return folder / "run" / "export"


@pytest.fixture(scope="module")
def pictures(sample, tmp_path_factory):
    """Some held-out pictures as files."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = pq.read_table(next(iter(sample.glob("data/*/*/test-*.parquet")))).to_pylist()[:4]
    for i, row in enumerate(rows):
        (folder / f"{i}.jpg").write_bytes(row["image"]["bytes"])
    return sorted(folder.glob("*.jpg"))


def test_open_clip_loads_it_strictly_with_the_normalisation_of_training(exported):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{exported}")
    config = json.loads((exported / "open_clip_config.json").read_text())
    run = json.loads((exported / "run.json").read_text())
    assert config["preprocess_cfg"]["mean"] == list(run["run"]["image"]["mean"])
    shown = str(preprocess)
    assert "0.48145466" in shown and "squash" not in shown and "(224, 224)" in shown, (
        "a square whatever the shape"
    )
    assert "replay_proj" not in model.state_dict() and "visual.proj" in model.state_dict()


def test_the_weights_are_the_average_where_there_is_one(exported):
    from safetensors.torch import load_file

    from training import checkpoint

    found = checkpoint.newest(exported.parent / "checkpoints")
    ours = load_file(exported / "open_clip_model.safetensors")
    assert torch.equal(ours["visual.proj"], found.tensors("ema")["proj"])
    assert not torch.equal(ours["visual.proj"], found.tensors("weights")["proj"])


def test_the_text_matrix_holds_every_species_once_as_unit_columns(exported, sample):
    matrix = np.load(exported / "embeddings" / "txt_emb_species.npy")
    names = json.loads((exported / "embeddings" / "txt_emb_species.json").read_text())
    taxa = [
        row
        for file in sample.glob("metadata/*/taxa-*.parquet")
        for row in pq.read_table(file).to_pylist()
    ]
    wanted = {(r["kingdom"], r["genus"] or "", text.lineage({**r, "canonicalName": None, "infraspecificEpithet": None})[-1][1])
              for r in taxa if r["kingdom"] and r["species"]}  # fmt: skip
    assert {(ranks[0], ranks[5], ranks[6]) for ranks, _ in names} == wanted
    assert matrix.dtype == np.float32 and matrix.shape == (128, len(names))
    assert np.allclose(np.linalg.norm(matrix, axis=0), 1, atol=1e-5)
    assert names == sorted(names) and all(
        len(ranks) == 7 and isinstance(common, str) for ranks, common in names
    )
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{exported}")
    ranks, common = names[5]
    caption = text.format_label(*ranks, vernacularName=common or None)
    with torch.no_grad():
        column = model.eval().encode_text(
            open_clip.get_tokenizer(f"local-dir:{exported}")([caption]), normalize=True
        )
    assert np.allclose(column[0].numpy(), matrix[:, 5], atol=1e-5)


def test_holes_in_a_lineage_and_common_names_of_subspecies_are_as_pybioclip_wants_them():
    rows = [{"kingdom": "Animalia", "phylum": "Chordata", "class": None, "order": "Cypriniformes", "family": "Cyprinidae", "genus": "Barbus",
             "species": "Barbus barbus", "canonicalName": name, "vernacularName": common, "infraspecificEpithet": None}
            for name, common in (("Barbus barbus x", "little barbel"), ("Barbus barbus", "barbel"))]  # fmt: skip
    names, captions = program.species(
        [*rows, {**rows[0], "kingdom": None}, {**rows[0], "species": None}]
    )
    assert names == [
        [["Animalia", "Chordata", "", "Cypriniformes", "Cyprinidae", "Barbus", "barbus"], "barbel"]
    ]
    assert captions == [
        "a photo of Animalia Chordata Cypriniformes Cyprinidae Barbus barbus with common name barbel."
    ]


def test_the_tokenizer_files_give_open_clips_tokens(exported):
    theirs = tokenizers.Tokenizer.from_file(str(exported / "tokenizer.json"))
    ours = open_clip.get_tokenizer(f"local-dir:{exported}")
    for caption in ("a photo of Puma concolor.", "Über-Größe  naïve 12 1/2 don't!", "猫 und <b>", text.caption({"species": "Aus bus"}, "flat")):  # fmt: skip
        ids = theirs.encode(caption).ids
        assert ours([caption])[0, : len(ids)].tolist() == ids


def test_the_card_says_what_it_was_made_of_and_tells_no_path_of_this_machine(exported, sample):
    card = (exported / "README.md").read_text()
    assert json.loads((sample / "manifest.json").read_text())["address"] in card
    assert (
        "tiny-vit" in card
        and "top-1" in card
        and "average over steps" in card
        and "4 replay" in card
    )
    assert str(sample) not in card


def test_a_model_goes_to_the_hub_and_pybioclip_scores_with_it(exported, pictures, sample, tmp_path):
    with Hub(tmp_path / "hub") as hub:
        env = {**hub.env(False), "TORCHDYNAMO_DISABLE": "1", "HF_HOME": str(tmp_path / "cache")}
        run = {"cwd": ROOT, "env": env, "capture_output": True, "text": True, "timeout": 240}
        for args in (["-m", "curation.publish", str(sample), "--repo", "org/tree"],
                     ["-m", "training.export", str(exported.parent), "--push", "org/model", "--embeddings", "org/tree"]):  # fmt: skip
            done = subprocess.run([sys.executable, *args], **run)
            assert done.returncode == 0, done.stderr
        files = hub.repos["org/model"].commit("main").files
        assert {
            "open_clip_model.safetensors",
            "open_clip_config.json",
            "tokenizer.json",
            "run.json",
        } <= files.keys()
        assert not any(name.startswith("embeddings/") for name in files)
        asked = subprocess.run(
            [sys.executable, "-c", ASK, json.dumps([str(p) for p in pictures])], **run
        )
        assert asked.returncode == 0, asked.stderr[-3000:]
        for args in (["eval.predict", *map(str, pictures), "--model", "hf-hub:org/model", "--names", "org/tree", "--out", str(tmp_path / "o.json")],
                     ["eval.run", "hf-hub:org/model", "--on", "org/tree#test", "--tasks", "zero-shot", "--labels", "sci", "--out", str(tmp_path)]):  # fmt: skip
            done = subprocess.run([sys.executable, "-m", *args], **run)
            assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert {(one["model"], one["benchmark"]) for one in told} == {("hf-hub:org/model", "tree#test")}
    said = [one["taxa"][0]["species"] for one in json.loads((tmp_path / "o.json").read_text())]
    found, custom = json.loads(asked.stdout.splitlines()[-1])
    assert {row["classification"] for row in custom} == {"Puma concolor", "Quercus robur"}
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{exported}")
    names = json.loads((exported / "embeddings" / "txt_emb_species.json").read_text())
    matrix = torch.from_numpy(np.load(exported / "embeddings" / "txt_emb_species.npy"))
    for path, species in zip(pictures, said, strict=True):
        with torch.no_grad():
            image = model.eval().encode_image(
                preprocess(Image.open(path).convert("RGB"))[None], normalize=True
            )
            scores = (model.logit_scale.exp() * image @ matrix).softmax(-1)[0]
        best = [row["species"] for row in found if row["file_name"] == str(path)]
        top = scores.topk(8).indices.tolist()
        assert species == f"{names[top[0]][0][5]} {names[top[0]][0][6]}", (
            "eval.predict sees as the model's own preprocessing"
        )
        assert best[0] in [f"{names[i][0][5]} {names[i][0][6]}" for i in top[:3]], (
            "but for how the picture is made small"
        )


def test_what_cannot_be_exported_is_said(tmp_path, exported, capsys):
    assert program.main([str(tmp_path)]) == 2
    assert "has no whole checkpoint" in capsys.readouterr().err
    other = tmp_path / "data"
    other.mkdir()
    assert program.main([str(exported.parent), "--data", str(other)]) == 2
    assert "no manifest.json" in capsys.readouterr().err
    assert program.main([str(exported.parent), "--embeddings", "a/b"]) == 2
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "x"}
    done = subprocess.run([sys.executable, "-m", "training.export", str(exported.parent), "--push", "org/model"], cwd=ROOT, env=env,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 2 and "the Hub refused" in done.stderr
