"""README.md of an exported model, and what it may tell of the machine that trained it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.checkpoint import Checkpoint
from training.config import Run

LOAD = """
```python
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("{place}")
tokenizer = open_clip.get_tokenizer("{place}")
model.eval()
```
"""


def card(run: Run, found: Checkpoint, run_dir: Path, n_names: int) -> str:
    """README.md of the model: what it is, how to use it, what it was trained on, how well it did."""
    import yaml

    path = run_dir / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    steps = [line for line in lines if "loss" in line]
    checks = [line for line in lines if "validation_top1" in line]
    head = {"library_name": "open_clip", "pipeline_tag": "zero-shot-image-classification", "license": "mit",
            "tags": ["biology", "CLIP", "zero-shot-image-classification"]}  # fmt: skip
    if _is_repository(run.data.place):
        head["datasets"] = [run.data.place.partition("@")[0]]
    rows = [("architecture", run.model.architecture), ("starts from", run.model.init or "random weights"),
            ("dataset", f"{_shown(run.data.place)}build {found.state['revisions']['data']}{_at(found)}"), ("steps", f"{found.step:,}"),
            ("pairs a step", f"{run.data.batch:,} biology, {run.replay.batch:,} replay"),
            ("captions", ", ".join(run.text.types)), ("weights", "average over steps" if run.optimizer.ema else "of the last step"),
            ("pictures that could not be used", f"{found.state['n_failed']:,}")]  # fmt: skip
    if steps:
        rows.append(("loss at the last step", f"{steps[-1]['loss']:.4f}"))
    if checks:
        last = checks[-1]
        rows.append((f"zero-shot, {int(last['n_validated']):,} held-out pictures, {last['n_labels']:,} captions",
                     f"{100 * last['validation_top1']:.1f} % top-1, {100 * last['validation_top5']:.1f} % top-5"))  # fmt: skip
    table = "\n".join(f"| {name} | {str(value).replace('|', '/')} |" for name, value in rows)
    return f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---

# {run.title or run.name}

A CLIP model of organisms, after BioCLIP 2 (arXiv 2505.23883).

## Use it
{LOAD.format(place=f"local-dir:{run_dir}/export")}
Pictures are brought to a square as they were in training (`{run.image.resize}`), with the same normalisation; `preprocess`
does both. Ask with the captions it was trained on: `training.text.format_label(...)` writes them, such as
`a photo of Animalia Chordata Mammalia Carnivora Felidae Puma concolor with common name Cougar.`
`embeddings/` holds {n_names:,} species embedded so, for pybioclip:
`bioclip.TreeOfLifeClassifier` finds them once `bioclip._constants.TOL_MODELS["hf-hub:…"] = "…"` names this model and the
dataset repository that holds them.

## How it was made

| | |
| --- | --- |
{table}

`run.json` holds every setting. Each step draws one caption type for all its pairs.
"""


def _is_repository(place: str) -> bool:
    return (
        re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", place) is not None and not Path(place).exists()
    )


def _shown(place: str) -> str:
    """A repository by its name; a folder of this machine is nobody else's business."""
    return f"{place}, " if _is_repository(place) else ""


def _at(found: Checkpoint) -> str:
    return f" at commit {found.state['commit']}" if found.state.get("commit") else ""


def told(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings without the folders of this machine."""
    made = {name: dict(value) if isinstance(value, dict) else value for name, value in run.items()}
    for section, key in (("data", "place"), ("replay", "place"), ("model", "init")):
        value = made[section][key]
        if "/" in value and not _is_repository(value.removeprefix("hf-hub:")):
            made[section][key] = "(a folder of the machine that trained)"
    return made
