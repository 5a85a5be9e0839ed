"""GBIF downloads against a loopback service: credentials, waiting, failures, predicates."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from curation.sources import gbif_live
from curation.sources.gbif_answers import BACKBONE, CATALOGUE_OF_LIFE
from curation.sources.gbif_live import Query
from tests import gbif_api

GEOSPIZA = Query(taxon_key="4GEO")
ACCOUNT = {"GBIF_USER": "darwin", "GBIF_PWD": "beagle", "GBIF_EMAIL": "darwin@example.org"}


@pytest.mark.parametrize("missing", list(ACCOUNT))
def test_a_download_names_the_missing_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, "" if name == missing else value)
    world = gbif_api.World()
    with gbif_api.serve(world), pytest.raises(ValueError) as error:
        gbif_live.download_archive(GEOSPIZA, tmp_path / "finches.zip")
    assert missing in str(error.value)
    assert not any(name in str(error.value) for name in {*ACCOUNT} - {missing})
    assert world.addresses == []


def test_download(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    waits: list[float] = []
    world = gbif_api.World()
    out = tmp_path / "finches.zip"
    with gbif_api.serve(world), caplog.at_level("DEBUG"):
        gbif_live.download_archive(GEOSPIZA, out, poll_s=11, sleep=waits.append)
    assert zipfile.is_zipfile(out)
    assert out.read_bytes() == world.archive
    assert waits == [11, 11]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["finches.zip", "finches.zip.json"]
    note = json.loads(Path(f"{out}.json").read_text())
    assert (note["key"], note["doi"]) == (gbif_api.DOWNLOAD_KEY, "10.15468/dl.finch1")
    assert (note["size"], note["totalRecords"]) == (len(world.archive), 36)
    assert note["license"].endswith("/by-nc/4.0/legalcode")

    (body,) = world.posted
    assert (body["format"], body["checklistKey"]) == ("DWCA", CATALOGUE_OF_LIFE)
    assert body["predicate"] == GEOSPIZA.predicate()
    assert body["predicate"]["predicates"][0] == {
        "type": "in", "key": "TAXON_KEY", "values": ["4GEO"], "checklistKey": CATALOGUE_OF_LIFE,
    }  # fmt: skip
    assert world.addresses[0] == "POST https://api.gbif.org/v1/occurrence/download/request"
    out_err = capsys.readouterr()
    everything = caplog.text + out_err.out + out_err.err + str(note) + str(world.addresses)
    assert ACCOUNT["GBIF_PWD"] not in everything + str(body)


def test_download_takes_a_predicate_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    world = gbif_api.World(statuses=["SUCCEEDED"])
    own = {"type": "not", "predicate": {"type": "equals", "key": "TAXON_KEY", "value": "4GEO"}}
    with gbif_api.serve(world):
        gbif_live.download_archive(own, tmp_path / "finches.zip", format="SIMPLE_CSV")
    (body,) = world.posted
    assert body["format"] == "SIMPLE_CSV"
    assert body["predicate"]["predicate"]["checklistKey"] == CATALOGUE_OF_LIFE  # by pygbif
    assert "checklistKey" not in own["predicate"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account": ("darwin", "other")}, "download request, try 1: 401"),
        ({"statuses": ["RUNNING", "KILLED"]}, f"{gbif_api.DOWNLOAD_KEY} is KILLED after 30 s"),
        ({"statuses": ["RUNNING"]}, "is RUNNING after 90 s"),
        ({"archive": b"PK cut short"}, "came cut short"),
        ({"faults": [(503, {})]}, "download request, try 1: 503"),
    ],
)
def test_a_failed_download_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    world = gbif_api.World(**change)
    with gbif_api.serve(world), pytest.raises(RuntimeError) as error:
        gbif_live.download_archive(
            GEOSPIZA, tmp_path / "finches.zip", timeout_s=90, sleep=lambda s: None
        )
    assert said in str(error.value)
    assert ACCOUNT["GBIF_PWD"] not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_predicate() -> None:
    query = Query(taxon_key="44", country="EC", geometry="POINT(1 2)", licences=("CC0_1_0",))
    assert query.predicate() == {
        "type": "and",
        "predicates": [
            {"type": "within", "geometry": "POINT(1 2)"},
            {"type": "in", "key": "TAXON_KEY", "values": ["44"], "checklistKey": BACKBONE},
            {"type": "in", "key": "COUNTRY", "values": ["EC"]},
            {"type": "in", "key": "LICENSE", "values": ["CC0_1_0"]},
            {"type": "in", "key": "MEDIA_TYPE", "values": ["StillImage"]},
        ],
    }
