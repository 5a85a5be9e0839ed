"""A training run, as one frozen tree read from TOML. Every field has its unit and reason; unknown keys are errors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import toml_tree
from catalog.toml_tree import nearest
from training import text

BUILT_IN = Path(__file__).parent / "runs"
HEADS = ("copy", "weights", "none")  # where the replay head comes from
RESIZES = ("squash", "shortest")
SHARES = ("pictures", "taxa")
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Model:
    """Which model, and what it starts from."""

    architecture: str  # any of open_clip, or one of training/architectures
    init: str = ""  # pretrained tag, file of weights, local-dir:PATH or hf-hub:ORG/NAME; "": random
    replay_head: str = (
        "copy"  # of the projection; "weights": from init; "none": one head for both streams
    )


@dataclass(frozen=True)
class Data:
    """The biology stream: a published dataset."""

    place: str = ""  # folder, or ORG/NAME[@REVISION] on the Hub; --data says it, too
    batch: int = 256  # pairs per step over all ranks
    mix: int = (
        1  # row groups whose rows are shuffled together; workers hold that many, so 1 on the Hub
    )
    cap: int = 0  # so many pictures of a taxon an epoch on average, at most; 0: all
    temperature: float = (
        1.0  # taxa are drawn by (their pictures)**this: 1 as they are, 0.5 square root, 0 alike
    )
    max_repeats: float = 10.0  # of one picture an epoch, where temperature is below 1
    share: float = 1.0  # train on so much of it; of one seed, a smaller share is part of any larger
    share_of: str = "pictures"  # or "taxa": whole ones
    replacement: bool = False  # draw row groups anew each time, as the original did with its shards
    workers: int = 2  # processes per rank that decode


@dataclass(frozen=True)
class Replay:
    """The replay stream: pictures with captions of the web, so that the model forgets nothing."""

    place: str = (
        ""  # dataset, or folder of tar or parquet files; "": no replay; --replay says it, too
    )
    batch: int = 0  # pairs per step over all ranks
    weight: float = 1.0  # of its loss beside biology's
    mix: int = 1  # as of data


@dataclass(frozen=True)
class Text:
    """What captions say."""

    types: tuple[str, ...] = text.TYPES  # one is drawn per step, so that all negatives look alike
    absent: str = (
        "omit"  # a common name that is absent; "repeat": the scientific one, as the original
    )


@dataclass(frozen=True)
class Image:
    """What the model sees."""

    resize: str = "squash"  # the whole picture to a square; "shortest": a square of it
    scale: tuple[float, ...] = (0.9, 1.0)  # share of the area that a training crop keeps
    flip: bool = False  # mirror half of the training pictures
    full_decode: bool = False  # never let libjpeg shrink while it decodes
    mean: tuple[float, ...] = (
        OPENAI_MEAN  # of the channels, 0 to 1; goes into the export as it is here
    )
    std: tuple[float, ...] = OPENAI_STD
    side_px: int = 0  # 0: the architecture's own


@dataclass(frozen=True)
class Loss:
    """What is minimised."""

    kind: str = "contrastive"  # "cross_entropy": a classifier over taxa, for the ablation
    one_hot: bool = False  # equal captions and ancestors are negatives, as in the original
    chunk_mb: float = 256.0  # of logits that stand at once


@dataclass(frozen=True)
class Optimizer:
    """AdamW, warm-up, cosine to zero."""

    lr: float = 1e-4  # peak
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-6
    weight_decay: float = (
        0.2  # of tensors of two dimensions or more that are no norm, bias or scale
    )
    warmup_steps: int = 1875
    epochs: float = 30.0  # of the biology stream
    steps: int = 0  # instead of epochs, where positive
    clip_norm: float = 1.0  # largest norm of the gradient; 0: any
    ema: float = 0.0  # decay of an average of the weights, which is validated and exported; less at first; 0: none
    max_bad_steps: int = (
        10  # in a row whose loss or gradient is not finite: skipped, then the run stops
    )


@dataclass(frozen=True)
class Compute:
    """How it is computed; changes speed and memory, and nothing else but rounding."""

    precision: str = "bf16"  # autocast over fp32 weights; "fp32"
    micro_batch: int = 0  # pairs per rank that pass at once, biology and replay together; 0: all
    checkpointing: bool = False  # recompute activations
    compile: bool = False  # torch.compile
    wrapper: str = "ddp"  # copies on every rank; "fsdp": shards
    trim: bool = True  # captions to the longest in the batch


@dataclass(frozen=True)
class Checkpoint:
    """What is kept of a run while it goes."""

    every_steps: int = 1000
    keep: int = 2  # newest ones
    keep_every_steps: int = 0  # and every one at a multiple of this, for good; 0: none


@dataclass(frozen=True)
class Validation:
    """How the model does on the split `validation` while it trains."""

    every_steps: int = 1000  # 0: never
    n_pictures: int = 10_000  # at most


@dataclass(frozen=True)
class Run:
    """A whole run."""

    name: str
    title: str = ""  # heading of the model card
    seed: int = 42
    model: Model = Model("ViT-L-14")
    data: Data = Data()
    replay: Replay = Replay()
    text: Text = Text()
    image: Image = Image()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    compute: Compute = Compute()
    checkpoint: Checkpoint = Checkpoint()
    validation: Validation = Validation()


def read(name: str) -> Run:
    """A built-in run by name, or a TOML file by path. ValueError says what to mend."""
    path = BUILT_IN / f"{name}.toml"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        known = sorted(p.stem for p in BUILT_IN.glob("*.toml"))
        raise ValueError(f"no run {name!r}: not a file, not one of {', '.join(known)}")
    made: Run = toml_tree.tree(Run, toml_tree.read(path), str(path), "")
    return checked(made, str(path))


def from_dict(data: dict[str, Any], where: str) -> Run:
    """A run as a checkpoint keeps it."""
    made: Run = toml_tree.tree(Run, data, where, "")
    return checked(made, where)


def changed(run: Run, key: str, value: Any) -> Run:
    """The run with one field, `section.field` or `field`, set to another value."""
    made: Run = toml_tree.changed(run, key, value, "--set")
    return checked(made, "--set")


def checked(run: Run, where: str) -> Run:
    """A run whose values make sense together; ValueError names the first that does not."""

    def require(good: bool, key: str, why: str) -> None:
        if not good:
            raise ValueError(f"{where}: {key} {why}")

    def among(key: str, value: str, known: tuple[str, ...]) -> None:
        require(value in known, key, f"{value!r} is unknown{nearest(value, known)}")

    bare = run.name.replace("-", "").replace("_", "")
    require(bare.isalnum(), "name", f"{run.name!r} must be letters, digits, - and _")
    for kind in run.text.types:
        among("text.types", kind, text.ALL_TYPES)
    among("text.absent", run.text.absent, text.ABSENT)
    among("model.replay_head", run.model.replay_head, HEADS)
    among("data.share_of", run.data.share_of, SHARES)
    among("image.resize", run.image.resize, RESIZES)
    among("loss.kind", run.loss.kind, ("contrastive", "cross_entropy"))
    among("compute.precision", run.compute.precision, ("bf16", "fp32"))
    among("compute.wrapper", run.compute.wrapper, ("ddp", "fsdp"))
    require(bool(run.text.types), "text.types", "is empty: name a caption type")
    for key, values in (("image.mean", run.image.mean), ("image.std", run.image.std)):
        require(len(values) == 3 and all(0 <= v <= 1 for v in values), key, "must be three numbers from 0 to 1")  # fmt: skip
    require(all(v > 0 for v in run.image.std), "image.std", "must be above 0")
    require(len(run.image.scale) == 2 and 0 < run.image.scale[0] <= run.image.scale[1] <= 1,
            "image.scale", "must be two shares of the area, such as [0.9, 1.0]")  # fmt: skip
    for key, value, low, high in (
        ("data.batch", run.data.batch, 2, 10_000_000),
        ("data.mix", run.data.mix, 1, 100_000),
        ("data.cap", run.data.cap, 0, 10**9),
        ("data.temperature", run.data.temperature, 0.0, 1.0),
        ("data.share", run.data.share, 1e-9, 1.0),
        ("data.max_repeats", run.data.max_repeats, 1.0, 1e6),
        ("data.workers", run.data.workers, 0, 256),
        ("replay.batch", run.replay.batch, 0, 10_000_000),
        ("replay.weight", run.replay.weight, 0.0, 1000.0),
        ("replay.mix", run.replay.mix, 1, 100_000),
        ("image.side_px", run.image.side_px, 0, 4096),
        ("loss.chunk_mb", run.loss.chunk_mb, 0.001, 1e6),
        ("optimizer.lr", run.optimizer.lr, 0.0, 10.0),
        ("optimizer.beta1", run.optimizer.beta1, 0.0, 0.9999),
        ("optimizer.beta2", run.optimizer.beta2, 0.0, 0.99999),
        ("optimizer.eps", run.optimizer.eps, 1e-12, 0.1),
        ("optimizer.weight_decay", run.optimizer.weight_decay, 0.0, 10.0),
        ("optimizer.warmup_steps", run.optimizer.warmup_steps, 0, 10**9),
        ("optimizer.epochs", run.optimizer.epochs, 0.0, 1e6),
        ("optimizer.steps", run.optimizer.steps, 0, 10**9),
        ("optimizer.clip_norm", run.optimizer.clip_norm, 0.0, 1e9),
        ("optimizer.ema", run.optimizer.ema, 0.0, 0.999999),
        ("optimizer.max_bad_steps", run.optimizer.max_bad_steps, 0, 10**6),
        ("compute.micro_batch", run.compute.micro_batch, 0, 10_000_000),
        ("checkpoint.every_steps", run.checkpoint.every_steps, 1, 10**9),
        ("checkpoint.keep", run.checkpoint.keep, 1, 10_000),
        ("checkpoint.keep_every_steps", run.checkpoint.keep_every_steps, 0, 10**9),
        ("validation.every_steps", run.validation.every_steps, 0, 10**9),
        ("validation.n_pictures", run.validation.n_pictures, 1, 10**9),
    ):
        require(low <= value <= high, key, f"is {value}; it must be from {low} to {high}")
    require(run.optimizer.steps > 0 or run.optimizer.epochs > 0, "optimizer.epochs", "and optimizer.steps are 0: nothing to do")  # fmt: skip
    return run


def ready(run: Run) -> Run:
    """A run that has its data. ValueError says what is missing."""
    if not run.data.place:
        raise ValueError("there is no dataset to train on: say --data PLACE, a folder or ORG/NAME on the Hub")  # fmt: skip
    if run.replay.batch and not run.replay.place:
        raise ValueError(f"replay.batch is {run.replay.batch}, but there is no replay data: say --replay PLACE, "
                         "or --set replay.batch=0 to do without")  # fmt: skip
    if run.replay.place and not run.replay.batch:
        raise ValueError(f"replay.batch is 0, but there is replay data at {run.replay.place}: say how many pairs a step takes, "
                         "such as --set replay.batch=32")  # fmt: skip
    return run


def for_ranks(run: Run, n_ranks: int) -> int:
    """Passes per step on each of so many ranks. ValueError where batches cannot be dealt out evenly."""
    for key, batch in (("data.batch", run.data.batch), ("replay.batch", run.replay.batch)):
        if batch % n_ranks:
            raise ValueError(f"{key} is {batch}, which {n_ranks} ranks cannot share evenly; take {-(-batch // n_ranks) * n_ranks}")  # fmt: skip
    mine = (run.data.batch // n_ranks, run.replay.batch // n_ranks)
    if not run.compute.micro_batch or run.compute.micro_batch >= sum(mine):
        return 1
    passes = -(-sum(mine) // run.compute.micro_batch)
    while passes <= min(n for n in mine if n) and any(n % passes for n in mine):
        passes += 1
    if any(n % passes for n in mine):
        raise ValueError(f"no micro-batch of at most {run.compute.micro_batch} divides {mine[0]} biology and {mine[1]} replay pairs "
                         "per rank evenly; choose batches with a common divisor")  # fmt: skip
    return passes


def as_dict(run: Run) -> dict[str, Any]:
    """Plain data, as a checkpoint keeps it."""
    return dataclasses.asdict(run)
