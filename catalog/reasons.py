"""Every reason a row can be left out for, in words a person can act on.

`reject_reason` in the table `rejects` is one of the words below, or one of the patterns, whose last
part names a benchmark or an HTTP status. `meaning` looks a word up; a reason that is not here is a
mistake of ours.
"""

from __future__ import annotations

import re

REASONS = {
    # the source's own rows
    "ragged_row": "the row has more or fewer fields than the table has columns",
    "occurrence_ragged": "the occurrence's row has more or fewer fields than its table has columns",
    "shifted_columns": "the occurrence's ranks hold dates, codes or numbers: its columns have slipped",
    "no_record_id": "the row names no record (gbifID, page id, processid, box uuid, path)",
    "bad_record_id": "the record's id is not a word that a file can be called",
    "bad_chunk": "the chunk is not a word that a folder can be called",
    "no_split": "the record names no split, so its picture cannot be placed",
    "no_identifier": "the row has no address of a picture",
    "no_caption": "the row has no words for its picture",
    "identifier_withheld": "the published address had a place blotted out of it, so it leads nowhere",
    "no_image": "the box belongs to a picture that the export does not list",
    "no_taxon": "the row names a taxon that the archive does not list",
    "no_occurrence": "no occurrence has this id, so nothing is known of what the picture shows",
    "page_not_in_hierarchy": "the page is not in the hierarchy, and the row states no name",
    "absent": "the occurrence reports that the species was not there",
    "material_citation": "the record cites a specimen in print; its pictures are scanned text",
    "not_still_image": "the media row is a sound, a film or a document",
    "unknown_media_type": "the media row says neither what it is nor its format",
    "provider_held_out": "the provider keeps this record for validation or test",
    "no_concept": "the box names nothing",
    "concept_not_a_taxon": "the box names equipment, a trace or a behaviour, not a taxon",
    "image_not_valid": "the provider marks the picture as not valid",
    "box_rejected": "the provider's reviewers rejected the box",
    "group_of": "the box holds a group, not one organism",
    "occluded": "the box's organism is partly hidden, and the recipe leaves such boxes out",
    "truncated": "the organism or the file is cut off",
    "bad_box": "the box has no position or size",
    "box_outside_image": "the box lies outside its picture",
    "duplicate_row": "an earlier row is the same picture of the same record",
    "removed_on_request": "taken down: its id, address or creator is on the recipe's list",
    # the label
    "unresolved": "no accepted taxon was found",
    "above_min_rank": "the label does not reach the rank that the recipe asks for",
    "no_name": "the row states no name and no rank",
    "not_a_name": "what stands in the name's place is no scientific name",
    "hybrid_formula": "the name is a cross of two taxa, which is no single taxon",
    "several_names": "the text holds more than one name",
    "misapplied": "the name is used against its author's meaning (auct. non …)",
    "key_conflict": "the provider's key leads to a taxon that the stated ranks speak against",
    "otu_code": "the name is a code of a sequence cluster",
    "virus": "the name is a virus that no loaded taxonomy holds",
    "uncertain": "the name is qualified (cf., aff., ?), so only a higher rank is certain",
    "indeterminate": "the name says that the species is not determined (sp., indet.)",
    "name_not_found": "no loaded taxonomy holds the name, and no stated rank led further",
    "kingdom_conflict": "the only taxa of this name are of another kingdom than was stated",
    "lineage_conflict": "the only taxa of this name are in none of the stated ranks",
    "author_conflict": "a taxon is spelt almost so, but by another author",
    "low_score": "the best taxon agrees too little with what was stated (names.min_score)",
    "abbreviated": "the genus is an initial, and no genus is stated beside it",
    "homonym": "several taxa bear the name, and nothing stated tells which",
    "ambiguous": "several taxa fit equally well",
    # the licence
    "licence_nc": "the licence forbids commercial use (verdict.allow_nc lets it in)",
    "licence_nd": "the licence forbids derivatives, and a resized picture is one",
    "licence_reserved": "all rights are reserved",
    "licence_unknown": "the picture states no licence, or none that we can read",
    "licence_not_redistributable": "the licence is open, but its terms cannot be met here (GNU licences)",
    "attribution_missing": "the licence asks for credit, and neither creator nor rights holder is known",
    # the fetch
    "not_fetched": "the picture has not been asked for",
    "not_tried": "the picture has not been asked for",
    "bad_address": "the address cannot be read",
    "not_a_web_address": "the address is neither http nor https",
    "credentials_in_address": "the address holds a user name or password",
    "private_address": "the address leads into a private network",
    "path_outside_folder": "the path leads out of the folder of pictures",
    "file_not_found": "the file is not there",
    "bytes_changed": "the address gives other bytes than those of the published catalogue (its md5 differs)",
    "opted_out": "the server asks that its pictures be left out of such datasets",
    "too_large": "the file is larger than the recipe allows",
    "too_slow": "the file took longer than the recipe allows",
    "truncated_body": "the server sent less than it promised",
    "content_encoding": "the server sent compressed bytes it was not asked for",
    "empty_body": "the server sent nothing",
    "not_an_image": "the bytes are no picture",
    "too_many_redirects": "the server sent us from address to address",
    "host_refuses": "the server answered nearly only 403, so the rest was not asked: ask its owners for access",
    "host_unreachable": "the server did not answer again and again, so the rest was not asked",
    "host_asks_to_wait": "the server asked for a longer pause than a run makes, so the rest was not asked",
    "timeout": "the server did not answer in time",
    "host_not_found": "no server has this name",
    "connection_failed": "the server did not take the connection",
    # the pixels
    "too_many_pixels": "the picture is larger than the recipe allows to decode",
    "undecodable": "the picture's bytes are damaged",
    "decoder_died": "decoding the picture ended the process, twice, with nothing else in it",
    "crop_outside_image": "the box lies outside the picture as it was fetched",
    "not_hashed": "the picture has not been decoded",
    "placeholder": "its server shows this very picture for many names, as it does for what it has lost",
    "too_small": "the shorter side is below verdict.min_side_px (the score is that side, in px)",
    # what scores say (thresholds are those of the recipe's [verdict])
    "empty_frame": "no animal was found in the camera-trap frame (score: the best detection, below verdict.min_animal_score)",
    "face": "the face of a person was found (score: the best detection, verdict.max_face_score or more)",
    "blurred": "the picture is not sharp (score: sharpness, below verdict.min_sharpness)",
    "no_subject": "nothing stands out in the picture (score: grey levels, below verdict.min_subject_contrast)",
    "clipped": "too much of the picture is black or white (score: that share, above verdict.max_clipped_share)",
    # equal pictures
    "duplicate_url": "another row shows the picture of the same address",
    "duplicate_provider_key": "another row shows the same original of the provider",
    "duplicate_md5": "another picture has the same bytes",
    "duplicate_pixels": "another picture has the same pixels",
    "duplicate_near": "another picture looks the same (the score is the distance in bits of 256)",
    "duplicate_wide": "another picture has the same pixels but for marks or light (score as above)",
    "duplicate_crop": "this or another picture is a crop of the other (score: bits, after cropping)",
    "duplicate_mirror": "another picture is its mirror image (score: bits, after turning)",
    "duplicate_border": "another picture is the same inside its border, where captions stand (score: bits)",
}  # fmt: skip
RULES = {  # what settled a label: `match_rule`
    "exact": "an accepted name is spelt just so, and the stated ranks agree",
    "synonym": "the name is a synonym; the label is the accepted name it stands for",
    "key": "the provider's own key leads to this taxon",
    "variant": "a name that differs in ending or spelling as the codes allow",
    "fuzzy": "a name a letter or two away, in the stated lineage",
    "higher_rank": "the name itself is not certain or not known; the label is the nearest higher taxon that is",
    "provider": "no loaded taxonomy covers it; the label is the provider's own reading",
    "unresolved": "no label could be given",
}  # fmt: skip
_PATTERNS = (
    (re.compile("type_[a-z_]+"), "its metadata says that it is a picture of this kind, which the recipe leaves out "
     "(verdict.drop_types)"),
    (re.compile("museum_.+", re.DOTALL), "its pixels are nearest to this class, which the recipe leaves out (verdict.drop_museum; the "
     "score is the margin)"),
    (re.compile("http_[0-9]{3}"), "the server answered with this status"),
    (re.compile("review_.+", re.DOTALL), "the provider's review left the box in this state"),
    (re.compile("near_.+", re.DOTALL), "the picture is in the held-out benchmark of this name, or looks like "
     "one of it (the score is the distance in bits of 256)"),
)  # fmt: skip


def meaning(reason: str) -> str | None:
    """What a reject reason means, in words; None when there is no such reason."""
    if reason in REASONS:
        return REASONS[reason]
    return next((text for pattern, text in _PATTERNS if pattern.fullmatch(reason)), None)
