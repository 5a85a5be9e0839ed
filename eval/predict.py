"""What do pictures show? Taxa and how sure the model is of them, down to the rank that it can be sure of.

    python -m eval.predict photo.jpg more/ --model treeoflife-data/runs/sample
    python -m eval.predict photos/ --model hf-hub:ORG/MODEL --names ORG/DATASET --clade class=Aves --out birds.csv
    python -m eval.predict photos/ --model … --list my_species.txt --rank family --k 3 --out families.json

Names come from the model's own folder (embeddings/), another folder, or a dataset on the Hub. `--list` asks only about
some, by scientific or common name, one a line; `--region` only about those recorded in a country, by the dataset
`--recorded-in`. `answer` is the deepest taxon whose probability reaches --confidence; a picture that cannot be read has
a line that says why. From Python: `Predictor(opened(…), names.read(…)).predict([…])`.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.ranks import RANKS

if TYPE_CHECKING:
    from PIL import Image

    from eval.model import Model
    from eval.names import Names

BATCH = 64
MAX_CHANCES = 64_000_000  # probabilities that stand at once
FIELDS = ("picture", "error", "answer", "answer_rank", "answer_probability", "place", "probability", *RANKS, "vernacularName")  # fmt: skip


def checked(k: int, rank: str, confidence: float, batch: int) -> None:
    """Raises ValueError for what cannot be asked."""
    if rank not in RANKS:
        raise ValueError(f"rank {rank!r} is unknown; choose of {', '.join(RANKS)}")
    if k < 1 or batch < 1 or not 0 <= confidence <= 1:
        raise ValueError("k and batch are whole numbers from 1, confidence lies between 0 and 1")


class Predictor:
    """A model and the names it is asked about."""

    def __init__(self, model: Model, names: Names) -> None:
        self.model, self.names = model, names

    def predict(self, pictures: Iterable[Path | str | bytes | Image.Image], *, k: int = 5, rank: str = "species",
                confidence: float = 0.5, batch: int = BATCH) -> Iterator[dict[str, Any]]:  # fmt: skip
        """Per picture: `error`, or `answer`, `answer_rank`, `answer_probability` and `taxa`, the k likeliest of a rank.

        Pictures are files, their bytes, or PIL images. Probabilities are of all names together, and sum to 1 at a rank.
        Raises ValueError for an unknown rank, k below 1, and a confidence that is no probability.
        """
        checked(k, rank, confidence, batch)
        batch = max(1, min(batch, MAX_CHANCES // len(self.names)))
        waiting: list[Any] = []
        for picture in pictures:
            waiting.append(picture)
            if len(waiting) == batch:
                yield from self._batch(waiting, k, rank, confidence)
                waiting = []
        yield from self._batch(waiting, k, rank, confidence)

    def _batch(self, pictures: Sequence[Any], k: int, rank: str, confidence: float) -> Iterator[dict[str, Any]]:  # fmt: skip
        import numpy as np
        import torch

        from eval import backoff, features

        seen = [_seen(picture) for picture in pictures]
        good = [image for image, _ in seen if image is not None]
        answers: Iterator[dict[str, Any]] = iter(())
        if good:
            squares = torch.from_numpy(np.stack([self.model.seeing.see(image) for image in good]))
            vectors = features.unit(self.model.image_features(squares))
            scores = self.names.scores(vectors)
            scores *= np.float32(self.model.scale)
            chances = backoff.softmax(scores, out=scores)
            answers = self._answers(chances, k, rank, confidence)
        for picture, (image, error) in zip(pictures, seen, strict=True):
            name = str(picture) if isinstance(picture, (str, Path)) else ""
            yield {"picture": name, "error": error, **(next(answers) if image is not None else {})}

    def _answers(self, chances: Any, k: int, rank: str, confidence: float) -> Iterator[dict[str, Any]]:  # fmt: skip
        from eval import backoff, zero_shot
        from eval.metrics import BETWEEN

        tree, r = self.names.tree, RANKS.index(rank)
        sums = tree.sums(chances)
        deep = backoff.deepest(tree, sums, confidence)
        top, sure = zero_shot.top_of(sums[r], k)
        for i in range(len(chances)):
            at = int(deep.rank[i])
            path = tree.paths[at][deep.taxon[i]].split(BETWEEN) if at >= 0 else [""]
            yield {"answer": path[-1] or None, "answer_rank": RANKS[at] if at >= 0 else None,
                   "answer_probability": round(float(deep.probability[i]), 6) if at >= 0 else None,
                   "taxa": [{**self._taxon(r, int(t)), "probability": round(float(p), 6)} for t, p in zip(top[i], sure[i], strict=True)]}  # fmt: skip

    def _taxon(self, r: int, taxon: int) -> dict[str, Any]:
        """Names down to a rank; the common name is that of a species."""
        from eval.metrics import BETWEEN

        path = [name or None for name in self.names.tree.paths[r][taxon].split(BETWEEN)]
        found: dict[str, Any] = dict(zip(RANKS, path, strict=False))
        if r == len(RANKS) - 1:
            found["vernacularName"] = self.names.rows[self.names.tree.first(taxon)]["vernacularName"]  # fmt: skip
        return found


def _seen(picture: Any) -> tuple[Any, str | None]:
    """The picture decoded, or None and why not."""
    from PIL import Image

    from catalog import pixels

    if isinstance(picture, Image.Image):
        return picture.convert("RGB"), None
    try:
        data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        return pixels.decode(data).image, None
    except (pixels.Undecodable, OSError) as error:
        return None, str(error) or type(error).__name__


def files(given: Sequence[str]) -> list[Path]:
    """The pictures that are named, and those in folders that are. Raises ValueError where there are none."""
    from eval.examples import SUFFIXES

    found: list[Path] = []
    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            found.append(path)
    if not found:
        raise ValueError(f"no picture in {', '.join(given)}")
    return found


def written(predictions: Iterable[dict[str, Any]], kind: str) -> Iterator[str]:
    """Predictions as text, piece by piece: csv, a line per taxon; json, a list of pictures."""
    if kind == "json":
        for i, one in enumerate(predictions):
            yield ("[\n" if i == 0 else ",\n") + json.dumps(one, ensure_ascii=False)
        yield "\n]\n"
        return
    out = io.StringIO(newline="")
    lines = csv.DictWriter(out, FIELDS, extrasaction="ignore", lineterminator="\n")
    lines.writeheader()
    for one in predictions:
        for place, taxon in enumerate(one.get("taxa") or [{}], 1):
            lines.writerow({**one, **taxon, "place": place if taxon else None})
        yield out.getvalue()
        out.seek(0)
        out.truncate()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m eval.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("pictures", nargs="+", metavar="PICTURE", help="files, or folders of them")
    made.add_argument("--model", required=True, help="as of eval.run")
    made.add_argument("--names", default="", metavar="PLACE", help="folder or dataset repository with the text matrix; default: the model's folder")  # fmt: skip
    made.add_argument("--list", default="", metavar="FILE", help="ask only about these names, one a line")  # fmt: skip
    made.add_argument("--clade", action="append", default=[], metavar="RANK=NAME", help="ask only about this taxon; may be repeated to narrow it")  # fmt: skip
    made.add_argument("--region", nargs="+", default=[], metavar="CC", help="ask only about what was recorded in these countries (ISO codes)")  # fmt: skip
    made.add_argument("--recorded-in", default="", metavar="DATASET", help="the dataset whose records say so")  # fmt: skip
    made.add_argument("--rank", default="species", help="of the taxa listed for each picture")
    made.add_argument("--k", type=int, default=5, metavar="N", help="how many taxa are listed")
    made.add_argument("--confidence", type=float, default=0.5, metavar="P", help="of the answer: go only as deep as this is reached")  # fmt: skip
    made.add_argument("--out", type=Path, metavar="FILE", help=".csv or .json; default: CSV to the terminal")  # fmt: skip
    made.add_argument("--batch", type=int, default=BATCH, metavar="N", help="pictures at once")
    return made


def _names(args: argparse.Namespace, model: Model) -> Names:
    from catalog import terminal
    from eval import names

    known = None
    if args.names or not args.list or args.clade or args.region or names.has(args.model):
        known = names.read(args.names or args.model, model.dim)
    for clade in args.clade:
        known = names.in_clade(known, clade)  # type: ignore[arg-type]
    if args.region:
        if not args.recorded_in:
            raise ValueError("--region needs --recorded-in DATASET, whose records say what lives where")  # fmt: skip
        known = names.in_region(known, args.region, args.recorded_in)  # type: ignore[arg-type]
    if args.list:
        try:
            wanted = Path(args.list).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"--list {args.list} cannot be read: {error}") from error
        known, unknown = names.listed(known, wanted, model)
        if unknown:
            terminal.tell(f"{len(unknown)} of the list are no known names and are asked as they stand: {', '.join(unknown[:5])}", to=sys.stderr)  # fmt: skip
    assert known is not None
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 where not one picture could be read."""
    args = parser().parse_args(argv)
    from catalog import terminal

    try:
        if args.out and (args.out.suffix not in (".csv", ".json") or not args.out.parent.is_dir()):
            raise ValueError(
                f"--out {args.out} must end in .csv or .json, in a folder that is there"
            )
        checked(args.k, args.rank, args.confidence, args.batch)
        found = files(args.pictures)
        from eval.model import opened

        model = opened(args.model)
        if not model.has_text:
            raise ValueError(f"{args.model} has no text tower: it cannot be asked for names")
        predictor = Predictor(model, _names(args, model))
        n_good = 0

        def counted() -> Iterator[dict[str, Any]]:
            nonlocal n_good
            for one in predictor.predict(found, k=args.k, rank=args.rank, confidence=args.confidence, batch=args.batch):  # fmt: skip
                n_good += one["error"] is None
                yield one

        pieces = written(counted(), args.out.suffix[1:] if args.out else "csv")
        if args.out:
            making = args.out.with_name(f".tmp-{args.out.name}")
            with making.open("w", encoding="utf-8", errors="replace", newline="") as stream:
                stream.writelines(pieces)
            making.replace(args.out)
            terminal.tell(f"{args.out}: {n_good:,} of {len(found):,} pictures read, among {len(predictor.names):,} names")  # fmt: skip
        else:
            for piece in (
                pieces
            ):  # to a file or a pipe as it is; to a terminal so that it can do nothing there
                sys.stdout.write(terminal.shown(piece) if sys.stdout.isatty() else piece)
            sys.stdout.flush()
    except ModuleNotFoundError as error:
        terminal.error(f"{error.name} is not installed: pip install -c constraints.txt -e '.[eval]'")  # fmt: skip
        return 2
    except BrokenPipeError:  # whoever read has read enough
        sys.stdout = None
        return 0
    except (ValueError, OSError) as error:
        terminal.error(error)
        return 2
    return 0 if n_good else 1


if __name__ == "__main__":
    sys.exit(main())
