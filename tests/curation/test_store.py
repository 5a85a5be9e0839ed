"""What was paid for is kept once, found again, and never believed when it is damaged."""

import pyarrow as pa
import pytest

from catalog import artifact, sql
from curation import store
from curation.picture_steps import NEWEST_SQL

FIELDS = pa.schema([("url", pa.string()), ("n", pa.int32())])


def table(*rows):
    return pa.Table.from_pylist([{"url": u, "n": n} for u, n in rows], schema=FIELDS)


def newest(con, ledger):
    rows = sql.query(con, NEWEST_SQL, ledger=ledger.input()).table().to_pylist()
    return {row["url"]: row["n"] for row in rows}


def test_bytes_come_back_by_their_md5_and_are_kept_once(tmp_path):
    blobs = store.Blobs(tmp_path)
    md5 = blobs.put(b"picture")
    assert md5 == blobs.put(b"picture") == "5456fc54c74a297ce994998c2873b370"
    assert blobs.get(md5) == b"picture"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [blobs.path(md5)]
    with pytest.raises(FileNotFoundError):
        blobs.get("0" * 32)


@pytest.mark.parametrize("damage", [b"", b"pictur", b"pictures"])
def test_damaged_bytes_are_removed_and_can_be_put_again(tmp_path, damage):
    blobs = store.Blobs(tmp_path)
    md5 = blobs.put(b"picture")
    blobs.path(md5).write_bytes(damage)
    with pytest.raises(FileNotFoundError, match="was damaged"):
        blobs.get(md5)
    assert not blobs.path(md5).exists()
    assert blobs.get(blobs.put(b"picture")) == b"picture"


def test_bytes_half_written_by_a_killed_run_are_healed(tmp_path, monkeypatch):
    blobs = store.Blobs(tmp_path / "store" / "blob")
    monkeypatch.setattr("catalog.artifact.os.replace", _killed)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        blobs.put(b"picture")
    monkeypatch.undo()
    assert artifact.heal(tmp_path) == 1
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def _killed(*_):
    raise KeyboardInterrupt


def test_the_last_row_of_a_key_holds(con, tmp_path):
    ledger = store.Ledger(tmp_path / "l", FIELDS)
    assert newest(con, ledger) == {}
    ledger.append(table())
    assert ledger.parts == [], "no rows, no part"
    ledger.append(table(("a", 1), ("b", 1)))
    ledger.append(table(("a", 2), ("c", 2)))
    assert newest(con, ledger) == {"a": 2, "b": 1, "c": 2}
    assert [p.name for p in ledger.parts] == ["00000000.parquet", "00000001.parquet"]


def test_columns_are_put_in_order_and_extra_ones_left_out(con, tmp_path):
    ledger = store.Ledger(tmp_path / "l", FIELDS)
    ledger.append(pa.table({"n": [1], "more": ["x"], "url": ["a"]}))
    assert newest(con, ledger) == {"a": 1}


def test_facts_put_twice_under_one_name_are_there_once(tmp_path):
    ledger = store.Ledger(tmp_path / "l", FIELDS)
    for _ in range(2):
        ledger.put("ab12", table(("a", 1)))
    assert [p.name for p in ledger.parts] == ["ab12.parquet"]


@pytest.mark.parametrize("n_left", [0, 1, 20])
def test_many_parts_become_one_and_say_the_same_even_after_a_crash(
    con, tmp_path, monkeypatch, n_left
):
    ledger = store.Ledger(tmp_path / "l", FIELDS)
    for i in range(store.MAX_PARTS):
        ledger.append(table((f"u{i % 7}", i), (f"v{i}", i)))
    ledger.compact(con, NEWEST_SQL)
    assert len(ledger.parts) == store.MAX_PARTS, "not before there are many"
    ledger.append(table(("u0", 999)))
    before, old = newest(con, ledger), {p: p.read_bytes() for p in ledger.parts}
    ledger.compact(con, NEWEST_SQL)
    assert len(ledger.parts) == 1
    for path in list(old)[:n_left]:  # a crash came before these were removed
        path.write_bytes(old[path])
    assert newest(con, ledger) == before
    ledger.append(table(("u1", 1000)))
    assert newest(con, ledger) == {**before, "u1": 1000}


def test_unfinished_parts_are_not_read(con, tmp_path):
    ledger = store.Ledger(tmp_path / "store" / "l", FIELDS)
    ledger.append(table(("a", 1)))
    (ledger.dir / ".tmp-1-00000001.parquet").write_bytes(b"PAR1half")
    assert newest(con, ledger) == {"a": 1}
    assert artifact.heal(tmp_path) == 1
