"""A zip, a tar or a folder and the files in it, opened so that a hostile one can do no harm.

Refused before anything is written: members that leave the folder, links, and members that grow out
of proportion.
"""

from __future__ import annotations

import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

CHUNK_BYTES = 2**20
MAX_RATIO, RATIO_FROM_BYTES = 200, 64 * 2**20
MAX_SMALL_BYTES = 32 * 2**20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error,
           lzma.LZMAError, RuntimeError, NotImplementedError)  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A zip, tar or folder and the files in it (resource forks and folders left out)."""

    path: Path
    members: tuple[str, ...]

    def find(self, name: str) -> str | None:
        """The member called `name`, at the top or inside one wrapping folder; gzip forms too."""
        wanted = name.replace("\\", "/").lstrip("./").lower()
        for candidate in (wanted, wanted + ".gz"):
            same = [m for m in self.members if m.lower().lstrip("./") == candidate]
            nested = [m for m in self.members if m.lower().endswith("/" + candidate)]
            if found := same or sorted(nested, key=lambda m: (m.count("/"), m)):
                return found[0]
        return None

    def read_small(self, member: str) -> bytes:
        """The whole of a small member; ValueError when it is not small."""
        with self.open(member) as stream:
            data = stream.read(MAX_SMALL_BYTES + 1)
        if len(data) > MAX_SMALL_BYTES:
            raise ValueError(f"{self.path}: {member} is larger than {MAX_SMALL_BYTES} bytes")
        return data

    def read_start(self, member: str, n_bytes: int = 65536) -> bytes:
        """The first bytes of a member."""
        with self.open(member) as stream:
            return stream.read(n_bytes)

    @contextmanager
    def open(self, member: str) -> Iterator[IO[bytes]]:
        """The bytes of a member, decompressed."""
        try:
            with self._raw(member) as raw:
                packed = member.lower().endswith(".gz")
                yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        except _BROKEN as error:
            raise ValueError(f"{self.path}: {member} cannot be unpacked: {error}") from error

    def most_bytes(self, member: str) -> int:
        """How far a member may grow when it is unpacked; what grows further is a bomb."""
        if self.path.is_dir():
            packed = (self.path / member).stat().st_size
        elif zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as box:
                packed = box.getinfo(member).compress_size
        else:
            packed = self.path.stat().st_size
        return max(RATIO_FROM_BYTES, MAX_RATIO * packed)

    @contextmanager
    def _raw(self, member: str) -> Iterator[IO[bytes]]:
        if self.path.is_dir():
            with (self.path / member).open("rb") as stream:
                yield stream
        elif zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as box, box.open(member) as stream:
                yield stream
        else:
            with tarfile.open(self.path) as tar:
                extracted = tar.extractfile(member)
                if extracted is None:
                    raise ValueError(f"{self.path}: {member} is not a file")
                yield extracted


def open_box(path: Path) -> Box:
    """List a zip, tar or folder. ValueError for anything missing, unreadable or hostile."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the path of this source in the recipe")
    if path.is_dir():
        names = (p for p in sorted(path.rglob("*")) if p.is_file() and not p.is_symlink())
        return Box(path, tuple(p.relative_to(path).as_posix() for p in names))
    if zipfile.is_zipfile(path):
        return Box(path, tuple(_zip_members(path)))
    try:
        with tarfile.open(path) as tar:
            return Box(path, tuple(_tar_members(path, tar)))
    except (*_BROKEN, OSError) as error:
        raise ValueError(f"{path} is neither a folder nor a readable zip or tar archive") from error


def _zip_members(path: Path) -> Iterator[str]:
    try:
        box = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is not a readable zip archive: {error}") from error
    with box:
        for info in box.infolist():
            name = safe(path, info.filename)
            if info.external_attr >> 28 == 0xA:
                raise ValueError(f"{path}: {name} is a link; such an archive is refused")
            large = info.file_size > RATIO_FROM_BYTES
            if large and info.file_size > MAX_RATIO * max(1, info.compress_size):
                raise ValueError(f"{path}: {name} unpacks to {info.file_size} bytes from "
                                 f"{info.compress_size}; refused as a zip bomb")  # fmt: skip
            if not info.is_dir() and _data(name):
                yield name


def _tar_members(path: Path, tar: tarfile.TarFile) -> Iterator[str]:
    for info in tar:
        name = safe(path, info.name)
        if info.issym() or info.islnk():
            raise ValueError(f"{path}: {name} is a link; such an archive is refused")
        if info.isfile() and _data(name):
            yield name


def safe(path: Path, name: str) -> str:
    """`name` of a file inside a box; ValueError when it points out of the box."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:", name):
        raise ValueError(f"{path}: member {name!r} leaves the archive; such an archive is refused")
    return name


def _data(name: str) -> bool:
    place = PurePosixPath(name)
    return "__MACOSX" not in place.parts and not place.name.startswith("._")
