"""A dataset repository of the Hub, as publishing sees it: what it shows, what is sent, the switch.

Only `huggingface_hub`'s own calls (create_repo, upload_folder, create_commit, create_tag); the token stays
with it and is never printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)

from catalog import sql
from catalog.artifact import MANIFEST
from curation.changes import changes

if TYPE_CHECKING:
    from curation.publish import Release

CHANGES_FILE = "CHANGES.md"
BESIDE = ("README.md", "citations.csv", "contact_sheet.jpg", MANIFEST)


class Repository:
    """One dataset repository."""

    def __init__(self, repo: str) -> None:
        self.repo, self.api = repo, HfApi()

    @property
    def head(self) -> str:
        """The commit that `main` shows."""
        return str(self.api.dataset_info(self.repo, revision="main").sha)

    def plan(self, made: Release, public: bool) -> list[str]:
        """What publishing would do, in words."""
        try:
            there = self._files(made)
        except RepositoryNotFoundError:
            kind = "public" if public else "private"
            return [f"{self.repo} would be created, {kind}; every file would be sent"]
        if self.shows(made):
            return [f"{self.repo} already shows this release; nothing would be sent"]
        new = [f for name, f in made.files.items() if there.get(name) != f["sha256"]]
        n_bytes = sum(f["bytes"] for f in new)
        return [f"{self.repo} is there; {len(new):,} files, {n_bytes / 1e9:,.3f} GB, would be sent or "
                "recognised, then the card switched"]  # fmt: skip

    def create(self, public: bool) -> None:
        """Make sure the repository is there; an existing one keeps its visibility."""
        self.api.create_repo(self.repo, repo_type="dataset", private=not public, exist_ok=True)

    def shows(self, made: Release) -> bool:
        """True when `main` shows this very release.

        ValueError when it, or a tag, is this release with other contents.
        """
        for revision in ("main", made.name):
            found = self._manifest(revision)
            if found is None or found["params"]["release"] != made.name:
                continue
            if found["address"] != made.manifest["address"]:
                raise ValueError(
                    f"{self.repo} has published a release {made.name} with other contents, and a release never "
                    "changes: give this one another name (shard.release in the recipe) and build it again"
                )
            if revision == "main":
                return True
        return False

    def send(self, made: Release) -> None:
        """The files of the release, where nothing names them yet."""
        self.api.upload_folder(
            repo_id=self.repo, repo_type="dataset", folder_path=made.dir,
            allow_patterns=[f"{folder}**" for folder in made.folders],
            commit_message=f"Files of release {made.name}")  # fmt: skip

    def switch(self, made: Release, work: Path) -> None:
        """Show the release: one commit with card, manifest and changes, over files that are all there."""
        before, head = self._manifest("main"), self.head
        there = self._files(made)
        wrong = [name for name, file in made.files.items() if there.get(name) != file["sha256"]]
        if wrong:
            raise ValueError(f"{self.repo} does not hold {len(wrong)} files as they were sent, {wrong[0]} among "
                             "them; run the same command again")  # fmt: skip
        operations: list[Any] = [
            CommitOperationAdd(name, made.dir / name)
            for name in BESIDE[1:]
            if (made.dir / name).exists()
        ]
        card = (made.dir / BESIDE[0]).read_text(encoding="utf-8")
        named = card.replace(f'load_dataset("{made.manifest["params"]["name"]}")  # or the path of this folder',
                             f'load_dataset("{self.repo}")')  # fmt: skip
        operations.append(CommitOperationAdd(BESIDE[0], named.encode()))
        table = work / "changes-000000.parquet"
        text = self._changes(made, before, work, table)
        operations.append(CommitOperationAdd(CHANGES_FILE, text.encode()))
        if table.exists():
            operations.append(CommitOperationAdd(f"{made.folders[1]}{table.name}", table))
        left = set(there) - set(made.files) - {f"{made.folders[1]}{table.name}"}
        operations += [CommitOperationDelete(path) for path in sorted(left)]
        if before is not None and before["params"]["release"] != made.name:
            old = before["params"]["release"]
            held = {p.partition("/")[0] for p in self._paths(f"data/{old}", f"metadata/{old}")}
            operations += [
                CommitOperationDelete(f"{top}/{old}/", is_folder=True) for top in sorted(held)
            ]
        self.api.create_commit(
            self.repo, operations, repo_type="dataset", commit_message=f"Release {made.name}",
            parent_commit=head)  # fmt: skip

    def tag(self, name: str) -> None:
        """Tag what `main` shows; a tag that is there stays."""
        self.api.create_tag(self.repo, tag=name, repo_type="dataset", exist_ok=True)

    def _manifest(self, revision: str) -> dict[str, Any] | None:
        """The manifest that a revision shows, or None."""
        try:
            path = huggingface_hub.hf_hub_download(
                self.repo, MANIFEST, repo_type="dataset", revision=revision
            )
        except (EntryNotFoundError, huggingface_hub.errors.RevisionNotFoundError):
            return None
        return dict(json.loads(Path(path).read_text()))

    def _paths(self, *folders: str) -> dict[str, str | None]:
        """Files under folders of `main`, with their sha256 where they lie in LFS."""
        found: dict[str, str | None] = {}
        for folder in folders:
            try:
                for item in self.api.list_repo_tree(
                    self.repo, folder, repo_type="dataset", recursive=True
                ):
                    if isinstance(item, huggingface_hub.RepoFile):
                        found[item.path] = item.lfs.sha256 if item.lfs else None
            except EntryNotFoundError:
                continue
        return found

    def _files(self, made: Release) -> dict[str, str | None]:
        return self._paths(*(folder.rstrip("/") for folder in made.folders))

    def _changes(
        self, made: Release, before: dict[str, Any] | None, work: Path, table: Path
    ) -> str:
        """The text of CHANGES.md: this release, then what was there."""
        n_images = made.manifest["counts"]["rows"]
        if before is None or before["params"]["release"] == made.name:
            return f"# Changes\n\n## {made.name}\n\n- {n_images:,} pictures\n"
        old = before["params"]["release"]
        wanted = [f"metadata/{old}/catalog-*.parquet", CHANGES_FILE]
        was = Path(huggingface_hub.snapshot_download(
            self.repo, repo_type="dataset", revision=self.head, allow_patterns=wanted))  # fmt: skip
        told = changes(sql.connect(), old=sorted((was / "metadata" / old).glob("catalog-*.parquet")),
                       new=made.tables("catalog"), rejects=made.tables("rejects"), to=table)  # fmt: skip
        rest = (was / CHANGES_FILE).read_text(encoding="utf-8").partition("\n\n")[2]
        return (
            f"# Changes\n\n## {made.name}\n\nFrom {old}:\n\n{told}- {n_images:,} pictures\n\n{rest}"
        )


@contextmanager
def readable_errors(repo: str) -> Iterator[None]:
    """What the Hub refuses, in words and without the token."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise ValueError("no token: run `hf auth login`, or set HF_TOKEN") from error
    except HFValidationError as error:
        raise ValueError(f"{repo!r} is no name of a repository (ORG/NAME): {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403, 404):
            raise ValueError(f"the Hub refuses {repo} (status {status}): check its name, and that the token of "
                             "`hf auth login` or HF_TOKEN may write there") from None  # fmt: skip
        raise
