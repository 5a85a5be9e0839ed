"""What was paid for is kept once, found again, and never believed when it is damaged."""

import pyarrow as pa
import pytest

from catalog import artifact, sql
from curation import store
from curation.steps.fetching import NEWEST_SQL

FIELDS = pa.schema([("url", pa.string()), ("n", pa.int32())])


def table(*rows):
    return pa.Table.from_pylist([{"url": u, "n": n} for u, n in rows], schema=FIELDS)


def newest(con, ledger):
    rows = sql.query(con, NEWEST_SQL, ledger=ledger.input()).table().to_pylist()
    return {row["url"]: row["n"] for row in rows}


PICTURE_MD5 = "5456fc54c74a297ce994998c2873b370"


def packed(folder, *pieces):
    with store.Pack(folder) as pack:
        offsets = [pack.add(piece) for piece in pieces]
        pack.close("ab12")
    return offsets


def test_bytes_come_back_from_their_place_in_a_pack(tmp_path):
    offsets = packed(tmp_path, b"other", b"picture", b"")
    packs = store.Packs(tmp_path)
    assert offsets == [0, 5, 12]
    assert packs.get("ab12", 5, 7, PICTURE_MD5) == b"picture"
    assert packs.names().to_pylist() == [{"pack": "ab12"}]
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [packs.path("ab12")]
    with pytest.raises(FileNotFoundError):
        packs.get("ab13", 5, 7, PICTURE_MD5)


@pytest.mark.parametrize("damage", [b"", b"otherpictur", b"otherPicture"])
def test_a_damaged_pack_is_removed_and_never_believed(tmp_path, damage):
    packed(tmp_path, b"other", b"picture")
    packs = store.Packs(tmp_path)
    packs.path("ab12").write_bytes(damage)
    with pytest.raises(FileNotFoundError, match="was damaged"):
        packs.get("ab12", 5, 7, PICTURE_MD5)
    assert not packs.names().num_rows


def test_a_pack_half_written_by_a_killed_run_is_healed(tmp_path, monkeypatch):
    monkeypatch.setattr("curation.store.os.replace", _killed)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        packed(tmp_path / "store" / "fetched", b"picture")
    monkeypatch.undo()
    assert not store.Packs(tmp_path / "store" / "fetched").names().num_rows
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


def test_many_small_parts_of_facts_become_few_and_say_the_same(con, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_MERGED", 50)
    ledger = store.Ledger(tmp_path / "l", FIELDS)
    for i in range(store.MAX_PARTS + 40):
        ledger.put(f"{i:04x}", table((f"u{i}", i)))
    before = sql.query(con, "select url, n from ledger order by url", ledger=ledger.input()).rows()
    ledger.gather(con)
    assert len(ledger.parts) == 3
    assert (
        sql.query(con, "select url, n from ledger order by url", ledger=ledger.input()).rows()
        == before
    )
    ledger.gather(con)
    assert len(ledger.parts) == 3, "not before there are many"
