"""Real pictures of about 180 taxa, from photographs on disk to held-out figures, beside a plain open_clip run.

Built from one's own tables with real checklists, split by groups, a third of it held out; trained from random weights for
as many steps as open_clip's own trainer gets from a tar of the same training pictures with their scientific names. Three
thousand pictures teach a model from nothing little: the figures say that the whole way works, and how the two compare.
The peer learns scientific names alone and is asked in them; so ours stands here with its mixed captions, and once more
with that one type.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from curation import build, recipe
from tests.benchmarks import _open_clip_train, _tiny
from tests.benchmarks._pictures import DATA, FOLDERS
from tests.benchmarks.harness import Result, Row, Target, target
from tests.test_real_pictures import written
from training import text

STEPS, BATCH = 300, 128


def run(*, quick: bool) -> Result:
    """Build, train both, compare; about ten minutes on two cores."""
    peer = "open_clip_train"
    if not (DATA / "images").is_dir():
        return Result(
            "real_pictures",
            peer,
            "-",
            (),
            (Target("all of it", "unmeasured", "no real pictures here"),),
        )
    steps = 5 if quick else STEPS
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folders = list(FOLDERS[:3] if quick else FOLDERS)
        chosen = recipe.changed(recipe.read(str(written(DATA, work, folders))), "shard.test", 0.3)
        build.build(recipe.changed(chosen, "shard.unseen_genera", 0.0), work / "root")
        place = work / "root" / "datasets" / "real"
        ours = _tiny.train(
            place, work / "ours", seed=1, steps=steps, data__batch=BATCH, optimizer__lr=1e-3
        )
        alone = _tiny.train(place, work / "alone", seed=1, steps=steps, data__batch=BATCH, optimizer__lr=1e-3,
                            text__types=["sci"])  # fmt: skip
        theirs = None if quick else _peer(place, work, steps)
        found = {who: _figures(made) for who, made in (("ours", ours), ("alone", alone), ("peer", theirs)) if made}  # fmt: skip
        rows = [Row(f"{what}{also}", "share", value, found.get("peer", {}).get(what))
                for who, also in (("ours", ""), ("alone", ": scientific names alone, as the peer's"))
                for what, value in found[who].items()]  # fmt: skip
        n_species = len(_tiny.species_of(place))
        top = found["ours"]["zero-shot, right name"]
        return Result("real_pictures", peer, "-", tuple(rows), (
            target(f"zero-shot among {n_species} names above chance three times", top > 3 / n_species, f"{top:.3f}", judged=not quick),))  # fmt: skip


def _figures(made: _tiny.Trained) -> dict[str, float]:
    """Held-out pictures named right, and few-shot accuracy of their vectors."""
    image, rows = made.pictures("test")
    names = _tiny.species_of(made.dataset)
    words = made.captions([text.PROMPT.format(name) for name in names])
    answers = (image @ words.T).argmax(1).tolist()
    labels = [text.scientific(row) for row in rows]
    known = [
        (names[a], label) for a, label in zip(answers, labels, strict=True) if label in set(names)
    ]
    return {"zero-shot, right name": float(np.mean([a == label for a, label in known])),
            "1-shot": _tiny.simple_shot(image, labels, 1), "5-shot": _tiny.simple_shot(image, labels, 5)}  # fmt: skip


def _peer(place: Path, work: Path, steps: int) -> _tiny.Trained | None:
    """open_clip's trainer on a tar of the training pictures; its weights, in a run that `_tiny` can ask."""
    overlay = _open_clip_train.overlay()
    if overlay is None:
        return None
    pairs = [(row["uuid"], row["image"]["bytes"], text.caption(row, "sci")) for file in sorted(place.glob("data/*/*/train-*.parquet"))
             for row in pq.read_table(file, columns=["uuid", "image", *text.COLUMNS]).to_pylist()]  # fmt: skip
    _open_clip_train.tar(work / "real.tar", [pair for pair in pairs if pair[2]])
    weights = _open_clip_train.trained(
        overlay, work / "real.tar", "tiny-vit", BATCH, steps, 1e-3, work / "peer"
    )
    return _tiny.Trained(work / "ours", place, weights, "shortest")
