"""Every published row says under which licence, or why under none; what asks for credit has it, or stays out."""

import pyarrow.parquet as pq

from catalog.licence import may_redistribute, needs_credit


def read(folder, pattern, columns=None):
    return [
        row
        for path in sorted(folder.glob(pattern))
        for row in pq.read_table(path, columns=columns).to_pylist()
    ]


RIGHTS = [
    "uuid",
    "license",
    "license_status",
    "license_verbatim",
    "creator",
    "rightsHolder",
    "attribution",
]


def test_every_picture_in_the_data_may_be_there_and_credits_who_asks_for_it(sample):
    rows = read(sample, "data/v1/*/*.parquet", RIGHTS)
    n_credited = 0
    for row in rows:
        assert may_redistribute(
            row["license"], row["license_status"], row["license_verbatim"], False
        ), row
        assert row["license"] or (row["license_status"] == "open" and row["license_verbatim"]), (
            "null says why"
        )
        if needs_credit(row["license"], row["license_verbatim"]):
            who = row["creator"] or row["rightsHolder"]
            assert who and row["attribution"].startswith(who), row
            assert (row["license"] or row["license_verbatim"]) in row["attribution"], (
                "the licence stands in the credit"
            )
            n_credited += 1
    assert len(rows) > 250 and n_credited > 150


def test_what_is_known_but_not_shipped_has_its_reason(sample):
    reasons = {}
    for row in read(
        sample, "metadata/v1/rejects-*.parquet", ["uuid", "reject_reason", "license_status"]
    ):
        reasons.setdefault(row["uuid"], row["reject_reason"])
    shipped = {row["uuid"] for row in read(sample, "data/v1/*/*.parquet", ["uuid"])}
    catalog = read(sample, "metadata/v1/catalog-*.parquet", [*RIGHTS, "keep"])
    for row in catalog:
        assert row["keep"] == (row["uuid"] in shipped)
        assert row["license_status"] in ("open", "nc", "nd", "reserved", "unknown")
        assert row["license"] or row["license_status"] in ("open", "reserved", "unknown"), row
        if not row["keep"]:
            assert reasons[row["uuid"]], row["uuid"]
    closed = [row for row in catalog if row["license_status"] != "open"]
    assert len(closed) > 20 and not any(row["keep"] for row in closed)


def test_credit_that_is_missing_keeps_a_picture_out_thumbnail_and_all(sample):
    gone = {row["uuid"] for row in read(sample, "metadata/v1/rejects-*.parquet", ["uuid", "reject_reason"])
            if row["reject_reason"] == "attribution_missing"}  # fmt: skip
    shown = {row["uuid"] for row in read(sample, "metadata/v1/thumbnails-*.parquet", ["uuid"])}
    shown |= {row["uuid"] for row in read(sample, "data/v1/*/*.parquet", ["uuid"])}
    assert gone and not gone & shown
