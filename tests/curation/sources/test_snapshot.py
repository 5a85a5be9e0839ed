"""GBIF's parquet occurrences, in a folder and in an object store."""

import socket

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from catalog import sql
from curation.sources import snapshot
from curation.sources.gbif import gbif
from tests.archives import folder, reasons, rows, tsv

ARRAY = pa.list_(pa.struct([("array_element", pa.string())]))


def array(*values):
    return pa.array(
        [None if v is None else [{"array_element": e} for e in v] for v in values], ARRAY
    )


OCCURRENCES = pa.table(
    {
        "gbifid": ["1", "2", "3", "4"],
        "datasetkey": ["d"] * 4,
        "kingdom": ["Animalia", "Plantae", "Fungi", "Animalia"],
        "class": ["Aves", None, None, "US"],
        "scientificname": ["Apus", "Abies", "Amanita", "Bos"],
        "taxonrank": ["GENUS"] * 4,
        "taxonkey": ["10", "20", "30", "40"],
        "basisofrecord": ["HUMAN_OBSERVATION"] * 4,
        "occurrencestatus": ["PRESENT", "ABSENT", "PRESENT", "PRESENT"],
        "decimallatitude": pa.array([45.5, None, 1.0, 2.0]),
        "eventdate": pa.array([0, None, 1, 2], pa.timestamp("ms")),
        "recordedby": array(["Ann", "Bob"], None, [], [None, "Cid"]),
        "mediatype": array(["StillImage"], ["StillImage", "Sound"], ["Sound"], None),
        "issue": array(["COORDINATE_ROUNDED"], [], None, []),
    }
)
MEDIA = tsv(
    "gbifID type format identifier license",
    *(f"{i} StillImage image/jpeg http://x/{i}.jpg CC0" for i in (1, 1, 2, 3, 4, 9)),
)
EXPECTED = [None, None, "absent", "no_occurrence", "shifted_columns", "no_occurrence"]


def beside(tmp_path):
    return folder(tmp_path, {"multimedia.txt": MEDIA}) / "multimedia.txt"


def read(tmp_path, path):
    query = gbif(
        sql.connect(),
        archive="a",
        path=path,
        work_dir=tmp_path / "work",
        multimedia=beside(tmp_path),
    )
    return rows(query)


def written(path, table=OCCURRENCES):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (("one.parquet",), "one.parquet"),
        (("a/1.parquet", "a/2.parquet"), "a"),
        (("occurrence.parquet/000000", "occurrence.parquet/000001"), "occurrence.parquet"),
        (("2025-08-01/occurrence.parquet/000000",), "2025-08-01"),
    ],
)
def test_a_snapshot_is_joined_with_the_media_table_beside_it(tmp_path, files, named):
    for i, name in enumerate(files):
        written(tmp_path / name, OCCURRENCES.slice(i * 2, 2 if len(files) > 1 else 4))
    assert snapshot.is_snapshot(tmp_path / named)
    found = read(tmp_path, tmp_path / named)
    assert [row["reject_reason"] for row in found] == EXPECTED
    wanted = {
        "kingdom": "Animalia", "class": "Aves", "verbatimScientificName": "Apus", "taxonRank": "genus",
        "taxonKey": "10", "decimalLatitude": 45.5, "recordedBy": "Ann|Bob", "datasetKey": "d",
        "license_verbatim": "CC0",
    }  # fmt: skip
    assert {name: found[0][name] for name in wanted} == wanted
    assert found[0]["eventDate"].startswith("1970-01-01")
    assert found[4]["recordedBy"] == "Cid"


def test_plain_arrays_numeric_keys_and_missing_columns_are_read_too(tmp_path):
    table = pa.table(
        {"GBIFID": pa.array([1, 2], pa.int64()), "RecordedBy": pa.array([["Ann", None], None])}
    )
    found = read(tmp_path, written(tmp_path / "s.parquet", table))
    assert (found[0]["reject_reason"], found[0]["recordedBy"], found[0]["kingdom"]) == (
        None,
        "Ann",
        None,
    )
    assert len(found) == 6


def test_a_snapshot_without_its_media_table_is_refused(tmp_path):
    path = written(tmp_path / "s.parquet")
    with pytest.raises(ValueError, match="name the media table beside it"):
        gbif(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all", None])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, content):
    path = written(tmp_path / "s" / "1.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match="parquet"):
        read(tmp_path, path.parent)


def test_a_damaged_column_is_refused_when_it_is_read(tmp_path):
    path = written(tmp_path / "s.parquet")
    data = bytearray(path.read_bytes())
    data[8:400] = bytes(392)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"s\.parquet"):
        read(tmp_path, path)


def test_another_parquet_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no gbifid column; is this a GBIF occurrence snapshot"):
        read(tmp_path, written(tmp_path / "s.parquet", pa.table({"a": [1]})))


@pytest.mark.parametrize("address", ["nowhere://bucket/key", "://"])
def test_an_address_that_cannot_be_opened_is_named(tmp_path, address):
    with pytest.raises(ValueError, match=r"pyarrow cannot open this address|no readable parquet"):
        snapshot.occurrence(sql.connect(), address, tmp_path)


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The query part of an s3 address on a local server that holds a bucket with the snapshot."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed: no local S3")
    with socket.socket() as free, pytest.MonkeyPatch.context() as env:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            env.setenv(name, "testing")
        env.setenv("AWS_EC2_METADATA_DISABLED", "true")
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        running.start()
        where = f"endpoint_override=127.0.0.1:{port}&scheme=http&allow_bucket_creation=true"
        try:
            store, _ = pyarrow.fs.FileSystem.from_uri(f"s3://gbif-open-data?{where}")
            store.create_dir("gbif-open-data")
            for i in range(2):
                with store.open_output_stream(f"gbif-open-data/occurrence.parquet/{i:06}") as out:
                    pq.write_table(OCCURRENCES.slice(i * 2, 2), out)
            yield where
        finally:
            running.stop()


def test_a_snapshot_is_read_from_an_object_store(tmp_path, s3):
    found = read(tmp_path, f"s3://gbif-open-data/occurrence.parquet?{s3}")
    assert [row["reject_reason"] for row in found] == EXPECTED
    assert reasons(found)[None] == 2


@pytest.mark.parametrize("place", ["gbif-open-data/nowhere", "no-such-bucket/occurrence.parquet"])
def test_a_missing_place_in_an_object_store_is_named(tmp_path, s3, place):
    with pytest.raises(ValueError, match="no readable parquet there"):
        read(tmp_path, f"s3://{place}?{s3}")
