"""Where pictures and their words are read from, one row group at a time: a published dataset, in a folder or on the Hub.

A place says at once how its rows are grouped; reading happens in the loader's workers. Other places: `replay`.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Protocol

import httpx2  # huggingface_hub's own transport: what it raises when there is no Hub
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog import place as places
from training import text

Ints = NDArray[np.int64]
N_OPEN = 4  # files at once


class Place(Protocol):
    """Rows in groups: `sizes` (groups,) rows each, `files` (groups,) the file each lies in."""

    sizes: Ints
    files: Ints
    name: str

    @property
    def revision(self) -> str: ...

    def read(self, group: int) -> Rows: ...


class Rows:
    """One row group: its ids, its pictures as bytes, and what says what they show."""

    def __init__(self, uuids: list[str], images: Any, words: list[Any]) -> None:
        self.uuids = uuids  # (n,)
        self._images = images  # (n,) Arrow binary, or a list of bytes
        self.words = words  # (n,) fields of the contract (text.COLUMNS), or captions

    def image(self, row: int) -> bytes:
        """The bytes of a picture; b"" where there are none."""
        found = self._images[row]
        return (found.as_py() if isinstance(found, pa.Scalar) else found) or b""


class Published:
    """A split of a published dataset: pictures with taxa, or with captions.

    Raises ValueError for what is no dataset of this contract, for an empty split, and where columns are missing.
    """

    def __init__(self, where: str, split: str = "train") -> None:
        self._place = places.find(where, ("taxa",))
        manifest = self._place.manifest
        self.manifest = manifest
        release, per_group = manifest["params"]["release"], manifest["params"]["rows_per_group"]
        listed = [(f["name"], f["rows"]) for f in manifest["files"]
                  if f["name"].startswith(f"data/{release}/") and f["name"].rpartition("/")[2].startswith(f"{split}-")]  # fmt: skip
        self._names = [name for name, _ in listed]
        per_file = [[min(per_group, n - at) for at in range(0, n, per_group)] for _, n in listed]
        self.sizes = np.array([n for sizes in per_file for n in sizes], dtype=np.int64)
        self.files = np.repeat(np.arange(len(listed)), [len(sizes) for sizes in per_file])
        self._firsts = list(itertools.accumulate(map(len, per_file), initial=0))
        self.name = f"{where} ({split})"
        if not len(self.sizes):
            raise ValueError(f"{where} has no picture in its split {split!r}")
        self._files = Files(self._place)
        columns = set(self._files.open(self._names[0]).schema_arrow.names)
        self.has_captions = "caption" in columns
        self._columns = ["caption"] if self.has_captions else list(text.COLUMNS)
        if missing := [c for c in ("uuid", "image", *self._columns) if c not in columns]:
            raise ValueError(
                f"{where} lacks the column {missing[0]!r}: it is no dataset of this contract; build it again"
            )

    @property
    def revision(self) -> str:
        """What names the exact rows: the address of the build, wherever it lies."""
        return str(self.manifest["address"])

    @property
    def commit(self) -> str:
        """Of a repository, the commit that is read; "" of a folder."""
        return str(getattr(self._place, "commit", ""))

    def has_split(self, split: str) -> bool:
        """True when the dataset has pictures in that split."""
        return any(f["name"].rpartition("/")[2].startswith(f"{split}-") and f["name"].startswith("data/")
                   for f in self.manifest["files"])  # fmt: skip

    def taxa(self) -> list[dict[str, Any]]:
        """The table of its taxa."""
        files = self._place.tables(self.manifest["params"]["release"], "taxa")
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def taxon_codes(self) -> Ints:
        """A number per row, equal for pictures of one taxon, in the order of the groups; reads no picture."""
        with ThreadPoolExecutor(8) as threads:  # a repository answers after a while, files at once
            parts = list(threads.map(self._taxa_of, self._names))
        codes: dict[str | None, int] = {}
        return np.concatenate([
            np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)[which]
            for names, which in parts
        ])  # fmt: skip

    def _taxa_of(self, name: str) -> tuple[list[str | None], Ints]:
        with self._place.open(name) as handle:
            table = pq.ParquetFile(handle).read(["kingdom", "canonicalName"])
        columns = [pc.fill_null(table[c].cast(pa.string()), "") for c in table.column_names]
        found = pc.binary_join_element_wise(*columns, "/").combine_chunks().dictionary_encode()
        return found.dictionary.to_pylist(), found.indices.to_numpy().astype(np.int64)

    def opened(self) -> Iterator[tuple[int, BinaryIO]]:
        """Each file of the split, and the number of its first row group; for reading other columns than pictures."""
        for first, name in zip(self._firsts, self._names, strict=False):
            yield first, self._place.open(name)

    def read(self, group: int) -> Rows:
        """A row group. Raises OSError where its file cannot be read."""
        file = bisect.bisect_right(self._firsts, group) - 1
        columns = ["uuid", "image.bytes", *self._columns]
        table = self._files.read(self._names[file], group - self._firsts[file], columns)
        if table.num_rows != self.sizes[group]:
            raise OSError(
                f"{self._names[file]} holds other rows than its manifest says; fetch it again"
            )
        images = table["image"].combine_chunks().field("bytes")
        said = [table[name].to_pylist() for name in self._columns]
        words: Any = said[0] if self.has_captions else list(zip(*said, strict=True))
        return Rows(table["uuid"].to_pylist(), images, words)


class Files:
    """Parquet files kept open: the last few, of a dataset or, without one, of this machine."""

    def __init__(self, place: places.Folder | places.Repository | None) -> None:
        self._place, self._open = place, dict[str, pq.ParquetFile]()

    def __getstate__(self) -> Any:
        return {"_place": self._place, "_open": {}}  # a worker opens its own

    def open(self, name: str) -> pq.ParquetFile:
        """A file, from its footer if it is not open. Raises OSError where it is no parquet file."""
        if name not in self._open:
            while len(self._open) >= N_OPEN:
                self._open.pop(next(iter(self._open)))
            if isinstance(self._place, places.Repository):
                source: Any = self._place.open(name)
            else:
                source = pa.OSFile(str(self._place.path(name) if self._place else name))
            try:
                self._open[name] = pq.ParquetFile(source)
            except pa.ArrowException as error:
                raise OSError(f"{name} is no parquet file: {error}") from error
        return self._open[name]

    def read(self, name: str, group: int, columns: list[str]) -> pa.Table:
        """A row group of a file, which is opened anew after a failure. Raises OSError."""
        try:
            file = self.open(name)
            return file.read_row_group(
                group, columns, use_threads=False
            )  # workers have a core each
        except (OSError, pa.ArrowException, httpx2.TransportError) as error:
            self._open.pop(name, None)
            raise OSError(f"{name}, row group {group}: {error}") from error
