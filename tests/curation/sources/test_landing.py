"""Boxes and bytes: what is refused before it is read, and text as it comes out."""

import gzip
import io
import random
import tarfile
import time
import zipfile

import pytest

from catalog import sql
from curation.sources import boxes, landing
from curation.sources.boxes import open_box
from curation.sources.landing import Shape
from tests.archives import folder, zipped

TABS = Shape("UTF-8", "\t", "", "\n", 1)
QUOTED = Shape("UTF-8", ",", '"', "\n", 1)
NOISE = random.Random(0).randbytes(5000)


def landed(tmp_path, content, shape=TABS):
    """The fields of every row of one table that lies in a folder as `content`."""
    box = open_box(folder(tmp_path / "in", {"t.txt": content}))
    text = landing.land(box, ["t.txt"], shape, tmp_path / "work")
    table = landing.table_input(text, shape, tmp_path / "work")
    query = "select source_row, fields from t order by source_row"
    found = sql.query(sql.connect(), query, t=table).rows()
    assert [row for row, _ in found] == list(range(1, len(found) + 1))
    return [fields for _, fields in found]


NO_ARCHIVES = {
    "text": b"this is no zip", "empty": b"", "zip magic only": b"PK\x03\x04 and then nothing",
    "gzip of text": gzip.compress(b"not a tar"), "cut gzip": gzip.compress(NOISE)[:3000],
    "bad gzip": b"\x1f\x8b\x08" + b"\0" * 7 + b"\xff" * 40, "bad bzip2": b"BZh9" + b"\0" * 40,
    "bad xz": b"\xfd7zXZ\0" + b"\0" * 40,
}  # fmt: skip


@pytest.mark.parametrize("what", NO_ARCHIVES)
def test_a_file_that_is_no_archive_is_refused(tmp_path, what):
    path = tmp_path / "box.zip"
    path.write_bytes(NO_ARCHIVES[what])
    with pytest.raises(ValueError, match="neither a folder nor a readable zip or tar"):
        open_box(path)


def test_a_missing_file_is_named_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.zip does not exist; check the path"):
        open_box(tmp_path / "nowhere.zip")


def test_a_truncated_zip_is_refused(tmp_path):
    whole = zipped(tmp_path / "whole.zip", {"t.txt": NOISE}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="neither a folder nor a readable zip"):
        open_box(tmp_path / "cut.zip")


@pytest.mark.parametrize("place", [60, 600, 2000])
def test_a_damaged_member_is_refused_when_it_is_read(tmp_path, place):
    data = bytearray(zipped(tmp_path / "a.zip", {"t.txt": NOISE.hex()}).read_bytes())
    data[place : place + 8] = bytes(255 - byte for byte in data[place : place + 8])
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.zip"):
        open_box(tmp_path / "a.zip").read_small("t.txt")


@pytest.mark.parametrize("place", [20, 400, -6])
def test_a_damaged_gzip_member_is_refused_when_it_is_read(tmp_path, place):
    data = bytearray(gzip.compress(NOISE.hex().encode()))
    data[place] ^= 255
    box = open_box(folder(tmp_path / "in", {"t.txt.gz": bytes(data)}))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        box.read_small("t.txt.gz")


EVIL = [
    "../evil.txt",
    "a/../../evil.txt",
    "/etc/evil.txt",
    "C:\\evil.txt",
    "..\\evil.txt",
    "\\evil",
]


@pytest.mark.parametrize("name", EVIL)
def test_a_member_that_leaves_its_archive_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="leaves the archive"):
        open_box(zipped(tmp_path / "slip.zip", {"meta.xml": "", name: "x"}))
    with tarfile.open(tmp_path / "slip.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match="leaves the archive"):
        open_box(tmp_path / "slip.tar.gz")


def test_a_link_in_an_archive_is_refused(tmp_path):
    info = zipfile.ZipInfo("t.txt")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as box:
        box.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match=r"t\.txt is a link"):
        open_box(tmp_path / "link.zip")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        link = tarfile.TarInfo("t.txt")
        link.type, link.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "link.tar", "w") as tar:
            tar.addfile(link)
        with pytest.raises(ValueError, match=r"t\.txt is a link"):
            open_box(tmp_path / "link.tar")


def test_a_link_in_a_folder_is_not_followed(tmp_path):
    box_dir = folder(tmp_path / "in", {"t.txt": "a\tb\n"})
    (tmp_path / "secret.txt").write_text("secret")
    (box_dir / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert open_box(box_dir).members == ("t.txt",)


def test_a_zip_member_out_of_proportion_is_refused_before_it_is_read(tmp_path):
    path = zipped(tmp_path / "bomb.zip", {"t.txt": b"0" * (65 * 2**20)})
    with pytest.raises(ValueError, match="refused as a zip bomb"):
        open_box(path)


def test_a_gzip_member_out_of_proportion_is_refused_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(boxes, "RATIO_FROM_BYTES", 2**20)
    bomb = b"0\n" * 2**21
    in_zip = zipped(tmp_path / "b.zip", {"t.txt.gz": gzip.compress(bomb)})
    for box in (folder(tmp_path / "in", {"t.txt.gz": gzip.compress(bomb)}), in_zip):
        with pytest.raises(ValueError, match="refused as a bomb"):
            landing.land(open_box(box), ["t.txt.gz"], TABS, tmp_path / "work")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("t.txt")
        info.size = len(bomb)
        tar.addfile(info, io.BytesIO(bomb))
    with pytest.raises(ValueError, match="refused as a bomb"):
        landing.land(open_box(tmp_path / "b.tar.gz"), ["t.txt"], TABS, tmp_path / "work")


def test_a_member_is_found_whatever_its_case_in_a_wrapping_folder_or_gzipped(tmp_path):
    box = open_box(zipped(tmp_path / "a.zip", {"Download/META.xml": "", "Download/x/meta.xml": "",
                                               "__MACOSX/._meta.xml": "", "Download/t.TXT.gz": ""}))  # fmt: skip
    assert box.find("meta.xml") == "Download/META.xml"
    assert box.find("t.txt") == "Download/t.TXT.gz"
    assert box.find("other.txt") is None


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"h\ti\n1\t2\n3\t4\n", [["1", "2"], ["3", "4"]]),
        (b"h\ti\n1\t2\n3\t4", [["1", "2"], ["3", "4"]]),
        (b"h\ti\r\n1\t2\r\n3\t4\r\n", [["1", "2"], ["3", "4"]]),
        (b"h\ti\r1\t2\r3\t4\r", [["1", "2"], ["3", "4"]]),
        (b"h\ti\n1\ta\rb\n", [["1", "a b"]]),
        (b"\xef\xbb\xbfh\ti\n1\t2\n", [["1", "2"]]),
        (b"\n\nh\ti\n\n\n1\t2\n\n\n", [["1", "2"]]),
        (b"h\ti\n1\t\x002\x00\n", [["1", "2"]]),
        (b"h\ti\n1\tB\xe9b\xe9\n", [["1", "B\ufffdb\ufffd"]]),
        (b"h\ti\n1\tcut \xc3", [["1", "cut \ufffd"]]),
        (b"h\ti\n1\t\x01x\n", [["1", " x"]]),
        ("h\ti\n1\ta\u2028b\x0bc\x85d\n".encode(), [["1", "a\u2028b\x0bc\x85d"]]),
        (b'h\ti\n1\t"a"b"\n', [["1", '"a"b"']]),
        (b"h\ti\n1\n1\t2\t3\n", [["1"], ["1", "2", "3"]]),
        (b"h\ti\n  \n", [["  "]]),
        (b"h\ti\n", []),
        (b"h\ti", []),
        (b"", []),
    ],
)  # fmt: skip
def test_every_line_becomes_one_row(tmp_path, content, rows):
    assert landed(tmp_path, content) == rows


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'h,i\n1,"a\nb"\n3,4\n', [["1", "a\nb"], ["3", "4"]]),
        (b'h,i\n1,"a\r\n\r\nb"\r\n3,4', [["1", "a\n\nb"], ["3", "4"]]),
        (b'h,i\n1,"say ""a"", b"\n', [["1", 'say "a", b']]),
        (b'h,i\n\n1,2\n\n', [["1", "2"]]),
        (b"h,i\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
        (b'h,i\n1,"a"b\n', [["1", "ab"]]),
        (b'h,i\n1,a"b\n2,c\n', [["1", 'a"b'], ["2", "c"]]),
        (b"\xef\xbb\xbfh,i\n1,\x002\n", [["1", "2"]]),
        (b"h,i\n", []),
        (b"", []),
    ],
)  # fmt: skip
def test_every_quoted_record_becomes_one_row(tmp_path, content, rows):
    assert landed(tmp_path, content, QUOTED) == rows


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'3,"a\n5,6\n7,8\n', [["3", "a"], ["5", "6"], ["7", "8"]]),
        (b'3,"a\n5,6\n7,"b"\n', [["3", "a"], ["5", "6"], ["7", "b"]]),
        (b'3,"a', [["3", "a"]]),
        (b'3,"a\n\n5,6', [["3", "a"], ["5", "6"]]),
    ],
)  # fmt: skip
def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path, content, rows):
    assert landed(tmp_path, b"h,i\n1,2\n" + content, QUOTED) == [["1", "2"], *rows]


@pytest.mark.parametrize(
    "encoding", ["UTF-16", "utf-16-le", "utf_32", "latin-1", "windows-1252", "utf8", ""]
)
def test_text_is_read_in_the_stated_encoding(tmp_path, encoding):
    content = "h\ti\n1\tÉlodée\n".encode(encoding or "utf-8")
    assert landed(tmp_path, content, Shape(encoding, "\t", "", "\n", 1)) == [["1", "Élodée"]]


@pytest.mark.parametrize("encoding", ["klingon", "hex", "zlib", "base64", "rot13", "idna"])
def test_an_encoding_that_is_none_is_named(tmp_path, encoding):
    with pytest.raises(ValueError, match=f"unknown encoding '{encoding}'"):
        landed(tmp_path, b"h\ti\n1\t2\n", Shape(encoding, "\t", "", "\n", 1))


@pytest.mark.parametrize("shape", [TABS, QUOTED])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\nx\r\n"])
def test_a_line_of_twenty_megabytes_is_refused(tmp_path, shape, end):
    with pytest.raises(ValueError, match=r"t\.txt has a line of over"):
        landed(tmp_path, b"h,i\n1," + b"x" * (20 * 2**20) + end, shape)


def test_a_long_line_below_the_limit_is_read_whole(tmp_path):
    n = landing.MAX_REST_BYTES - 10
    for i, content in enumerate((b"h\ti\n1\t" + b"x" * n, b"h\ti\r\n1\t" + b"x" * n)):
        assert len(landed(tmp_path / str(i), content)[0][1]) == n


@pytest.mark.parametrize("shape", [TABS, QUOTED])
def test_several_files_make_one_table_without_gluing_or_repeating_headers(tmp_path, shape):
    files = {"a.txt": f"h{shape.delimiter}i\n1{shape.delimiter}2", "c.txt": f"h{shape.delimiter}i\n",
             "b.txt.gz": gzip.compress(f"h{shape.delimiter}i\n3{shape.delimiter}4\n".encode())}  # fmt: skip
    box = open_box(zipped(tmp_path / "a.zip", files))
    text = landing.land(box, ["a.txt", "c.txt", "b.txt.gz"], shape, tmp_path / "work")
    table = landing.table_input(text, shape, tmp_path / "work")
    found = sql.query(sql.connect(), "select fields from t order by source_row", t=table).rows()
    assert found == [(["1", "2"],), (["3", "4"],)]


def test_rows_keep_their_number_in_a_file_of_many_chunks(tmp_path):
    lines = "".join(f"{i}\t{'é' * (i % 50)}\r\n" for i in range(1, 60_001))
    start = time.monotonic()
    found = landed(tmp_path, b"h\ti\r\n" + lines.encode())
    assert [int(fields[0]) for fields in found] == list(range(1, 60_001))
    assert all(fields[1] == "é" * (i % 50) for i, fields in enumerate(found, 1))
    assert time.monotonic() - start < 30
