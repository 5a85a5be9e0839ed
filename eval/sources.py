"""Where the bytes of a test set's pictures are; goes to the workers that decode them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from training.reading import Published, Rows


class Source(Protocol):
    """Pictures by their place in the test set's table."""

    def image(self, at: int) -> bytes: ...


class Files:
    """Pictures that are files under one folder."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root, self._names = root.resolve(), list(names)

    def image(self, at: int) -> bytes:
        """The bytes of a file. Raises OSError where it is not there, or lies outside the folder."""
        name = PurePosixPath(self._names[at])
        if name.is_absolute() or ".." in name.parts:
            raise OSError("its path leads out of the folder of pictures")
        return (self._root / name).read_bytes()

    def stamps(self) -> Iterator[str]:
        """Name, size and time of every file: what tells that nothing changed."""
        for name in self._names:
            try:
                stat = (self._root / name).stat()
                yield f"{name}\t{stat.st_size}\t{stat.st_mtime_ns}"
            except OSError:
                yield f"{name}\tabsent"


class Shards:
    """Pictures in the files of a published dataset; `groups` and `rows` say where each lies."""

    def __init__(self, place: Published, groups: Sequence[int], rows: Sequence[int]) -> None:
        self._place, self._groups, self._rows = place, list(groups), list(rows)
        self._kept: tuple[int, Rows] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def image(self, at: int) -> bytes:
        """The bytes of a picture. Raises OSError where its file cannot be read."""
        if self._kept is None or self._kept[0] != self._groups[at]:
            self._kept = (self._groups[at], self._place.read(self._groups[at]))
        return self._kept[1].image(self._rows[at])
