"""A Hub on loopback, for the real clients: repositories, commits, LFS and Xet transfers, downloads, faults.

It speaks the part of the Hub's HTTP protocol that `huggingface_hub` and `datasets` use. Commits are immutable
listings of files, contents lie by sha256 in a folder. For Xet its token names a folder on disk as the store
of chunks (`local://…`), which the Xet client writes itself; the files are then found by the shards it leaves
there. `fail` makes requests fail on purpose.
"""

from tests.hub.server import TOKEN, Hub

__all__ = ["TOKEN", "Hub"]
