"""The checklists of the sample world: a GBIF backbone and EOL's Dynamic Hierarchy."""

from dataclasses import dataclass
from functools import cache

from curation.sample.item import Row
from curation.sample.naming import ABSENT, ALL_SPECIES, NAMED_HYBRIDS
from curation.sample.shot import dice
from curation.sample.taxa import INFRASPECIFIC, RANKS, Species

_TAXON = (
    "taxonID datasetID parentNameUsageID acceptedNameUsageID originalNameUsageID scientificName "
    "scientificNameAuthorship canonicalName genericName specificEpithet infraspecificEpithet "
    "taxonRank nameAccordingTo namePublishedIn taxonomicStatus nomenclaturalStatus taxonRemarks "
    "kingdom phylum class order family genus"
)
_VERNACULAR = "taxonID vernacularName language country countryCode sex lifeStage source"
_HIERARCHY = (
    "taxonID source furtherInformationURL acceptedNameUsageID parentNameUsageID scientificName "
    "taxonRank taxonomicStatus datasetID canonicalName authority eolID Landmark "
    "higherClassification"
)
TAXON_COLUMNS = tuple(_TAXON.split())
VERNACULAR_COLUMNS = tuple(_VERNACULAR.split())
HIERARCHY_COLUMNS = tuple(_HIERARCHY.split())
_KINGDOM_IDS = {"Animalia": 1, "Bacteria": 3, "Chromista": 4, "Fungi": 5, "Plantae": 6} | {
    "Protozoa": 7
}
_OTHER_LANGUAGES = {
    "Parus major": (("de", "Kohlmeise"), ("fr", "Mésange charbonnière"), ("es", "Carbonero común")),
    "Panthera leo": (("de", "Löwe"), ("fr", "Lion"), ("es", "León")),
    "Quercus robur": (("de", "Stieleiche"), ("fr", "Chêne pédonculé")),
    "Amanita muscaria": (("de", "Fliegenpilz"), ("fr", "Amanite tue-mouches")),
    "Vulpes vulpes": (("de", "Rotfuchs"), ("es", "Zorro rojo")),
}
MISSING_PAGES = frozenset(("Bubo bubo", "Lilium candidum", "Conus marmoreus"))
"""Species whose EOL page the hierarchy does not hold."""


@dataclass(frozen=True)
class Lists:
    """Backbone rows, vernacular rows, hierarchy rows, and the keys that records refer to.

    `keys` and `pages` map a lineage cut at a rank to a GBIF taxon key and to an EOL page.
    """

    taxa: tuple[Row, ...]
    vernacular: tuple[Row, ...]
    hierarchy: tuple[Row, ...]
    keys: dict[tuple[str, ...], int]
    pages: dict[tuple[str, ...], int]


def _nodes(species: tuple[Species, ...]) -> list[tuple[str, ...]]:
    cut = {one.lineage[:depth] for one in species for depth in range(1, 8)}
    return sorted(cut, key=lambda node: (len(node), node))


def _row(node: tuple[str, ...], taxon_id: int, parent: int | None, authorship: str = "") -> Row:
    words = node[-1].split(" ")
    row = dict.fromkeys(TAXON_COLUMNS, "")
    row |= dict(zip(RANKS, node[:6], strict=False))
    row |= {
        "taxonID": str(taxon_id),
        "datasetID": "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c",
        "parentNameUsageID": str(parent or ""),
        "scientificName": f"{node[-1]} {authorship}".strip(),
        "scientificNameAuthorship": authorship,
        "canonicalName": node[-1],
        "genericName": words[0] if len(node) >= 6 else "",
        "specificEpithet": words[1] if len(words) > 1 else "",
        "taxonRank": RANKS[len(node) - 1],
        "taxonomicStatus": "accepted",
    }
    return row


@cache
def lists() -> Lists:
    """Return the checklists; they are the same in every sample world."""
    known = tuple(one for one in ALL_SPECIES if one.species not in ABSENT)
    by_lineage = {one.lineage: one for one in ALL_SPECIES}
    keys: dict[tuple[str, ...], int] = {}
    taxa: list[Row] = []
    for i, node in enumerate(_nodes(known)):
        keys[node] = _KINGDOM_IDS[node[0]] if len(node) == 1 else 2_000_000 + 37 * i
        one = by_lineage.get(node)
        row = _row(node, keys[node], keys.get(node[:-1]), one.authorship if one else "")
        if one in NAMED_HYBRIDS:
            genus, epithet = one.species.split(" ")
            row["scientificName"] = f"{genus} ×{epithet} {one.authorship}"
        taxa.append(row)
    taxa += _lower(known, keys)
    for i, node in enumerate(n for n in _nodes(ALL_SPECIES) if n not in keys):
        keys[node] = 9_000_000 + 41 * i
    pages = {node: 100_000 + 13 * i for i, node in enumerate(_nodes(ALL_SPECIES))}
    return Lists(tuple(taxa), _vernacular(known, keys), _hierarchy(by_lineage, pages), keys, pages)


def _lower(known: tuple[Species, ...], keys: dict[tuple[str, ...], int]) -> list[Row]:
    """Synonyms, names below species, and a doubtful name."""
    rows, next_id = [], 5_000_000
    by_name = {one.species: one for one in known}
    for one in known:
        for name, authorship in one.synonyms:
            next_id += 11
            row = _row((*one.lineage[:6], name), next_id, keys[one.lineage[:6]], authorship)
            status = "homotypic synonym" if authorship.startswith("(") else "synonym"
            more = {"acceptedNameUsageID": str(keys[one.lineage]), "taxonomicStatus": status}
            rows.append(row | more)
    for part in INFRASPECIFIC:
        if one_ := by_name.get(part.parent):
            next_id += 11
            row = _row((*one_.lineage[:6], part.parent), next_id, keys[one_.lineage])
            marker = "" if one_.kingdom == "Animalia" else f"{part.marker} "
            rank = "variety" if part.marker == "var." else "subspecies"
            rows.append(
                row
                | {
                    "scientificName": f"{part.parent} {marker}{part.epithet} {part.authorship}",
                    "scientificNameAuthorship": part.authorship,
                    "canonicalName": f"{part.parent} {part.epithet}",
                    "infraspecificEpithet": part.epithet,
                    "taxonRank": rank,
                }
            )
    parus = by_name["Parus major"].lineage[:6]
    doubtful = _row((*parus, "Parus dubius"), next_id + 11, keys[parus], "Brehm, 1855")
    return [*rows, doubtful | {"taxonomicStatus": "doubtful"}]


def _vernacular(known: tuple[Species, ...], keys: dict[tuple[str, ...], int]) -> tuple[Row, ...]:
    rows = []
    for one in known:
        names = [("en", one.vernacular)] if one.vernacular else []
        if one.vernacular and dice("vernacular", one.species).random() < 0.3:
            names.append(("en", one.vernacular))  # a second source agrees
        names += _OTHER_LANGUAGES.get(one.species, ())
        for i, (language, name) in enumerate(names):
            row = dict.fromkeys(VERNACULAR_COLUMNS, "")
            more = {"vernacularName": name, "language": language, "source": f"Checklist {i + 1}"}
            rows.append(row | more | {"taxonID": str(keys[one.lineage])})
    return tuple(rows)


def _hierarchy(
    by_lineage: dict[tuple[str, ...], Species], pages: dict[tuple[str, ...], int]
) -> tuple[Row, ...]:
    rows = []
    ids = {node: f"EOL-{i + 1:012d}" for i, node in enumerate(pages)}
    for node, page in pages.items():
        if node[-1] in MISSING_PAGES:
            continue
        one = by_lineage.get(node)
        name, authorship = node[-1], one.authorship if one else ""
        if one and one.synonyms and dice("hierarchy", name).random() < 0.1:
            name, authorship = one.synonyms[0]  # this taxonomy prefers another name
        row = dict.fromkeys(HIERARCHY_COLUMNS, "")
        rows.append(
            row
            | {
                "taxonID": ids[node],
                "source": f"trunk:{ids[node]}",
                "parentNameUsageID": ids.get(node[:-1], ""),
                "scientificName": f"{name} {authorship}".strip(),
                "taxonRank": RANKS[len(node) - 1],
                "taxonomicStatus": "accepted",
                "datasetID": "trunk",
                "canonicalName": name,
                "authority": authorship,
                "eolID": str(page),
                "higherClassification": "|".join(("Life", "Cellular Organisms", *node[:-1])),
            }
        )
    return tuple(rows)
