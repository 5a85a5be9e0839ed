"""Bring a provider's file to clean text on disk: unpack safely, one encoding, one line end.

Clean text is UTF-8 without
NUL, with a line feed after each record and no blank lines; bytes that are not valid in the stated
encoding become U+FFFD. A clean file of a folder is read where it lies.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.sql import MAX_LINE_BYTES, Lines
from curation.sources.boxes import CHUNK_BYTES, Box

MAX_REST_BYTES = MAX_LINE_BYTES - 2 * CHUNK_BYTES  # a line begun, and the next chunk, still fit
_log = logging.getLogger(__name__)
_BOM = codecs.BOM_UTF8.decode()


@dataclass(frozen=True)
class Shape:
    """How a delimited file is written."""

    encoding: str
    delimiter: str
    quote: str
    line_end: str
    n_header_lines: int


def land(box: Box, members: list[str], shape: Shape, work_dir: Path) -> Path:
    """Clean text of one table (several files are joined), as a file that may be read at once."""
    if box.path.is_dir() and len(members) == 1 and _is_clean(box, members[0], shape):
        return box.path / members[0]
    work_dir.mkdir(parents=True, exist_ok=True)
    target = work_dir / f"{_tag(box.path, *members)}.txt"
    with target.open("w", encoding="utf-8", newline="") as out:
        for i, member in enumerate(members):
            skip, last = shape.n_header_lines if i else 0, ""
            n_bad = 0
            for text in _clean(box, member, shape, skip):
                out.write(text)
                n_bad += text.count("\ufffd")
                last = text or last
            if last and not last.endswith("\n"):
                out.write("\n")
            if n_bad:
                _log.warning("%s: %d letters of %s are not %s and were replaced; save it in that encoding",
                             box.path, n_bad, member, shape.encoding or "UTF-8")  # fmt: skip
    return target


def encoding_of(box: Box, member: str) -> str:
    """UTF-8 or UTF-16 where a file without a stated encoding is that, else Windows-1252 (Latin-1).

    Windows-1252 is told in the log: it gives every byte a letter, also a wrong one.
    """
    if box.read_start(member, 2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "UTF-16"
    decoder, n_in, most = codecs.getincrementaldecoder("utf-8")(), 0, box.most_bytes(member)
    try:
        with box.open(member) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                n_in += len(chunk)
                if n_in > most:
                    break  # a bomb: whoever lands it says so
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        _log.warning("%s: %s is not UTF-8; it is read as Windows-1252 (Latin-1)", box.path, member)
        return "cp1252"
    return "UTF-8"


def _tag(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def _is_clean(box: Box, member: str, shape: Shape) -> bool:
    if member.endswith(".gz") or shape.encoding.lower().replace("-", "") != "utf8":
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    last, n_rest = b"\n", 0
    with box.open(member) as stream:
        while last:
            chunk = stream.read(CHUNK_BYTES)
            odd = any(byte in chunk for byte in (b"\r", b"\0", b"\1", b"\n\n", codecs.BOM_UTF8))
            n_rest = (
                len(chunk) - cut - 1 if (cut := chunk.rfind(b"\n")) >= 0 else n_rest + len(chunk)
            )
            if odd or (last[-1:] == b"\n" == chunk[:1]) or n_rest > MAX_REST_BYTES:
                return False
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                return False
            last = chunk
    return True


def _clean(box: Box, member: str, shape: Shape, skip_lines: int) -> Iterator[str]:
    encoding = shape.encoding or "utf-8"
    try:
        b"a".decode(encoding, "replace")  # also refuses codecs that are no text encoding
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    except (LookupError, UnicodeError, TypeError) as error:
        raise ValueError(f"{box.path}: meta.xml gives {member} the unknown encoding "
                         f"{shape.encoding!r}; use a name such as UTF-8") from error  # fmt: skip
    rest, first, old_mac, n_in, most = "", True, shape.line_end == "\r", 0, box.most_bytes(member)
    with box.open(member) as stream:
        while True:
            chunk = stream.read(CHUNK_BYTES)
            n_in += len(chunk)
            if n_in > most:
                raise ValueError(
                    f"{box.path}: {member} unpacks to over {most} bytes; refused as a bomb"
                )
            text = rest + decoder.decode(chunk, final=not chunk)
            if first:
                text, first = text.removeprefix(_BOM), False
                old_mac = old_mac or ("\r" in text and "\n" not in text)
            if old_mac:
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            cut = text.rfind("\n") + 1 if chunk else len(text)
            rest, text = text[cut:], text[:cut]
            if 4 * len(rest) > MAX_REST_BYTES and len(rest.encode()) > MAX_REST_BYTES:
                raise ValueError(f"{box.path}: {member} has a line of over {MAX_REST_BYTES} bytes")
            lines = _lines(text, quoted=bool(shape.quote))
            while skip_lines and lines:
                lines = lines.partition("\n")[2]
                skip_lines -= 1
            yield lines
            if not chunk:
                return


def _lines(text: str, *, quoted: bool) -> str:
    text = text.translate({0: None, 1: " "}).replace("\r\n", "\n")
    if quoted:  # a quoted field may hold blank lines; the csv reader drops blank records
        return text
    text = re.sub(r"\n{2,}", "\n", text.replace("\r", " ")).lstrip("\n")
    return text if not text or text.endswith("\n") else text + "\n"


def n_header_columns(text: Path, shape: Shape) -> int:
    """How many columns the header line of a landed table has."""
    with text.open(encoding="utf-8", newline="") as stream:
        if not shape.quote:
            return len(stream.readline().rstrip("\n").split(shape.delimiter))
        return len(next(_records(stream, shape), []))


def table_input(text: Path, shape: Shape, work_dir: Path) -> Lines | Path:
    """What a query reads: the lines themselves, or a parquet twin where fields are quoted."""
    if not shape.quote:
        return Lines(text, shape.delimiter, shape.n_header_lines)
    work_dir.mkdir(parents=True, exist_ok=True)
    target = work_dir / f"{_tag(text)}.parquet"
    schema = pa.schema([("source_row", pa.int64()), ("fields", pa.list_(pa.string()))])
    with (
        text.open(encoding="utf-8", newline="") as stream,
        pq.ParquetWriter(target, schema) as writer,
    ):
        batch: list[list[str]] = []
        start = 1
        for i, record in enumerate(_records(stream, shape)):
            if i < shape.n_header_lines:
                continue
            batch.append([field.strip() for field in record])
            if len(batch) == 50_000:
                start = _write(writer, batch, start)
        _write(writer, batch, start)
    return target


def _write(writer: pq.ParquetWriter, batch: list[list[str]], start: int) -> int:
    rows = pa.array(range(start, start + len(batch)), pa.int64())
    fields = pa.array(batch, pa.list_(pa.string()))
    writer.write_table(pa.table([rows, fields], schema=writer.schema))
    n_rows = len(batch)
    batch.clear()
    return start + n_rows


def _records(stream: IO[str], shape: Shape) -> Iterator[list[str]]:
    """The records; where a stray quote would swallow the lines after it, each line is a record."""
    if len(shape.delimiter) != 1:
        raise ValueError(
            f"a quoted table needs a delimiter of one character, not {shape.delimiter!r}"
        )
    csv.field_size_limit(MAX_LINE_BYTES)
    held: list[str] = []

    def held_lines() -> Iterator[str]:
        for line in stream:
            held.append(line)
            yield line

    def reader(lines: Iterable[str], *, strict: bool = False) -> Any:
        return csv.reader(lines, delimiter=shape.delimiter, quotechar=shape.quote, strict=strict)

    n_lines = 0
    try:
        for record in reader(held_lines()):
            n_lines += len(held)
            lines = held.copy()
            held.clear()
            if len(lines) == 1 or _is_strict(reader(lines, strict=True)):
                lone = [record]
            else:
                lone = [fields for line in lines for fields in reader([line])]
            yield from (fields for fields in lone if fields)
    except csv.Error as error:
        raise ValueError(f"{stream.name}: the record from line {n_lines + 1}: {error}") from error


def _is_strict(reader: Any) -> bool:
    try:
        return len(list(reader)) == 1
    except csv.Error:
        return False
