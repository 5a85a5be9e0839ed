"""Where a dataset lies: a folder of this machine, or a repository of the Hub at one commit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from catalog import schema


def find(place: str, tables: Sequence[str]) -> Folder | Repository:
    """The dataset at a path, or ORG/NAME[@REVISION]. Raises ValueError where there is none of this contract."""
    name = place.partition("@")[0]
    if not Path(place).exists() and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return Repository(place, tables)
    return Folder(Path(place).expanduser())


class Folder:
    """A dataset in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "manifest.json").is_file():
            raise ValueError(f"{folder} is no dataset: it has no manifest.json; name a folder under "
                             "<root>/datasets/, or ORG/NAME on the Hub")  # fmt: skip
        self._folder = folder
        self.manifest = _checked((folder / "manifest.json").read_text(), str(folder))

    def tables(self, release: str, name: str) -> list[Path]:
        """The files of a table, in order."""
        return sorted((self._folder / "metadata" / release).glob(f"{name}-*.parquet"))

    def path(self, name: str) -> Path:
        """Where a file of the dataset lies."""
        return self._folder / name

    def open(self, name: str) -> BinaryIO:
        """A file of the dataset."""
        return self.path(name).open("rb")


class Repository:
    """A dataset repository of the Hub: tables are downloaded, pictures read where they lie."""

    def __init__(self, place: str, tables: Sequence[str]) -> None:
        import httpx2  # huggingface_hub's own transport: what it raises when there is no Hub
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        self._repo, _, revision = place.partition("@")
        try:
            self.commit = (
                huggingface_hub.HfApi().dataset_info(self._repo, revision=revision or None).sha
            )
            path = huggingface_hub.hf_hub_download(
                self._repo, "manifest.json", repo_type="dataset", revision=self.commit
            )
            self.manifest = _checked(Path(path).read_text(), place)
            release = self.manifest["params"]["release"]  # a later one may be on its way up
            wanted = [f"metadata/{release}/{name}-*.parquet" for name in tables]
            self._folder = Path(huggingface_hub.snapshot_download(
                self._repo, repo_type="dataset", revision=self.commit, allow_patterns=wanted))  # fmt: skip
        except (HfHubHTTPError, HFValidationError, httpx2.TransportError, OSError) as error:
            said = str(error).partition("\n")[0]
            raise ValueError(
                f"{place} is no folder here, and cannot be had from the Hub: {said}"
            ) from error
        self._files = huggingface_hub.HfFileSystem()

    def tables(self, release: str, name: str) -> list[Path]:
        """The files of a table, in order."""
        return sorted((self._folder / "metadata" / release).glob(f"{name}-*.parquet"))

    def open(self, name: str) -> BinaryIO:
        """A file of the dataset, read by ranges."""
        found: BinaryIO = self._files.open(
            f"datasets/{self._repo}@{self.commit}/{name}", "rb", block_size=2**20
        )
        return found


def _checked(text: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{place} has a manifest.json that is no JSON") from error
    if not isinstance(found, dict) or found.get("stage") != "shard":
        raise ValueError(f"{place} is no dataset of this project")
    if found.get("schema_version") != schema.VERSION:
        raise ValueError(f"{place} has schema version {found.get('schema_version')!r}, this code reads "
                         f"{schema.VERSION!r}")  # fmt: skip
    params = found.get("params")
    if (
        not isinstance(params, dict)
        or not {"release", "name", "seed", "n_buckets"} <= params.keys()
    ):
        raise ValueError(f"{place} has a manifest.json that lacks what a dataset's says")
    return found
