"""Where a replay stream is read from: a published dataset with captions, or others' parquet or tar files.

Parquet files of pictures and captions, and tar files as img2dataset writes them.
"""

from __future__ import annotations

import bisect
import io
import itertools
import json
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from training.reading import Files, Ints, Place, Published, Rows

IMAGES = ("image", "jpg", "jpeg", "png", "webp", "image_bytes")  # columns or members with pictures
CAPTIONS = ("caption", "txt", "text")


def pairs(where: str) -> Place:
    """Pictures with captions at a place: a published dataset, or a folder of parquet or tar files.

    Raises ValueError where there are none.
    """
    folder = Path(where).expanduser()
    if not folder.is_dir() or (folder / "manifest.json").is_file():
        return Published(where)
    for kind, reader in (("*.tar", Tars), ("*.parquet", Parquet)):
        if kind == "*.parquet" and (files := sorted(folder.rglob(kind))):
            files = [f for f in files if not f.with_suffix(".tar").exists()]
        else:
            files = sorted(folder.rglob(kind))
        if files:
            made: Place = reader(folder, files)
            if not made.sizes.sum():
                raise ValueError(f"{where} holds no pair of picture and caption")
            return made
    raise ValueError(
        f"{where} holds neither a dataset (manifest.json) nor *.tar or *.parquet with captions"
    )


class Parquet:
    """Parquet files with a column of pictures (bytes, or a struct with bytes) and one of captions."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._paths = list(files)
        self._files = Files(None)
        self.name = str(folder)
        sizes, files_of, self._firsts = list[int](), list[int](), [0]
        for index, path in enumerate(self._paths):
            footer = pq.read_metadata(path)
            for group in range(footer.num_row_groups):
                sizes.append(footer.row_group(group).num_rows)
                files_of.append(index)
            self._firsts.append(len(sizes))
        self.sizes = np.array(sizes, dtype=np.int64)
        self.files = np.array(files_of, dtype=np.int64)
        fields = pq.read_schema(self._paths[0])
        self._image = _first(fields.names, IMAGES, f"{folder}: pictures")
        self._caption = _first(fields.names, CAPTIONS, f"{folder}: captions")
        self._key = next(
            (name for name in ("uuid", "key", "url") if name in fields.names), self._caption
        )
        kind = fields.field(self._image).type
        self._nested = pa.types.is_struct(kind)
        if self._nested and kind.get_field_index("bytes") < 0:
            raise ValueError(f"{folder}: the column {self._image} is a struct without bytes")

    @property
    def revision(self) -> str:
        """A digest of the files' names and sizes in rows."""
        return _digest(self._paths, self.sizes)

    def read(self, group: int) -> Rows:
        """A row group. Raises OSError where its file cannot be read."""
        file = bisect.bisect_right(self._firsts, group) - 1
        columns = [self._image, self._caption, self._key]
        table = self._files.read(str(self._paths[file]), group - self._firsts[file], columns)
        images = table[self._image].combine_chunks()
        keys = [str(key) for key in table[self._key].to_pylist()]
        return Rows(
            keys,
            images.field("bytes") if self._nested else images,
            table[self._caption].to_pylist(),
        )


class Tars:
    """Tar files with a picture and a `.txt` per sample, as img2dataset writes them; a tar is one row group.

    Its `_stats.json` tells how many samples it holds; where there is none, the tar is read through once.
    """

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._paths = list(files)
        self.name = str(folder)
        self.sizes = np.array([self._n_samples(path) for path in self._paths], dtype=np.int64)
        self.files = np.arange(len(self._paths))

    @property
    def revision(self) -> str:
        """A digest of the tars' names and numbers of samples."""
        return _digest(self._paths, self.sizes)

    def read(self, group: int) -> Rows:
        """The samples of one tar. Raises OSError where it cannot be read."""
        path = self._paths[group]
        members = _members(path)
        if len(members) != self.sizes[group]:
            raise OSError(f"{path} holds {len(members)} samples, its statistics say {self.sizes[group]}; "
                          "remove the statistics, or fetch it again")  # fmt: skip
        return Rows([key for key, _, _ in members], _Spans(path, [m[1] for m in members]),
                    _texts(path, [m[2] for m in members]))  # fmt: skip

    @staticmethod
    def _n_samples(path: Path) -> int:
        stats = path.with_name(f"{path.stem}_stats.json")
        try:
            return int(json.loads(stats.read_text())["successes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # without statistics, or with others than img2dataset's
        try:
            return len(_members(path))
        except OSError as error:
            raise ValueError(f"{error}; fetch it again, or take it out of the folder") from error


def _digest(paths: Sequence[Path], sizes: Ints) -> str:
    said = "\n".join(
        f"{path and path.name} {n}" for path, n in itertools.zip_longest(paths, sizes.tolist())
    )
    return xxhash.xxh3_128_hexdigest(said.encode())


class _Spans:
    """Stretches of a file, read when asked for."""

    def __init__(self, path: Path, spans: list[tuple[int, int]]) -> None:
        self._path, self._spans = path, spans

    def __getitem__(self, row: int) -> bytes:
        start, size = self._spans[row]
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(size)


def _members(path: Path) -> list[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Key, place of the picture and place of the caption of every sample of a tar that has both."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                key, _, ending = member.name.rpartition(".")
                if member.isfile():
                    found.setdefault(key, {})[ending.lower()] = (member.offset_data, member.size)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise OSError(f"{path} is no tar file: {error}") from error
    whole = []
    for key, parts in found.items():
        image = next((parts[kind] for kind in IMAGES if kind in parts), None)
        if image and "txt" in parts:
            whole.append((key, image, parts["txt"]))
    return whole


def _texts(path: Path, spans: list[tuple[int, int]]) -> list[str]:
    with path.open("rb") as file:
        found = []
        for start, size in spans:
            file.seek(start)
            found.append(file.read(min(size, io.DEFAULT_BUFFER_SIZE)).decode("utf-8", "replace"))
    return found


def _first(names: Sequence[str], wanted: Sequence[str], what: str) -> str:
    for name in wanted:
        if name in names:
            return name
    raise ValueError(f"{what}: no column {', '.join(wanted)}; there are {', '.join(names)}")
