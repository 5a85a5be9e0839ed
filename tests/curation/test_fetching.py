"""What is asked again and what is not: local files that change, packs that are lost, sizes, killed runs."""

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from curation import build, recipe
from curation.images import fetch
from curation.steps import fetching
from curation.store import Packs
from tests.own_table import RECIPE


def picture(path, seed):
    image = Image.new("RGB", (90, 70), (40 * seed % 255, 120, 80))
    pen = ImageDraw.Draw(image)
    for k in range(12):
        x, y = (37 * k * (seed + 2)) % 80, (53 * k + 11 * seed) % 60
        pen.ellipse((x, y, x + 6 + seed % 7, y + 9), fill=(k * 20, 255 - k * 20, seed * 50 % 255))
    image.save(path)


@pytest.fixture
def mine(tmp_path):
    for seed in range(4):
        picture(tmp_path / f"{seed}.png", seed)
    (tmp_path / "t.csv").write_text(
        "path,scientificName\n" + "".join(f"{k}.png,\n" for k in range(4))
    )
    (tmp_path / "r.toml").write_text(RECIPE)
    return recipe.read(str(tmp_path / "r.toml")), tmp_path


def outcomes(made):
    return {r["url"]: r for r in pq.read_table(made["fetch"][0].paths[0]).to_pylist()}


def packs(root):
    return sorted(p.name for p in (root / "store" / "fetched").glob("*/*.pack"))


def test_a_local_file_that_changes_is_read_again_and_no_other(mine):
    chosen, folder = mine
    root = folder / "root"
    before = outcomes(build.build(chosen, root))
    assert {r["status"] for r in before.values()} == {"ok"} and packs(root) == ["00000000.pack"]
    picture(folder / "2.png", 9)
    made = build.build(chosen, root)
    after = outcomes(made)
    assert [u for u in before if before[u]["md5"] != after[u]["md5"]] == ["file:o/2.png"]
    assert packs(root) == ["00000000.pack", "00000001.pack"]
    assert made["shard"][0].counts["rows"] == 4


def test_a_pack_without_its_rows_is_cleared_away_and_its_pictures_are_fetched(mine):
    chosen, folder = mine
    root = folder / "root"
    build.build(chosen, root)
    orphan = Packs(root / "store" / "fetched").path("00000007")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"left by a killed run")
    picture(folder / "1.png", 8)
    build.build(chosen, root)
    assert "00000007.pack" not in packs(root)


def test_what_a_killed_run_fetched_and_nobody_looked_at_is_not_fetched_again(mine, monkeypatch):
    chosen, folder = mine
    root, run = folder / "root", fetching.run_units

    def killed(work, units, **_):
        list(units)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "run_units", killed)
    with pytest.raises(KeyboardInterrupt):
        build.build(chosen, root)
    assert packs(root) == ["00000000.pack"] and not list(
        (root / "store/fetched").glob("0*.parquet")
    )

    monkeypatch.setattr(fetching, "run_units", run)
    monkeypatch.setattr(fetch.Fetcher, "fetch", lambda *_: pytest.fail("asked again"))
    made = build.build(chosen, root)
    assert made["shard"][0].counts["rows"] == 4 and packs(root) == ["00000000.pack"]
    left = [p.name for p in (root / "store/fetched").glob("*/*") if p.suffix != ".pack"]
    assert not left, "the ledger has taken the rows over"


def test_rows_whose_bytes_are_cut_are_asked_again(mine, monkeypatch):
    chosen, folder = mine
    root, run = folder / "root", fetching.run_units
    monkeypatch.setattr(fetching, "run_units", lambda work, units, **_: [list(units), 1 / 0])
    with pytest.raises(ZeroDivisionError):
        build.build(chosen, root)
    pack = Packs(root / "store/fetched").path("00000000")
    pack.write_bytes(pack.read_bytes()[:-1])
    monkeypatch.setattr(fetching, "run_units", run)
    assert build.build(chosen, root)["shard"][0].counts["rows"] == 4


def test_an_address_that_was_not_asked_costs_no_run(mine):
    chosen, folder = mine
    (folder / "t.csv").write_text(
        "identifier,scientificName\n"
        + "".join(f"http://away.invalid/{k}.jpg,\n" for k in range(40))
    )
    for key, value in {"tries": 1, "silent_s": 0.3, "max_runs": 2}.items():
        chosen = recipe.changed(chosen, f"fetch.{key}", value)
    build.build(chosen, folder / "root", host_map={"*.invalid": "127.0.0.1:9"})
    (ledger,) = (folder / "root/store/fetched").glob("0*.parquet")
    runs = {(r["error"], r["runs"]) for r in pq.read_table(ledger).to_pylist()}
    assert runs == {("connection_failed", 1), ("host_unreachable", 0)}


PATCH = """
import os
from catalog import pixels

decode = pixels.decode


def deadly(data, *args, **more):
    if b"DEADLY" in data:
        os.kill(os.getpid(), 9)
    return decode(data, *args, **more)


pixels.decode = deadly
"""


def test_a_picture_that_kills_whoever_decodes_it_is_a_row_with_its_reason(mine, monkeypatch):
    """The patch stands for a bug of a decoder; processes that start from now on load it."""
    chosen, folder = mine
    image = Image.open(folder / "2.png")
    image.save(folder / "2.png", comment="DEADLY", format="JPEG")
    (folder / "patch").mkdir()
    (folder / "patch" / "sitecustomize.py").write_text(PATCH)
    monkeypatch.setenv("PYTHONPATH", str(folder / "patch"))
    made = build.build(chosen, folder / "root", engine="process", workers=2)
    assert made["shard"][0].counts["rows"] == 3
    rejects = pq.read_table(next((made["shard"][0].dir / "metadata").rglob("rejects-*.parquet")))
    assert rejects.select(["reject_stage", "reject_reason"]).to_pylist() == [
        {"reject_stage": "pixels", "reject_reason": "decoder_died"}
    ]


def test_the_fetch_says_the_true_md5_of_every_picture(mine):
    import hashlib

    chosen, folder = mine
    found = outcomes(build.build(chosen, folder / "root"))
    for seed in range(4):
        row = found[f"file:o/{seed}.png"]
        data = (folder / f"{seed}.png").read_bytes()
        assert (row["md5"], row["n_bytes"]) == (hashlib.md5(data).hexdigest(), len(data))
        assert row["media_type"] == "image/png" and row["host"] == ""


def test_another_size_is_asked_for_again(mine):
    chosen, folder = mine
    (folder / "t.csv").write_text(
        "identifier,scientificName\nhttps://inaturalist-open-data.s3.amazonaws.com/photos/1/original.jpg,\n"
    )
    asked = []
    for size in ("as_given", "medium", "medium"):
        changed = recipe.changed(chosen, "fetch.size", size)
        changed = recipe.changed(changed, "fetch.tries", 1)
        made = build.build(changed, folder / "root", host_map={"*.amazonaws.com": "127.0.0.1:9"})
        ledger = sorted((folder / "root/store/fetched").glob("*.parquet"))
        asked.append(pq.read_table(ledger[-1]).to_pylist()[-1]["address"].rpartition("/")[2])
        assert outcomes(made)
    assert asked == ["original.jpg", "medium.jpg", "medium.jpg"]
