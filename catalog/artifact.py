"""Stage outputs, addressed by what made them: present means whole, absent means to be made.

An address is a hash of (stage, stage version, parameters, addresses of inputs). An artifact lives
at `<root>/<stage>/<address>/`: its files and `manifest.json`, which is written last; the folder is
prepared under a temporary name, flushed to disk and moved into place by one rename. There is no
state file: what is there is finished, and anything else is debris that `heal` removes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog.schema import Table

MANIFEST = "manifest.json"
_TMP = ".tmp-"


@dataclass(frozen=True)
class Artifact:
    """A finished stage output."""

    stage: str
    address: str
    dir: Path
    manifest: Mapping[str, Any]

    @property
    def paths(self) -> list[Path]:
        """Its parquet files, in order."""
        return [
            self.dir / f["name"] for f in self.manifest["files"] if f["name"].endswith(".parquet")
        ]

    def path(self, name: str) -> Path:
        """One of its files."""
        return self.dir / name

    @property
    def counts(self) -> Mapping[str, Any]:
        """Numbers the stage left about itself."""
        counts: Mapping[str, Any] = self.manifest["counts"]
        return counts


def address(stage: str, version: int, params: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """32 hex digits that name the output of a stage with these parameters over these inputs."""
    identity = {"stage": stage, "version": version, "params": params, "inputs": list(inputs)}
    return hashlib.sha256(_json(identity).encode()).hexdigest()[:32]


def find(root: Path, stage: str, key: str) -> Artifact | None:
    """The artifact at this address, or None when it has not been made."""
    folder = root / stage / key
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return None
    return Artifact(stage, key, folder, manifest)


@contextmanager
def making(root: Path, stage: str, key: str) -> Iterator[Path]:
    """A temporary folder to write an artifact's files into; call `commit` with it when done.

    The folder is removed if anything goes wrong.
    """
    folder = root / stage / f"{_TMP}{key}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(
    root: Path, stage: str, key: str, folder: Path, *, identity: Mapping[str, Any],
    counts: Mapping[str, Any],
) -> Artifact:  # fmt: skip
    """Write the manifest, flush everything and move the folder into place."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        files = list(threads.map(lambda path: _described(folder, path), paths))
    manifest = {"stage": stage, "address": key, **identity, "counts": counts, "files": files}
    (folder / MANIFEST).write_text(_json(manifest, indent=1) + "\n")
    for path in sorted(folder.rglob("*")):
        flush(path)
    flush(folder)
    target = root / stage / key
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)
    flush(target.parent)
    return Artifact(stage, key, target, manifest)


def check(path: Path, table: Table) -> int:
    """Assert that a parquet file has exactly a table's columns and types; return its rows."""
    meta = pq.read_metadata(path)
    found = pq.read_schema(path)
    wrong = [
        f"{name}: {found.field(name).type if name in found.names else 'missing'} for {want}"
        for name, want in zip(table.columns, table.schema.types, strict=True)
        if name not in found.names or not found.field(name).type.equals(want)
    ]
    extra = [name for name in found.names if name not in table.columns]
    assert not wrong and not extra, f"{table.name}: {'; '.join(wrong)}; unknown columns {extra}"
    assert list(found.names) == list(table.columns), f"{table.name}: columns in another order"
    return int(meta.num_rows)


def heal(root: Path) -> int:
    """Remove what a killed run left behind; return how many pieces."""
    debris = [*root.glob(f"*/{_TMP}*"), *root.glob(f"store/*/{_TMP}*")]
    for path in debris:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(debris)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the root for one build; ValueError when another build holds it."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another build is using {root}; wait for it, or choose another --root"
            ) from error
        yield


def flush(path: Path) -> None:
    """Force a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes, via: Path | None = None) -> None:
    """Write a file so that a reader sees all of it or none, whatever other threads write there.

    `via` is the folder of the unfinished file, by default that of `path`.
    """
    me = f"{os.getpid()}-{threading.get_ident()}"
    temporary = (via or path.parent) / f"{_TMP}{me}-{path.name}"
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _described(folder: Path, path: Path) -> dict[str, Any]:
    found = {"name": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size,
             "sha256": file_sha256(path)}  # fmt: skip
    if path.suffix == ".parquet":
        found["rows"] = pq.read_metadata(path).num_rows
    return found


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=False, default=str)
