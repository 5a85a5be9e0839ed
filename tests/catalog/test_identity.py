"""Who a picture is: canonical addresses, and ids that must never change."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import identity, schema, sql

CON = sql.connect()


def canonical(address):
    return CON.execute("select canonical_url($a)", {"a": address}).fetchone()[0]


def test_the_namespace_and_the_ids_made_in_it_are_frozen():
    assert str(schema.NS) == "a3c1f0c2-7a55-5c39-9d0e-6f6d1c8e2b40"
    golden = identity.picture_uuid("gbif", "1", "http://example.org/a.jpg", "")
    assert golden == "4d2d4749-7412-5999-8032-b982d0c30584"
    assert (
        identity.picture_uuid("fathomnet", "b", "http://example.org/a.jpg", "1,2,3,4")
        == "b5cfd7e0-3297-5fdf-964c-17a02700b71e"
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT, TEXT, st.none() | TEXT)
def test_the_uuid_in_sql_is_that_of_python(source, key, url, crop):
    text = "select picture_uuid($s, $k, $u, $c)"
    (found,) = CON.execute(text, {"s": source, "k": key, "u": url, "c": crop}).fetchone()
    assert found == identity.picture_uuid(source, key, url, crop or "")
    assert uuid.UUID(found).version == 5
    assert uuid.UUID(found).variant == uuid.RFC_4122


def test_every_part_of_an_id_makes_a_difference():
    given_ = ("gbif", "1", "http://x/a", "1,2,3,4")
    ids = {identity.picture_uuid(*given_)} | {
        identity.picture_uuid(*(f"{p}9" if i == k else p for i, p in enumerate(given_)))
        for k in range(4)
    }
    assert len(ids) == 5
    assert identity.picture_uuid("gbif", "12", "3") != identity.picture_uuid("gbif", "1", "23")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (None, None), ("", None), (" \t\n\u00a0", None),
        ("  http://x.org/a.jpg\n", "http://x.org/a.jpg"),
        ("https://x.org/a.jpg", "http://x.org/a.jpg"),
        ("HTTPS://X.Org/A.JPG", "http://x.org/A.JPG"),
        ("http://x.org:80/a.jpg", "http://x.org/a.jpg"),
        ("https://x.org:443/a.jpg", "http://x.org/a.jpg"),
        ("https://x.org:443", "http://x.org"), ("http://x.org:80?a=1", "http://x.org?a=1"),
        ("http://x.org:8080/a.jpg", "http://x.org:8080/a.jpg"),
        ("http://x.org:8043/a.jpg", "http://x.org:8043/a.jpg"),
        ("http://x.org/a.jpg#top", "http://x.org/a.jpg"),
        ("http://x.org/a.jpg?B=C&d=e", "http://x.org/a.jpg?B=C&d=e"),
        ("http://x.org/http://Y.org:80/b", "http://x.org/http://Y.org:80/b"),
        ("pictures/A b.jpg", "pictures/A b.jpg"), ("ftp://X.org/a", "ftp://X.org/a"),
        # iNaturalist: every size is the original
        ("https://inaturalist-open-data.s3.amazonaws.com/photos/12/medium.jpeg",
         "http://inaturalist-open-data.s3.amazonaws.com/photos/12/original.jpeg"),
        ("https://static.inaturalist.org/photos/12/square.jpg?1545", "http://static.inaturalist.org/photos/12/original.jpg"),
        ("https://static.inaturalist.org/photos/12/original.jpg", "http://static.inaturalist.org/photos/12/original.jpg"),
        ("https://www.inaturalist.org/photos/12", "http://www.inaturalist.org/photos/12"),
        ("http://x.org/photos/12/medium.jpg", "http://x.org/photos/12/medium.jpg"),
        # IIIF: any size of the whole picture, not of a region or turned
        ("http://x.org/iiif/id/full/!400,400/0/default.jpg", "http://x.org/iiif/id/full/max/0/default.jpg"),
        ("http://x.org/iiif/id/full/full/0/default.jpg", "http://x.org/iiif/id/full/max/0/default.jpg"),
        ("http://x.org/iiif/id/10,10,5,5/max/0/default.jpg", "http://x.org/iiif/id/10,10,5,5/max/0/default.jpg"),
        ("http://x.org/iiif/id/full/max/90/default.jpg", "http://x.org/iiif/id/full/max/90/default.jpg"),
        # Flickr: the size suffix goes, the secret stays
        ("https://live.staticflickr.com/65535/123_ab12_b.jpg", "http://live.staticflickr.com/65535/123_ab12.jpg"),
        ("https://farm4.staticflickr.com/3/123_ab12.jpg", "http://farm4.staticflickr.com/3/123_ab12.jpg"),
        ("https://live.staticflickr.com/65535/123_ab12_o.jpg", "http://live.staticflickr.com/65535/123_ab12_o.jpg"),
        ("http://x.org/123_ab12_b.jpg", "http://x.org/123_ab12_b.jpg"),
        # MCZbase
        ("https://mczbase.mcz.harvard.edu/specimen_images/fish/thumbnails/1.jpg",
         "http://mczbase.mcz.harvard.edu/specimen_images/fish/large/1.jpg"),
    ],
)  # fmt: skip
def test_one_picture_has_one_canonical_address(address, expected):
    assert canonical(address) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["http://", "HTTPS://", "https://", ""]),
    st.sampled_from(["X.org", "x.org:80", "static.inaturalist.org", "live.staticflickr.com:443", "x.org:81"]),
    st.sampled_from(["/photos/1/medium.jpg", "/1/2_ab_b.jpg", "/i/full/90,/0/default.jpg", "/specimen_images/thumbnails/a"])
    | TEXT.map(lambda t: "/" + t),
)  # fmt: skip
def test_a_canonical_address_is_its_own_canonical_address(scheme, host, path):
    once = canonical(scheme + host + path)
    assert canonical(once) == once


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://static.inaturalist.org/photos/12/original.jpg", "inaturalist:12"),
        ("http://inaturalist-open-data.s3.amazonaws.com/photos/12/original.jpeg", "inaturalist:12"),
        ("http://live.staticflickr.com/65535/123_ab12.jpg", "flickr:123"),
        ("http://farm4.staticflickr.com/3/123_ab12_o.jpg", "flickr:123"),
        ("http://upload.wikimedia.org/wikipedia/commons/a/ab/Apus.jpg", "commons:Apus.jpg"),
        ("http://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/Apus.jpg/220px-Apus.jpg", "commons:Apus.jpg"),
        ("http://example.org/photos/12/original.jpg", None), (None, None),
    ],
)  # fmt: skip
def test_the_provider_of_a_copy_is_known_by_its_address(address, expected):
    assert CON.execute("select provider_key_of($a)", {"a": address}).fetchone()[0] == expected
