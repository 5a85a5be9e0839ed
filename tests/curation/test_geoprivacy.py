"""Coordinates are published as their publisher gave them, and impossible ones not at all."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema
from curation.geoprivacy import geoprivacy

P = "as-published/1:"


def published(con, tmp_path, *rows):
    """Published rows by uuid; places are (latitude, longitude, radius) or more."""
    path = tmp_path / "media.parquet"
    names = ("decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters",
             "dataGeneralizations", "informationWithheld", "reject_reason")  # fmt: skip
    made = [{"uuid": f"u{i}", **dict(zip(names, row, strict=False))} for i, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(made[::-1], schema=schema.MEDIA.schema), path)
    found = geoprivacy(con, media=path, policy="as-published/1").table()
    assert found.schema.equals(schema.GEOPRIVACY.schema)
    ids = found.column("uuid").to_pylist()
    assert ids == sorted(set(ids))
    return {row["uuid"]: tuple(row.values())[1:5] for row in found.to_pylist()}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((45.123456, -7.5, 30.0), (45.123456, -7.5, 30.0, P + "unchanged")),
        ((45.0, 7.0, None), (45.0, 7.0, None, P + "unchanged")),
        ((0.0, 7.0, 0.0), (0.0, 7.0, 0.0, P + "unchanged")),
        ((-90.0, 180.0, 1.0), (-90.0, 180.0, 1.0, P + "unchanged")),
        ((45.0, 7.0, 28000.0, "rounded"), (45.0, 7.0, 28000.0, P + "generalised_by_publisher")),
        ((45.0, 7.0, 9.0, None, "nest"), (45.0, 7.0, 9.0, P + "generalised_by_publisher")),
        ((45.0, 7.0, -1.0), (45.0, 7.0, None, P + "unchanged")),
        ((45.0, 7.0, float("nan")), (45.0, 7.0, None, P + "unchanged")),
        ((45.0, 7.0, float("inf")), (45.0, 7.0, None, P + "unchanged")),
        ((0.0, 0.0, 5.0), (None, None, None, P + "impossible_dropped")),
        ((90.1, 7.0, 5.0), (None, None, None, P + "impossible_dropped")),
        ((45.0, -180.1, 5.0, "rounded"), (None, None, None, P + "impossible_dropped")),
        ((float("nan"), 7.0, 5.0), (None, None, None, P + "impossible_dropped")),
        ((45.0, float("inf"), 5.0), (None, None, None, P + "impossible_dropped")),
    ],
)  # fmt: skip
def test_a_place_is_passed_on_with_what_was_done_to_it(con, tmp_path, row, expected):
    assert published(con, tmp_path, row) == {"u0": expected}


def test_only_pictures_with_both_coordinates_that_were_not_refused_have_a_row(con, tmp_path):
    rows = [
        (1.0, 2.0),
        (1.0, None),
        (None, 2.0),
        (),
        (1.0, 2.0, None, None, None, "absent"),
        (3.0, 4.0),
    ]
    assert list(published(con, tmp_path, *rows)) == ["u0", "u5"]


def test_an_unknown_policy_is_the_users_error(con, tmp_path):
    with pytest.raises(ValueError, match="policy 'blur' is unknown; choose one of as-published/1"):
        geoprivacy(con, media=tmp_path / "none", policy="blur")
