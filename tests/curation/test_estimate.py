"""What a large build will need is said before its archives are there, from speeds that were measured."""

import json
from pathlib import Path

import pytest

from curation import build, estimate, recipe

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results.json"


@pytest.mark.parametrize("name", ["treeoflife_10m", "treeoflife_200m"])
def test_a_dry_run_of_a_real_recipe_says_rows_bytes_days_disk_memory_and_what_is_missing(
    name, tmp_path, capsys
):
    assert build.main([name, "--dry-run", "--root", str(tmp_path / "root")]) == 0
    out = capsys.readouterr().out
    for word in ("needed  media_manifest.tgz", "media rows", "pictures", " TB", " hours", "memory", "disk", "free at",
                 "core-hours", "no account", "at 50"):  # fmt: skip
        assert word in out, word
    assert ("GBIF_USER" in out) == (name == "treeoflife_200m")
    assert not (tmp_path / "root" / "media").exists()


def test_without_its_archives_a_real_recipe_ends_at_once_with_advice(tmp_path, capsys):
    assert build.main(["treeoflife_200m", "--root", str(tmp_path)]) == 2
    assert "copy the recipe beside your archives" in capsys.readouterr().err


def test_ten_times_the_budget_of_a_host_is_a_tenth_of_the_days(tmp_path):
    first = recipe.read("treeoflife_200m")
    lines = list(estimate.estimate(first, tmp_path))
    faster = recipe.changed(first, "fetch.max_per_second", 100.0)
    again = list(estimate.estimate(faster, tmp_path))
    assert any("observation.org" in line and "23.9 days" in line for line in lines)
    assert any("observation.org" in line and "2.4 days" in line for line in again)


def test_the_speeds_it_reckons_with_are_those_the_benchmarks_measured():
    known = json.loads(RESULTS.read_text())
    found = {
        (name, row["what"]): row["ours"] for name, result in known.items() for row in result["rows"]
    }
    pairs = [
        (estimate.ROWS_PER_S, "ingest", "5 M media rows: ingest + media + verdict"),
        (estimate.LINEAGES_PER_S, "names_speed", "resolve 1.36 M lineages"),
        (
            estimate.LOOKS_PER_CORE_S,
            "hash",
            "the whole look, with probes and the digest of the pixels",
        ),
        (estimate.FETCHED_PER_S, "fetch", "bytes as they are"),
        (estimate.NEAR_PER_S, "near", "20 M hashes: pairs within 10 bits, and groups"),
    ]
    for ours, name, what in pairs:
        assert 0.6 < ours / found[name, what] < 1.6, f"{name}, {what}: {found[name, what]:,.0f}"
