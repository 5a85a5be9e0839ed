"""Captions: what a row of the dataset is called in words, for training and for asking a model.

Formats after BioCLIP and BioCLIP 2 (arXiv 2311.18803 section 3.2, 2505.23883; dataset card of TreeOfLife-200M):

    sci            a photo of Puma concolor.
    com            a photo of Cougar.
    taxon          a photo of Animalia Chordata Mammalia Carnivora Felidae Puma concolor.
    sci_com        a photo of Puma concolor with common name Cougar.
    taxon_com      a photo of Animalia … Puma concolor with common name Cougar.
    taxon_tag      a photo of kingdom Animalia phylum Chordata … genus Puma species concolor.
    taxon_tag_com  the same with common name Cougar.

Rules. A rank that is not known is passed over. The scientific name is the accepted name without authorship, of a
picture that is known to family only the family's. An epithet below the species follows the species'. Where there is no
common name, `com` gives the scientific one; the others repeat it after "with common name" (`absent="repeat"`, as the
original) or leave the phrase out (`absent="omit"`). For ablations, `flat` gives every taxon one made-up word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from catalog.ranks import RANKS

TYPES = ("sci", "com", "taxon", "sci_com", "taxon_com")  # sampled in training
ALL_TYPES = (*TYPES, "taxon_tag", "taxon_tag_com", "flat")
ABSENT = ("omit", "repeat")
PROMPT = "a photo of {}."  # of every training caption
COLUMNS = (*RANKS, "canonicalName", "specificEpithet", "infraspecificEpithet", "vernacularName")

Row = Mapping[str, Any]


def scientific(row: Row) -> str:
    """The accepted name without authorship, else the name of the lowest known rank, else ""."""
    known = (row.get("canonicalName"), *(row.get(rank) for rank in reversed(RANKS)))
    return next((str(name) for name in known if name), "")


def lineage(row: Row) -> list[tuple[str, str]]:
    """Known ranks and their names from kingdom down; of the species, its epithets alone.

    The epithet of a species whose genus is not known is its whole name, or nothing would say of what.
    """
    found = [(rank, str(row[rank])) for rank in RANKS[:-1] if row.get(rank)]
    species = row.get("species")
    if not species:
        return found
    genus, name = row.get("genus"), str(species)
    epithet = name.removeprefix(f"{genus} ") if genus else name
    lower = str(row.get("canonicalName") or "")
    if lower.startswith(f"{name} "):
        epithet += lower[len(name) :]
    elif row.get("infraspecificEpithet"):
        epithet += f" {row['infraspecificEpithet']}"
    return [*found, ("species", epithet)]


def taxonomic(row: Row) -> str:
    """The names of all known ranks, kingdom first."""
    return " ".join(name for _, name in lineage(row))


def nodes(row: Row) -> tuple[str | None, ...]:
    """The nodes of the tree a row stands in: one per rank from kingdom to species, and the taxon below it.

    A node is named within its kingdom, which tells homonyms apart; None where a rank is not known. A taxon is an
    ancestor of another when its lowest node is among the other's, and not the other's lowest.
    """
    kingdom, species, name = row.get("kingdom"), row.get("species"), row.get("canonicalName")
    ranks = tuple(f"{kingdom}/{rank} {row[rank]}" if row.get(rank) else None for rank in RANKS)
    return (*ranks, f"{kingdom}/below {name}" if species and name and name != species else None)


def caption(row: Row, kind: str, absent: str = "omit") -> str:
    """The caption of a row in one of ALL_TYPES; "" where nothing is known of its taxon.

    Raises ValueError for an unknown kind or an unknown way with absent common names.
    """
    said = words(row, kind, absent)
    return PROMPT.format(said) if said else ""


def words(row: Row, kind: str, absent: str = "omit") -> str:
    """What a caption says of a row, without the phrase around it; "" where nothing is known. Raises as `caption`."""
    if absent not in ABSENT:
        raise ValueError(
            f"a common name that is absent can be {' or '.join(ABSENT)}, not {absent!r}"
        )
    name = scientific(row)
    head = kind.partition("_com")[0]
    if kind == "com":
        return str(row.get("vernacularName") or name)
    if kind == "flat":
        return _made_up(row)
    if kind not in ALL_TYPES:
        raise ValueError(f"caption type {kind!r} is unknown; choose of {', '.join(ALL_TYPES)}")
    said = {
        "sci": lambda: name,
        "taxon": lambda: taxonomic(row),
        "taxon_tag": lambda: " ".join(f"{rank} {value}" for rank, value in lineage(row)),
    }[head]() or name
    if not kind.endswith("_com") or not said:
        return said
    vernacular = row.get("vernacularName") or (name if absent == "repeat" else None)
    return " with common name ".join((said, str(vernacular))) if vernacular else said


def _made_up(row: Row) -> str:
    """A word that is the taxon's own and says nothing of its relatives; "" for no taxon."""
    key = f"{row.get('kingdom')}\x1f{scientific(row)}"
    if not scientific(row):
        return ""
    digest = hashlib.sha256(key.encode()).digest()
    return " ".join(f"{int.from_bytes(digest[i : i + 4]) % 10**6:06d}" for i in (0, 4))


def format_label(*names: str, kind: str = "taxon_com", template: str = PROMPT, **fields: str | None) -> str:  # fmt: skip
    """The caption to ask a model of ours with, from Darwin Core fields; use it for zero-shot labels.

        format_label(genus="Puma", species="Puma concolor", vernacularName="Cougar", kind="sci_com")
        format_label("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Puma", "concolor")

    Names in order are kingdom, phylum, class, order, family, genus and species (or its epithet); None or "" where a
    rank is not known. Raises ValueError for more than seven, for an unknown field, or when nothing is named.
    """
    if len(names) > len(RANKS):
        raise ValueError(f"{len(names)} names; the ranks are {', '.join(RANKS)}")
    row: dict[str, str | None] = {**dict(zip(RANKS, names, strict=False)), **fields}
    if unknown := sorted(row.keys() - set(COLUMNS)):
        raise ValueError(f"no field {unknown[0]!r}; the fields are {', '.join(COLUMNS)}")
    genus, species = row.get("genus"), row.get("species")
    if genus and species and not species.startswith(f"{genus} "):
        row["species"] = f"{genus} {species}"
    said = words(row, kind, "omit")
    if not said:
        raise ValueError(
            "nothing to name: give a name, such as genus='Puma', species='Puma concolor'"
        )
    return template.format(said)


@cache
def templates() -> tuple[Callable[[str], str], ...]:
    """The 81 zero-shot templates of the original: the training phrase, then CLIP's 80 for ImageNet."""
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return (PROMPT.format, *OPENAI_IMAGENET_TEMPLATES)


def prompts(words: str) -> list[str]:
    """One label in all 81 templates; the model's embedding of it is their normalised mean."""
    return [template(words) for template in templates()]
