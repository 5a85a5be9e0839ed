"""How right the filters are, on real pictures where there are any.

BIOSCAN's pictures sorted by hand (170 valid, 50 empty, 45 blurry or uncropped, 25 fragmented) and photographs of living organisms:
every picture is classed by a support set made without its fold of five. The peer is the original's method, the nearest centroid
by plain cosine, on the same vectors. No weights can be had here: vectors are the weight-free `pixels`, and a ViT-B-32 with
random weights. A vial's white ring makes a specimen or field picture an easy question, and the figure no claim about herbarium sheets. Faces: how often organisms are taken for people; empty camera-trap frames: the sample world's, a guard and no
claim. What no picture here can show is a target that says `unmeasured`: a folder `faces/face` or
`camera_trap_frames/DEPLOYMENT/{animal,empty}` beside the other real data is measured where there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from catalog import pixels
from curation.images import camera_trap, embedding, faces, museum, quality
from curation.images.museum import Pictures
from curation.sample import draw
from curation.sample.naming import ALL_SPECIES
from tests.benchmarks._pictures import DATA
from tests.benchmarks.harness import Result, Row, Target, target

FIELD = ("images/cc_animals", "images/birds_full_photos", "images/orchids_naturalis", "images/butterflies_leeds")  # fmt: skip
ORGANISMS = (*FIELD, "images/flowers12")
FACE_AT = 0.5  # the recipe's default


def run(*, quick: bool) -> Result:
    """Confusion tables, areas under curves, and what cannot be measured; about three minutes on two cores."""
    rows: list[Row] = []
    targets: list[Target] = []
    judged = not quick
    if (DATA / "bioscan/quality_filter").is_dir():
        _museum(rows, targets, quick, judged)
        _quality(rows, targets, quick, judged)
        _false_faces(rows, targets, quick, judged)
    else:
        targets.append(target("real pictures of BIOSCAN and of organisms", None, "the real data is not here"))  # fmt: skip
    _frames(rows, targets, quick)
    _faces(rows, targets)
    targets.append(target("MegaDetector's own error here", None, "no detector weights can be had here"))  # fmt: skip
    return Result("filters_accuracy", "nearest centroid by plain cosine, on the same vectors", "-", tuple(rows), tuple(targets))  # fmt: skip


def _files(*folders: str, n: int = 10_000) -> list[Path]:
    found = sorted(p for f in folders for p in (DATA / f).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".avif"))  # fmt: skip
    return found if len(found) <= n else [found[i * len(found) // n] for i in range(n)]


def _read(file: Path) -> Image.Image:
    image = pixels.decode(file.read_bytes()).image
    image.thumbnail((720, 720))  # as shipped
    return image


def _vectors(encoder: embedding.Encoder, classes: dict[str, list[Path]]) -> Pictures:
    files = [file for some in classes.values() for file in some]
    parts = [encoder.encode([encoder.see(_read(f)) for f in files[i : i + 32]]) for i in range(0, len(files), 32)]  # fmt: skip
    labels = tuple(name for name, some in classes.items() for _ in some)
    return Pictures(np.concatenate(parts), labels, tuple(files), ())


def _museum(rows: list[Row], targets: list[Target], quick: bool, judged: bool) -> None:
    n = 40 if quick else 10_000
    sorted_by_hand = {p.name: _files(f"bioscan/quality_filter/{p.name}", n=n) for p in sorted((DATA / "bioscan/quality_filter").iterdir()) if p.is_dir()}  # fmt: skip
    specimen = [*sorted_by_hand["valid"], *_files("bioscan/order_examples")]
    in_field = {"specimen": specimen, "field": _files(*FIELD, n=n)}
    encoders = {"pixels": embedding.opened("pixels", None)}
    if not quick:
        encoders["ViT-B-32:random"] = _random_clip()
    for model, encoder in encoders.items():
        for what, classes in (
            ("BIOSCAN, four kinds", sorted_by_hand),
            ("specimen or field", in_field),
        ):
            found = _vectors(encoder, classes)
            said, margins = museum.cross_validated(found, model)
            plain = _by_plain_centroids(found)
            ours, peer = (_balanced(found.labels, labels) for labels in (said, plain))
            rows.append(Row(f"{what}, {model}: balanced accuracy", "share", ours, peer))
            sys.stdout.write(f"\n{what}, {model}\n" + "\n".join(museum.table(found.labels, said)) + "\n")  # fmt: skip
            unsure = ["unsure" if m < 0.1 else s for m, s in zip(margins, said, strict=True)]
            sys.stdout.write("with a margin of 0.1\n" + "\n".join(museum.table(found.labels, unsure)) + "\n")  # fmt: skip
            if model == "pixels":
                for name in classes:
                    right = [
                        s == name for s, t in zip(said, found.labels, strict=True) if t == name
                    ]
                    taken = [
                        t == name for s, t in zip(said, found.labels, strict=True) if s == name
                    ]
                    rows.append(Row(f"{what}: {name}, recall", "share", float(np.mean(right))))
                    rows.append(Row(f"{what}: {name}, precision", "share", float(np.mean(taken)) if taken else 0.0))  # fmt: skip
                least = {"BIOSCAN, four kinds": 0.7, "specimen or field": 0.95}[what]
                targets.append(target(f"{what}, without weights: balanced accuracy of {least} or more", ours >= least, f"{ours:.3f}", judged=judged))  # fmt: skip
            targets.append(target(f"{what}, {model}: not below the original's method", ours >= peer, f"{ours:.3f} to {peer:.3f}", judged=judged))  # fmt: skip


def _by_plain_centroids(found: Pictures) -> list[str]:
    """The original's way: k-means centroids per class, cosine, in the same folds."""
    n, of = len(found.labels), np.asarray(found.labels)
    fold, said = np.random.default_rng(0).permutation(n) % museum.N_FOLDS, np.empty(n, dtype=object)
    identity = np.eye(found.vectors.shape[1], dtype=np.float32)
    for k in range(museum.N_FOLDS):
        left = fold != k
        centroids, labels = [], []
        for name in sorted(set(of)):
            own = found.vectors[left & (of == name)]
            n_centroids = max(1, min(museum.MAX_CENTROIDS, len(own) // museum.PER_CENTROID))
            made = museum.kmeans2(own, n_centroids, minit="++", rng=0)[0]
            centroids.append(embedding.unit(made))
            labels += [name] * n_centroids
        known = museum.Support(tuple(labels), np.concatenate(centroids), np.zeros(len(identity), np.float32), identity, "")  # fmt: skip
        said[~left] = museum.museum(found.vectors[~left], known)[0]
    return [str(v) for v in said]


def _balanced(truth: Sequence[str], said: Sequence[str]) -> float:
    names = sorted(set(truth))
    return float(np.mean([np.mean([s == n for s, t in zip(said, truth, strict=True) if t == n]) for n in names]))  # fmt: skip


def _random_clip() -> embedding.Encoder:
    import open_clip
    import torch

    torch.manual_seed(0)
    net, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    net.eval()

    def encode(seen: Sequence[Any]) -> Any:
        with torch.inference_mode():
            return embedding.unit(net.encode_image(torch.stack(list(seen))).numpy())

    return embedding.Encoder(transform, encode)


def _quality(rows: list[Row], targets: list[Target], quick: bool, judged: bool) -> None:
    n = 30 if quick else 10_000
    of = {name: [quality.quality(_read(f)) for f in _files(f"bioscan/quality_filter/{name}", n=n)]
          for name in ("valid", "empty", "blurry_uncropped", "fragmented")}  # fmt: skip
    for name in ("empty", "fragmented", "blurry_uncropped"):
        for measure in ("subject_contrast", "sharpness"):
            area = _area([getattr(q, measure) for q in of["valid"]], [getattr(q, measure) for q in of[name]])  # fmt: skip
            rows.append(Row(f"{measure}: valid above {name}", "area under the curve", area))
            if (name, measure) == ("empty", "subject_contrast"):
                targets.append(target("subject_contrast tells valid from empty: area of 0.9 or more", area >= 0.9, f"{area:.3f}", judged=judged))  # fmt: skip
    valid, empty = ([q.subject_contrast for q in of[name]] for name in ("valid", "empty"))
    least = _best_limit(valid[::2], empty[::2])  # found on one half, asked of the other
    dropped = [[v < least for v in some[1::2]] for some in (valid, empty)]
    rows.append(Row(f"min_subject_contrast = {least:.0f}: empty pictures dropped", "share", float(np.mean(dropped[1]))))  # fmt: skip
    rows.append(Row(f"min_subject_contrast = {least:.0f}: valid pictures dropped", "share", float(np.mean(dropped[0]))))  # fmt: skip
    photographs = [_read(f) for f in _files(*FIELD, n=40 if quick else 200)]
    sharp = [quality.sharpness(image) for image in photographs]
    for radius in (1, 2, 4):
        soft = [quality.sharpness(image.filter(ImageFilter.GaussianBlur(radius))) for image in photographs]  # fmt: skip
        area = _area(sharp, soft)
        rows.append(Row(f"sharpness: photographs above themselves blurred by {radius} px", "area under the curve", area))  # fmt: skip
        if radius == 2:
            targets.append(target("sharpness tells photographs from themselves blurred by 2 px: area of 0.95 or more", area >= 0.95, f"{area:.3f}", judged=judged))  # fmt: skip


def _area(above: Sequence[float], below: Sequence[float]) -> float:
    a, b = np.asarray(above)[:, None], np.asarray(below)[None, :]
    return float((a > b).mean() + 0.5 * (a == b).mean())


def _best_limit(valid: Sequence[float], empty: Sequence[float]) -> float:
    limits = sorted({*valid, *empty})
    return max(limits, key=lambda v: float(np.mean(np.asarray(empty) < v) - np.mean(np.asarray(valid) < v)))  # fmt: skip


def _false_faces(rows: list[Row], targets: list[Target], quick: bool, judged: bool) -> None:
    files = _files(*ORGANISMS, n=60 if quick else 900)
    detector = faces.opened(faces.HAAR, b"")
    scores = np.array([detector.detect([_read(f)])[0].best for f in files])
    for at in (0.3, FACE_AT):
        rows.append(Row(f"haar: organisms taken for people at {at:g}, of {len(files)}", "share", float((scores >= at).mean())))  # fmt: skip
    for cascade in (
        "frontalface_default",
        "frontalface_alt2",
        "frontalface_alt",
        "frontalface_alt_tree",
    ):
        other = faces.HaarDetector(cascade)
        hits = [other.detect([image])[0].best > 0 for image in map(_read, files[::3])]
        drawn = [other.detect([draw.face(k)])[0].best > 0 for k in range(30)]
        rows.append(
            Row(
                f"cascade {cascade}: organisms with any hit, of {len(hits)}",
                "share",
                float(np.mean(hits)),
            )
        )
        rows.append(
            Row(
                f"cascade {cascade}: drawn faces with any hit, of {len(drawn)}",
                "share",
                float(np.mean(drawn)),
            )
        )
    share = float((scores >= FACE_AT).mean())
    targets.append(target("at most 1 % of organisms are taken for people", share <= 0.01, f"{share:.4f}", judged=judged))  # fmt: skip


def _frames(rows: list[Row], targets: list[Target], quick: bool) -> None:
    looks = draw.looks(ALL_SPECIES, seed=1)
    names, scores = [n for n, one in zip(looks, ALL_SPECIES, strict=True) if one.class_ in ("Mammalia", "Aves")], [[], []]  # type: ignore[var-annotated]  # fmt: skip
    for site in range(1, 6 if quick else 31):
        frames, events, has_animal = [], [], []
        for event in range(6):
            animal = event % 2 == 1
            for k in range(3):
                shot, name = 10 * event + k, names[(7 * site + event) % len(names)]
                frames.append(draw.camera_trap_frame(looks[name], site, event, shot) if animal else draw.empty_frame(site, shot))  # fmt: skip
                events.append(event)
                has_animal.append(animal)
        for score, animal in zip(camera_trap.differences(frames, events), has_animal, strict=True):
            scores[animal].append(score)
    area = _area(scores[1], scores[0])
    targets.append(
        target(
            "drawn frames, a guard: area of 0.95 or more",
            area >= 0.95,
            f"{area:.3f}",
            judged=not quick,
        )
    )
    rows.append(Row("background, drawn frames: with an animal above empty", "area under the curve", area))  # fmt: skip
    burst = sorted((DATA / "images/camera_trap_burst/media").glob("*.JPG"))
    if burst:
        frames = [_read(f) for f in burst]
        apart = camera_trap.differences(frames, list(range(len(frames))))
        rows.append(Row("background, a real burst with a heron in every frame, if its frames were compared with each other: below 0.3",
                        "share", float(np.mean([s < 0.3 for s in apart if s is not None]))))  # fmt: skip
        one = camera_trap.differences(frames, ["one"] * len(frames))
        rows.append(Row("background, the same burst as one event: frames that are judged", "share", float(np.mean([s is not None for s in one]))))  # fmt: skip
    folder = DATA / "camera_trap_frames"
    if not folder.is_dir():
        targets.append(
            target("empty frames of real camera traps", None, "no real empty frame can be had here")
        )
        return
    above, below = [], []
    for deployment in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted(deployment.glob("*/*"))
        scores_of = camera_trap.differences([_read(f) for f in files], [f.stem for f in files])
        for file, score in zip(files, scores_of, strict=True):
            (above if file.parent.name == "animal" else below).append(score or 0.0)
    area = _area(above, below)
    rows.append(
        Row(
            f"background, real frames, {len(above)} with an animal above {len(below)} empty",
            "area under the curve",
            area,
        )
    )
    targets.append(
        target("empty frames of real camera traps: area of 0.9 or more", area >= 0.9, f"{area:.3f}")
    )


def _faces(rows: list[Row], targets: list[Target]) -> None:
    folder = DATA / "faces"
    if not (folder / "face").is_dir():
        targets.append(target("recall of faces of people", None, "no picture of a face can be had here"))  # fmt: skip
        return
    detector = faces.opened(faces.HAAR, b"")
    scores = [detector.detect([_read(f)])[0].best for f in _files("faces/face")]
    recall = float(np.mean([s >= FACE_AT for s in scores]))
    rows.append(Row(f"haar: faces found at {FACE_AT:g}, of {len(scores)}", "share", recall))
    targets.append(target("recall of faces of people: 0.8 or more", recall >= 0.8, f"{recall:.3f}"))
