"""Scoring inside a build: every picture decoded once, models checked before any work, scores kept, thresholds changed."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import save_file

from catalog import pixels
from curation import build, recipe
from curation.images import scoring
from curation.sample import draw
from tests.curation.images.test_camera_trap import model as detector
from tests.hub import Hub
from tests.own_table import RECIPE
from tests.scored import ALL, catalog, made


def test_every_picture_is_decoded_once_however_many_scorers_look_at_it(world, monkeypatch):
    made(world, more="", engine="serial")
    opened, decoded = [], []
    decode, really = pixels.decode, scoring.opened
    monkeypatch.setattr(scoring.pixels, "decode", lambda data: decoded.append(hashlib.md5(data).hexdigest()) or decode(data))  # fmt: skip
    monkeypatch.setattr(scoring, "opened", lambda spec, *more: opened.append(spec.kind) or really(spec, *more))  # fmt: skip
    done = made(world, engine="serial")
    rows = catalog(done)
    assert len(decoded) == len(set(decoded)) == 26 + 12, "and the pictures of the support set"
    assert sorted(opened) == sorted(["museum", "faces", "quality"] * 2), "to be checked at the start, and by the worker"  # fmt: skip
    assert all(row["sharpness"] is not None for row in rows.values())
    labels = {name: rows[name]["museum_label"] for name in rows if name[0] in "sl"}
    assert sum(label == "text" for name, label in labels.items() if name[0] == "l") >= 5
    assert {rows[name]["museum_label"] for name in rows if name[0] in "fc"} == {None}, "of no kind that is scored"  # fmt: skip
    assert max(rows[f"f{k}"]["face_score"] for k in range(6)) > 0.3 and rows["s0"]["face_score"] is None  # fmt: skip


def test_scores_are_kept_and_only_what_is_new_is_scored(world, monkeypatch):
    made(world, engine="serial")
    looked = []
    monkeypatch.setattr(scoring, "score_with", lambda scorers, unit: looked.append(unit) or 0)
    assert made(world, verdict="min_sharpness = 0.4", engine="serial")["verdict"]
    assert looked == [], "another threshold asks no picture"
    monkeypatch.undo()
    seen = []
    really = scoring.score_with
    monkeypatch.setattr(scoring, "score_with", lambda scorers, unit: seen.extend((c.md5, [unit.specs[k].kind for k in c.kinds]) for c in unit.contents) or really(scorers, unit))  # fmt: skip
    made(world, more=ALL + '[camera_trap]\ndetector = "background"\n', engine="serial")
    assert len(seen) == 8 and all(kinds == ["background"] for _, kinds in seen)


def test_frames_without_an_animal_are_dropped_and_say_so(world):
    done = made(world, more='[camera_trap]\ndetector = "background"\n', verdict="min_animal_score = 0.35")  # fmt: skip
    rows = catalog(done)
    kept = {name: rows[name]["keep"] for name in rows if name[0] == "c"}
    assert kept["c10"] and kept["c11"] and sum(kept.values()) <= 4
    assert rows["c10"]["animal_score"] > max(rows[f"c{e}0"]["animal_score"] for e in (0, 2, 3))
    assert rows["s0"]["animal_score"] is None and rows["s0"]["keep"]


def test_faces_are_blurred_where_the_recipe_says_so_in_pictures_and_thumbnails(world):
    plain = made(world, more='[faces]\ndetector = "haar"\n', verdict='on_face = "keep"\nmax_face_score = 0.3')  # fmt: skip
    hidden = made(world, more='[faces]\ndetector = "haar"\n', verdict='on_face = "blur"\nmax_face_score = 0.3')  # fmt: skip
    rows = catalog(hidden)
    blurred = [name for name, row in rows.items() if row["faces_blurred"]]
    assert blurred and all(rows[name]["face_score"] >= 0.3 and rows[name]["keep"] for name in blurred)  # fmt: skip
    for column, pattern in (("image", "data/*/*/*.parquet"), ("thumbnail", "metadata/*/thumbnails-*.parquet")):  # fmt: skip
        old, new = ({row["uuid"]: row for path in done["shard"][0].dir.glob(pattern) for row in pq.read_table(path).to_pylist()}
                    for done in (plain, hidden))  # fmt: skip
        changed = {u for u in old if old[u][column]["bytes"] != new[u][column]["bytes"]}
        assert changed == {rows[name]["uuid"] for name in blurred}
        if column == "image":
            assert all(hashlib.md5(row["image"]["bytes"]).hexdigest() == row["image_md5"] for row in new.values())  # fmt: skip


def tiny_clip(folder, seed=0):
    """A folder as open_clip writes it, with random weights; returns the sha256 of its file."""
    import open_clip
    import torch

    config = json.loads((Path(__file__).parents[2] / "training/architectures/tiny-vit.json").read_text())  # fmt: skip
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 48}}))  # fmt: skip
    torch.manual_seed(seed)
    net = open_clip.model.CLIP(**config)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "open_clip_model.safetensors")  # fmt: skip
    return hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()


MUSEUM = '[museum]\nmodel = "{model}"\nsha256 = "{sha}"\nsupport = "{support}"\n'


def test_any_open_clip_model_scores_with_a_support_set_or_in_words(world):
    sha = tiny_clip(world / "clip")
    by_support = catalog(made(world, more=MUSEUM.format(model="clip", sha=sha, support="support")))
    assert {by_support[f"l{k}"]["museum_nearest"] for k in range(6)} <= {"specimen", "text"}
    assert sum(by_support[f"l{k}"]["museum_nearest"] == "text" for k in range(6)) >= 4, "even random weights see a label"  # fmt: skip
    in_words = catalog(made(world, more=MUSEUM.format(model="clip", sha=sha.upper(), support="")))
    assert in_words["l0"]["museum_nearest"] is not None and 0 <= in_words["l0"]["museum_score"] < 1


def test_a_model_that_gives_no_numbers_is_a_reason_and_no_score(world):
    import torch

    sha = tiny_clip(world / "clip")
    from safetensors.torch import load_file

    path = world / "clip" / "open_clip_model.safetensors"
    broken = load_file(path)
    known = made(world, more=MUSEUM.format(model="clip", sha=sha, support="support"))
    support = known["scorer"][0].dir / "support.npz"
    broken["visual.proj"] = torch.full_like(broken["visual.proj"], float("nan"))
    save_file(broken, path)
    spec = scoring.Spec("museum", "clip", str(world / "clip"), str(support), known["scorer"][0].manifest["params"]["options"])  # fmt: skip
    assert scoring.opened(spec, 0)([draw.museum_label(1)]) == [{"error": "not_finite"}]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[camera_trap]\ndetector = "nowhere.onnx"\nsha256 = "00"\n', r"camera_trap: .*nowhere\.onnx does not exist; download the weights there"),
        ('[camera_trap]\ndetector = "d.onnx"\n', r"camera_trap\.sha256 is empty, so any weights would do: state that of the ones you mean \(d\.onnx here is [0-9a-f]{64}\)"),
        ('[camera_trap]\ndetector = "d.onnx"\nsha256 = "abc"\n', r"the sha256 of .*d\.onnx is [0-9a-f]{64}, not the abc that the recipe states"),
        ('[faces]\ndetector = "t.csv"\nsha256 = "SHA"\n', "is no YuNet model"),
        ('[museum]\nmodel = "support"\nsha256 = "00"\n', "has 0 safetensors files where one is needed"),
        ('[museum]\nmodel = "pickled"\nsha256 = "00"\n', r"model\.bin is pickled and never loaded: convert it"),
        ('[museum]\nmodel = "pixels"\n', "does not read, so museum"),
        ('[museum]\nmodel = "pixels"\nsupport = "t.csv"\n', "is no support set; make one by --support"),
        ('[museum]\nmodel = "pixels"\nsupport = "nowhere"\n', r"nowhere.*check the path"),
        ('[faces]\ndetectr = "haar"\n', "detector"), ('[quality]\ntypes = ["fotograph"]\n', r"quality\.types"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_model_ends_the_build_before_any_work(world, more, why):
    (world / "d.onnx").write_bytes(detector([], "v5"))
    (world / "pickled").mkdir()
    (world / "pickled" / "model.bin").write_bytes(b"\x80\x04")
    sha = hashlib.sha256((world / "t.csv").read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=why):
        made(world, more=more.replace("SHA", sha))
    assert not list((world / "root").glob("source/*")) and not (world / "root" / "store" / "fetched").exists()  # fmt: skip


def test_a_detector_from_a_file_scores_camera_traps_in_workers(world):
    data = detector([(8, 8, 40, 40, 0.9, 0)], "v5")
    (world / "d.onnx").write_bytes(data)
    more = f'[camera_trap]\ndetector = "d.onnx"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'
    rows = catalog(made(world, more=more, engine="process", workers=2))
    assert all((row["animal_score"] is not None) == (name[0] == "c") for name, row in rows.items())
    assert 0 < rows["c00"]["animal_score"] < 0.9


FETCHES = """
import sys
from pathlib import Path
from catalog.artifact import file_sha256
from curation.images.weights import weights
print(weights(sys.argv[1], sys.argv[2], Path("."), key="museum", hashed=file_sha256).file.name)
"""


def test_weights_come_from_the_hub_and_only_those_with_the_hash_that_was_stated(tmp_path):
    sha = tiny_clip(tmp_path / "clip")
    with Hub(tmp_path / "hub") as hub:
        env = hub.env(False)
        code = "import sys; from huggingface_hub import HfApi; a = HfApi(); a.create_repo('org/clip'); a.upload_folder(repo_id='org/clip', folder_path=sys.argv[1])"  # fmt: skip
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "clip")], env=env, check=True, capture_output=True)  # fmt: skip

        def got(place, digest):
            return subprocess.run([sys.executable, "-c", FETCHES, place, digest], env={**os.environ, **env}, capture_output=True, text=True)  # fmt: skip

        assert got("hf://org/clip", sha).stdout.strip() == "open_clip_model.safetensors"
        one = got("hf://org/clip/open_clip_model.safetensors@main", sha)
        assert one.stdout.strip() == "open_clip_model.safetensors", one.stderr[-500:]
        assert "not the 00 that the recipe states" in got("hf://org/clip", "00").stderr
        assert "cannot be had" in got("hf://org/nothing", sha).stderr
        assert "cannot be had" in got("hf://org/clip/other.onnx", sha).stderr


def _frames_of(world, **change):
    """Rewrites the table's camera-trap rows."""
    rows = list(csv.DictReader((world / "t.csv").open()))
    for number, row in enumerate(row for row in rows if row["deploymentID"]):
        row.update({k: v(number) for k, v in change.items()})
    with (world / "t.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], *(k for k in change if k not in rows[0])])
        writer.writeheader()
        writer.writerows(rows)
    return catalog(made(world, more='[camera_trap]\ndetector = "background"\n'))


@pytest.mark.parametrize(
    ("when", "is_judged"),
    [
        (lambda n: f"2024-05-01T10:{10 * (n // 2):02d}:0{n % 2}", True), (lambda n: f"2024-05-01T10:{10 * (n // 2):02d}:00/2024-05-02", True),
        (lambda n: f"2024-05-01T10:00:0{n}", False), (lambda n: f"2024:05:01 10:00:0{n}", False), (lambda n: "", False), (lambda n: "2024-05-01", False),
    ],
)  # fmt: skip
def test_frames_without_an_event_are_told_apart_by_their_times_and_not_at_all_without(world, when, is_judged):  # fmt: skip
    rows = _frames_of(world, eventID=lambda n: "", eventDate=when)
    scores = [rows[name]["animal_score"] for name in rows if name[0] == "c"]
    assert [score is not None for score in scores] == [is_judged] * 8


def test_a_camera_known_only_by_its_owner_is_no_deployment(world):
    rows = _frames_of(world, deploymentID=lambda n: "", recordedBy=lambda n: "Ann")
    assert {rows[name]["animal_score"] for name in rows} == {None}


def test_another_configuration_of_the_same_weights_is_another_model(world):
    sha = tiny_clip(world / "clip")
    more = MUSEUM.format(model="clip", sha=sha, support="support")
    first = made(world, more=more)
    config = json.loads((world / "clip/open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.0, 0.0, 0.0]
    (world / "clip/open_clip_config.json").write_text(json.dumps(config))
    second = made(world, more=more)
    scores = [{r["md5"]: r["museum_score"] for r in pq.read_table(m["score"][0].paths[0]).to_pylist()} for m in (first, second)]  # fmt: skip
    assert scores[0].keys() == scores[1].keys() and scores[0] != scores[1]


def test_a_twin_of_a_picture_that_goes_stays(world):
    """Of two renditions the larger is kept in place of the smaller, unless a score sends it away."""
    face = next(draw.face(k) for k in range(40) if scoring.opened(scoring.Spec("faces", "haar", options='{"sha256": ""}'), 0)([draw.face(k)])[0]["face_score"] > 0.6)  # fmt: skip
    rows = list(csv.DictReader((world / "t.csv").read_text().splitlines()))[:1]
    for name, size in (("large", (960, 720)), ("small", (240, 180))):
        face.resize(size).save(world / f"{name}.jpg", quality=95)
        rows.append({**rows[0], "identifier": f"{name}.jpg", "basisOfRecord": "HUMAN_OBSERVATION" if name == "large" else "PRESERVED_SPECIMEN"})  # fmt: skip
    with (world / "t.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    path = world / "r.toml"
    path.write_text(RECIPE + '[faces]\ndetector = "haar"\n')
    done = build.build(recipe.read(str(path)), world / "root", engine="serial")
    found = catalog(done)
    assert found["small"]["keep"] and not found["large"]["keep"]


@pytest.mark.parametrize(
    ("more", "verdict", "why"),
    [
        (
            ALL,
            'drop_museum = ["label"]',
            r"drop_museum names label; the support set's classes are specimen, text",
        ),
        ("", "max_face_score = 0.0", "max_face_score is 0.0; it must be from 0.2 to 1.0"),
    ],
)
def test_a_verdict_on_what_cannot_be_is_refused(world, more, verdict, why):
    with pytest.raises(ValueError, match=why):
        made(world, more=more, verdict=verdict)


def test_names_alone_need_no_model(world):
    made(world, more='[camera_trap]\ndetector = "nowhere.onnx"\nsha256 = "00"\n', only="media")


def test_support_is_not_written_into_the_package(capsys):
    assert build.main(["--support", "anything"]) == 2
    assert "--support writes beside a recipe of yours: python -m curation.build my_taxa.toml" in capsys.readouterr().err  # fmt: skip
