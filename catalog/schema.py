"""The contract: every field declared once, and the tables that are made of them.

A field has a name, a type, a meaning, a unit where it measures something, the standard term it
borrows (Darwin Core, Audiovisual Core, Dublin Core) and the name TreeOfLife-200M gave it where it
had one. Arrow schemas, checks and the card's table come from here. Borrowed terms keep the
standard's spelling; our own columns are snake_case. Unknown is null, never "".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pyarrow as pa

from catalog.ranks import RANKS as RANKS

VERSION = "3"
THUMBNAILS_PER_FILE = 100_000  # so that a position leads to a file
NS = uuid.UUID("a3c1f0c2-7a55-5c39-9d0e-6f6d1c8e2b40")  # namespace of picture ids: frozen for ever

SPLITS = ("train", "validation", "test", "unseen")
SOURCES = ("gbif", "eol", "bioscan", "fathomnet", "own", "captions")
LICENSE_STATUSES = ("open", "nc", "nd", "reserved", "unknown")

STR, I32, I64, F64, BOOL = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
IMAGE = pa.struct([("bytes", pa.binary()), ("path", STR)])
_DWC, _AC = "http://rs.tdwg.org/dwc/terms/", "http://rs.tdwg.org/ac/terms/"
_DC, _GBIF = "http://purl.org/dc/terms/", "http://rs.gbif.org/terms/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"


@dataclass(frozen=True)
class Field:
    """One column: its name, Arrow type, meaning, standard term (IRI), unit, and older name."""

    name: str
    type: pa.DataType
    meaning: str
    term: str | None = None
    unit: str | None = None
    tol200m: str | None = None


def _dwc(name: str, meaning: str, type_: pa.DataType = STR, **more: str) -> Field:
    return Field(name, type_, meaning, _DWC + name, more.get("unit"), more.get("tol200m"))


def _dc(name: str, meaning: str, **more: str) -> Field:
    return Field(name, STR, meaning, _DC + name, None, more.get("tol200m"))


_FIELDS = (
    # identity
    Field("uuid", STR, "stable id of the picture: uuid5 of source, record, canonical URL and crop",
          tol200m="uuid"),
    Field("source", STR, "provider kind: gbif, eol, bioscan, fathomnet or own",
          tol200m="data_source"),
    Field("source_id", STR, "the provider's id of the record (gbifID, EOL content id, processid, …)",
          tol200m="source_id"),
    Field("media_index", I32, "position of the picture among the media of its record, from 0"),
    Field("archive", STR, "name of the source in the recipe"),
    Field("source_table", STR, "file inside the archive that held the row"),
    Field("source_row", I64, "data row in that file, from 1"),
    Field("record_key", STR, "the part of the picture's id that names the record"),
    Field("identifier", STR, "address of the picture as the provider gave it", _DC + "identifier",
          None, "source_url"),
    _dc("references", "web page about the picture or record"),
    _dwc("occurrenceID", "publisher's id of the occurrence"),
    _dwc("organismID", "id of the individual organism"),
    _dwc("eventID", "id of the sampling event or burst"),
    Field("deploymentID", STR, "camera-trap deployment", "http://rs.tdwg.org/camtrap-dp/deploymentID"),
    _dwc("catalogNumber", "number of the specimen in its collection"),
    Field("url", STR, "canonical address: what is fetched and compared"),
    Field("provider_key", STR, "the provider's own id of the original picture, parsed from the address"),
    # picture
    Field("image", IMAGE, "the picture as shipped: orientation applied, long side limited"),
    Field("image_md5", STR, "md5 of the shipped bytes"),
    Field("width", I32, "width as shipped", unit="px"),
    Field("height", I32, "height as shipped", unit="px"),
    Field("original_width", I32, "width as fetched, after orientation and crop",
          _EXIF + "PixelXDimension", "px"),
    Field("original_height", I32, "height as fetched, after orientation and crop",
          _EXIF + "PixelYDimension", "px"),
    Field("md5", STR, "md5 of the bytes as fetched", _AC + "hashValue"),
    Field("media_type", STR, "media type of the bytes as fetched, from their magic number",
          _DC + "format"),
    Field("format", STR, "media type as the provider stated it"),
    Field("phash", STR, "256-bit perceptual hash as 64 hex characters (imagehash.phash, hash_size=16)"),
    Field("phash_quality", F64, "spread of grey levels behind the hash; flat pictures have no hash",
          unit="grey levels"),
    Field("pixel_xxh3", STR, "XXH3 (128 bits) of size and RGB pixels after decoding"),
    Field("probes", pa.binary(), "hashes of the picture mirrored, cropped and without its border, 32 bytes each"),
    Field("crop", STR, "box cut out of the original: x,y,w,h in its own pixels", unit="px"),
    # taxon
    _dwc("kingdom", "accepted kingdom", tol200m="kingdom"),
    _dwc("phylum", "accepted phylum", tol200m="phylum"),
    _dwc("class", "accepted class", tol200m="class"),
    _dwc("order", "accepted order", tol200m="order"),
    _dwc("family", "accepted family", tol200m="family"),
    _dwc("genus", "accepted genus", tol200m="genus"),
    Field("species", STR, "accepted species, the full binomial", _GBIF + "species"),
    _dwc("specificEpithet", "second word of the species name", tol200m="species"),
    _dwc("infraspecificEpithet", "lowest epithet below species"),
    _dwc("taxonRank", "rank of the accepted taxon, lower case"),
    Field("canonicalName", STR, "accepted name without authorship", _GBIF + "canonicalName"),
    _dwc("scientificName", "accepted name with authorship; before resolution, the provider's reading"),
    _dwc("scientificNameAuthorship", "authorship of the accepted name"),
    _dwc("vernacularName", "one English common name of the accepted taxon", tol200m="common"),
    _dwc("taxonID", "id of the accepted taxon in its taxonomy"),
    Field("taxonomy", STR, "name and version of the taxonomy the taxon belongs to"),
    Field("verbatimScientificName", STR, "name as the provider gave it",
          _GBIF + "verbatimScientificName", None, "scientific_name"),
    Field("match_rule", STR, "rule that settled the label: exact, synonym, key, variant, fuzzy, higher_rank, provider"),
    Field("match_score", F64, "confidence in the label, after GBIF's species match",
          unit="0 to 1"),
    Field("match_reason", STR, "why the label is not resolved, or what was odd about it"),
    Field("match_distance", I32, "edits between the name as given and the name it was taken for"),
    Field("ranks_agree", STR, "stated ranks (and author) that agree with the accepted lineage"),
    Field("ranks_differ", STR, "stated ranks (and author) that differ from the accepted lineage"),
    Field("runner_up", STR, "the next best name that would have given another label"),
    Field("lineage", STR, "md5 of everything the provider said about the taxon"),
    Field("taxonKey", STR, "provider's key of the taxon", _GBIF + "taxonKey"),
    Field("checklistKey", STR, "provider's checklist the key belongs to", _GBIF + "checklistKey"),
    _dwc("taxonomicStatus", "accepted, synonym, …, lower case"),
    _dwc("parentNameUsageID", "id of the parent taxon"),
    _dwc("acceptedNameUsageID", "id of the accepted taxon of a synonym"),
    _dwc("nomenclaturalCode", "code the name falls under: ICZN, ICN, ICNP, ICVCN"),
    Field("name_key", STR, "canonical name in lower case without accents; null: nothing can match"),
    Field("stem_key", STR, "genus and stems of the epithets: equal for spelling variants"),
    Field("problem", STR, "what is not sound about a name or row of a taxonomy"),
    Field("detail", STR, "the text or id the problem is about"),
    Field("vernacularSource", STR, "who gave the vernacular name", _DC + "source"),
    Field("language", STR, "language of a vernacular name, ISO 639", _DC + "language"),
    # context
    _dwc("basisOfRecord", "kind of record: HUMAN_OBSERVATION, PRESERVED_SPECIMEN, …",
         tol200m="basisOfRecord"),
    Field("image_type", STR, "kind of picture, from its metadata: citizen_science, camera_trap, specimen, drawing, map, text, …",
          tol200m="img_type"),
    _dwc("sex", "sex of the organism"),
    _dwc("lifeStage", "life stage of the organism"),
    _dwc("eventDate", "date or interval of the event, ISO 8601 text"),
    _dwc("recordedBy", "observers or collectors"),
    _dwc("decimalLatitude", "latitude, as published under the geoprivacy policy", F64, unit="degree"),
    _dwc("decimalLongitude", "longitude, as published under the geoprivacy policy", F64, unit="degree"),
    _dwc("coordinateUncertaintyInMeters", "radius around the point", F64, unit="m"),
    _dwc("countryCode", "ISO 3166-1 alpha-2 code"),
    _dwc("minimumElevationInMeters", "elevation above sea level", F64, unit="m"),
    _dwc("minimumDepthInMeters", "depth below the surface", F64, unit="m"),
    _dwc("dataGeneralizations", "what the publisher made less precise"),
    _dwc("informationWithheld", "what the publisher holds back"),
    Field("geoprivacy", STR, "policy, version and action that shaped the coordinates"),
    Field("is_protected", BOOL, "true when the place is sensitive: text that tells it is blotted out"),
    # molecular
    Field("dna_bin", STR, "BOLD barcode index number"),
    Field("dna_barcode", STR, "nucleotide barcode sequence"),
    # rights
    Field("license", STR, "SPDX id of the picture's licence, null when it has none",
          _DC + "license", None, "license_name"),
    Field("license_status", STR, "open, nc, nd, reserved or unknown"),
    Field("license_verbatim", STR, "licence text as the provider gave it", tol200m="license_link"),
    _dc("creator", "who made the picture", tol200m="copyright_owner"),
    _dc("rightsHolder", "who holds the rights"),
    _dc("publisher", "who published the record", tol200m="publisher"),
    Field("attribution", STR, "ready credit line"),
    Field("title", STR, "title of the picture", _DC + "title", None, "title"),
    Field("caption", STR, "words that stood with the picture on the web, of 2,000 characters at most", _DC + "description"),
    Field("datasetKey", STR, "GBIF key of the dataset", _GBIF + "datasetKey"),
    _dwc("datasetName", "name of the dataset"),
    # judgement
    Field("museum_label", STR, "what a collection's picture shows, by its pixels; unsure below the recipe's margin (null: not scored)"),
    Field("museum_nearest", STR, "the nearest class, however narrow the margin (null: not scored)"),
    Field("museum_score", F64, "margin by which it is nearer than the next", unit="cosine, 0 to 2"),
    Field("animal_score", F64, "best detection of an animal in a camera-trap frame (null: not scored)", unit="0 to 1"),
    Field("face_score", F64, "best detection of a human face (null: not scored)", unit="0 to 1"),
    Field("face_boxes", STR, "faces found, best first: JSON of [x0, y0, x1, y1, score] in shares of the sides"),
    Field("faces_blurred", I32, "faces that were blurred in the picture as shipped"),
    Field("sharpness", F64, "steepness over contrast at the strongest edges; about 1 is sharp (null: not measured)"),
    Field("subject_contrast", F64, "how much the strongest thing differs from what is around it (null: not measured)",
          unit="grey levels"),
    Field("clipped_share", F64, "share of the picture that is black or white (null: not measured)", unit="0 to 1"),
    Field("group_id", STR, "smallest uuid among pictures of one organism, burst or near duplicate"),
    Field("split", STR, "train, validation, test or unseen"),
    Field("provider_split", STR, "split the provider assigned, kept out of train where held out"),
    Field("published_uuid", STR, "uuid that a published catalogue gave the picture"),
    Field("published_md5", STR, "md5 of the bytes as fetched, that a published catalogue states"),
    # machinery
    Field("status", STR, "outcome: ok, gone or transient"),
    Field("error", STR, "what went wrong, null when nothing did"),
    Field("http_status", I32, "last HTTP status"),
    Field("n_bytes", I64, "size as fetched", unit="bytes"),
    Field("duplicate_of", STR, "uuid of the picture kept in its place"),
    Field("duplicate_rule", STR, "what made two pictures equal: url, provider_key, md5, pixels, near, wide, crop, mirror, border"),
    Field("distance", I32, "Hamming distance of two perceptual hashes", unit="bits"),
    Field("benchmark", STR, "held-out benchmark the picture is too near to"),
    Field("placeholder", BOOL, "true when its server shows the same picture under many names"),
    Field("host", STR, "server the address belongs to"),
    Field("n_urls", I64, "addresses"),
    Field("example", STR, "uuid of a picture of the taxon whose pixels are in the data"),
    Field("name", STR, "name that leads to a taxon"),
    Field("name_kind", STR, "accepted, synonym, vernacular, or verbatim (as a provider wrote it)"),
    Field("search_key", STR, "name in lower case without accents"),
    Field("key", STR, "uuid of a picture, of its group, or of the picture kept in its place"),
    Field("is_own", BOOL, "true where the key is the picture's own uuid"),
    Field("catalog_row", I64, "where it stands in the catalogue, from 0 over all its files"),
    Field("thumbnail_row", I64, "where it stands among the thumbnails, from 0 over all their files"),
    Field("rejects_row", I64, "where it stands among the rejects, from 0"),
    Field("facet", STR, "what is counted by: source, license, kingdom, year, reject_reason, …"),
    Field("value", STR, "value of the facet; null: unknown"),
    Field("n_taxa", I64, "number of species (of the facet taxa: of taxa of that rank)"),
    Field("n_listed", I64, "number of species that a list names"),
    Field("list", STR, "name of a list of species, as the recipe gives it"),
    Field("category", STR, "what the list says of the species, such as an IUCN category"),
    Field("thumbnail", IMAGE, "the picture, its long side 128 to 255 px"),
    Field("keep", BOOL, "true when the picture enters the data"),
    Field("redistributable", BOOL, "true when its pixels may be published"),
    Field("reject_stage", STR, "stage that said no"),
    Field("reject_reason", STR, "why the row was left out"),
    Field("reject_score", F64, "the number behind the reason, where there is one"),
    Field("change", STR, "added, changed or removed since the release before"),
    Field("cause", STR, "how our reading differs: kingdom, synonym, other_taxon, moved, spelling, "
          "less_precise, provider_kept, unresolved"),
    Field("our_kingdom", STR, "kingdom as we read it"),
    Field("our_family", STR, "family as we read it"),
    Field("our_species", STR, "species as we read it"),
    Field("n_rows", I64, "number of media rows"),
    Field("n_images", I64, "number of pictures in the catalogue (of rejects: rows)"),
    Field("n_open", I64, "number of those whose pixels are in the data"),
)  # fmt: skip
FIELDS = {field.name: field for field in _FIELDS}
assert len(FIELDS) == len(_FIELDS), "a field is declared twice"


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
