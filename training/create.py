"""A model by name: an open_clip architecture, or one of ours, with weights from a tag, a file or the Hub."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError  # what torch says of a file that it will not unpickle
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError

from catalog.toml_tree import nearest
from training.config import HEADS
from training.model import TwoHeads

ARCHITECTURES = Path(__file__).parent / "architectures"
UNREADABLE = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    EOFError,
    UnpicklingError,
    SafetensorError,
)
REPLAY_KEYS = ("replay_proj", "visual.continual_proj")  # ours, and the original's


def add_architectures(folder: Path = ARCHITECTURES) -> None:
    """Make our small architectures (and a user's own JSON files) known to open_clip."""
    open_clip.add_model_config(folder)


def config_of(architecture: str, side_px: int = 0) -> dict[str, Any]:
    """open_clip's `model_cfg` of an architecture, whose pictures have `side_px` where that is not 0."""
    add_architectures()
    found: dict[str, Any] = copy.deepcopy(open_clip.get_model_config(architecture))
    if side_px:
        found["vision_cfg"]["image_size"] = side_px
    return found


def model(
    architecture: str, init: str = "", heads: str = "none", *, side_px: int = 0, seed: int = 0
) -> TwoHeads:
    """An open_clip architecture by name, with weights from `init`: a pretrained tag, a file, `local-dir:` or `hf-hub:`.

    `heads`: "copy" starts the replay head as a copy of the projection, "weights" takes it from `init`, "none" has one
    head only. Raises ValueError for what does not exist or does not fit.
    """
    add_architectures()
    if architecture not in open_clip.list_models():
        raise ValueError(f"model.architecture {architecture!r} is unknown to open_clip{nearest(architecture, open_clip.list_models())}")  # fmt: skip
    if heads not in HEADS:
        raise ValueError(f"model.replay_head {heads!r} is unknown{nearest(heads, HEADS)}")
    torch.manual_seed(seed)
    size = {"force_image_size": side_px} if side_px else {}
    with quietly():
        clip = open_clip.create_model(architecture, pretrained=None, precision="fp32", **size)
    replay = None
    if init:
        state = _weights(architecture, init)
        replay = next((state.pop(key) for key in REPLAY_KEYS if key in state), None)
        open_clip.model.resize_pos_embed(state, clip)
        if missing := sorted(clip.state_dict().keys() - state.keys()):
            raise ValueError(f"model.init {init!r} lacks {missing[0]!r} ({len(missing)} missing): it is no {architecture}")  # fmt: skip
        try:
            clip.load_state_dict(state)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise ValueError(f"model.init {init!r} does not fit {architecture}: {lines[1 if len(lines) > 1 else 0].strip()}") from error  # fmt: skip
    if heads == "weights" and replay is None:
        raise ValueError(f"model.replay_head is \"weights\", but model.init {init!r} has no replay head ({' or '.join(REPLAY_KEYS)}); "
                         'write replay_head = "copy" to start it from the projection')  # fmt: skip
    width = open_clip.get_model_config(architecture)["embed_dim"]
    made = TwoHeads(clip, replay=heads != "none", width=width)
    if heads == "weights" and replay is not None:
        made.set_replay(replay)
    return made


def _weights(architecture: str, init: str) -> dict[str, torch.Tensor]:
    """The state that `init` names, without the prefixes that wrappers leave. Never unpickles."""
    if init.startswith(("hf-hub:", "local-dir:")):
        try:
            return dict(open_clip.create_model(init, precision="fp32").state_dict())
        except (RuntimeError, OSError, ValueError) as error:
            raise ValueError(f"model.init {init!r} cannot be loaded: {error}") from error
    path = Path(init).expanduser()
    if path.is_file():
        try:
            state = open_clip.factory.load_state_dict(str(path), weights_only=True)
        except UNREADABLE as error:
            raise ValueError(f"model.init {init!r} is no file of weights: {error}") from error
        return {name.removeprefix("_orig_mod."): value for name, value in state.items()}
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if init not in tags:
        known = nearest(init, tags) if tags else f"; {architecture} has none"
        raise ValueError(f"model.init {init!r} is no file, and no pretrained tag of {architecture}{known}")  # fmt: skip
    try:
        return dict(
            open_clip.create_model(architecture, pretrained=init, precision="fp32").state_dict()
        )
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the weights {init!r} of {architecture} cannot be had: {error}"
        ) from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without open_clip's warning that a model without weights has none."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
