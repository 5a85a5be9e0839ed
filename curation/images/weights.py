"""Weights of models that score pictures: found where the recipe says, and no others than those it means.

A place is a file or folder beside the recipe, or `hf://ORG/NAME[@REVISION]`, for one file of it `hf://ORG/NAME/FILE[@REVISION]`.
The recipe states their sha256, so that scores always come of the same weights; of a folder that is the sha256 of its
safetensors file. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HUB = "hf://"


class Weights(NamedTuple):
    """Where weights lie on this machine: a file, or a folder with its file of weights."""

    place: Path
    file: Path
    sha256: str
    beside: str = ""  # of a folder: the sha256 of its configuration and of what reads words


def weights(place: str, sha256: str, folder: Path, *, key: str, hashed: Callable[[Path], str]) -> Weights:  # fmt: skip
    """The weights that `key` of a recipe names; `folder` is where its relative paths start, `hashed` gives a file's sha256.

    Raises ValueError, with what to do, where there are none, or others than those with this sha256.
    """
    found = _from_hub(place, key) if place.startswith(HUB) else _local(place, folder, key)
    file = found if found.is_file() else _of_folder(found, key)
    is_ = hashed(file)
    if not sha256:
        raise ValueError(f"{key}.sha256 is empty, so any weights would do: state that of the ones you mean ({file.name} here is {is_})")  # fmt: skip
    if is_ != sha256.lower():
        raise ValueError(f"{key}: the sha256 of {file} is {is_}, not the {sha256} that the recipe states: get the weights it means, "
                         "or state the sha256 of these if you trust them")  # fmt: skip
    return Weights(found, file, is_, "" if found.is_file() else _beside(found, hashed))


def why(error: BaseException) -> str:
    """What an error of somebody else's says, on one line."""
    text = str(error).strip()
    return (text.splitlines()[0] if text else type(error).__name__)[:200]


def _beside(folder: Path, hashed: Callable[[Path], str]) -> str:
    files = sorted(
        p for p in folder.iterdir() if p.suffix in (".json", ".txt", ".model") and p.is_file()
    )
    return hashlib.sha256("".join(f"{p.name} {hashed(p)}" for p in files).encode()).hexdigest()


def _local(place: str, folder: Path, key: str) -> Path:
    path = folder / Path(place).expanduser()
    if not path.exists():
        raise ValueError(
            f"{key}: {path} does not exist; download the weights there, name the right path, or leave {key} out to build "
            "without these scores"
        )
    return path


def _of_folder(folder: Path, key: str) -> Path:
    named = folder / "open_clip_model.safetensors"
    found = [named] if named.is_file() else sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        pickled = [p.name for p in sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt"))]
        raise ValueError(
            f"{key}: {folder} has {len(found)} safetensors files where one is needed"
            + (f" ({', '.join(pickled)} is pickled and never loaded: convert it)" if pickled else "")
        )  # fmt: skip
    return found[0]


def _from_hub(place: str, key: str) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, _, revision = place.removeprefix(HUB).partition("@")
    repo, file = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
    try:
        if file:
            return Path(hf_hub_download(repo, file, revision=revision or None))
        wanted = ["open_clip_config.json", "*.safetensors", "*token*", "vocab*", "merges.txt"]
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{key}: {place} cannot be had ({why(error)}); check the name and the connection, or name a file on this machine") from error  # fmt: skip
