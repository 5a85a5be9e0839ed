"""The contract: the tables, made of the fields of `catalog/fields.py`.

Arrow schemas, checks and the card's table come from here.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pyarrow as pa

from catalog.fields import BOOL as BOOL
from catalog.fields import F64 as F64
from catalog.fields import FIELDS as FIELDS
from catalog.fields import I32 as I32
from catalog.fields import I64 as I64
from catalog.fields import IMAGE as IMAGE
from catalog.fields import STR as STR
from catalog.fields import Field as Field
from catalog.ranks import RANKS as RANKS

VERSION = "3"
THUMBNAILS_PER_FILE = 100_000  # so that a position leads to a file
NS = uuid.UUID("a3c1f0c2-7a55-5c39-9d0e-6f6d1c8e2b40")  # namespace of picture ids: frozen for ever

SPLITS = ("train", "validation", "test", "unseen")
SOURCES = ("gbif", "eol", "bioscan", "fathomnet", "own", "captions")
LICENSE_STATUSES = ("open", "nc", "nd", "reserved", "unknown")


@dataclass(frozen=True)
class Table:
    """A table of the contract: its name, what one row is, its key and its columns in order."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([(name, FIELDS[name].type) for name in self.columns])

    def empty(self) -> pa.Table:
        """The table without rows: what `union all by name` takes missing columns and types from."""
        return self.schema.empty_table()


def _table(name: str, row: str, key: str, columns: str) -> Table:
    return Table(name, row, tuple(key.split()), tuple(columns.split()))


_ROW = "archive source_table source_row media_index"
_ID = "occurrenceID organismID eventID deploymentID"
_LINEAGE = "kingdom phylum class order family genus species"
_PLACE = "decimalLatitude decimalLongitude coordinateUncertaintyInMeters"
_CONTEXT = f"""basisOfRecord sex lifeStage eventDate recordedBy {_PLACE} countryCode
 minimumElevationInMeters minimumDepthInMeters dataGeneralizations informationWithheld"""
_RIGHTS = "creator rightsHolder publisher"
_SCORES = (
    "museum_nearest museum_score animal_score face_score sharpness subject_contrast clipped_share"
)
_SAID = f"""{_LINEAGE} infraspecificEpithet taxonRank verbatimScientificName
 scientificName scientificNameAuthorship taxonKey checklistKey"""
_SOURCE = f"""source source_id record_key identifier references format crop provider_key
 original_width original_height {_ID} catalogNumber {_SAID} {_CONTEXT} dna_bin dna_barcode
 provider_split image_type license_verbatim title {_RIGHTS} datasetKey datasetName published_uuid published_md5 {_SCORES}
 reject_reason"""
_TAXON = f"""{_LINEAGE} specificEpithet infraspecificEpithet taxonRank canonicalName scientificName
 scientificNameAuthorship"""
_MATCH = "taxonID taxonomy match_rule match_score match_reason"
_DATA = f"""uuid source source_id media_index identifier references {_ID}
 image image_md5 width height original_width original_height md5 media_type phash phash_quality crop
 {_TAXON} vernacularName taxonID taxonomy verbatimScientificName match_rule match_score match_reason
 basisOfRecord image_type {_CONTEXT.replace("basisOfRecord", "")} geoprivacy dna_bin dna_barcode
 license license_status license_verbatim {_RIGHTS} attribution datasetKey datasetName
 museum_label museum_nearest museum_score animal_score face_score faces_blurred sharpness subject_contrast clipped_share
 group_id split"""

SOURCE = _table("source", "media row, box or associatedMedia part of one source", _ROW,
                f"{_ROW} {_SOURCE}")  # fmt: skip
MEDIA = _table("media", "media row of any source, with its id and licence", _ROW,
               f"uuid url {_ROW} {_SOURCE} license license_status attribution lineage")  # fmt: skip
TAXON = _table("taxon", "name in a taxonomy", "taxonomy taxonID",
               f"taxonomy taxonID parentNameUsageID acceptedNameUsageID taxonomicStatus "
               f"nomenclaturalCode name_key stem_key {_TAXON}")  # fmt: skip
LABEL = _table("label", "distinct verbatim lineage", "lineage",
               f"lineage {_TAXON} {_MATCH} match_distance ranks_agree ranks_differ runner_up")  # fmt: skip
VERNACULAR = _table("vernacular", "taxon × language", "taxonomy taxonID language",
                    "taxonomy taxonID language vernacularName vernacularSource")  # fmt: skip
PROBLEM = _table("problem", "fault of a taxonomy", "taxonomy problem taxonID detail",
                 "taxonomy taxonID problem detail")  # fmt: skip
ELIGIBLE = _table(
    "eligible", "picture whose label and rights let it enter the data", "uuid", "uuid"
)
FETCH = _table(
    "fetch", "canonical URL", "url", "url host status error http_status md5 media_type n_bytes"
)
PHASH = _table("phash", "picture content (bytes and crop)", "md5 crop",
               "md5 crop phash phash_quality probes pixel_xxh3 original_width original_height error"
               )  # fmt: skip
SCORE = _table("score", "picture content that a scorer has seen", "md5 crop",
               "md5 crop museum_nearest museum_score animal_score face_score face_boxes sharpness subject_contrast "
               "clipped_share error")  # fmt: skip
DEDUP = _table("dedup", "picture in a group, or near a benchmark picture", "uuid",
               "uuid group_id duplicate_of duplicate_rule distance benchmark placeholder")  # fmt: skip
GEOPRIVACY = _table("geoprivacy", "picture", "uuid", f"uuid {_PLACE} geoprivacy is_protected")
VERDICT = _table("verdict", "media row", _ROW,
                 f"uuid {_ROW} source source_id identifier verbatimScientificName license "
                 "license_status license_verbatim keep redistributable "
                 "reject_stage reject_reason reject_score duplicate_of")  # fmt: skip
DATA = _table("data", "picture that may be redistributed, with its pixels", "uuid", _DATA)
CAPTIONS = _table("captions", "picture with a caption, of a set that is never published", "uuid",
                  "uuid image image_md5 width height caption identifier md5 media_type phash license license_verbatim "
                  "split")  # fmt: skip
CATALOG = _table("catalog", "picture known to the dataset, without pixels", "uuid",
                 _DATA.replace("image image_md5 width height ", "") + " redistributable keep thumbnail_row")  # fmt: skip
REJECTS = _table("rejects", "media row that was left out, and why", _ROW,
                 f"uuid {_ROW} source source_id identifier verbatimScientificName license "
                 "license_status license_verbatim reject_stage reject_reason reject_score "
                 "duplicate_of")  # fmt: skip
TAXA = _table("taxa", "accepted taxon with pictures", "taxonomy taxonID canonicalName",
              f"{_TAXON} vernacularName taxonID taxonomy n_images n_open example thumbnail_row")  # fmt: skip
NAMES = _table("names", "name under which a taxon with pictures is found",
               f"search_key name name_kind language {_LINEAGE} canonicalName taxonRank",
               f"search_key name name_kind language taxonRank canonicalName {_LINEAGE} n_images n_open"
               )  # fmt: skip
LOOKUP = _table("lookup", "picture under its uuid, its group's, or that of the one kept in its place",
                "key catalog_row rejects_row", "key is_own catalog_row thumbnail_row rejects_row")  # fmt: skip
STATISTICS = _table("statistics", "value of a facet", "facet value",
                    "facet value n_images n_open n_taxa n_listed")  # fmt: skip
LISTED = _table("listed", "species that a list names, as our taxonomies read it", "list verbatimScientificName category",
                f"list category verbatimScientificName {_TAXON} {_MATCH}")  # fmt: skip
LINK_HEALTH = _table("link_health", "server × outcome", "host status error http_status",
                     "host status error http_status n_urls n_bytes")  # fmt: skip
THUMBNAILS = _table("thumbnails", "picture whose pixels may be published", "uuid", "uuid thumbnail")
CONFLICTS = _table("conflicts", "lineage that we read otherwise than its provider", "lineage",
                   "lineage verbatimScientificName source kingdom family genus species n_rows "
                   "canonicalName our_kingdom our_family our_species match_rule match_reason "
                   "match_score cause")  # fmt: skip
CHANGES = _table(
    "changes", "picture that differs from the release before", "uuid", "uuid change reject_reason"
)
TABLES = {
    table.name: table
    for table in (SOURCE, MEDIA, TAXON, LABEL, VERNACULAR, PROBLEM, ELIGIBLE, FETCH, PHASH, SCORE, DEDUP, GEOPRIVACY, VERDICT,
                  DATA, CAPTIONS, CATALOG, REJECTS, TAXA, NAMES, LOOKUP, STATISTICS, LISTED, LINK_HEALTH, THUMBNAILS, CONFLICTS, CHANGES)
}  # fmt: skip
