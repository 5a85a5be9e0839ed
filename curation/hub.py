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

import httpx2  # huggingface_hub's own transport: what it raises when there is no Hub
import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from catalog import card, cite, croissant, sql
from catalog.artifact import MANIFEST
from curation.changes import changes

if TYPE_CHECKING:
    from curation.publish import Release

CHANGES_FILE = "CHANGES.md"
BESIDE = (
    "README.md",
    croissant.FILE,
    cite.CSV_FILE,
    cite.CFF_FILE,
    card.SHEET_FILE,
    card.TAIL_FILE,
    MANIFEST,
)


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
            there = self._paths(self.head)
        except RepositoryNotFoundError:
            kind = "public" if public else "private"
            return [f"{self.repo} would be created, {kind}; every file would be sent"]
        if self.shown_by(made):
            return [f"{self.repo} already shows this release; nothing would be sent"]
        new = [f for name, f in made.files.items() if there.get(name) != f["sha256"]]
        n_bytes = sum(f["bytes"] for f in new)
        return [f"{self.repo} is there; {len(new):,} files, {n_bytes / 1e9:,.3f} GB, would be sent or "
                "recognised, then the card switched"]  # fmt: skip

    def create(self, public: bool) -> None:
        """Make sure the repository is there; an existing one keeps its visibility."""
        self.api.create_repo(self.repo, repo_type="dataset", private=not public, exist_ok=True)

    def shown_by(self, made: Release) -> str | None:
        """The commit of `main` if it shows this very release, else None.

        ValueError when this release was published with other contents, or before the one that is shown.
        """
        head = self.head
        shown, tagged = self._manifest(head), self._manifest(self._tagged(made.name))
        for found in (shown, tagged):
            if found is None or found["params"]["release"] != made.name:
                continue
            if found["address"] != made.manifest["address"]:
                raise ValueError(
                    f"{self.repo} has published a release {made.name} with other contents, and a release never "
                    "changes: give this one another name (shard.release in the recipe) and build it again"
                )
        if shown is not None and shown["params"]["release"] == made.name:
            return head
        if shown is None:
            self._check_empty(made, head)
        if tagged is not None:
            other = "nothing" if shown is None else shown["params"]["release"]
            raise ValueError(f"{self.repo} has published release {made.name} before and shows {other} now: a reader "
                             f"finds it under its tag; build a new release to replace {other}")  # fmt: skip
        return None

    def _check_empty(self, made: Release, commit: str) -> None:
        """ValueError where a repository without a release holds more than a stopped run of this one left."""
        ours = (*made.folders, ".gitattributes", "README.md")
        foreign = [path for path in self._paths(commit) if not path.startswith(ours)]
        if foreign:
            raise ValueError(f"{self.repo} holds {foreign[0]}, which is no part of this release; choose another "
                             "repository, or empty this one")  # fmt: skip

    def send(self, made: Release) -> None:
        """The files of the release, where nothing names them yet."""
        self.api.upload_folder(
            repo_id=self.repo, repo_type="dataset", folder_path=made.dir,
            allow_patterns=[f"{folder}**" for folder in made.folders],
            commit_message=f"Files of release {made.name}")  # fmt: skip

    def switch(self, made: Release, work: Path) -> str:
        """Show the release: one commit with card, manifest and changes, over files that are all there.

        The release before gets its tag first. Returns the commit.
        """
        head = self.head
        before, there = self._manifest(head), self._paths(head)
        wrong = [name for name, file in made.files.items() if there.get(name) != file["sha256"]]
        if wrong:
            raise ValueError(f"{self.repo} does not hold {len(wrong)} files as they were sent, {wrong[0]} among "
                             "them; run the same command again")  # fmt: skip
        if before is not None and before["params"]["release"] != made.name:
            old = before["params"]["release"]
            self.tag(old, self._switched(old) or head)
        table = work / "changes-000000.parquet"
        text = self._changes(made, before, head, table)
        added = self._shown(made, text, table)
        kept = {*made.files, *(one.path_in_repo for one in added)}
        done = self.api.create_commit(
            self.repo, [*added, *_removed(set(there) - kept, made)], repo_type="dataset",
            commit_message=_title(made.name), parent_commit=head)  # fmt: skip
        return str(done.oid)

    def _shown(self, made: Release, text: str, table: Path) -> list[CommitOperationAdd]:
        """What a reader meets first: the card, which names this repository, the manifest, the changes."""
        card = (made.dir / BESIDE[0]).read_text(encoding="utf-8")
        named = card.replace(f'load_dataset("{made.manifest["params"]["name"]}")  # or the path of this folder',
                             f'load_dataset("{self.repo}")')  # fmt: skip
        described = (made.dir / BESIDE[1]).read_text(encoding="utf-8")
        beside = [name for name in BESIDE[2:] if (made.dir / name).exists()]
        added = [CommitOperationAdd(name, made.dir / name) for name in beside]
        url = f"{self.api.endpoint}/datasets/{self.repo}"
        added.append(CommitOperationAdd(BESIDE[1], croissant.at(described, url).encode()))
        added += [
            CommitOperationAdd(BESIDE[0], named.encode()),
            CommitOperationAdd(CHANGES_FILE, text.encode()),
        ]
        if table.exists():
            added.append(CommitOperationAdd(f"{made.folders[1]}{table.name}", table))
        return added

    def tag(self, name: str, commit: str) -> None:
        """Tag a commit; a tag that is there stays."""
        self.api.create_tag(
            self.repo, tag=name, revision=commit, repo_type="dataset", exist_ok=True
        )

    def _switched(self, name: str) -> str | None:
        """The commit that made `main` show a release, or None."""
        commits = self.api.list_repo_commits(self.repo, repo_type="dataset")
        return next((c.commit_id for c in commits if c.title == _title(name)), None)

    def _tagged(self, name: str) -> str | None:
        """The commit of a tag, or None."""
        try:
            return str(self.api.dataset_info(self.repo, revision=name).sha)
        except RevisionNotFoundError:
            return None

    def _manifest(self, commit: str | None) -> dict[str, Any] | None:
        """The manifest that a commit shows, or None."""
        if commit is None:
            return None
        try:
            path = huggingface_hub.hf_hub_download(
                self.repo, MANIFEST, repo_type="dataset", revision=commit
            )
        except LocalEntryNotFoundError:  # the Hub did not answer, which is no answer
            raise
        except EntryNotFoundError:
            return None
        try:
            found = json.loads(Path(path).read_text())
        except ValueError:  # somebody else's
            return None
        is_ours = isinstance(found, dict) and found.get("stage") == "shard"
        return dict(found) if is_ours else None

    def _paths(self, commit: str) -> dict[str, str | None]:
        """The files of a commit, with their sha256 where they lie in LFS."""
        listed = self.api.list_repo_tree(
            self.repo, repo_type="dataset", revision=commit, recursive=True
        )
        return {item.path: item.lfs.sha256 if item.lfs else None for item in listed
                if isinstance(item, huggingface_hub.RepoFile)}  # fmt: skip

    def _changes(self, made: Release, before: dict[str, Any] | None, head: str, table: Path) -> str:
        """The text of CHANGES.md: this release, then what was there."""
        n_images = made.manifest["counts"]["rows"]
        if before is None or before["params"]["release"] == made.name:
            return f"# Changes\n\n## {made.name}\n\n- {n_images:,} pictures\n"
        old = before["params"]["release"]
        wanted = [f"metadata/{old}/catalog-*.parquet", CHANGES_FILE]
        was = Path(huggingface_hub.snapshot_download(
            self.repo, repo_type="dataset", revision=head, allow_patterns=wanted))  # fmt: skip
        told = changes(sql.connect(), old=sorted((was / "metadata" / old).glob("catalog-*.parquet")),
                       new=made.tables("catalog"), rejects=made.tables("rejects"), to=table)  # fmt: skip
        told_before = was / CHANGES_FILE
        rest = (
            told_before.read_text(encoding="utf-8").partition("\n\n")[2]
            if told_before.exists()
            else ""
        )
        return (
            f"# Changes\n\n## {made.name}\n\nFrom {old}:\n\n{told}- {n_images:,} pictures\n\n{rest}"
        )


def _removed(left: set[str], made: Release) -> list[CommitOperationDelete]:
    """What of `left` belongs to no release any more: folders of others whole, strays one by one."""
    ours = {path for path in left if path.startswith(("data/", "metadata/")) or path in BESIDE}
    tops = {"/".join(path.split("/")[:2]) + "/" for path in ours if path.count("/") > 1}
    folders = sorted(tops - set(made.folders))
    strays = sorted(path for path in ours if not path.startswith(tuple(folders)))
    return [*(CommitOperationDelete(folder, is_folder=True) for folder in folders),
            *(CommitOperationDelete(path) for path in strays)]  # fmt: skip


def _title(name: str) -> str:
    return f"Release {name}"


@contextmanager
def readable_errors(repo: str) -> Iterator[None]:
    """What the Hub refuses, in words and without the token."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise ValueError("no token: run `hf auth login`, or set HF_TOKEN") from error
    except LocalEntryNotFoundError as error:
        raise ValueError("the Hub does not answer; run the same command again") from error
    except HFValidationError as error:
        raise ValueError(f"{repo!r} is no name of a repository (ORG/NAME): {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403, 404):
            raise ValueError(f"the Hub refuses {repo} (status {status}): check its name, and that the token of "
                             "`hf auth login` or HF_TOKEN may do so") from None  # fmt: skip
        raise ValueError(
            f"the Hub stumbled (status {status}); run the same command again"
        ) from None
    except httpx2.TransportError as error:
        raise ValueError(
            f"the Hub cannot be reached: {error}; run the same command again"
        ) from error
