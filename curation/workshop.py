"""What every step works with: the recipe, the root, DuckDB, the store, and how artifacts are made."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from catalog import artifact, schema, sql
from catalog.artifact import Artifact
from curation import sensitive, species_list
from curation.progress import Progress
from curation.recipe import BUILT_IN, Recipe, Source
from curation.sources import captions

Made = Mapping[str, list[Artifact]]


@dataclass
class Build:
    """What steps share: the recipe, the root, DuckDB, the store, and where pictures come from."""

    recipe: Recipe
    root: Path
    con: duckdb.DuckDBPyConnection
    engine: str = "auto"
    workers: int = 0
    host_map: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    progress: Callable[[str, int], Progress] = Progress
    n_made: int = 0

    def scratch(self, name: str) -> Path:
        """An empty folder for a step's own work, beside the artifacts."""
        folder = self.root / "tmp" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def path(self, text: str) -> Path:
        """A path of the recipe, which starts at the recipe's own folder."""
        return self.recipe.folder / Path(text).expanduser()

    def folders(self) -> dict[str, Path]:
        """Archive name -> local folder its relative picture paths start at."""
        found = {}
        for source in self.recipe.source:
            local = source.kind in ("own", "bioscan", "captions")
            if local or (source.kind == "published" and source.images):
                place = self.path(source.images or source.path)
                home = captions.home(place) if source.kind == "captions" else place.parent
                found[source.name] = place if source.images else home
        return found

    def make(
        self, stage: str, version: int, params: Mapping[str, Any], inputs: Sequence[str],
        write: Callable[[Path], Mapping[str, Any]],
    ) -> Artifact:  # fmt: skip
        """The artifact at this address; `write` fills its folder and returns counts, if need be."""
        key = artifact.address(stage, version, params, inputs)
        if found := artifact.find(self.root, stage, key):
            return found
        identity: dict[str, Any] = {
            "version": version,
            "params": dict(params),
            "inputs": list(inputs),
        }
        if self.dry_run:
            raise WouldRun(stage, identity)
        identity["schema_version"] = schema.VERSION
        with artifact.making(self.root, stage, key) as folder:
            counts = write(folder)
            self.n_made += 1
            return artifact.commit(self.root, stage, key, folder, identity=identity, counts=counts)

    def make_table(
        self, table: schema.Table, version: int, params: Mapping[str, Any], reads: Iterable[Artifact],
        query: Callable[[], sql.Query],
    ) -> Artifact:  # fmt: skip
        """An artifact of one checked table that a query returns."""

        def write(folder: Path) -> dict[str, Any]:
            path = folder / "part-000000.parquet"
            query().copy_to(path)
            return {"rows": artifact.check(path, table)}

        return self.make(table.name, version, params, [a.address for a in reads], write)


def missing_places(recipe: Recipe) -> list[str]:
    """Every file and folder of the recipe that is not there: whose it is, and its path."""
    wanted = [
        (f"{kind} {item.name!r}", text)
        for kind in ("source", "taxonomy", "benchmark")
        for item in getattr(recipe, kind)
        for text in (item.path, *(getattr(item, n, "") for n in ("multimedia", "hierarchy", "images", "mapping", "provenance")))
        if text and "://" not in text
    ]  # fmt: skip
    wanted += [(f"geoprivacy list {item.name!r}", item.path) for item in recipe.geoprivacy.list]
    wanted += [(f"coverage {item.name!r}", item.path) for item in recipe.coverage]
    paths = [(who, recipe.folder / Path(text).expanduser()) for who, text in wanted]
    patterns = {recipe.folder / Path(item.path).expanduser() for item in _captioned(recipe)}
    return [
        f"{who}: {path}" for who, path in paths
        if not path.exists() and not (path in patterns and captions.found(path))
    ]  # fmt: skip


def _captioned(recipe: Recipe) -> list[Source]:
    return [item for item in recipe.source if item.kind == "captions"]


def check_places(recipe: Recipe) -> None:
    """ValueError naming every file and folder of the recipe that is not there, before any work."""
    if missing := missing_places(recipe):
        built_in = recipe.folder == BUILT_IN
        advice = ("copy the recipe beside your archives and build the copy; --dry-run says what it needs"
                  if built_in else "check the paths in the recipe")  # fmt: skip
        raise ValueError(f"not there: {'; '.join(missing)}; {advice}")
    for source in _captioned(recipe):
        captions.files(recipe.folder / Path(source.path).expanduser())
    for item in recipe.geoprivacy.list:
        sensitive.entries(item, recipe.folder / Path(item.path).expanduser())
    for listed in recipe.coverage:
        species_list.coverage_rows(listed, recipe.folder / Path(listed.path).expanduser())


class WouldRun(Exception):
    """A dry run met a stage whose output is not there; `identity` is what it would be made from."""

    def __init__(
        self, stage: str, identity: Mapping[str, Any] | None = None, why: str = ""
    ) -> None:
        super().__init__(stage)
        self.stage, self.identity, self.why = stage, identity or {}, why


def sha256(root: Path, path: Path) -> str:
    """sha256 of a file or of a folder's files, remembered by path, size and time of change."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the path in the recipe")
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    names = ["" if file == path else file.relative_to(path).as_posix() for file in files]
    parts = [f"{name} {of}" for name, of in zip(names, _hashed(root, files), strict=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def file_sha256(root: Path, path: Path) -> str:
    """sha256 of the bytes of one file, remembered in the same way."""
    return _hashed(root, [path])[0]


def _hashed(root: Path, files: Sequence[Path]) -> list[str]:
    cache = root / "store" / "sha256.json"
    known: dict[str, str] = json.loads(cache.read_text()) if cache.exists() else {}
    keys, n_known = [stamp_of(file) or str(file) for file in files], len(known)
    for key, file in zip(keys, files, strict=True):
        if key not in known:
            known[key] = artifact.file_sha256(file)
    if len(known) > n_known:
        cache.parent.mkdir(parents=True, exist_ok=True)
        artifact.write_atomically(cache, json.dumps(known, sort_keys=True).encode())
    return [known[key] for key in keys]


def stamp_of(path: Path) -> str | None:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


@contextmanager
def scratch(path: Path) -> Iterator[None]:
    """A work folder that is gone afterwards."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)
