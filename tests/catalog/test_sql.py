"""One door to DuckDB: limits are checked, values are bound, and an error says which query failed."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import sql


@pytest.mark.parametrize("how", ["rows", "table", "copy_to"])
def test_an_error_carries_the_query_and_its_parameters(con, tmp_path, how):
    query = sql.query(con, "select nonsense from t where x = $x", {"x": 42}, t=pa.table({"x": [1]}))
    with pytest.raises(duckdb.Error) as caught:
        query.copy_to(tmp_path / "o") if how == "copy_to" else getattr(query, how)()
    (note,) = caught.value.__notes__
    assert "select nonsense from t where x = $x" in note
    assert "42" in note


def test_an_error_over_a_file_that_is_gone_carries_the_query(con, tmp_path):
    with pytest.raises(duckdb.Error) as caught:
        sql.query(con, "select * from t", t=tmp_path / "none.parquet").rows()
    assert "select * from t" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "limit", ["nonsense", "", "GB", "4", "4 XB", "lots of GB", "'; drop table x"]
)
def test_a_memory_limit_that_is_no_size_is_the_users_error(limit):
    with pytest.raises(ValueError, match=r"memory_limit .* is not a size such as '4GB'"):
        sql.connect(memory_limit=limit)


def test_limits_are_those_asked_for(tmp_path):
    con = sql.connect(memory_limit="300MB", threads=1, spill_dir=tmp_path / "it's here")
    text = "select current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
    memory, threads, spill = con.execute(text).fetchone()
    assert (memory, threads, spill) == ("286.1 MiB", 1, str(tmp_path / "it's here"))


def test_work_larger_than_memory_spills(tmp_path):
    con = sql.connect(memory_limit="64MB", threads=1, spill_dir=tmp_path / "spill")
    text = "select md5(i::varchar) as h from range(600000) t(i) order by h"
    assert sql.query(con, text).copy_to(tmp_path / "o.parquet") == 600_000
    column = pq.read_table(tmp_path / "o.parquet").column("h").to_pylist()
    assert column == sorted(column)


def test_values_are_bound_and_unused_ones_are_left_out(con):
    text = "select $a as a, $ab as ab"
    params = {"a": "'; drop", "ab": "x", "unused": 1}
    assert sql.query(con, text, params).rows() == [("'; drop", "x")]
    assert sql.query(con, "select 1", params).scalar() == 1


def test_paths_with_quotes_spaces_and_wildcards_are_read_and_written(con, tmp_path):
    folder = tmp_path / "it's [a] *?"
    folder.mkdir()
    query = sql.query(con, "select x from t order by x", t=pa.table({"x": [2, 1]}))
    assert query.copy_to(folder / "o.parquet") == 2
    assert sql.query(con, "select * from t", t=folder / "o.parquet").rows() == [(1,), (2,)]


def test_inputs_are_tables_files_or_many_files_and_names_may_be_used_again(con, tmp_path):
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for i, path in enumerate(paths):
        pq.write_table(pa.table({"x": [i]}), path)
    for given, n_rows in ((paths, 2), (pa.table({"x": [1, 2, 3]}), 3), (paths[0], 1)):
        assert sql.query(con, "select count(*) from t", t=given).scalar() == n_rows


def test_batches_keep_the_order_of_the_query(con):
    query = sql.query(con, "select i from range(5000) t(i) order by i desc")
    batches = list(query.batches(1000))
    assert len(batches) > 1
    assert [x for b in batches for x in b.column("i").to_pylist()] == list(range(4999, -1, -1))


def test_lines_are_split_and_numbered_after_their_header(con, tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text('h1\th2\na\t"b\n\tc\n', encoding="utf-8")
    query = sql.query(con, "select source_row, fields from t", t=sql.Lines(path, "\t", 1))
    assert query.rows() == [(1, ["a", '"b']), (2, ["", "c"])]
