"""What another threshold would change is counted from what is known; and the page of pictures that goes with it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import build, recipe, review
from tests.own_table import RECIPE
from tests.scored import made


def _asked(world, capsys, key, value):
    """What the command prints and answers."""
    path = world / "r.toml"
    before = {p: p.stat().st_mtime_ns for p in (world / "root").rglob("*") if p.is_file() and "tmp" not in p.parts}  # fmt: skip
    status = build.main([str(path), "--root", str(world / "root"), "--what-if", f"{key}={value}"])
    after = {p: p.stat().st_mtime_ns for p in (world / "root").rglob("*") if p.is_file() and "tmp" not in p.parts}  # fmt: skip
    assert {str(p) for p in before} == {str(p) for p in after} and before == after, "nothing was changed"  # fmt: skip
    return status, capsys.readouterr().out


def test_a_stricter_threshold_drops_just_the_pictures_on_its_other_side(world, capsys):
    done = made(world)
    scores = pq.read_table(done["score"][0].paths[0]).to_pylist()
    verdict = pq.read_table(done["verdict"][0].path("part-000000.parquet")).to_pylist()
    n_kept = sum(row["keep"] for row in verdict)
    values = sorted(row["sharpness"] for row in scores)
    capsys.readouterr()
    status, out = _asked(world, capsys, "verdict.min_sharpness", values[5])
    assert status == 0
    assert "verdict.min_sharpness = " in out and " in place of 0.0: 0 pictures more" in out
    n_out = int(out.partition("0 pictures more, ")[2].partition(" fewer")[0])
    assert 0 < n_out <= 5 and f"{n_kept - n_out:,} kept, not {n_kept:,}" in out
    assert "blurred" in out and "by source" in out and "by taxon" in out and "by class" in out
    assert "write min_sharpness = " in out
    again = made(world, verdict=f"min_sharpness = {values[5]}")
    judged = pq.read_table(again["verdict"][0].path("part-000000.parquet")).to_pylist()
    assert sum(row["keep"] for row in judged) == n_kept - n_out, "a build with the changed recipe does just that"  # fmt: skip


def test_a_looser_threshold_brings_pictures_back_and_says_from_where(world, capsys):
    made(world)
    capsys.readouterr()
    status, out = _asked(world, capsys, "verdict.drop_museum", "[]")
    assert status == 0 and "museum_text" in out and " 0 fewer" in out
    assert int(out.partition("in place of")[2].partition(": ")[2].partition(" pictures more")[0]) >= 5  # fmt: skip


def test_what_was_never_asked_for_is_told_apart(world, capsys):
    made(world, verdict='drop_types = ["specimen"]')
    capsys.readouterr()
    status, out = _asked(world, capsys, "verdict.drop_types", "[]")
    assert status == 0
    assert (
        "12 would be left out as not_fetched, not type_specimen (nobody has asked for them" in out
    )


def test_a_picture_that_is_still_to_be_asked_for_again_does_not_hinder_the_question(world, capsys):
    with (world / "t.csv").open("a") as stream:
        stream.write("http://127.0.0.1:9/gone.jpg,Aus bus,Animalia,HUMAN_OBSERVATION,,\n")
    path = world / "r.toml"
    path.write_text(
        f"{RECIPE}[dedup]\nclasses = []\n"
        + '[fetch]\nprivate_hosts = ["127.0.0.1:9"]\ntries = 1\nsilent_s = 0.2\n'
    )
    done = build.build(recipe.read(str(path)), world / "root", engine="serial")
    assert "transient" in pq.read_table(done["fetch"][0].paths[0])["status"].to_pylist()
    capsys.readouterr()
    status, out = _asked(world, capsys, "verdict.min_side_px", "400")
    assert status == 0 and "too_small" in out


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [("verdict.min_sharpnes", "0.3", "min_sharpness"), ("verdict.min_sharpness", "11", "must be from 0.0 to 10.0"), ("verdict.on_face", "hide", "is unknown")],
)  # fmt: skip
def test_a_threshold_that_is_none_is_refused(world, capsys, key, value, why):
    made(world, more="")
    capsys.readouterr()
    assert build.main([str(world / "r.toml"), "--root", str(world / "root"), "--what-if", f"{key}={value}"]) == 2  # fmt: skip
    assert why in capsys.readouterr().err


def test_a_build_that_is_not_there_cannot_be_asked(world, capsys):
    made(world, more="", only="media")
    capsys.readouterr()
    assert build.main([str(world / "r.toml"), "--root", str(world / "root"), "--what-if", "verdict.min_sharpness=0.3"]) == 2  # fmt: skip
    assert "has none of 'mine'; build it first" in capsys.readouterr().err  # fmt: skip


def test_the_review_page_shows_both_sides_of_a_threshold_and_why(world):
    done = made(world, verdict="min_sharpness = 0.5")
    page = done["verdict"][0].path("review.html").read_text()
    assert "verdict.min_museum_score = 0.05" in page and "verdict.min_sharpness = 0.5" in page
    assert "at and above the threshold (this score: dropped): nearest" in page
    assert "left out: museum_text" in page and ">kept<" in page.replace("<br>", "<>").replace("<>kept<>", ">kept<")  # fmt: skip
    assert page.count("data:image/jpeg;base64,") > 20 and "<svg" in page
    assert "<script" not in page
    assert again_the_same(done, world)


def again_the_same(done, world):
    path = done["verdict"][0].dir
    old = (path / "review.html").read_bytes()
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    return made(world, verdict="min_sharpness = 0.5")["verdict"][0].path("review.html").read_bytes() == old  # fmt: skip


def test_words_of_others_are_text_on_the_page():
    row = {"threshold": "max_face_score", "is_below": True, "is_near": True, "score": 0.4, "told": "<b>x</b>", "keep": False,
           "reject_reason": "a<script>", "image_type": None, "uuid": "u", "face_boxes": json.dumps([[0.1, 0.2, 0.3, 0.4, 0.4]]),
           "image": b"x"}  # fmt: skip
    page = review.page([row], [("max_face_score", 3, 1)], dict.fromkeys((t.key for t in review.THRESHOLDS), 0.5))  # fmt: skip
    assert "<b>x</b>" not in page and "&lt;b&gt;x&lt;/b&gt;" in page and "a&lt;script&gt;" in page
    assert "left:10.0%;top:20.0%;width:20.0%;height:20.0%" in page
    assert "No picture has a score" in review.page([], [], {})


def test_a_recipe_without_scorers_builds_its_columns_are_null_and_the_card_says_so(world):
    done = made(world, more="")
    (path,) = done["shard"][0].dir.glob("metadata/*/catalog-*.parquet")
    rows = pq.read_table(path)
    for name in ("museum_label", "museum_score", "animal_score", "face_score", "sharpness"):
        assert rows[name].null_count == rows.num_rows
    card = (done["shard"][0].dir / "README.md").read_text().replace("\\", "")
    assert "Not scored, so that these columns are null and nothing was dropped by them: Pictures of collections" in card  # fmt: skip
    assert "0.0 % have been searched for faces of people" in card
    assert pa.compute.all(pa.compute.is_valid(rows["image_type"])).as_py()


def test_the_card_of_a_scored_build_names_the_models_and_what_they_did(world):
    card = (made(world)["shard"][0].dir / "README.md").read_text().replace("\\", "")
    assert "museum_label, museum_score by pixels; classes text, drawer, landscape were left out where the margin is 0.05 or more" in card  # fmt: skip
    assert "face_score by haar; pictures with a score of 0.5 or more were left out" in card
    assert "Camera traps (animal_score)" in card


def test_a_field_of_another_section_builds_beside(world):
    made(world, more="")
    assert build.main([str(world / "r.toml"), "--root", str(world / "root"), "--what-if", "pixels.quality=70", "--engine", "serial"]) == 0  # fmt: skip
    assert (world / "root" / "datasets" / "mine-what-if").is_dir()
    assert recipe.read(str(world / "r.toml")).pixels.quality == 90
