"""Live GBIF against a loopback service, asked by the real pygbif client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from curation.sources import gbif_answers, gbif_live
from curation.sources.gbif_answers import BACKBONE, CATALOGUE_OF_LIFE
from curation.sources.gbif_live import Query, match, search_archive
from tests import gbif_api

REPO = Path(__file__).parents[3]
REAL = Path(os.environ.get("TREEOFLIFE_REAL_DATA") or REPO.parent / "shared" / "data")
GEOSPIZA = Query(taxon_key="4GEO")
ACCOUNT = {"GBIF_USER": "darwin", "GBIF_PWD": "beagle", "GBIF_EMAIL": "darwin@example.org"}
DWC = "{http://rs.tdwg.org/dwc/text/}"


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """A table as a Darwin Core reader sees it: bytes split at tab and line feed, nothing else."""
    head, *lines = (folder / name).read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    names = head.split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_importing_the_module_imports_no_client() -> None:
    code = "import sys, curation.sources.gbif_live; print({'pygbif', 'requests'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_pygbif_leaves_the_root_log_alone() -> None:
    code = (
        "import logging; from curation.sources import gbif_live; gbif_live._pygbif();"
        "print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.strip() == "[] 30", done.stderr


@pytest.mark.parametrize(
    ("wanted", "key", "checklist"),
    [
        ("Geospiza fortis", "6FORT", CATALOGUE_OF_LIFE),
        (" geospiza  fortis Gould, 1837", "6FORT", CATALOGUE_OF_LIFE),
        ("6FORT", "6FORT", CATALOGUE_OF_LIFE),
        ("AVES", "V2", CATALOGUE_OF_LIFE),
        ("9999301", "9999301", BACKBONE),
    ],
)
def test_match(wanted: str, key: str, checklist: str) -> None:
    with gbif_api.serve(gbif_api.World()):
        found = match(wanted)
    assert (found.key, found.checklist_key, found.match_type) == (key, checklist, "EXACT")
    assert found.lineage["kingdom"] == "Animalia"
    assert found.rank == ("CLASS" if key == "V2" else "SPECIES")


def test_a_synonym_stands_for_its_accepted_taxon() -> None:
    with gbif_api.serve(gbif_api.World()):
        found = match("Cactornis scandens")
    assert (found.key, found.canonical_name, found.status) == (
        "6SCAN",
        "Geospiza scandens",
        "SYNONYM",
    )
    assert found.matched_name == "Cactornis scandens Gould, 1837"
    assert found.lineage["species"] == "Geospiza scandens"


@pytest.mark.parametrize(
    ("wanted", "checklist", "said"),
    [
        ("Geospiza fortes", None, ["VARIANT", "Geospiza fortis Gould, 1837 (SPECIES, key 6FORT)"]),
        ("Geospiza imaginaria", None, ["HIGHERRANK", "Geospiza (GENUS, key 4GEO)"]),
        ("Nonexistus nullus", None, ["NONE", "Nearest: nothing", "spelling"]),
        ("9999301", CATALOGUE_OF_LIFE, ["NONE", BACKBONE]),
        ("  ", None, ["NONE"]),
    ],
)
def test_an_unsure_match_is_an_error_that_helps(
    wanted: str, checklist: str | None, said: list[str]
) -> None:
    with gbif_api.serve(gbif_api.World()), pytest.raises(ValueError) as error:
        match(wanted, checklist_key=checklist)
    assert [part for part in said if part not in str(error.value)] == []


def test_equal_matches_are_an_error() -> None:
    world = gbif_api.World()
    for answer in world.taxa[-2].values():
        answer["diagnostics"]["note"] = "Multiple equal matches for name"
    with gbif_api.serve(world), pytest.raises(ValueError, match="6SCAN"):
        match("Geospiza scandens")


def test_search_writes_a_darwin_core_archive(tmp_path: Path) -> None:
    world = gbif_api.World()
    said: list[str] = []
    with gbif_api.serve(world):
        out = search_archive(GEOSPIZA, tmp_path / "new" / "finches", page_size=7, log=said.append)
    pictured = [o for o in world.occurrences if any(m["type"] == "StillImage" for m in o["media"])]
    assert sorted(contents(out)) == ["meta.xml", "multimedia.txt", "occurrence.txt", "query.json"]
    assert [path.name for path in out.parent.iterdir()] == ["finches"]

    occurrences = table(out, "occurrence.txt")
    ids = [int(row["gbifID"]) for row in occurrences]
    assert ids == sorted(int(o["gbifID"]) for o in pictured)
    assert {row["checklistKey"] for row in occurrences} == {CATALOGUE_OF_LIFE}
    assert {row["taxonKey"] for row in occurrences} == {"6FORT", "6FULI", "6MAGN", "6SCAN"}
    assert {row["class"] for row in occurrences} == {"Aves"}
    assert sum(row["informationWithheld"] != "" for row in occurrences) == 1
    assert sum(row["occurrenceStatus"] == "ABSENT" for row in occurrences) == 1

    media = table(out, "multimedia.txt")
    assert list(media[0]) == [
        "gbifID", "type", "format", "identifier", "references", "title", "description", "source",
        "audience", "created", "creator", "contributor", "publisher", "license", "rightsHolder",
    ]  # fmt: skip
    assert len(media) == sum(len(o["media"]) for o in pictured)
    odd = next(row for row in media if row["title"])
    assert (odd["title"], odd["description"]) == ("tab here", 'two  lines, a "quote" ')

    note = json.loads((out / "query.json").read_text())
    assert note["request"] == GEOSPIZA.parameters()
    assert (note["count"], note["taken"], note["media"]) == (len(ids), len(ids), len(media))
    assert len(said) == len([a for a in world.addresses if "/search" in a]) == 5


def test_meta_names_every_column_by_a_term(tmp_path: Path) -> None:
    with gbif_api.serve(gbif_api.World()):
        out = search_archive(GEOSPIZA, tmp_path / "finches")
    core, extension = ElementTree.parse(out / "meta.xml").getroot()
    assert core.get("rowType") == "http://rs.tdwg.org/dwc/terms/Occurrence"
    assert extension.get("rowType") == "http://rs.gbif.org/terms/1.0/Multimedia"
    for element, id_tag in ((core, "id"), (extension, "coreid")):
        assert (element.get("fieldsTerminatedBy"), element.get("linesTerminatedBy")) == (
            r"\t",
            r"\n",
        )
        assert (element.get("fieldsEnclosedBy"), element.get("ignoreHeaderLines")) == ("", "1")
        (first,) = element.iter(DWC + id_tag)
        (location,) = element.iter(DWC + "location")
        assert first.get("index") == "0"
        fields = list(element.iter(DWC + "field"))
        terms = [str(field.get("term")).rpartition("/")[2] for field in fields]
        assert [field.get("index") for field in fields] == [str(i) for i in range(len(fields))]
        assert terms == list(table(out, str(location.text))[0])
    iris = {str(field.get("term")) for field in core.iter(DWC + "field")}
    assert {
        "http://purl.org/dc/terms/license", "http://rs.gbif.org/terms/1.0/elevation",
        "http://rs.tdwg.org/dwc/terms/class", "http://iucn.org/terms/iucnRedListCategory",
    } <= iris  # fmt: skip


def test_the_snapshot_does_not_depend_on_paging_or_order(tmp_path: Path) -> None:
    world = gbif_api.World()
    shuffled = gbif_api.World(occurrences=[*world.occurrences[::-1], *world.occurrences[3:9]])
    with gbif_api.serve(world):
        whole = search_archive(GEOSPIZA, tmp_path / "whole")
        paged = search_archive(GEOSPIZA, tmp_path / "paged", page_size=4)
    with gbif_api.serve(shuffled):  # six occurrences come twice
        other = search_archive(GEOSPIZA, tmp_path / "other", page_size=5)
    assert contents(whole) == contents(paged)
    different = {name for name in contents(whole) if contents(whole)[name] != contents(other)[name]}
    assert different == {"query.json"}  # which counts as GBIF does


def test_every_parameter_reaches_gbif(tmp_path: Path) -> None:
    world = gbif_api.World()
    query = Query(
        taxon_key="9999202", country="EC", dataset_key="00000000-0000-4000-8000-000000000001",
        basis_of_record=("HUMAN_OBSERVATION", "PRESERVED_SPECIMEN"), licences=("CC0_1_0",),
        geometry="POLYGON((-92 -2,-88 -2,-88 2,-92 2,-92 -2))",
    )  # fmt: skip
    with gbif_api.serve(world):
        out = search_archive(query, tmp_path / "finches", limit=5, page_size=3)
    rows = table(out, "occurrence.txt")
    assert len(rows) == 5
    assert {row["checklistKey"] for row in rows} == {BACKBONE}
    assert {row["countryCode"] for row in rows} == {"EC"}
    first, second = world.addresses
    assert first.startswith(
        "GET https://api.gbif.org/v1/occurrence/search?taxonKey=9999202&country=EC"
    )
    assert f"checklistKey={BACKBONE}" in first
    assert "basisOfRecord=HUMAN_OBSERVATION&basisOfRecord=PRESERVED_SPECIMEN" in first
    assert "mediaType=StillImage" in first
    assert "limit=3&offset=0" in first
    assert "limit=2&offset=3" in second


def test_names_come_whole_from_one_checklist() -> None:
    occurrence = gbif_api.finches()[0]
    by = occurrence["classifications"][CATALOGUE_OF_LIFE]
    by["classification"] = [t for t in by["classification"] if t["rank"] != "CLASS"]
    del by["iucnRedListCategoryCode"]
    names = list(gbif_answers.COLUMNS[0])
    line, _ = gbif_answers.convert(occurrence, CATALOGUE_OF_LIFE)
    row = dict(zip(names, line.rstrip("\n").split("\t"), strict=True))
    assert (row["class"], row["taxonKey"], row["iucnRedListCategory"]) == ("", "6FORT", "LC")
    line, _ = gbif_answers.convert(occurrence, "another checklist")
    row = dict(zip(names, line.rstrip("\n").split("\t"), strict=True))
    assert (row["class"], row["taxonKey"], row["checklistKey"]) == ("Aves", "9999301", BACKBONE)


def test_flat_text_keys_are_the_catalogues() -> None:
    occurrence = gbif_api.finches()[-5]
    line, _ = gbif_answers.convert(occurrence, CATALOGUE_OF_LIFE)
    row = dict(zip(gbif_answers.COLUMNS[0], line.rstrip("\n").split("\t"), strict=True))
    assert (row["taxonKey"], row["checklistKey"]) == ("6FORT", CATALOGUE_OF_LIFE)


@pytest.mark.parametrize(("limit", "page_size"), [(100_001, 300), (0, 300), (10, 301)])
def test_a_search_too_large_names_the_other_way(tmp_path: Path, limit: int, page_size: int) -> None:
    world = gbif_api.World()
    with gbif_api.serve(world), pytest.raises(ValueError, match="download_archive"):
        search_archive(GEOSPIZA, tmp_path / "finches", limit=limit, page_size=page_size)
    assert world.addresses == []


def test_busy_and_failing_answers_are_waited_out(tmp_path: Path) -> None:
    waits: list[float] = []
    world = gbif_api.World(faults=[(429, {"Retry-After": "7"}), (503, {}), (500, {}), (502, {})])
    with gbif_api.serve(world):
        out = search_archive(GEOSPIZA, tmp_path / "finches", sleep=waits.append)
    assert waits == [7, 4, 8, 16]
    assert table(out, "occurrence.txt")


@pytest.mark.parametrize(("status", "tries"), [(503, 5), (429, 5), (400, 1)])
def test_a_lasting_failure_says_what_and_where_and_leaves_nothing(
    tmp_path: Path, status: int, tries: int
) -> None:
    waits: list[float] = []

    def page_two_fails(line: str) -> None:
        world.faults = [(status, {})] * 9

    world = gbif_api.World()
    with gbif_api.serve(world), pytest.raises(RuntimeError) as error:
        search_archive(
            GEOSPIZA, tmp_path / "finches", page_size=4, log=page_two_fails, sleep=waits.append
        )
    said = str(error.value)
    assert f"search at offset 4, try {tries}: {status}" in said
    assert ("correct the query" if tries == 1 else "try again later") in said
    assert len(waits) == tries - 1
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_gbif_is_an_error_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    def no_line(*_: Any, **__: Any) -> None:
        raise requests.ConnectTimeout("timed out")

    monkeypatch.setattr(requests.Session, "request", no_line)
    with pytest.raises(RuntimeError, match="offset 0, try 5: timed out; nothing was written"):
        search_archive(GEOSPIZA, tmp_path / "finches", sleep=lambda s: None)


def test_a_snapshot_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = gbif_api.World()
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    with gbif_api.serve(world):
        with pytest.raises(FileExistsError):
            search_archive(GEOSPIZA, tmp_path)
        with pytest.raises(FileExistsError):
            gbif_live.download_archive(GEOSPIZA, tmp_path)
    assert world.addresses == []


def recorded() -> list[dict[str, Any]]:
    """The occurrences of GBIF's recorded search answers (October 2024, before the new taxonomy)."""
    yaml = pytest.importorskip("yaml")
    folder = REAL / "gbif" / "api_cassettes_pygbif"
    paths = sorted(folder.glob("test_search*.yaml"))
    if not paths:
        pytest.skip(f"no recorded answers of GBIF in {folder}")
    found: list[dict[str, Any]] = []
    for path in paths:
        for exchange in yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]:
            found += json.loads(exchange["response"]["body"]["string"])["results"]
    return found


@pytest.mark.real_data
def test_recorded_answers_arrive_whole(tmp_path: Path) -> None:
    occurrences = recorded()
    with gbif_api.serve(gbif_api.World(occurrences=occurrences)):
        out = search_archive(Query(), tmp_path / "recorded", page_size=100)
    rows = {row["gbifID"]: row for row in table(out, "occurrence.txt")}
    media = table(out, "multimedia.txt")
    pictured = {o["gbifID"]: o for o in occurrences if o["media"]}
    assert len(occurrences) == 606
    assert rows.keys() == pictured.keys()
    for gbif_id, occurrence in pictured.items():
        row = rows[gbif_id]
        assert row["checklistKey"] == BACKBONE
        for name in row.keys() & occurrence.keys() - {"gbifID"}:
            assert row[name].split() == str(occurrence[name]).split(), name
    flat = [(o["gbifID"], m) for o in pictured.values() for m in o["media"]]
    assert len(media) == len(flat) > 900
    by_id = {
        gbif_id: [m for i, m in flat if i == gbif_id]
        for gbif_id in {row["gbifID"] for row in media}
    }
    for row in media:
        medium = by_id[row["gbifID"]].pop(0)
        assert {k: v for k, v in row.items() if v and k != "gbifID"} == medium
