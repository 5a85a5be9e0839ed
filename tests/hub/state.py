"""What a hub holds: repositories, their commits, the files of a commit; and what the Xet client leaves."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stored:
    """A file of a commit: where its bytes are, and whether by LFS."""

    size: int
    sha256: str
    sha1: str  # of the git blob, for a file that lies in git itself
    is_lfs: bool

    @property
    def oid(self):
        return self.sha256 if self.is_lfs else self.sha1


@dataclass
class Commit:
    """An immutable state of a repository."""

    id: str
    title: str
    message: str
    date: str
    files: dict[str, Stored]


@dataclass
class Repo:
    """A repository: its commits, what its branches and tags point to."""

    kind: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, revision):
        """The commit of a branch, tag or id; None when there is none."""
        revision = revision.removeprefix("refs/heads/")
        wanted = self.branches.get(revision) or self.tags.get(revision) or revision
        return next((c for c in reversed(self.commits) if c.id == wanted), None)


@dataclass
class Fault:
    """What happens to matching requests: a status, a cut connection (0) or a pause."""

    method: str
    pattern: re.Pattern
    status: int
    times: int
    wait_s: float


def shard_files(data: bytes) -> dict[str, str]:
    """sha256 to Xet hash of the files that a shard (.mdb) lists.

    Records of 48 bytes after a header of 48: a file's hash, flags and number of segments; its segments; as
    many verification records when bit 31 of the flags is set; one with the sha256 when bit 30 is.
    """
    found, at = {}, 48
    while at + 48 <= len(data) and data[at : at + 32] != b"\xff" * 32:
        name, flags = _hex(data[at : at + 32]), int.from_bytes(data[at + 32 : at + 36], "little")
        n_segments = int.from_bytes(data[at + 36 : at + 40], "little")
        at += 48 * (1 + n_segments * (2 if flags >> 31 else 1))
        if flags >> 30 & 1:
            found[_hex(data[at : at + 32])] = name
            at += 48
    return found


def _hex(raw: bytes) -> str:
    return "".join(f"{int.from_bytes(raw[i : i + 8], 'little'):016x}" for i in range(0, 32, 8))


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
