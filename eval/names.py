"""The names that a model is asked about: a text matrix with its lineages, whole or the part that can be meant.

The form is that of the original's datasets, which pybioclip reads: `txt_emb_species.npy`, (D, N) float32, a unit vector per
column, and `txt_emb_species.json`, N entries `[[kingdom … genus, epithet], common name]`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog import place as places
from catalog import sql
from catalog.ranks import RANKS
from catalog.toml_tree import nearest
from eval import zero_shot
from eval.backoff import Tree
from eval.model import Model
from training import text

MATRIX, NAMES = "txt_emb_species.npy", "txt_emb_species.json"
REGION_SQL = """
select distinct kingdom, species from catalog
where species is not null and upper(countryCode) in (select unnest($countries)) order by kingdom, species
"""


@dataclass(frozen=True)
class Names:
    """N taxa and their vectors: `rows` with ranks and common name, `matrix` (D, all), `columns` (N,) the rows' places in it, rising."""

    rows: list[dict[str, Any]]
    matrix: NDArray[Any]
    columns: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def tree(self) -> Tree:
        """Their lineages."""
        return Tree(self.rows)

    def scores(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines of pictures' unit vectors (n, D) with every name, (n, N); the matrix is read in blocks, in its order."""
        made = np.empty((len(images), len(self)), dtype=np.float32)
        for first, block in zero_shot.columns(self.matrix):
            low, high = np.searchsorted(self.columns, (first, first + block.shape[1]))
            if low < high:
                made[:, low:high] = images @ block[:, self.columns[low:high] - first]
        return made

    def only(self, keep: Callable[[Mapping[str, Any]], bool], why: str) -> Names:
        """Those that a condition keeps. Raises ValueError, which says `why`, where none is left."""
        chosen = [i for i, row in enumerate(self.rows) if keep(row)]
        if not chosen:
            raise ValueError(f"none of the {len(self):,} names {why}")
        return Names([self.rows[i] for i in chosen], self.matrix, self.columns[chosen])


def read(place: str, dim: int) -> Names:
    """Names from a folder (an export, its embeddings/), or from embeddings/ of a dataset repository, ORG/NAME.

    Raises ValueError where there are none, and for those of a model with vectors of another length.
    """
    folder = _folder(place)
    try:
        matrix = np.load(folder / MATRIX, mmap_mode="r")
        rows = [_row(entry) for entry in _entries((folder / NAMES).read_text(encoding="utf-8"))]
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{folder} has no names to ask about ({MATRIX}, {NAMES}): {error}; python -m training.export writes them") from error  # fmt: skip
    if matrix.ndim != 2 or matrix.shape[1] != len(rows):
        raise ValueError(f"{folder}: {MATRIX} has shape {matrix.shape}, {NAMES} {len(rows):,} names: they do not belong together")  # fmt: skip
    if matrix.shape[0] != dim:
        raise ValueError(f"{folder}: its vectors have {matrix.shape[0]} numbers, the model's {dim}: it is the matrix of another model")  # fmt: skip
    return Names(rows, matrix, np.arange(len(rows)))


def _entries(said: str) -> Iterator[Any]:
    """The entries of a JSON list one after another; of a million the whole list would take more memory than their rows."""
    decoder, space = json.JSONDecoder(), re.compile(r"\s*")
    at = space.match(said).end()  # type: ignore[union-attr]  # it matches everywhere
    mark = said[at : at + 1]
    if mark != "[":
        raise json.JSONDecodeError("no list", said, at)
    while mark != "]":
        at = space.match(said, at + 1).end()  # type: ignore[union-attr]
        if said[at : at + 1] == "]" and mark == "[":
            break
        entry, at = decoder.raw_decode(said, at)
        yield entry
        at = space.match(said, at).end()  # type: ignore[union-attr]
        mark = said[at : at + 1]
        if mark not in (",", "]"):
            raise json.JSONDecodeError("no , or ] behind an entry", said, at)
    if said[at + 1 :].strip():
        raise json.JSONDecodeError("something behind the list", said, at + 1)


def has(place: str) -> bool:
    """True where a folder, or a model's name that is one, has names beside it."""
    return (_folder_of(place) or Path()).joinpath(NAMES).is_file()


def _folder(place: str) -> Path:
    if found := _folder_of(place):
        return found
    path = Path(place.removeprefix("local-dir:")).expanduser()
    if path.exists() or place.count("/") != 1:
        return path
    import httpx2  # huggingface_hub's own transport: what it raises when there is no Hub
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if place.startswith("hf-hub:"):
        raise ValueError(f"{place} brings no names: say with --names which folder or dataset repository has them")  # fmt: skip
    try:
        commit = huggingface_hub.HfApi().dataset_info(place).sha
        for name in (MATRIX, NAMES):
            file = huggingface_hub.hf_hub_download(place, f"embeddings/{name}", repo_type="dataset", revision=commit)  # fmt: skip
    except (HfHubHTTPError, HFValidationError, httpx2.TransportError, OSError) as error:
        raise ValueError(f"{place} is no folder here, and has no names on the Hub: {str(error).partition(chr(10))[0]}") from error  # fmt: skip
    return Path(file).parent


def _folder_of(place: str) -> Path | None:
    path = Path(place.removeprefix("local-dir:")).expanduser()
    folders = (path, path / "embeddings", path / "export" / "embeddings")
    return next((found for found in folders if (found / NAMES).is_file()), None)


def _row(entry: Any) -> dict[str, Any]:
    try:
        (*upper, epithet), common = entry
        row = {rank: sys.intern(name) or None for rank, name in zip(RANKS, [*upper, epithet], strict=True)}  # fmt: skip
    except (TypeError, ValueError) as error:
        raise ValueError(f"{str(entry)[:80]} is not [[seven ranks], common name]") from error  # fmt: skip
    if (
        epithet and row["genus"] and not epithet[0].isupper()
    ):  # a misspelt binomial stands in full beside its genus
        row["species"] = f"{row['genus']} {epithet}"
    return {**row, "canonicalName": row["species"], "vernacularName": common or None}


def in_clade(names: Names, clade: str) -> Names:
    """Those of one taxon, `RANK=NAME`. Raises ValueError for another form, and where there are none."""
    rank, _, name = clade.partition("=")
    if rank not in RANKS or not name:
        raise ValueError(f"--clade {clade!r} is not RANK=NAME with a rank of {', '.join(RANKS)}{nearest(rank, list(RANKS))}")  # fmt: skip
    known = {str(row[rank]) for row in names.rows if row[rank]}
    return names.only(lambda row: str(row[rank] or "").lower() == name.lower(), f"is of the {rank} {name}{nearest(name, sorted(known))}")  # fmt: skip


def in_region(names: Names, countries: Sequence[str], dataset: str) -> Names:
    """Those that a dataset's catalogue has from some countries (ISO 3166 codes). Raises ValueError where there are none."""
    found = places.find(dataset, ("catalog",))
    files = found.tables(found.manifest["params"]["release"], "catalog")
    rows = sql.query(sql.connect(), REGION_SQL, {"countries": [c.upper() for c in countries]}, catalog=files).rows()  # fmt: skip
    seen = {(kingdom, species) for kingdom, species in rows}
    return names.only(lambda row: (row["kingdom"], row["species"]) in seen, f"has been recorded in {', '.join(countries)} by {dataset}")  # fmt: skip


def listed(names: Names | None, wanted: Sequence[str], model: Model) -> tuple[Names, list[str]]:
    """Those of a list, by scientific or common name; and which of the list are not known, which are asked as they stand.

    A name that several taxa bear (a common name, a homonym) means each of them. Raises ValueError for an empty list.
    """
    words = list(dict.fromkeys(name.strip() for name in wanted if name.strip()))
    if not words:
        raise ValueError("the list of names is empty")
    at: dict[str, list[int]] = {}
    for i, row in enumerate(names.rows if names else []):
        for word in (row["species"], row["vernacularName"]):
            if word:
                at.setdefault(str(word).lower(), []).append(i)
    chosen = sorted({i for word in words for i in at.get(word.lower(), [])})
    unknown = [word for word in words if word.lower() not in at]
    vectors = model.text_features([text.PROMPT.format(word) for word in unknown]).T
    kept = names.matrix[:, names.columns[chosen]] if names and chosen else np.zeros((model.dim, 0))
    rows = [names.rows[i] for i in chosen] if names else []
    rows = rows + [{**dict.fromkeys(RANKS), "species": word, "canonicalName": word, "vernacularName": None} for word in unknown]  # fmt: skip
    return Names(
        rows, np.concatenate([kept, vectors], axis=1).astype(np.float32), np.arange(len(rows))
    ), unknown
