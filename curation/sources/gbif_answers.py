"""An occurrence as GBIF's API answers it -> lines of a Darwin Core Archive's tables.

The API has given flat taxon fields, those of the discontinued backbone, and one classification per
checklist; a record's taxon is taken from one checklist or the other, never from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CATALOGUE_OF_LIFE = "7ddf754f-d193-4cc9-b351-99906754a03b"  # Extended Release: GBIF's taxonomy now
BACKBONE = "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"
_EPITHETS = ("genericName", "specificEpithet", "infraspecificEpithet")
_RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
_GBIF, _DWC = "http://rs.gbif.org/terms/1.0/", "http://rs.tdwg.org/dwc/terms/"
_SPACES = {"": _DWC, "gbif": _GBIF, "internal": "http://rs.gbif.org/terms/internal/"}
_SPACES |= {"dc": "http://purl.org/dc/terms/", "iucn": "http://iucn.org/terms/"}
COLUMNS = [  # of occurrence.txt and multimedia.txt: column -> namespace of its term
    {word.rpartition(":")[2]: _SPACES[word.rpartition(":")[0]] for word in words.split()}
    for words in (
        """gbif:gbifID dc:license gbif:datasetKey internal:publishingOrgKey datasetName dc:publisher
        institutionCode collectionCode catalogNumber basisOfRecord occurrenceID organismID eventID
        occurrenceStatus sex lifeStage eventDate recordedBy decimalLatitude decimalLongitude
        coordinateUncertaintyInMeters countryCode gbif:elevation gbif:depth dataGeneralizations
        informationWithheld scientificName gbif:acceptedScientificName gbif:taxonKey
        gbif:acceptedTaxonKey gbif:speciesKey gbif:checklistKey kingdom phylum class order family
        genus gbif:species genericName specificEpithet infraspecificEpithet taxonRank
        taxonomicStatus iucn:iucnRedListCategory gbif:verbatimScientificName vernacularName
        dc:references dc:rightsHolder""",
        """gbif:gbifID dc:type dc:format dc:identifier dc:references dc:title dc:description
        dc:source dc:audience dc:created dc:creator dc:contributor dc:publisher dc:license
        dc:rightsHolder""",
    )
]
_BLANKS = dict.fromkeys(map(ord, "\t\n\r\v\f\0\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def checklist_of(key: str) -> str:
    """The checklist a taxon key is written in: the backbone's are numbers."""
    return BACKBONE if key.isdigit() else CATALOGUE_OF_LIFE


def convert(occurrence: Mapping[str, Any], checklist_key: str) -> tuple[str, str]:
    """One occurrence of the API -> its line of occurrence.txt and its lines of multimedia.txt."""
    gbif_id = {"gbifID": occurrence.get("gbifID") or occurrence["key"]}
    taxon = _taxon(occurrence, checklist_key)
    media = (_line({**medium, **gbif_id}, 1) for medium in occurrence.get("media") or ())
    return _line({**occurrence, **taxon, **gbif_id}, 0), "".join(media)


def _taxon(occurrence: Mapping[str, Any], checklist: str) -> dict[str, Any]:
    """Every taxon field by the wanted checklist, or none: the flat fields (the backbone's) stay."""
    by = (occurrence.get("classifications") or {}).get(checklist) or {}
    usage = by.get("usage")
    if not usage:
        key = str(occurrence.get("taxonKey") or "")
        return {"checklistKey": occurrence.get("checklistKey") or (key and checklist_of(key))}
    accepted = by.get("acceptedUsage") or usage
    lineage = {t["rank"].lower(): t for t in by.get("classification") or ()}
    threat = by.get("iucnRedListCategoryCode") or occurrence.get("iucnRedListCategory")
    return {
        "checklistKey": checklist,
        "scientificName": usage.get("name"),
        "taxonKey": usage.get("key"),
        "taxonRank": usage.get("rank"),
        "acceptedScientificName": accepted.get("name"),
        "acceptedTaxonKey": accepted.get("key"),
        "taxonomicStatus": by.get("taxonomicStatus"),
        "iucnRedListCategory": threat,  # from either: a threat must not be lost with a name
        "speciesKey": lineage.get("species", {}).get("key"),
        **{word: usage.get(word) for word in _EPITHETS},
        **{rank: lineage.get(rank, {}).get("name") for rank in _RANKS},
    }


def _line(record: Mapping[str, Any], table: int) -> str:
    values = ("" if record.get(c) is None else record[c] for c in COLUMNS[table])
    texts = ("|".join(map(str, v)) if isinstance(v, list) else str(v) for v in values)
    return "\t".join(text.translate(_BLANKS) for text in texts) + "\n"


def meta() -> str:
    """GBIF's own shape: tabs, no quoting, one header line, the id in the first column."""
    shape = r'encoding="UTF-8" fieldsTerminatedBy="\t" linesTerminatedBy="\n" fieldsEnclosedBy=""'
    text = '<archive xmlns="http://rs.tdwg.org/dwc/text/">\n'
    tables = (("core", "id", _DWC, "Occurrence"), ("extension", "coreid", _GBIF, "Multimedia"))
    for (tag, key, space, name), columns in zip(tables, COLUMNS, strict=True):
        text += f'  <{tag} {shape} ignoreHeaderLines="1" rowType="{space}{name}">\n'
        text += f"    <files><location>{name.lower()}.txt</location></files>\n"
        text += f'    <{key} index="0"/>\n'
        fields = enumerate(space + word for word, space in columns.items())
        text += "".join(f'    <field index="{i}" term="{term}"/>\n' for i, term in fields)
        text += f"  </{tag}>\n"
    return text + "</archive>\n"
