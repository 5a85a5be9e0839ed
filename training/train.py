"""Train a model from a published dataset.

    python -m training.train sample                                   a tiny model on the sample world, in minutes
    python -m training.train vit_l_14_tol_200m --data ORG/NAME --replay laion/
    torchrun --nproc-per-node 8 -m training.train my_run.toml         the same on many GPUs, or nodes

A run is a TOML file or the name of a built-in one; `--new FILE` writes a commented one. Its output folder holds
metrics.jsonl, checkpoints, and TensorBoard files where that is installed. SIGTERM saves and ends with status 0, Ctrl-C
likewise (torchrun kills what has not saved after 30 seconds; then the checkpoint before it counts); `--resume` goes on
where the newest whole checkpoint is, with the very same batches. A step whose loss or
gradient is not finite changes nothing and is counted; too many in a row end the run.
"""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.checkpoint import Checkpoint
    from training.config import Run
    from training.data import Stream
    from training.distributed import World
    from training.labels import Words
    from training.model import TwoHeads
    from training.reading import Place, Published
    from training.view import View


def train(
    run: Run, out: Path, world: World, *, resume: bool = False, stopping: Callable[[], bool] = bool
) -> int:
    """Run to the end, or until `stopping()`; return the step reached. ValueError before any work for what is wrong."""
    import torch

    from training import checkpoint, config, data, distributed, flops, metrics, reading, state
    from training import model as models
    from training.labels import Words
    from training.step import Step
    from training.validate import validate
    from training.view import View

    # what there is to train on, in which order, and from where
    passes = config.for_ranks(config.ready(run), world.size)
    place = reading.Published(run.data.place)
    if place.has_captions:
        raise ValueError(f"{run.data.place} is a dataset of captions: name it with --replay")
    held_out = None
    if run.validation.every_steps and place.has_split("validation"):
        held_out = reading.Published(run.data.place, "validation")
    other = _replay(run) if run.replay.batch else None
    found = _agreed(out) if resume else None
    revisions = {"data": place.revision, **({"replay": other.revision} if other else {})}
    begun = state.start(run, out, found, revisions, resume=resume)
    step: int = begun["step"]
    n_failed, n_bad, n_bad_in_a_row = begun["n_failed"], begun["n_bad_steps"], 0
    positions = list(begun["positions"])

    # the model, on its device, for this many ranks
    net = _model(run, found, place)
    if passes > 1 and any("BatchNorm" in type(module).__name__ for module in net.modules()):
        raise ValueError(f"compute.micro_batch: {run.model.architecture} has batch norms, which see every pass by itself; "
                         "set it to 0, or choose a model without")  # fmt: skip
    view = View(
        net.side_px,
        run.image.resize,
        run.image.scale,
        flip=run.image.flip,
        full_decode=run.image.full_decode,
    )
    words = Words(run.text.types, run.text.absent, run.model.architecture, run.seed)
    streams = _streams(run, world, place, other, view, words)
    n_steps = run.optimizer.steps or math.ceil(
        run.optimizer.epochs * streams[0].order.per_epoch / run.data.batch
    )
    net.to(world.device).train()
    per_picture, per_caption = flops.forward_flops(net, view.side_px, net.context_length)
    scalars = [net.logit_scale]
    net.prepare(checkpointing=run.compute.checkpointing, compiled=run.compute.compile)
    dtype = torch.bfloat16 if run.compute.precision == "bf16" else torch.float32
    rate = flops.matrix_rate(world.device, dtype if world.device.type == "cuda" else torch.float32)
    one = Step(
        run,
        net,
        distributed.wrapped(net, run.compute.wrapper, models.blocks(net), scalars, dtype),
        passes,
    )
    how = run.optimizer
    optimizer = torch.optim.AdamW(state.groups(net, how.weight_decay), lr=how.lr, betas=(how.beta1, how.beta2),
                                  eps=how.eps, fused=True)  # fmt: skip
    average = (
        {name: value.detach().clone() for name, value in net.state_dict().items()}
        if how.ema
        else {}
    )
    if found is not None:
        state.load_optimizer(optimizer, net, found.tensors("optimizer"))
        for name, value in found.tensors("ema").items():
            average[name].copy_(distributed.sharded_like(average[name], value))

    log = metrics.Metrics(out, step, world)
    log.tell(f"{run.name}: {round(streams[0].order.per_epoch):,} pictures, {n_steps:,} steps of {run.data.batch:,}"
             f"{f' + {run.replay.batch:,}' if run.replay.batch else ''} on {world.size} × {world.device.type}, "
             f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} M weights")  # fmt: skip
    ahead = data.Ahead(
        [s.batches(step, at) for s, at in zip(streams, positions, strict=True)],
        world.device,
        images=passes == 1,
    )
    try:
        while step < n_steps:
            # one step
            started, waited = time.perf_counter(), ahead.waited_s
            torch.manual_seed(hash((run.seed, step, world.rank)))  # of dropped patches and paths
            batches = ahead.next()
            waited = ahead.waited_s - waited
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, n_steps, run)
            optimizer.zero_grad(set_to_none=True)
            losses, length = one.backward(batches)
            distributed.averaged(scalars)
            norm = state.clipped(net, how.clip_norm)
            loss = sum(float(part) for part in losses.values())
            is_good = math.isfinite(loss) and math.isfinite(norm)
            if is_good:
                optimizer.step()
                with torch.no_grad():
                    net.logit_scale.clamp_(0, math.log(100))  # as CLIP does
                if average:
                    state.follow(average, net.state_dict(), how.ema, step)

            # what it came to
            step += 1
            n_bad, n_bad_in_a_row = n_bad + (not is_good), 0 if is_good else n_bad_in_a_row + 1
            errors = [error for batch in batches for error in batch.errors]
            lost = [float(len(batch.errors)) for batch in batches]
            n_lost = distributed.total(torch.tensor(lost, device=world.device)).tolist()
            n_failed += int(sum(n_lost))
            seconds, n = time.perf_counter() - started, run.data.batch + run.replay.batch
            spent = 3 * n * (per_picture + per_caption * length / net.context_length) / world.size
            log.step(n_steps, {
                "step": step, "epoch": round(streams[0].order.epoch_of(positions[0]), 6), "loss": loss,
                **{name: float(part) for name, part in losses.items()}, "grad_norm": norm, "lr": rate_at(step - 1, n_steps, run),
                "logit_scale": float(net.logit_scale.detach().exp()), "text_type": words.kind(step - 1), "text_length": length,
                "samples_per_s": n / seconds, "wait_share": waited / seconds, "mfu": spent / seconds / rate,
                "n_failed": n_failed, "n_bad_steps": n_bad, "batch": metrics.digest(batches)}, errors)  # fmt: skip
            positions = [batch.stop for batch in batches]
            if n_bad_in_a_row > how.max_bad_steps:
                raise FloatingPointError(f"{n_bad_in_a_row} steps in a row had no finite loss or gradient, the last was step {step}; "
                                         "lower optimizer.lr, or look at the pictures around there (metrics.jsonl)")  # fmt: skip
            for stream, n_of, size in zip(
                streams, n_lost, (run.data.batch, run.replay.batch), strict=False
            ):
                if n_of == size:
                    raise ValueError(f"no picture of {stream.place.name} in step {step} can be used{f': {errors[0]}' if errors else ''}; "
                                     "--resume goes on from the last checkpoint once they can")  # fmt: skip
            stop = distributed.any_rank(stopping(), world.device)
            if held_out and (step % run.validation.every_steps == 0 or step == n_steps):
                with state.averaged(net, average):
                    log.validation(step, validate(net, run, world, held_out, view, words))
            if stop or step % run.checkpoint.every_steps == 0 or step == n_steps:
                kept = {"run": config.as_dict(run), "revisions": revisions, "commit": place.commit, "positions": positions,
                        "n_failed": n_failed, "n_bad_steps": n_bad, "preprocessing": _preprocessing(run, view)}  # fmt: skip
                parts = {
                    "weights": net.state_dict(),
                    "ema": average,
                    "optimizer": state.optimizer_tensors(optimizer, net),
                }
                gathered = {name: distributed.whole(tensors) for name, tensors in parts.items()}
                if world.is_first:
                    checkpoint.save(out / "checkpoints", step, gathered, kept)
                    checkpoint.prune(
                        out / "checkpoints",
                        step,
                        run.checkpoint.keep,
                        run.checkpoint.keep_every_steps,
                    )
            if stop and step < n_steps:
                log.tell(f"stopped at step {step:,} of {n_steps:,}; --resume goes on from there")
                break
    finally:
        ahead.stop()
        log.close()
    return step


def rate_at(step: int, n_steps: int, run: Run) -> float:
    """The learning rate of a step: linear to the peak, then a cosine to zero."""
    warmup, peak = min(run.optimizer.warmup_steps, n_steps), run.optimizer.lr
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup)))


def _model(run: Run, found: Checkpoint | None, place: Published) -> TwoHeads:
    """The model at its start, or as a checkpoint left it."""
    from training import create

    heads = run.model.replay_head if run.replay.batch else "none"
    if found is not None and heads == "weights":
        heads = "copy"  # the checkpoint has it
    net = create.model(run.model.architecture, "" if found else run.model.init, heads,
                        side_px=run.image.side_px, seed=run.seed)  # fmt: skip
    if run.loss.kind == "cross_entropy":
        net.add_classifier(place.taxa())
    if found is not None:
        net.load_state_dict(found.tensors("weights"))
    return net


def _agreed(out: Path) -> Checkpoint | None:
    """The newest whole checkpoint as rank 0 finds it, on every rank. ValueError where a rank does not see it."""
    from training import checkpoint, distributed

    folder = out / "checkpoints"
    found = checkpoint.newest(folder) if distributed.rank() == 0 else None
    step = distributed.from_first(found.step if found else -1)
    if found is None and step >= 0:
        found = checkpoint.there(folder, step)
    if distributed.any_rank(found is None and step >= 0, distributed.device()):
        raise ValueError(
            f"{out} is not the same folder on every node: --out must lie where all of them see it"
        )
    return found


def _replay(run: Run) -> Place:
    """Where the replay stream is read. ValueError where there are no captions."""
    from training import reading, replay

    other = replay.pairs(run.replay.place)
    if isinstance(other, reading.Published) and not other.has_captions:
        raise ValueError(
            f"{run.replay.place} is a dataset of taxa, not of captions: replay wants captions"
        )
    return other


def _streams(
    run: Run, world: World, place: Published, other: Place | None, view: View, words: Words
) -> list[Stream]:
    """The biology stream, and the replay stream where there is one."""
    from training import distributed, order
    from training.data import Stream

    weights = None
    if run.data.cap or run.data.temperature < 1 or run.data.share < 1:
        n_rows = int(place.sizes.sum())
        weights = distributed.array_from_first(
            lambda: order.weights(run.data, run.seed, n_rows, place.taxon_codes), n_rows
        )
    ours = order.Order(
        place.sizes, place.files, run.seed, run.data.mix, weights, run.data.replacement
    )
    made = [
        Stream(place, ours, view, words, run.data.batch, world.rank, world.size, run.data.workers)
    ]
    if other:
        theirs = order.Order(other.sizes, other.files, run.seed + 1, run.replay.mix)
        workers = min(1, run.data.workers)
        made.append(
            Stream(other, theirs, view, words, run.replay.batch, world.rank, world.size, workers)
        )
    return made


def _preprocessing(run: Run, view: View) -> dict[str, Any]:
    """What a picture goes through, in open_clip's words."""
    return {"size": view.side_px, "mode": "RGB", "mean": list(run.image.mean), "std": list(run.image.std),
            "interpolation": "bicubic", "resize_mode": run.image.resize, "fill_color": 0}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from catalog import terminal

    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        return _main(args)
    except (ValueError, FileExistsError) as error:
        terminal.error(error)
        return 2
    except (FloatingPointError, OSError) as error:
        terminal.error(error)
        return 1


def _main(args: argparse.Namespace) -> int:
    from catalog import processes, terminal, toml_tree
    from training import config

    if args.new:
        with Path(args.new).open("x") as file:
            file.write((config.BUILT_IN / "sample.toml").read_text())
        terminal.tell(
            f"wrote {args.new}; change it, then: python -m training.train {args.new} --data PLACE"
        )
        return 0
    run = config.read(args.run)
    for change in args.set:
        key, _, value = change.partition("=")
        run = config.changed(run, key.strip(), toml_tree.as_toml_value(value.strip()))
    for section, value in (("data", args.data), ("replay", args.replay)):
        if value:
            run = config.changed(run, f"{section}.place", value)
    run = config.ready(run)
    from training import distributed

    processes.keep_freed_memory()
    stopped: list[int] = []
    before = {
        sign: signal.signal(sign, lambda sign, _: stopped.append(sign))
        for sign in (signal.SIGTERM, signal.SIGINT)
    }
    out = Path(args.out or Path("treeoflife-data") / "runs" / run.name)
    try:
        with distributed.world() as world:
            step = train(run, out, world, resume=args.resume, stopping=lambda: bool(stopped))
            if world.is_first:
                terminal.tell(
                    f"step {step:,}: {out}; python -m training.export {out} makes a model of it"
                )
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", nargs="?", default="sample", metavar="RUN", help="built-in name or TOML file (default: sample)")  # fmt: skip
    parser.add_argument("--data", default="", metavar="PLACE", help="dataset: folder, or ORG/NAME[@REVISION] on the Hub")  # fmt: skip
    parser.add_argument("--replay", default="", metavar="PLACE", help="pictures with captions: dataset, or folder of tar or parquet files")  # fmt: skip
    parser.add_argument("--out", default="", metavar="DIR", help="where the run goes (default: treeoflife-data/runs/NAME)")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of the run")  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with the run that is there")
    parser.add_argument("--new", metavar="FILE", help="write a commented run of your own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
