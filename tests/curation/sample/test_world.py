"""The sample world: equal bytes from equal parameters, readable files, servers with manners."""

import hashlib
import http.client
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import pixels, schema, sql
from curation.recipe import Sample
from curation.sample import World, plan, score, serve, write
from curation.sample.naming import ALL_SPECIES
from curation.sample.planning import address_key
from curation.sample.plant import FATAL, PASSING
from curation.sample.scoring import Score
from curation.sample.shot import FORMATS, Shot, render
from curation.sample.taxa import RANKS
from curation.sources.bioscan import bioscan
from curation.sources.eol import eol
from curation.sources.fathomnet import fathomnet
from curation.sources.gbif import gbif

SAMPLE = Sample(n_pictures=400, seed=1)


@pytest.fixture(scope="module")
def made() -> World:
    return plan(SAMPLE)


@pytest.fixture(scope="module")
def folder(made: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("world")
    write(made, place)
    return place


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files
    }


def source_rows(folder: Path, work: Path) -> list[dict[str, Any]]:
    con = sql.connect()
    tree = folder / "bioscan" / "BIOSCAN_5M_metadata.csv"
    manifest, hierarchy = folder / "eol_media_manifest.tgz", folder / "eol_taxon.tab"
    queries: tuple[Callable[[], sql.Query], ...] = (
        lambda: gbif(con, archive="g", path=folder / "gbif.zip", work_dir=work / "g"),
        lambda: eol(con, archive="e", path=manifest, work_dir=work / "e", hierarchy=hierarchy),
        lambda: bioscan(con, archive="b", path=tree, work_dir=work / "b"),
        lambda: fathomnet(con, archive="f", path=folder / "fathomnet.json"),
    )
    rows = [row for query in queries for row in query().table().to_pylist()]
    con.close()
    return rows


def test_equal_parameters_give_equal_bytes_under_another_hash_seed(
    folder: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from curation.recipe import Sample\n"
        "from curation.sample import world\n"
        "world(Sample(n_pictures=400, seed=1), Path(sys.argv[1]))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Apia"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=env)
    assert digests(tmp_path) == digests(folder)


def test_another_seed_gives_another_world(made: World) -> None:
    other = plan(Sample(n_pictures=400, seed=2))
    assert {item.identifier for item in other.items} != {item.identifier for item in made.items}


def test_every_planted_row_is_read_once_with_the_expected_refusal(
    folder: Path, tmp_path: Path
) -> None:
    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[k] for k in ("source", "record_key", "source_id", "identifier", "crop"))

    rows = source_rows(folder, tmp_path)
    truth = {key(row): row for row in pq.read_table(folder / "truth.parquet").to_pylist()}
    assert Counter(map(key, rows)) == Counter(truth.keys())
    assert Counter(row["source"] for row in rows)["eol"] == 72
    for row in rows:
        fault = truth[key(row)]["record_fault"]
        undetected = fault == "shifted_columns" and row["reject_reason"] is None
        assert row["reject_reason"] == fault or undetected, row


def test_shares_are_as_stated(made: World) -> None:
    counts = Counter(item.source for item in made.items)
    assert abs(len(made.items) - 400) < 12
    assert counts["bioscan"] == counts["fathomnet"] == 40
    faults = {item.fault for item in made.items}
    behaviours = {item.behaviour for item in made.items}
    assert set(FATAL) <= faults and set(PASSING) <= behaviours
    assert {item.shot.form for item in made.items if item.shot} >= set(FORMATS)
    assert any(not item.detectable for item in made.items)
    burst = [item for item in made.items if item.duplicate_kind == "burst_not_duplicate"]
    assert burst and all(item.cluster is None for item in burst)


def test_a_large_world_keeps_the_bioscan_tree_small() -> None:
    large = plan(Sample(n_pictures=8000))
    assert len(large.tree) == 300
    assert abs(len(large.items) - 8000) < 80


def get(place: str, url: str) -> tuple[int, dict[str, str], bytes]:
    host, _, path = address_key(url).partition("/")
    connection = http.client.HTTPConnection(place, timeout=10)
    try:
        connection.request("GET", f"/{path}", headers={"Host": host})
        answer = connection.getresponse()
        headers = dict(answer.getheaders())
        try:
            return (
                answer.status,
                headers,
                b"" if int(headers["Content-Length"]) > 10**8 else (answer.read()),
            )
        except http.client.IncompleteRead as error:
            return -answer.status, headers, error.partial
    finally:
        connection.close()


def test_each_behaviour_answers_as_planned(made: World) -> None:
    urls: dict[str, str] = {}
    for item in made.items:
        if item.identifier and item.source != "bioscan" and item.shot:
            urls.setdefault(item.fault or item.behaviour, item.identifier)
    with serve(made) as place:
        found = {kind: get(place, url) for kind, url in urls.items()}
        later = {kind: [get(place, urls[kind])[0] for _ in range(2)] for kind in PASSING}
        assert get(place, "http://nowhere.invalid/x.jpg")[0] == 404
    codes = {kind: answer[0] for kind, answer in found.items()}
    wanted = {"http_404": 404, "http_410": 410, "http_403": 403, "http_500": 500, "ok": 200}
    assert wanted.items() <= codes.items()
    assert codes["rate_limited"] == 429 and later["rate_limited"] == [429, 200]
    assert found["rate_limited"][1]["Retry-After"] == "0"
    assert codes["flaky"] == 503 and later["flaky"] == [200, 200]
    assert codes["redirect"] == codes["redirect_loop"] == 302
    assert found["redirect"][1]["Location"].startswith("http://mirror.invalid/")
    assert codes["truncated_body"] == -200
    assert found["html"][2].startswith(b"<!doctype") and found["empty"][2] == b""
    assert int(found["too_large"][1]["Content-Length"]) > 100 * 2**20
    assert found["gzip"][1]["Content-Encoding"] == "gzip"
    assert "noai" in found["noai"][1]["X-Robots-Tag"]
    for kind in ("corrupt", "truncated_file"):
        with pytest.raises(pixels.Undecodable):
            pixels.decode(found[kind][2])
    small = pixels.decode(found["too_small"][2]).image
    assert min(small.size) < 224


def test_counts_of_requests_start_afresh_with_each_server(made: World) -> None:
    url = next(str(i.identifier) for i in made.items if i.behaviour == "flaky")
    for _ in range(2):
        with serve(made) as place:
            assert [get(place, url)[0] for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("form", FORMATS)
def test_every_file_format_decodes_upright(made: World, form: str) -> None:
    plain = Shot("organism", "Parus major", 3, size=(320, 240))
    data = render(Shot("organism", "Parus major", 3, size=(320, 240), form=form), made.looks)
    assert data != render(plain, made.looks)
    assert pixels.decode(data).image.size == (320, 240)


def test_sisters_look_alike_and_a_control_world_breaks_the_tie(made: World) -> None:
    control = plan(Sample(inherited=False)).looks

    def apart(looks: Any, one: str, other: str) -> float:
        names = ("aspect", "hue", "sat", "beak", "eye", "tail", "head", "wing", "crest")
        gaps: list[float] = [abs(getattr(looks[one], n) - getattr(looks[other], n)) for n in names]
        return sum(gaps) / len(gaps)

    pairs = [("Parus major", "Parus minor"), ("Quercus robur", "Quercus petraea"),
             ("Panthera leo", "Panthera tigris"), ("Corvus corax", "Corvus corone")]  # fmt: skip
    inherited = sum(apart(made.looks, *pair) for pair in pairs)
    assert inherited < 0.7 * sum(apart(control, *pair) for pair in pairs)


def test_scores_count_right_labels_wrong_labels_and_missing_ones(
    folder: Path, tmp_path: Path
) -> None:
    truth = folder / "truth.parquet"
    lineages = {one.species: one.lineage for one in ALL_SPECIES}
    planted = [row for row in pq.read_table(truth).to_pylist() if row["species"]]
    rows = []
    for i, row in enumerate(planted):
        ranks = dict(zip(RANKS, lineages[row["species"]], strict=True))
        if i < 10:
            ranks["genus"] = "Wrong"
        elif i < 30:
            ranks = {}
        names = {k: row[k] for k in ("source", "source_id", "identifier")}
        rows.append({"uuid": str(i), **names, **ranks})
    catalog, rejects = tmp_path / "catalog.parquet", tmp_path / "rejects.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.CATALOG.schema), catalog)
    pq.write_table(schema.REJECTS.empty(), rejects)
    con = sql.connect()
    scores = score(con, truth=truth, catalog=[catalog], rejects=[rejects])
    con.close()
    resolvable = [row["resolvable"] for row in planted]
    resolution = scores[0]
    assert resolution.precision == pytest.approx(1 - 10 / (len(planted) - 20))
    assert resolution.n == sum(resolvable)
    assert resolution.recall == pytest.approx(sum(resolvable[30:]) / sum(resolvable))
    assert {s.name: s.recall for s in scores[1:]}["closed licences"] == 0.0


def test_an_empty_build_has_no_scores(folder: Path, tmp_path: Path) -> None:
    catalog, rejects = tmp_path / "catalog.parquet", tmp_path / "rejects.parquet"
    pq.write_table(schema.CATALOG.empty(), catalog)
    pq.write_table(schema.REJECTS.empty(), rejects)
    con = sql.connect()
    scores = score(con, truth=folder / "truth.parquet", catalog=[catalog], rejects=[rejects])
    con.close()
    assert scores[0] == Score("resolution", None, None, 0)
    assert all(one.precision is None and one.recall is None for one in scores)
