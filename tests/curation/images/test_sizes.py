"""Which rendition is asked for."""

import pytest

from curation.images import sizes

INAT = "https://inaturalist-open-data.s3.amazonaws.com/photos/12/{}.jpeg"
IIIF = "https://iiif.example.org/image/9/full/{}/0/default.jpg"
FLICKR = "https://live.staticflickr.com/65535/123_abc{}.jpg"


@pytest.mark.parametrize(
    ("address", "size", "expected"),
    [
        (INAT.format("original"), "medium", INAT.format("medium")),
        (INAT.format("square"), "large", INAT.format("large")),
        (INAT.format("medium"), "original", INAT.format("original")),
        (INAT.format("original"), "as_given", INAT.format("original")),
        (IIIF.format("max"), "medium", IIIF.format("!500,500")),
        (IIIF.format("full"), "large", IIIF.format("!1024,1024")),
        (IIIF.format("max"), "original", IIIF.format("max")),
        (FLICKR.format("_z"), "medium", FLICKR.format("")),
        (FLICKR.format("_o"), "medium", FLICKR.format("_o")), (FLICKR.format("_k"), "large", FLICKR.format("_k")),
        (FLICKR.format(""), "large", FLICKR.format("_b")),
        ("https://other.example.org/photos/12/original.jpg", "medium",
         "https://other.example.org/photos/12/original.jpg"),
        ("https://evil.example.org/inaturalist/photos/12/original.jpg", "medium",
         "https://evil.example.org/inaturalist/photos/12/original.jpg"),
        ("folder/original.jpg", "medium", "folder/original.jpg"),
    ],
)  # fmt: skip
def test_the_size_asked_for_is_the_one_the_server_offers(con, address, size, expected):
    con.execute(sizes.MACROS)
    assert (
        con.execute("select sized_address($a, $s)", {"a": address, "s": size}).fetchone()[0]
        == expected
    )
