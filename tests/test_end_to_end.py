"""The whole path on the sample world: build, load, explain, repeat, change, kill, and again."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog import reasons, schema, sql
from catalog.load import load
from curation import build, recipe, sample
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The sample world, built once; (root, artifacts by stage)."""
    root = tmp_path_factory.mktemp("built")
    return root, build.build(recipe.read("sample"), root)


def _run(*args, **more):
    return subprocess.run([sys.executable, "-m", "curation.build", *map(str, args)], cwd=ROOT,
                          capture_output=True, text=True, timeout=PATIENCE_S, **more)  # fmt: skip


def _digests(root):
    """Every artifact's manifest, which holds the sha256 of every file it has."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.glob("*/*/manifest.json")) if p.parts[-3] != "datasets"
    }  # fmt: skip


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", ["default", "catalog", "taxa", "rejects"])
def test_every_config_loads_with_load_dataset(built, config, streaming, tmp_path):
    root, made = built
    data = load(
        root / "datasets" / "sample", config=config, streaming=streaming, cache_dir=str(tmp_path)
    )
    splits = {name: list(part) for name, part in data.items()}
    if config != "default":
        path = made["shard"][0].dir / "metadata" / "v1" / f"{config}-000000.parquet"
        assert len(splits["train"]) == pq.read_metadata(path).num_rows > 0
        return
    assert set(splits) == set(schema.SPLITS)
    for name, rows in splits.items():
        for row in rows:
            assert row["split"] == name
            assert row["image"].size == (row["width"], row["height"])
            assert max(row["image"].size) <= 720


def test_labels_of_pictures_are_the_planted_ones(built):
    root, made = built
    truth_path = next((root / "sample-world").glob("*/truth.parquet"))
    truth = {(t["source"], t["identifier"]): t for t in pq.read_table(truth_path).to_pylist()}
    rows = load(root / "datasets" / "sample", config="catalog")["train"].to_list()
    at_species = [r for r in rows if r["species"] and (r["source"], r["identifier"]) in truth
                  and r["crop"] is None and truth[r["source"], r["identifier"]]["species"]]  # fmt: skip
    right = [r for r in at_species
             if r["species"] == truth[r["source"], r["identifier"]]["species"]]  # fmt: skip
    assert len(at_species) > 150 and len(right) / len(at_species) > 0.97
    assert made["verdict"][0].counts["rows"] == made["media"][0].counts["rows"]


def test_rows_in_are_rows_kept_plus_rows_rejected(built):
    _, made = built
    folder = made["shard"][0].dir
    n_data = sum(pq.read_metadata(p).num_rows for p in (folder / "data").rglob("*.parquet"))
    n_rejects = pq.read_metadata(folder / "metadata" / "v1" / "rejects-000000.parquet").num_rows
    assert n_data + n_rejects == made["media"][0].counts["rows"] == made["source"][0].counts["rows"] + sum(
        a.counts["rows"] for a in made["source"][1:])  # fmt: skip
    rejects = pq.read_table(folder / "metadata" / "v1" / "rejects-000000.parquet").to_pylist()
    assert all(r["reject_stage"] and r["reject_reason"] for r in rejects)


def test_the_picture_kept_in_place_of_a_duplicate_is_in_the_data(built):
    _, made = built
    folder = made["shard"][0].dir
    kept = {u for p in (folder / "data").rglob("*.parquet")
            for u in pq.read_table(p, columns=["uuid"]).column(0).to_pylist()}  # fmt: skip
    rejects = pq.read_table(folder / "metadata" / "v1" / "rejects-000000.parquet").to_pylist()
    twins = [row["duplicate_of"] for row in rejects if row["reject_stage"] == "dedup"]
    assert len(twins) > 10 and set(twins) <= kept


def test_groups_never_cross_splits_and_unseen_genera_never_enter_train(built):
    root, _ = built
    rows = load(root / "datasets" / "sample", config="catalog")["train"].to_list()
    splits = {}
    for row in rows:
        splits.setdefault(row["group_id"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    chosen = {r["genus"] for r in rows if r["genus"]
              if int(hashlib.md5(f"17genus{r['genus']}".encode()).hexdigest()[:13], 16) < 0.05 * 16**13}  # fmt: skip
    assert chosen and {r["split"] for r in rows if r["genus"] in chosen} == {"unseen"}


def test_the_original_names_come_with_the_original_meanings(built):
    root, _ = built
    ours = next(iter(load(root / "datasets" / "sample", streaming=True)["train"]))
    theirs = next(
        iter(load(root / "datasets" / "sample", streaming=True, names="treeoflife-200m")["train"])
    )
    assert theirs["species"] == (ours["specificEpithet"] or "")
    assert theirs["source_url"] == ours["identifier"]
    assert theirs["scientific_name"] == ours["verbatimScientificName"]
    assert theirs["data_source"] == ours["source"] and "specificEpithet" not in theirs


def test_a_dataset_of_another_schema_version_is_refused(built, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": "0"}))
    with pytest.raises(ValueError, match="schema version '0'"):
        load(tmp_path)
    with pytest.raises(ValueError, match="no manifest"):
        load(tmp_path.parent)


def test_a_second_build_makes_nothing_and_says_so(built):
    root, _ = built
    before = _digests(root)
    out = _run("--root", root)
    assert out.returncode == 0 and "nothing to do" in out.stdout
    assert _digests(root) == before


def test_a_changed_threshold_repeats_only_what_depends_on_it(built, tmp_path):
    root, made = built
    changed = recipe.changed(recipe.read("sample"), "verdict.min_side_px", 300)
    again = build.build(changed, root)
    for stage in ("source", "media", "taxon", "label", "fetch", "phash", "benchmark", "geoprivacy"):
        assert [a.address for a in again[stage]] == [a.address for a in made[stage]], stage
    assert again["verdict"][0].address != made["verdict"][0].address


ANOTHER_DAY = """
import runpy, sys, time
now, local, words = time.time, time.localtime, time.strftime
time.time = lambda: now() + 400 * 86400
time.localtime = lambda s=None: local(time.time() if s is None else s)
time.strftime = lambda form, at=None: words(form, at or time.localtime())
runpy.run_module("curation.build", run_name="__main__")
"""


def test_another_day_folder_port_and_process_give_the_same_bytes(built, tmp_path):
    root, _ = built
    out = subprocess.run(
        [sys.executable, "-c", ANOTHER_DAY, "--root", str(tmp_path / "other"), "--engine", "serial"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip
    assert out.returncode == 0, out.stderr
    day = json.loads((tmp_path / "other/log/build.jsonl").read_text().splitlines()[-1])["time"][:10]
    assert day > time.strftime("%Y-%m-%d"), "the clock of that build was another"
    ours = _digests(root)
    theirs = _digests(tmp_path / "other")
    assert theirs and all(ours[name] == digest for name, digest in theirs.items())


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_build_ends_in_the_same_bytes(built, tmp_path, seed):
    root, _ = built
    place = tmp_path / "killed"
    rng = random.Random(seed)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "curation.build", "--root", str(place)], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        time.sleep(rng.uniform(1.5, 9.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    out = _run("--root", place)
    assert out.returncode == 0, out.stderr
    ours, theirs = _digests(root), _digests(place)
    assert theirs and all(ours[name] == digest for name, digest in theirs.items())
    assert not list(place.glob("*/.tmp-*"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nothing.toml"], "no recipe 'nothing.toml'"),
        (["--what-if", "dedup.near_max_bit=3"], "did you mean 'near_max_bits'"),
        (["--what-if", "dedup.near_max_bits=30"], "must be from 0 to 15"),
        (["gbif:"], "needs a taxon"),
    ],
)
def test_what_the_user_got_wrong_fails_at_once_with_advice(tmp_path, args, says):
    out = _run("--root", tmp_path / "r", *args)
    assert out.returncode == 2 and says in out.stderr and "Traceback" not in out.stderr


def test_a_dry_run_does_nothing_and_show_prints_sql(tmp_path):
    (tmp_path / "t.csv").write_text("identifier\na.jpg\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\n[[source]]\nkind = "own"\nname = "field"\npath = "t.csv"\n'
    )
    out = _run(tmp_path / "mine.toml", "--root", tmp_path, "--dry-run")
    assert out.returncode == 0 and "would run: it has not run yet" in out.stdout
    assert not list(tmp_path.glob("media/*"))
    assert "with judged as" in _run("--show", "verdict").stdout


def test_a_dry_run_says_which_field_makes_a_stage_run(built):
    root, _ = built
    out = _run("--root", root, "--dry-run", "--what-if", "dedup.burst_s=3.0")
    assert "dedup       would run: burst_s is 3.0, was 10.0" in out.stdout


def test_explain_lists_every_candidate_and_why_the_winner_won(built):
    root, _ = built
    right = _run("--root", root, "--explain", "Prunella vulgaris", "--lineage", "kingdom=Plantae")
    wrong = _run("--root", root, "--explain", "Prunella vulgaris", "--lineage", "kingdom=Animalia")
    assert right.returncode == wrong.returncode == 0
    assert "by its name: 1 candidates" in right.stdout and "fits" in right.stdout
    assert "is       Prunella vulgaris (species) Plantae" in right.stdout
    assert "does not fit: kingdom_conflict" in wrong.stdout and "unresolved" in wrong.stdout
    log = [json.loads(line) for line in (root / "log/build.jsonl").read_text().splitlines()]
    runs = [event for event in log if event["event"] == "run"]
    assert all("shard" in event["artifacts"] for event in runs), "`--prune` goes by whole runs"
    odd = _run("--root", root, "--explain", "Prunella", "--lineage", "realm=Plantae")
    assert odd.returncode == 2 and "write RANK=NAME" in odd.stderr


def test_what_if_leaves_the_dataset_alone_and_a_dry_run_touches_nothing(built):
    root, _ = built
    manifest = root / "datasets" / "sample" / "manifest.json"
    build.build(recipe.read("sample"), root)
    before = manifest.read_bytes()
    assert _run("--root", root, "--what-if", "pixels.quality=70").returncode == 0
    assert manifest.read_bytes() == before
    assert (root / "datasets" / "sample-what-if" / "manifest.json").read_bytes() != before
    out = _run("--root", root, "--dry-run", "--what-if", "pixels.quality=70")
    assert "dry run: nothing was done" in out.stdout and manifest.read_bytes() == before


@pytest.mark.parametrize("rows", ["", "no/such.jpg,Corvus corax\nnor/this.jpg,Corvus corax\n"])
def test_a_table_without_one_readable_picture_ends_in_an_empty_dataset_with_reasons(tmp_path, rows):
    (tmp_path / "t.csv").write_text("path,scientificName\n" + rows)
    (tmp_path / "r.toml").write_text(
        'name = "none"\n[[source]]\nkind = "own"\nname = "o"\npath = "t.csv"\nlicence = "CC0"\n'
        '[verdict]\nmin_rank = "any"\n')  # fmt: skip
    out = _run(tmp_path / "r.toml", "--root", tmp_path / "root")
    assert out.returncode == 0, out.stderr
    assert "no picture was kept" in out.stdout and "load it:" not in out.stdout
    folder = tmp_path / "root" / "datasets" / "none" / "metadata" / "v1"
    rejects = pq.read_table(folder / "rejects-000000.parquet").to_pylist()
    assert [row["reject_reason"] for row in rejects] == ["file_not_found"] * rows.count("\n")


def test_a_new_recipe_is_written_once_and_can_be_read(tmp_path):
    path = tmp_path / "mine.toml"
    assert _run("--new", path).returncode == 0
    assert recipe.read(str(path)).source[0].kind == "own"
    assert _run("--new", path).returncode == 2


def test_what_is_not_there_is_told_whole_before_any_work(tmp_path):
    text = ('name = "mine"\n[[source]]\nkind = "own"\nname = "field"\npath = "t.csv"\n'
            '[[taxonomy]]\nname = "list"\npath = "names.tsv"\n'
            '[[benchmark]]\nname = "held"\npath = "held"\n')  # fmt: skip
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "t.csv").write_text("identifier\na.jpg\n")
    with pytest.raises(ValueError) as caught:
        build.build(recipe.read(str(tmp_path / "mine.toml")), tmp_path / "root")
    assert "taxonomy 'list'" in str(caught.value) and "benchmark 'held'" in str(caught.value)
    assert "t.csv" not in str(caught.value)
    assert not list((tmp_path / "root").glob("source/*"))


def test_a_dry_run_of_a_new_root_draws_nothing(tmp_path, capsys):
    assert build.build(recipe.read("sample"), tmp_path, dry_run=True) == {}
    assert "would draw the sample world" in capsys.readouterr().out
    assert not (tmp_path / "sample-world").exists()


def test_every_reject_reason_of_the_sample_world_is_in_the_cards_glossary(built):
    _, made = built
    card = made["shard"][0].path("README.md").read_text()
    rejects = pq.read_table(made["shard"][0].path("metadata/v1/rejects-000000.parquet"))
    for reason in set(rejects.column("reject_reason").to_pylist()):
        assert f"| {reason} |" in card and reasons.meaning(reason)[:20] in card
    licences = [r for r in rejects.to_pylist() if r["reject_stage"] == "licence"]
    assert licences and all(
        r["license_verbatim"] or r["reject_reason"] == "licence_unknown" for r in licences
    )


def test_rows_read_otherwise_than_their_provider_are_listed_by_cause(built):
    _, made = built
    path = made["shard"][0].path("metadata/v1/conflicts-000000.parquet")
    rows = pq.read_table(path).to_pylist()
    causes = {row["cause"] for row in rows}
    assert {"synonym", "spelling", "unresolved", "less_precise", "provider_kept"} <= causes
    synonym = next(r for r in rows if r["cause"] == "synonym" and r["species"])
    assert synonym["match_rule"] == "synonym" and synonym["our_species"] != synonym["species"]
    card = made["shard"][0].path("README.md").read_text()
    assert "| spelling |" in card and "| exact |" in card


def test_the_scores_of_the_sample_world_are_what_they_were(built):
    """Golden: a change of the resolver, of what counts as a duplicate, or of the world shows here first."""
    root, made = built
    folder = made["shard"][0].dir / "metadata" / "v1"
    truth = next((root / "sample-world").glob("*/truth.parquet"))
    scores = sample.score(
        sql.connect(), truth=truth, catalog=sorted(folder.glob("catalog-*.parquet")),
        rejects=sorted(folder.glob("rejects-*.parquet")))  # fmt: skip
    found = {
        s.name: (s.precision and round(s.precision, 3), s.recall and round(s.recall, 3), s.n)
        for s in scores
    }
    assert found == {
        "resolution": (0.969, 0.962, 289),
        "duplicates, detectable": (1.0, 1.0, 40),
        "duplicates, all": (1.0, 0.837, 49),
        "benchmark leaks": (1.0, 0.714, 7),
        "faulty pictures": (1.0, 1.0, 26),
        "closed licences": (1.0, 1.0, 32),
        "labels of specimens": (1.0, 0.833, 6),
        "empty camera-trap frames": (1.0, 0.429, 7),  # cameras with few events tell little
        "faces": (None, 0.0, 2),  # nobody looks: the detector is in the extra `scoring`
    }


def test_thumbnails_are_of_the_data_and_link_health_counts_every_address(built):
    _, made = built
    folder = made["shard"][0].dir
    kept = {u for p in (folder / "data").rglob("*.parquet")
            for u in pq.read_table(p, columns=["uuid"]).column(0).to_pylist()}  # fmt: skip
    small = pq.read_table(folder / "metadata/v1/thumbnails-000000.parquet").to_pylist()
    assert {row["uuid"] for row in small} == kept and len(small) == len(kept)
    for row in small[:20]:
        assert max(Image.open(io.BytesIO(row["thumbnail"]["bytes"])).size) < 256
    groups = pq.ParquetFile(folder / "metadata/v1/thumbnails-000000.parquet").metadata
    assert groups.row_group(0).num_rows == 64
    health = pq.read_table(folder / "metadata/v1/link_health-000000.parquet").to_pylist()
    assert sum(row["n_urls"] for row in health) == made["fetch"][0].counts["rows"]
    assert {"closed.invalid"} == {r["host"] for r in health if r["http_status"] == 403}


def test_the_page_of_duplicates_shows_what_was_merged_and_no_held_out_picture(built):
    _, made = built
    page = made["dedup"][0].path("duplicates.html").read_text()
    rows = pq.read_table(made["dedup"][0].paths[0]).to_pylist()
    rules = {row["duplicate_rule"] for row in rows if row["duplicate_rule"]}
    assert {"near", "wide", "crop", "mirror"} <= rules
    assert all(f"<h2>{rule}</h2>" in page for rule in rules)
    assert page.count("data:image/jpeg;base64,") > 40
    dropped = next(row["uuid"] for row in rows if row["duplicate_rule"] == "crop")
    assert dropped in page


def test_bytes_that_were_lost_from_the_store_come_back(built, tmp_path):
    """What the shipped bytes lie in is gone, and what was fetched too: the next build gets them again."""
    root = tmp_path / "lost"
    made = build.build(recipe.read("sample"), root)
    for pack in (root / "store").rglob("*.pack"):
        pack.unlink()
    changed = recipe.changed(recipe.read("sample"), "shard.validation", 0.1)
    again = build.build(changed, root)
    assert [a.address for a in again["fetch"]] == [a.address for a in made["fetch"]]
    assert again["shard"][0].counts["rows"] == made["shard"][0].counts["rows"]
