"""A recipe: everything a build does, in one frozen tree read from TOML.

A recipe of yours is the same thing as a built-in one. Every field below has a default that is right
for most; an unknown key, a wrong type or an impossible value is an error that names the file, the
key and the nearest valid one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog import toml_tree
from curation import dedup
from curation.image_type import COLLECTED, NO_PEOPLE, NOT_ORGANISMS, TYPES
from curation.recipe_rules import checked

BUILT_IN = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Source:
    """One provider archive."""

    kind: str  # gbif, eol, bioscan, fathomnet, own, published or captions
    name: str  # your name for it; stands in every row as `archive`
    path: str  # archive, folder or table; relative to the recipe's folder; published: also hf://datasets/ORG/NAME; captions: also a pattern
    where: str = ""  # published: SQL over its columns, "family = 'Felidae' and countryCode = 'BR'"
    check_md5: bool = (
        True  # published: refuse bytes that are not those published; false for another fetch.size
    )
    provenance: str = ""  # published: provenance.parquet beside the original's catalogue
    multimedia: str = ""  # gbif: media table beside a download that has none
    media_only: bool = False  # gbif: accept a multimedia table without occurrences (labels null)
    hierarchy: str = ""  # eol: taxon.tab of the Dynamic Hierarchy
    images: str = (
        ""  # bioscan: folder of the image tree; own, published, captions: folder of relative paths
    )
    image_type: str = "original_full"  # bioscan: which of its four renditions
    splits: tuple[str, ...] = ("pretrain", "train")  # bioscan: its splits to use
    drop: tuple[str, ...] = ("groupOf",)  # fathomnet: box flags that keep a box out
    licence: str = ""  # own, fathomnet, captions: licence of rows that state none
    creator: str = ""  # own: creator of rows that state none
    columns: dict[str, str] = field(
        default_factory=dict
    )  # own, captions: term -> your column for it
    citation: str = ""  # how to cite the archive: a DOI, or what its provider asks for
    obtain: str = ""  # where the archive comes from and what account it takes, for --dry-run
    expect_rows: int = 0  # media rows it will hold, for --dry-run before it is there


@dataclass(frozen=True)
class Taxonomy:
    """One taxonomy; earlier ones take precedence."""

    name: str  # name and version; stands in every row it labels
    path: str  # checklist archive, folder or table; relative to the recipe's folder
    columns: dict[str, str] = field(default_factory=dict)  # term -> column, for a loose table
    constants: dict[str, str] = field(default_factory=dict)  # term -> value of every row
    checklist_key: str = (
        ""  # GBIF's key of the checklist whose ids these are; rows with its keys resolve by them
    )
    citation: str = ""  # how to cite it
    mapping: str = ""  # table of two columns: GBIF backbone key, id here; rows with old keys resolve through it


@dataclass(frozen=True)
class Benchmark:
    """Held-out pictures that must not be in the data."""

    name: str  # stands in the reject reason
    path: str  # folder of pictures; relative to the recipe's folder


@dataclass(frozen=True)
class Fetch:
    """How pictures are fetched."""

    size: str = (
        "as_given"  # or medium (500 px), large (1,024 px), original, where a server offers sizes
    )
    n_connections: int = 64  # requests under way at once
    per_host: int = 8  # requests under way at one host at most; a quarter to begin with
    max_per_second: float = 20.0  # requests at one host; 0 for no limit
    host_rates: dict[str, float] = field(default_factory=dict)  # the same for hosts by name
    private_hosts: tuple[
        str, ...
    ] = ()  # hosts of your own network that may be asked, as host or host:port
    placeholder_urls: int = (
        4  # addresses of one host, under 3 names or more, that give one picture; 0: never
    )
    timeout_s: float = 20.0  # to connect, and between two bytes
    max_seconds: float = 120.0  # for one whole picture
    silent_s: float = (
        60.0  # without any answer of a host: then the rest of it is left to the next run
    )
    max_mb: int = 60  # largest picture
    tries: int = 4  # per run, for answers that may pass (429, 5xx, timeouts)
    max_runs: int = 3  # runs that ask again for an address that failed so
    backoff_s: float = 1.0  # first wait; doubles


@dataclass(frozen=True)
class Pixels:
    """How pictures are decoded and shipped."""

    max_side_px: int = 720  # long side as shipped; 0 keeps the size
    quality: int = 90  # JPEG quality as shipped
    max_megapixels: int = 200  # larger pictures are refused before decoding


@dataclass(frozen=True)
class Dedup:
    """What counts as the same picture."""

    classes: tuple[str, ...] = (
        dedup.CLASSES
    )  # what makes two pictures equal; leave out what should not
    near_max_bits: int = 10  # Hamming distance of 256-bit hashes; 0..15 (the original: 10)
    burst_s: float = 10.0  # frames of one camera or observer this close form one group


@dataclass(frozen=True)
class SensitiveList:
    """One list of species whose places are not told exactly."""

    name: str  # stands in the column geoprivacy of every row it shapes
    path: str  # CSV or TSV with scientificName; relative to the recipe's folder
    generalisation: str = "10 km"  # of rows that state none: a distance, or WITHHOLD
    country: str = (
        ""  # ISO 3166-1 alpha-2 of the region it holds in; rows of no country are covered
    )
    box: tuple[float, ...] = ()  # the same in degrees: south, west, north, east
    columns: dict[str, str] = field(default_factory=dict)  # term -> the list's column for it


@dataclass(frozen=True)
class SpeciesList:
    """One list of species whose coverage the statistics tell, such as the Red List."""

    name: str  # name and version; heads the table of the card
    path: str  # CSV or TSV with scientificName; relative to the recipe's folder
    columns: dict[str, str] = field(
        default_factory=dict
    )  # term -> column: category = "redlistCategory"


@dataclass(frozen=True)
class Geoprivacy:
    """Which coordinates are published."""

    policy: str = (
        "as-published/1"  # the publisher's own flags; or sensitive/1, which heeds the lists
    )
    list: tuple[SensitiveList, ...] = ()  # any number of lists, for sensitive/1


@dataclass(frozen=True)
class Names:
    """How names are resolved."""

    min_score: float = 0.80  # 0 to 1; where the curve of the benchmark names_accuracy puts it
    language: str = "en"  # of vernacular names, ISO 639
    vernacular_from_higher: bool = False  # a taxon without one takes its genus's or family's


@dataclass(frozen=True)
class Museum:
    """What pictures of collections show: specimen, label, slide, … by the nearest class of a support set."""

    model: str = (
        ""  # pixels (no weights), or a folder or hf://ORG/NAME of open_clip's; empty: not scored
    )
    sha256: str = ""  # of the model's safetensors file
    support: str = ""  # folder of labelled pictures, or the file --support wrote; empty: the model is asked in words
    types: tuple[str, ...] = (
        *COLLECTED,
        "unknown",
    )  # image types that are scored; unknown: those without one


@dataclass(frozen=True)
class CameraTrap:
    """Whether there is an animal in a camera-trap frame."""

    detector: str = ""  # background (no weights), or an ONNX file: a path or hf://ORG/NAME/FILE; empty: not scored
    sha256: str = ""  # of that file
    classes: tuple[
        str, ...
    ] = ()  # of the detector, in its order, one of them animal; empty: as the file says


@dataclass(frozen=True)
class Faces:
    """Whether there is the face of a person in a picture."""

    detector: str = ""  # haar (comes with OpenCV), or YuNet's ONNX file: a path or hf://ORG/NAME/FILE; empty: not scored
    sha256: str = ""  # of that file
    types: tuple[str, ...] = tuple(
        t for t in (*TYPES, "unknown") if t not in NO_PEOPLE
    )  # image types that are searched: those that people may be in


@dataclass(frozen=True)
class Quality:
    """Sharpness, subject and lost light."""

    measure: bool = False  # a few hundredths of a second a picture and core
    types: tuple[str, ...] = (*TYPES, "unknown")  # image types that are measured


@dataclass(frozen=True)
class Verdict:
    """What enters the data. No score drops a picture that does not have it."""

    min_rank: str = "family"  # labels must reach this rank; "any" lets unresolved pictures in
    min_side_px: int = 224  # smaller pictures are dropped
    drop_types: tuple[str, ...] = (
        NOT_ORGANISMS  # image types that are dropped, before they are fetched
    )
    drop_museum: tuple[str, ...] = (
        "text",
        "drawer",
        "landscape",
    )  # museum classes that are dropped
    min_museum_score: float = 0.05  # margin below which a museum class is unsure, and drops nothing
    min_animal_score: float = (
        0.2  # camera-trap frames with less are dropped as empty (the original: 0.2)
    )
    max_face_score: float = 0.5  # from here on a face is believed in
    on_face: str = "drop"  # what then happens to the picture: drop, blur (the face), or keep
    min_sharpness: float = 0.0  # less sharp pictures are dropped
    min_subject_contrast: float = (
        0.0  # pictures in which nothing stands out by so many grey levels are dropped
    )
    max_clipped_share: float = 1.0  # pictures of which more is black or white are dropped
    allow_nc: bool = False  # also ship non-commercial licences (never ND, reserved or unknown)
    remove_uuid: tuple[str, ...] = ()  # takedowns
    remove_url: tuple[str, ...] = ()
    remove_creator: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shard:
    """How files are written."""

    release: str = "v1"  # name of the release in the layout
    n_buckets: int = 1  # train files; fixed for the life of the dataset (aim at ~1 GB each)
    seed: int = 17  # of the shuffle and the split; fixed for the life of the dataset
    rows_per_group: int = 256  # parquet row group
    validation: float = 0.05  # share of groups
    test: float = 0.05  # share of groups
    unseen_genera: float = 0.05  # share of genera kept out of train whole


@dataclass(frozen=True)
class Sample:
    """The embedded sample world; a recipe with this table draws it before it builds."""

    n_pictures: int = 400  # about; from a few hundred to 100,000
    seed: int = 1  # of the world
    inherited: bool = True  # false draws a control world whose looks do not follow the tree


@dataclass(frozen=True)
class Expect:
    """What --dry-run reckons with before the archives are there."""

    n_pictures: int  # to fetch
    mean_kb: float  # of a picture as fetched
    hosts: dict[str, float] = field(
        default_factory=dict
    )  # share of the pictures by host; "" is local


@dataclass(frozen=True)
class Recipe:
    """A whole build."""

    name: str
    title: str = ""  # heading of the card
    licence: str = "CC0-1.0"  # of the compilation; every picture keeps its own
    authors: tuple[str, ...] = ()  # of the compilation, for its CITATION.cff and Croissant file
    memory_limit: str = "2GB"  # for DuckDB
    source: tuple[Source, ...] = ()
    taxonomy: tuple[Taxonomy, ...] = ()
    benchmark: tuple[Benchmark, ...] = ()
    coverage: tuple[SpeciesList, ...] = ()
    fetch: Fetch = Fetch()
    pixels: Pixels = Pixels()
    museum: Museum = Museum()
    camera_trap: CameraTrap = CameraTrap()
    faces: Faces = Faces()
    quality: Quality = Quality()
    dedup: Dedup = Dedup()
    geoprivacy: Geoprivacy = Geoprivacy()
    names: Names = Names()
    verdict: Verdict = Verdict()
    shard: Shard = Shard()
    sample: Sample | None = None
    expect: Expect | None = None
    folder: Path = Path()  # where relative paths start: the recipe's own folder

    @property
    def is_private(self) -> bool:
        """True where every source is of kind captions: for training on its owner's machines, never published."""
        return bool(self.source) and all(item.kind == "captions" for item in self.source)


def read(name: str) -> Recipe:
    """Read a built-in recipe by name, or a TOML file by path. ValueError says what to mend."""
    path = BUILT_IN / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = sorted(p.stem for p in BUILT_IN.glob("*.toml"))
        raise ValueError(f"no recipe {name!r}: not a file, not one of {', '.join(known)}, "
                         "not gbif:<taxon>")  # fmt: skip
    made: Recipe = toml_tree.tree(Recipe, toml_tree.read(path), str(path), "")
    return checked(made, str(path), path.resolve().parent)


def changed(recipe: Recipe, key: str, value: Any) -> Recipe:
    """The recipe with one field, `section.field`, set to another value."""
    made: Recipe = toml_tree.changed(recipe, key, value, "--what-if")
    return checked(made, "--what-if", recipe.folder)
