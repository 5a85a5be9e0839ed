"""What is judged: any model that open_clip opens, or a vision backbone of timm, behind one small face.

local-dir:FOLDER, FOLDER      a folder as `training.export` writes it, or a training run that has one
hf-hub:ORG/NAME               the same on the Hub
ARCHITECTURE:TAG              of open_clip, with pretrained weights, such as ViT-B-32:laion2b_s34b_b79k
ARCHITECTURE:FILE             with weights from a file; FILE is never unpickled
ARCHITECTURE:random           without, as a floor to compare with
timm:NAME[:FILE|:random]      a vision backbone, such as timm:vit_small_patch14_dinov2.lvd142m
untrained:MODEL               any of these with random weights in their place
pixels                        colours and edges of the picture, which nobody trained
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms as T
import xxhash
from numpy.typing import NDArray
from PIL import Image

from catalog.toml_tree import nearest
from eval import statistics
from training import create
from training import model as models
from training.labels import Tokens

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
RANDOM, PIXELS, UNTRAINED = "random", "pixels", "untrained:"


@dataclass(frozen=True)
class Seeing:
    """A model's own preprocessing, cut in two: what is done to the picture, and what to its numbers.

    A picture becomes uint8 (S, S, 3), which is a quarter of what its numbers take on their way; `normalised` makes the
    numbers (n, 3, S, S), the very ones that the whole transform gives.
    """

    shape: Callable[[Image.Image], Image.Image]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    text: str  # the whole transform in words, which names it in addresses

    def see(self, image: Image.Image) -> NDArray[np.uint8]:
        """The square that the model gets of an RGB picture."""
        return np.asarray(self.shape(image).convert("RGB"), dtype=np.uint8)

    def normalised(self, squares: torch.Tensor) -> torch.Tensor:
        """uint8 (n, S, S, 3) to float32 (n, 3, S, S), as ToTensor and Normalize do."""
        planes = squares.permute(0, 3, 1, 2).float().div(255)
        mean, std = (torch.tensor(v, device=planes.device).view(1, 3, 1, 1) for v in (self.mean, self.std))  # fmt: skip
        return planes.sub(mean).div(std)


@dataclass(frozen=True)
class Model:
    """A model ready to be asked, on its device. `digest` names its weights, `dim` is D."""

    name: str
    seeing: Seeing
    digest: str
    dim: int
    device: torch.device
    precision: str
    scale: float  # of cosines, before a softmax
    image_tower: Callable[[torch.Tensor], torch.Tensor]
    text_tower: Callable[[torch.Tensor], torch.Tensor] | None = None
    tokens: Callable[[Sequence[str]], torch.Tensor] | None = None

    @property
    def has_text(self) -> bool:
        """False for a vision backbone, which cannot be asked in words."""
        return self.text_tower is not None

    @torch.no_grad()
    def image_features(self, squares: torch.Tensor) -> NDArray[np.float32]:
        """Squares as `Seeing.see` makes them (n, S, S, 3) to features (n, D), not normalised."""
        images = self.seeing.normalised(squares.to(self.device, non_blocking=True))
        with self._cast():
            found = self.image_tower(images)
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    @torch.no_grad()
    def text_features(self, captions: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Captions to unit vectors (n, D); in fp32, as the original does. Raises ValueError without a text tower."""
        if self.text_tower is None or self.tokens is None:
            raise ValueError(f"{self.name} has no text tower: zero-shot tasks need one; ask it --tasks few-shot")  # fmt: skip
        parts = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(captions), batch):
            tokens = self.tokens(captions[start : start + batch]).to(self.device)
            parts.append(F.normalize(self.text_tower(tokens).float(), dim=-1).cpu().numpy())
        return np.concatenate(parts)

    def _cast(self) -> contextlib.AbstractContextManager[Any]:
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype) if dtype else contextlib.nullcontext()


def opened(name: str, *, precision: str = "", seed: int = 0) -> Model:
    """The model that a name stands for; on a GPU where there is one.

    `precision` is one of PRECISIONS; by default fp16 on a GPU, as the original's figures, and fp32 on a CPU; captions
    are always embedded in fp32. Raises ValueError for a name that stands for nothing, weights that do not fit, and a
    precision that is unknown.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = precision or ("fp16" if device.type == "cuda" else "fp32")
    if precision not in PRECISIONS:
        raise ValueError(f"--precision {precision!r} is unknown{nearest(precision, list(PRECISIONS))}")  # fmt: skip
    torch.manual_seed(seed)
    if name == PIXELS:
        return _pixels(device)
    if name.removeprefix(UNTRAINED).startswith("timm:"):
        return _backbone(name, device, precision)
    return _clip(name, device, precision)


def _pixels(device: torch.device) -> Model:
    side = statistics.SIDE_PX
    shape = T.Compose([T.Resize((side, side), T.InterpolationMode.BICUBIC, antialias=True)])
    seeing = Seeing(shape, (0.0,) * 3, (1.0,) * 3, f"{PIXELS} {side}")
    return Model(PIXELS, seeing, PIXELS, statistics.DIM, device, "fp32", 1.0, statistics.tower)


def _clip(name: str, device: torch.device, precision: str) -> Model:
    import open_clip

    create.add_architectures()
    own, is_trained = name.removeprefix(UNTRAINED), not name.startswith(UNTRAINED)
    place, architecture, weights = _place(own), *_parts(own)
    try:
        with create.quietly():
            net, _, transform = open_clip.create_model_and_transforms(
                place or architecture, pretrained=weights or None, load_weights=is_trained, pretrained_text=is_trained, precision="fp32", weights_only=True
            )  # fmt: skip
        tokenizer = _tokenizer(place, architecture)
    except create.UNREADABLE as error:
        raise ValueError(f"{name} cannot be opened: {str(error).partition(chr(10))[0]}") from error
    net = net.to(device).eval().requires_grad_(False)
    seeing = _seeing(transform)
    dim = _dim(net.encode_image, seeing, device)
    digest = _digest(net)
    return Model(name, seeing, digest, dim, device, precision, float(net.logit_scale.exp()), *_towers(net, dim), tokenizer)  # fmt: skip


def _towers(net: Any, dim: int) -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """Pictures and captions to features; captions are read no further than they go, where that is the same."""
    import open_clip

    if isinstance(net, open_clip.CoCa):
        return net.encode_image, net.encode_text
    heads = models.TwoHeads(net, replay=False, width=dim)

    def read(tokens: torch.Tensor) -> torch.Tensor:
        return heads.encode_text(models.trimmed(tokens) if heads.trims else tokens)

    return heads.encode_image, read


def _place(name: str) -> str:
    """The address for open_clip of a model in a folder or on the Hub; "" for an architecture."""
    if name.startswith("hf-hub:"):
        return name
    folder = Path(name.removeprefix("local-dir:")).expanduser()
    for found in (folder, folder / "export"):
        if (found / "open_clip_config.json").is_file():
            return f"local-dir:{found}"
    if (folder / "checkpoints").is_dir():
        raise ValueError(f"{folder} is a training run; export it first: python -m training.export {folder}")  # fmt: skip
    if name.startswith("local-dir:") or folder.is_dir():
        raise ValueError(f"{folder} holds no open_clip_config.json: it is no model")
    return ""


def _parts(name: str) -> tuple[str, str]:
    """Architecture and weights of ARCHITECTURE:WEIGHTS; both "" of another name."""
    import open_clip

    if _place(name):
        return "", ""
    architecture, _, weights = name.partition(":")
    if architecture not in open_clip.list_models():
        raise ValueError(f"{name}: no such folder, and open_clip knows no architecture {architecture!r}"
                         f"{nearest(architecture, open_clip.list_models())}")  # fmt: skip
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights not in (*tags, RANDOM) and not Path(weights).is_file():
        known = ", ".join([*tags, RANDOM])
        raise ValueError(f"{architecture}:{weights}: say which weights, one of {known}, or a file")
    return architecture, "" if weights == RANDOM else weights


def _tokenizer(place: str, architecture: str) -> Callable[[Sequence[str]], torch.Tensor]:
    import open_clip

    if place:
        made = open_clip.get_tokenizer(place)
        return lambda captions: made(list(captions))
    tokens = Tokens(architecture)
    return lambda captions: torch.from_numpy(np.stack([tokens.of(c) for c in captions])).long()


def _backbone(name: str, device: torch.device, precision: str) -> Model:
    import timm

    architecture, _, weights = name.removeprefix(UNTRAINED).removeprefix("timm:").partition(":")
    weights = RANDOM if name.startswith(UNTRAINED) else weights
    plain = architecture.partition(".")[0]
    if plain not in timm.list_models():
        raise ValueError(f"{name}: timm knows no model {plain!r}{nearest(plain, timm.list_models())}")  # fmt: skip
    if weights not in ("", RANDOM) and not Path(weights).is_file():
        raise ValueError(f"{name}: {weights} is no file; write :{RANDOM} for a model without weights")  # fmt: skip
    try:
        net: Any = timm.create_model(architecture, pretrained=not weights, num_classes=0)
        if weights not in ("", RANDOM):
            _load(net, weights, name)
        data: Any = importlib.import_module("timm.data")
        transform = data.create_transform(**data.resolve_model_data_config(net), is_training=False)
    except create.UNREADABLE as error:
        raise ValueError(f"{name} cannot be opened: {str(error).partition(chr(10))[0]}") from error
    net = net.to(device).eval().requires_grad_(False)
    seeing = _seeing(transform)
    return Model(name, seeing, _digest(net), _dim(net, seeing, device), device, precision, 1.0, net)


def _dim(tower: Any, seeing: Seeing, device: torch.device) -> int:
    """How many numbers a picture's features have, by trial."""
    square = torch.from_numpy(seeing.see(Image.new("RGB", (32, 32))).copy())
    with torch.no_grad():
        return int(tower(seeing.normalised(square[None].to(device))).shape[-1])


def _load(net: torch.nn.Module, file: str, name: str) -> None:
    """Weights from a file into a backbone; those of its classifier are left aside. Never unpickles."""
    from safetensors.torch import load_file

    state: Any = load_file(file) if file.endswith(".safetensors") else torch.load(file, map_location="cpu", weights_only=True)  # fmt: skip
    state = dict(state.get("state_dict", state.get("model", state)))
    result = net.load_state_dict(state, strict=False)
    if result.missing_keys:
        raise ValueError(f"{name}: the file lacks {result.missing_keys[0]!r} ({len(result.missing_keys)} missing)")  # fmt: skip


def _seeing(transform: Any) -> Seeing:
    """open_clip's or timm's evaluation transform in its two parts. Raises ValueError for another form of it."""
    steps = [step for step in transform.transforms if not isinstance(step, T.ToTensor) and type(step).__name__ != "MaybeToTensor"]  # fmt: skip
    end = steps[-1]
    if not isinstance(end, T.Normalize):
        raise ValueError(f"the model's preprocessing does not end in Normalize but in {end}")
    mean, std = (tuple(float(v) for v in torch.as_tensor(part).flatten()) for part in (end.mean, end.std))  # fmt: skip
    return Seeing(T.Compose(steps[:-1]), mean, std, " ".join(str(transform).split()))


def _digest(net: torch.nn.Module) -> str:
    """32 hex digits of all weights, whatever they were loaded from."""
    hashed = xxhash.xxh3_128()
    for key, value in sorted(net.state_dict().items()):
        hashed.update(key.encode())
        hashed.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else str(value.item()).encode())  # fmt: skip
    return hashed.hexdigest()
