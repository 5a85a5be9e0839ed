"""Every field of the contract, declared once.

A field has a name, a type, a meaning, a unit where it measures something, the standard term it
borrows (Darwin Core, Audiovisual Core, Dublin Core) and the name TreeOfLife-200M gave it where it
had one. Borrowed terms keep the standard's spelling; our own columns are snake_case. Unknown is
null, never "".
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

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
