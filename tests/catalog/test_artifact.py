"""Stage outputs: present means whole; addresses say what made them; one build at a time."""

import json
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import artifact, schema

GIVEN = {"stage": "media", "version": 1, "params": {"a": 1, "b": [1, 2]}, "inputs": ["x", "y"]}


def make(root, key="k" * 32, text="words", **files):
    """One artifact with a text file."""
    with artifact.making(root, "media", key) as folder:
        (folder / "a.txt").write_text(text)
        for name, table in files.items():
            pq.write_table(table, folder / f"{name}.parquet")
        return artifact.commit(
            root, "media", key, folder, identity={"version": 1}, counts={"rows": 3}
        )


@pytest.mark.parametrize(
    "change", [{"stage": "label"}, {"version": 2}, {"params": {"a": 2, "b": [1, 2]}},
               {"params": {"a": 1, "b": [2, 1]}}, {"params": {"a": "1", "b": [1, 2]}}, {"params": {}},
               {"inputs": ["y", "x"]}, {"inputs": ["x"]}, {"inputs": ["xy"]}, {"inputs": []}])  # fmt: skip
def test_the_address_changes_with_every_ingredient(change):
    assert artifact.address(**GIVEN) != artifact.address(**{**GIVEN, **change})


def test_the_address_does_not_change_with_the_order_of_parameters_or_the_kind_of_sequence():
    turned = {**GIVEN, "params": {"b": (1, 2), "a": 1}, "inputs": ("x", "y")}
    assert artifact.address(**GIVEN) == artifact.address(**turned)
    assert artifact.address("media", 1, {}, []) == "023b9ad749a77877cefdac5098f4bb35"


def test_what_was_made_is_found_whole_and_described(tmp_path):
    made = make(tmp_path, part=pa.table({"x": [1, 2]}))
    found = artifact.find(tmp_path, "media", made.address)
    assert found == made
    assert [p.name for p in found.paths] == ["part.parquet"]
    assert found.path("a.txt").read_text() == "words"
    assert found.counts == {"rows": 3}
    text, table = found.manifest["files"]
    assert (text["bytes"], text["sha256"]) == (5, artifact.file_sha256(found.path("a.txt")))
    assert table["rows"] == 2
    assert artifact.find(tmp_path, "media", "other") is None
    assert artifact.find(tmp_path, "label", made.address) is None


def test_equal_work_leaves_equal_bytes(tmp_path):
    one, two = make(tmp_path / "1"), make(tmp_path / "2")
    texts = [(a.dir / artifact.MANIFEST).read_bytes() for a in (one, two)]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["stage"] == "media"


def test_a_folder_without_a_manifest_is_no_artifact_and_is_replaced(tmp_path):
    half = tmp_path / "media" / ("k" * 32)
    half.mkdir(parents=True)
    (half / "old.txt").write_text("half")
    assert artifact.find(tmp_path, "media", "k" * 32) is None
    made = make(tmp_path)
    assert sorted(p.name for p in made.dir.iterdir()) == ["a.txt", "manifest.json"]


def test_work_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), artifact.making(tmp_path, "media", "k") as folder:
        (folder / "a.txt").write_text("half")
        raise RuntimeError
    assert not list((tmp_path / "media").iterdir())


@pytest.mark.parametrize("at", ["files", "manifest"])
def test_a_build_killed_before_the_rename_leaves_debris_that_heals(tmp_path, at):
    write = "(f / 'manifest.json').write_text('{}')" if at == "manifest" else "None"
    code = f"""
import os, pathlib
from catalog import artifact
root = pathlib.Path({str(tmp_path)!r})
with artifact.making(root, "media", "k") as f:
    (f / "a.txt").write_text("half")
    {write}
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=_root()).returncode == 9
    assert list((tmp_path / "media").iterdir())
    assert artifact.find(tmp_path, "media", "k") is None
    assert artifact.heal(tmp_path) == 1
    assert not list((tmp_path / "media").iterdir())
    assert artifact.heal(tmp_path) == 0


def test_healing_removes_unfinished_store_files_and_nothing_else(tmp_path):
    made = make(tmp_path)
    blob, ledger = tmp_path / "store" / "blob", tmp_path / "store" / "fetch"
    (blob / "ab" / "cd").mkdir(parents=True)
    ledger.mkdir()
    kept = [blob / "ab" / "cd" / "abcd", ledger / "00000000.parquet"]
    debris = [blob / ".tmp-1-2-abcd", ledger / ".tmp-1-0.parquet", tmp_path / "store" / ".tmp-1-x"]
    for path in [*kept, *debris]:
        path.write_text("x")
    assert artifact.heal(tmp_path) == len(debris)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in debris)
    assert artifact.find(tmp_path, "media", made.address) == made


def _root():
    from pathlib import Path

    return Path(artifact.__file__).parent.parent


def test_a_second_build_on_one_root_is_refused_until_the_first_is_done(tmp_path):
    with artifact.locked(tmp_path / "root"):
        with pytest.raises(ValueError, match=r"another build is using .*root; wait .* --root"):
            artifact.locked(tmp_path / "root").__enter__()
        with artifact.locked(tmp_path / "elsewhere"):
            pass
    with artifact.locked(tmp_path / "root"):
        pass


def _row(**changes):
    row = {"uuid": "u", "decimalLatitude": 1.0, "decimalLongitude": 2.0,
           "coordinateUncertaintyInMeters": None, "geoprivacy": "p"}  # fmt: skip
    return {**row, **changes}


def test_a_checked_table_has_its_columns_and_gives_its_rows(tmp_path):
    pq.write_table(
        pa.Table.from_pylist([_row()] * 3, schema=schema.GEOPRIVACY.schema), tmp_path / "t"
    )
    assert artifact.check(tmp_path / "t", schema.GEOPRIVACY) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop_columns(["decimalLatitude"]), "decimalLatitude: missing for double"),
        (lambda t: t.set_column(1, "decimalLatitude", pa.array(["1"])), "decimalLatitude: string for double"),
        (lambda t: t.append_column("more", pa.array([1])), r"unknown columns \['more'\]"),
        (lambda t: t.select(list(reversed(t.column_names))), "columns in another order"),
    ],
)  # fmt: skip
def test_a_wrong_column_is_named(tmp_path, change, said):
    table = pa.Table.from_pylist([_row()], schema=schema.GEOPRIVACY.schema)
    pq.write_table(change(table), tmp_path / "t")
    with pytest.raises(AssertionError, match=f"geoprivacy: .*{said}"):
        artifact.check(tmp_path / "t", schema.GEOPRIVACY)


def test_many_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    data, failed = b"x" * 300_000, []

    def write():
        try:
            for _ in range(30):
                artifact.write_atomically(tmp_path / "f", data)
                assert (tmp_path / "f").read_bytes() == data
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
