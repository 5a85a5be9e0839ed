"""What training saw is found in a test set, by bytes, by looks, by observer and day; scores are told without it."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance

from eval import contamination, run
from eval import examples as sets
from eval.features import features
from tests.drawings import photo


@pytest.fixture(scope="module")
def rows(sample):
    """Rows that were trained on, with pictures."""
    found = [
        row
        for file in sorted(sample.glob("data/*/*/train-*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]
    return [row for row in found if row["phash"] and row["species"]]


@pytest.fixture(scope="module")
def leaky(rows, tmp_path_factory):
    """A folder of eight pictures: two copies, two altered a little, one of an observer's same day, three that are new."""
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "images").mkdir()
    lines = ["filepath,class,recordedBy,eventDate"]
    someone = next(
        row
        for row in rows
        if row["recordedBy"] and row["eventDate"] and len(row["eventDate"]) >= 10
    )
    for k in range(8):
        path = folder / "images" / f"{k}.jpg"
        who = day = ""
        if k < 4:
            path.write_bytes(rows[k]["image"]["bytes"])
            if k >= 2:
                image = Image.open(path)
                ImageEnhance.Brightness(
                    image.resize((image.width * 3 // 4, image.height * 3 // 4))
                ).enhance(1.05).save(path, quality=70)
        else:
            photo(900 + k).save(path, quality=90)
        if k == 4:
            who, day = someone["recordedBy"], someone["eventDate"][:10] + "T09:30:00"
        lines.append(f'{k}.jpg,class {k % 2},"{who}",{day}')
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def _hits(asked, pictures, against):
    with contamination.trained(str(against)) as trained:
        return contamination.hits(asked, pictures, trained).to_pylist()


def test_every_leak_is_found_and_nothing_else(leaky, sample, rows, model, tmp_path):
    asked = sets.found(str(leaky))
    found = _hits(asked, features(model, asked, tmp_path, workers=0).pictures, sample)
    near = {row["example"]: row for row in found if row["rule"] == "near_hash"}
    assert set(near) == {f"{k}.jpg" for k in range(4)}
    assert [near[f"{k}.jpg"]["uuid"] for k in range(4)] == [rows[k]["uuid"] for k in range(4)]
    assert all(near[f"{k}.jpg"]["distance"] <= contamination.MAX_BITS for k in range(4))
    assert {row["example"] for row in found if row["rule"] == "same_observer_day"} == {"4.jpg"}
    assert not {f"{k}.jpg" for k in (5, 6, 7)} & {row["example"] for row in found}


def test_bytes_as_fetched_are_found(sample, model, tmp_path, rows):
    asked = sets.found(f"{sample}#test")
    pictures = features(model, asked, tmp_path, workers=0).pictures
    same = pictures.set_column(2, "md5", [[rows[0]["md5"], *pictures["md5"].to_pylist()[1:]]])
    found = _hits(asked, same, sample)
    assert [(r["example"], r["uuid"]) for r in found if r["rule"] == "same_bytes"] == [
        (asked.column("example")[0], rows[0]["uuid"])
    ]


def test_scores_are_told_with_and_without(leaky, sample, tmp_path, capsys):
    args = ["tiny-vit:random", "--on", str(leaky), "--tasks", "zero-shot", "--track", "fixed", "--against", str(sample),
            "--out", str(tmp_path), "--workers", "0"]  # fmt: skip
    assert run.main(args) == 0
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert [one["n_examples"] for one in told] == [8, 4, 3]
    assert "without 4 seen in training" in told[1]["setting"]
    assert "without 5 seen, or of the same observer-day" in told[2]["setting"]
    assert "near_hash" in (tmp_path / "report.md").read_text()
    assert run.main([*args[:-2], "--workers", "0", "--against", str(tmp_path)]) == 2
    assert "is no dataset" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "features")
