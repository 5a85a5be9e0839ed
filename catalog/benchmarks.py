"""Held-out data that models are judged on: what each is, where its files go, what others reached on it.

Declared once. Files lie under one folder, `<data>/<name>/`; how pictures are labelled is written in the benchmark's own
files, or in the annotation tables of BioCLIP 2 (github.com/Imageomics/bioclip-2, data/annotation). Figures of others are
top-1 or the benchmark's metric in per cent, from the model card of BioCLIP 2 (arXiv 2505.23883) unless `source` says
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CARD = "model card of imageomics/bioclip-2"
MODELS = ("CLIP ViT-L/14", "SigLIP ViT-L/16", "BioTrove-CLIP ViT-B/16", "BioCLIP ViT-B/16", "BioCLIP 2 ViT-L/14")  # fmt: skip
VISION = ("CLIP ViT-L/14", "SigLIP", "Supervised-IN21K", "DINOv2", "BioTrove-CLIP", "BioCLIP", "BioCLIP 2")  # fmt: skip


ANY_SET = ("zero-shot", "few-shot", "back-off")  # tasks of any set of labelled pictures
TASKS = (*ANY_SET, "newt", "fishnet", "awa2", "herbarium19", "plantdoc")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. `files` are its paths and what they are: a folder ends in a slash, either of two has a bar between."""

    name: str
    title: str
    tasks: tuple[str, ...]
    n_images: int
    n_classes: int
    chance: float  # of the metric, by guessing: 0 to 1
    files: Mapping[str, str]
    licence: str
    get: str  # how to obtain it
    kind: str = "asis"  # how its classes are named to a model
    cleaning: str = ""  # of its labels
    published: Mapping[str, float] = field(default_factory=dict)  # model: per cent
    metric: str = "zero-shot top-1"
    source: str = CARD

    def missing(self, data: Path) -> list[str]:
        """Its files that are not there, each with what it is. Empty where all are; a table may be gzipped."""
        folder = data / self.name
        return [f"{folder / path.replace('|', ' or ')}{'/' * path.endswith('/')}  {what}" for path, what in self.files.items()
                if not any(_is_there(folder, one) for one in path.split("|"))]  # fmt: skip

    def told(self, data: Path) -> str:
        """What to do about files that are missing, for people."""
        lines = "\n".join(f"  {line}" for line in self.missing(data))
        return f"{self.name} ({self.title}) is not there. Put here:\n{lines}\n  How: {self.get}"


def _is_there(folder: Path, path: str) -> bool:
    if path.endswith("/"):
        return (folder / path).is_dir() and any((folder / path).iterdir())
    return (folder / path).is_file() or (folder / f"{path}.gz").is_file()


def _species(name: str, title: str, n_images: int, n_classes: int, licence: str, get: str, figures: tuple[float, ...], **more: str) -> Benchmark:  # fmt: skip
    table = more.pop("table", f"data/annotation/meta-album/{title.partition(' (')[0]}/metadata.csv of github.com/Imageomics/bioclip-2")  # fmt: skip
    files = {
        "metadata.csv": table,
        "images/": "its pictures, under the paths in the column filepath",
    }
    return Benchmark(name, title, ANY_SET, n_images, n_classes, 1 / n_classes, files, licence, get,
                     published=dict(zip(MODELS, figures, strict=False)), **more)  # fmt: skip


_ALBUM = "meta-album.github.io, the Mini version; per set its own licence"
_OPENML = (
    "from meta-album.github.io (Mini version, on OpenML); sort the pictures into a folder per class"
)
_CAMERA = "data/ of the dataset imageomics/IDLE-OO-Camera-Traps on the Hub"


def _camera(name: str, n_images: int, n_classes: int) -> Benchmark:
    return _species(f"camera-{name}", f"IDLE-OO camera traps: {name}", n_images, n_classes, "per source, see its card",
                    "imageomics/IDLE-OO-Camera-Traps on the Hub: its table here as metadata.csv, its pictures in images/",
                    (), table=f"{name}'s table of {_CAMERA}", kind="taxon_com")  # fmt: skip


BENCHMARKS = (
    _species("nabirds", "NABirds", 48_562, 555, "research and education, see dl.allaboutbirds.org/nabirds",
             "dl.allaboutbirds.org/nabirds; its images/ here", (66.5, 61.7, 39.4, 58.8, 74.9),
             table="data/annotation/nabirds/metadata.csv of github.com/Imageomics/bioclip-2"),
    _species("plankton", "PLK_Mini (Meta-Album)", 3_440, 86, _ALBUM, _OPENML, (1.3, 2.4, 1.0, 6.1, 3.9)),
    _species("insects", "INS_Mini (Meta-Album)", 4_160, 104, _ALBUM, _OPENML, (9.0, 27.3, 20.5, 34.9, 55.3),
             cleaning="binomial in brackets"),
    _species("insects-2", "INS_2_Mini (Meta-Album)", 4_080, 102, _ALBUM, _OPENML, (11.7, 20.7, 15.7, 20.5, 27.7)),
    _species("plantnet", "PLT_NET_Mini (Meta-Album)", 1_000, 25, _ALBUM, _OPENML, (61.7, 81.8, 64.4, 88.2, 96.8)),
    _species("fungi", "FNG_Mini (Meta-Album)", 1_000, 25, _ALBUM, _OPENML, (7.6, 36.9, 38.2, 40.9, 83.8), cleaning="authors"),
    _species("plantvillage", "PLT_VIL_Mini (Meta-Album)", 1_520, 38, _ALBUM, _OPENML, (6.5, 28.5, 15.7, 19.0, 25.1)),
    _species("medicinal-leaf", "MED_LF_Mini (Meta-Album)", 1_000, 25, _ALBUM, _OPENML, (25.6, 54.5, 31.6, 38.5, 57.8)),
    _species("rare-species", "Rare Species", 11_983, 400, "CC0 metadata; pictures as their EOL licence",
             "imageomics/rare-species on the Hub; its pictures in images/", (35.2, 47.6, 24.6, 37.1, 76.8), kind="taxon_com",
             table="data/annotation/rare_species/metadata.csv of github.com/Imageomics/bioclip-2"),
    _camera("ENA24", 1_120, 20), _camera("desert-lion", 352, 32), _camera("island", 310, 33),
    _camera("orinoquia", 336, 28), _camera("ohio-small-animals", 468, 39),
    Benchmark(
        "newt", "NeWT (164 binary tasks)", ("newt",), 36_032, 164, 0.5,
        {"newt2021_labels.csv": "columns id, task_cluster, task_subcluster, task, label, text_label, split", "newt2021_images/": "<id>.jpg"},
        "iNaturalist pictures, per picture; research", "github.com/visipedia/newt: newt2021_images.tar.gz and newt2021_labels.csv.tar.gz",
        published=dict(zip(VISION, (83.4, 83.2, 75.8, 83.7, 82.5, 82.7, 89.1), strict=True)), metric="micro accuracy"),
    Benchmark(
        "fishnet", "FishNet (habitat and feeding path)", ("fishnet",), 94_532, 9, 2**-9,
        {"train.csv": "columns image, folder, FeedingPath, Tropical … brackish", "test.csv": "the same", "Image_Library/": "<folder>/<file>"},
        "research, see fishnet-2023.github.io", "fishnet-2023.github.io, anns/ of its repository for the tables",
        published=dict(zip(VISION, (27.9, 31.9, 29.4, 37.4, 22.1, 30.1, 39.8), strict=True)), metric="exact match of nine labels"),
    Benchmark(
        "awa2", "Animals with Attributes 2", ("awa2",), 37_322, 50, 0.52,
        {"classes.txt": "50 classes", "trainclasses.txt": "40 of them", "testclasses.txt": "the other 10",
         "predicate-matrix-binary.txt": "50 x 85, 0 and 1", "JPEGImages/": "<class>/"},
        "per picture, free for research", "cvml.ista.ac.at/AwA2, AwA2-data.zip",
        published=dict(zip(VISION, (61.6, 67.3, 52.7, 48.6, 45.7, 65.9, 69.5), strict=True)),
        metric="macro-F1 of two attributes", source=f"{CARD}, which calls it macro-F1; its code scores the first two of 85 attributes"),
    Benchmark(
        "herbarium19", "Herbarium 2019 (new species)", ("herbarium19",), 34_225, 683, 1 / 683,
        {"small-train/": "<class>/", "class_splits.json|herbarium_19_class_splits.pkl": '{"Old": […], "New": […]}: numbers of the classes in the order of their names'},
        "NYBG, research, see its Kaggle page", "Kaggle's herbarium-2019-fgvc6, small-train.tar.gz; the class split from github.com/sgvaze/generalized-category-discovery",
        published=dict(zip(VISION, (18.2, 18.6, 14.9, 28.1, 20.4, 26.8, 48.6), strict=True)), metric="cluster accuracy"),
    Benchmark(
        "plantdoc", "PlantDoc", ("plantdoc",), 2_598, 28, 1 / 28, {"train/": "<class>/", "test/": "<class>/"},
        "CC BY 4.0", "github.com/pratikkayal/PlantDoc-Dataset",
        published=dict(zip(VISION, (22.3, 28.2, 25.1, 38.6, 37.7, 39.5, 40.4), strict=True)), metric="1-shot accuracy"),
)  # fmt: skip

BY_NAME = {benchmark.name: benchmark for benchmark in BENCHMARKS}


@dataclass(frozen=True)
class Mean:
    """A figure that is published as a mean over benchmarks, per cent; several in brackets count as one, by their mean."""

    name: str
    task: str  # "" for the one of each benchmark
    setting: str  # what the setting starts with
    members: tuple[str | tuple[str, ...], ...]
    published: Mapping[str, float]
    source: str = CARD

    def is_of(self, task: str, setting: str) -> bool:
        """True for the task and setting that it is a mean of."""
        return (task == self.task if self.task else task in TASKS[len(ANY_SET) :]) and setting.startswith(self.setting)  # fmt: skip

    def of(self, values: Mapping[str, float]) -> float | None:
        """The mean of values by benchmark; None where one lacks."""
        parts = [(member,) if isinstance(member, str) else member for member in self.members]
        if not all(name in values for part in parts for name in part):
            return None
        return sum(sum(values[name] for name in part) / len(part) for part in parts) / len(parts)


_CAMERAS = tuple(b.name for b in BENCHMARKS if b.name.startswith("camera-"))
_TEN: tuple[str | tuple[str, ...], ...] = (
    *(b.name for b in BENCHMARKS if b.tasks == ANY_SET and b.name not in _CAMERAS),
    _CAMERAS,
)
MEANS = (
    Mean("camera traps", "zero-shot", "", (_CAMERAS,), dict(zip(MODELS, (29.5, 33.7, 10.7, 31.7, 53.9), strict=True))),
    Mean("ten sets, zero-shot", "zero-shot", "", _TEN, dict(zip(MODELS, (25.5, 39.5, 26.2, 37.6, 55.6), strict=True))),
    Mean("ten sets, 1-shot", "few-shot", "1-shot", _TEN, {"BioCLIP 2": 64.1, "BioCLIP": 50.0, "CLIP": 39.8}, "secondary"),
    Mean("ten sets, 5-shot", "few-shot", "5-shot", _TEN, {"BioCLIP 2": 78.3, "BioCLIP": 68.5, "CLIP": 58.3}, "secondary"),
    Mean("beyond species", "", "", ("fishnet", "newt", "awa2", "herbarium19", "plantdoc"),
         dict(zip(VISION, (42.7, 45.8, 39.6, 47.3, 41.7, 49.0, 57.5), strict=True))),
)  # fmt: skip


def listing(data: Path) -> str:
    """Every benchmark, for people."""
    lines = []
    for b in BENCHMARKS:
        there = "there" if not b.missing(data) else "not there"
        lines.append(f"{b.name}  {b.title}: {', '.join(b.tasks)}; {b.n_images:,} pictures, {b.n_classes:,} classes, "
                     f"chance {100 * b.chance:.2g} %; {there}")  # fmt: skip
        if figures := ", ".join(f"{model} {value:g}" for model, value in b.published.items()):
            lines.append(f"  {b.metric}, %: {figures} ({b.source})")
        lines.append(f"  licence: {b.licence}")
        lines += [f"  needs {line}" for line in b.missing(data)]
        if b.missing(data):
            lines.append(f"  how: {b.get}")
    return "\n".join(lines)
