"""Captions say what is known and nothing else, in the formats of the original."""

import pytest
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from training import text

COUGAR = {"kingdom": "Animalia", "phylum": "Chordata", "class": "Mammalia", "order": "Carnivora", "family": "Felidae",
          "genus": "Puma", "species": "Puma concolor", "specificEpithet": "concolor", "infraspecificEpithet": None,
          "canonicalName": "Puma concolor", "vernacularName": "Cougar"}  # fmt: skip
TREE = "Animalia Chordata Mammalia Carnivora Felidae Puma concolor"


def test_every_type_has_the_format_of_the_original():
    said = {kind: text.caption(COUGAR, kind) for kind in text.ALL_TYPES}
    assert said["sci"] == "a photo of Puma concolor."
    assert said["com"] == "a photo of Cougar."
    assert said["taxon"] == f"a photo of {TREE}."
    assert said["sci_com"] == "a photo of Puma concolor with common name Cougar."
    assert said["taxon_com"] == f"a photo of {TREE} with common name Cougar."
    assert said["taxon_tag"] == ("a photo of kingdom Animalia phylum Chordata class Mammalia order Carnivora "
                                 "family Felidae genus Puma species concolor.")  # fmt: skip
    assert said["taxon_tag_com"] == said["taxon_tag"][:-1] + " with common name Cougar."
    assert set(text.TYPES) == {"sci", "com", "taxon", "sci_com", "taxon_com"}


def test_unknown_ranks_are_passed_over_and_the_lowest_known_one_is_the_scientific_name():
    goby = {**COUGAR, "class": None, "order": None, "family": "Gobiidae", "genus": None, "species": None,
            "specificEpithet": None, "canonicalName": None, "vernacularName": None}  # fmt: skip
    assert text.caption(goby, "taxon") == "a photo of Animalia Chordata Gobiidae."
    assert text.caption(goby, "sci") == text.caption(goby, "com") == "a photo of Gobiidae."
    assert (
        text.caption(dict.fromkeys(text.COLUMNS), "taxon_com")
        == text.caption({}, "flat")
        == text.caption({}, "com")
        == ""
    )


def test_a_common_name_that_is_absent_is_left_out_or_repeats_the_scientific_one():
    plain = {**COUGAR, "vernacularName": None}
    assert text.caption(plain, "sci_com") == "a photo of Puma concolor."
    assert text.caption(plain, "com") == "a photo of Puma concolor."
    assert text.caption(plain, "taxon_com", "repeat") == f"a photo of {TREE} with common name Puma concolor."  # fmt: skip
    with pytest.raises(ValueError, match="omit or repeat"):
        text.caption(plain, "sci", "guess")


def test_subspecies_and_hybrids_keep_their_whole_epithet_and_no_author_is_ever_named():
    bear = {"kingdom": "Animalia", "genus": "Ursus", "species": "Ursus arctos", "canonicalName": "Ursus arctos syriacus",
            "scientificName": "Ursus arctos syriacus Hemprich & Ehrenberg, 1828"}  # fmt: skip
    assert text.caption(bear, "taxon") == "a photo of Animalia Ursus arctos syriacus."
    willow = {"kingdom": "Plantae", "genus": "Salix", "species": "Salix × fragilis", "canonicalName": "Salix × fragilis"}  # fmt: skip
    assert text.caption(willow, "taxon") == "a photo of Plantae Salix × fragilis."


def test_flat_captions_are_one_for_a_taxon_and_share_nothing_with_its_relatives():
    lion = {
        **COUGAR,
        "genus": "Panthera",
        "species": "Panthera leo",
        "canonicalName": "Panthera leo",
    }
    assert text.caption(COUGAR, "flat") == text.caption(dict(COUGAR), "flat")
    words = [set(text.caption(row, "flat").removeprefix("a photo of ").strip(".").split()) for row in (COUGAR, lion)]  # fmt: skip
    assert not words[0] & words[1] and "Puma" not in str(words)


def test_users_format_labels_from_darwin_core_fields_or_names_in_order():
    assert text.format_label(*TREE.split(), vernacularName="Cougar") == text.caption(
        COUGAR, "taxon_com"
    )
    assert text.format_label(species="Puma concolor", kind="sci", template="{}") == "Puma concolor"
    assert text.format_label("Animalia", "", None, "", "Felidae", kind="taxon") == "a photo of Animalia Felidae."  # fmt: skip
    for wrong, hint in ((lambda: text.format_label(), "nothing to name"), (lambda: text.format_label(gnus="Puma"), "no field 'gnus'"),
                        (lambda: text.format_label(*"abcdefgh"), "8 names"), (lambda: text.format_label("A", kind="latin"), "latin")):  # fmt: skip
        with pytest.raises(ValueError, match=hint):
            wrong()


def test_there_are_81_templates_and_the_first_is_that_of_training():
    said = text.prompts("Puma concolor")
    assert len(said) == len(set(said)) == 81
    assert said[0] == text.caption(COUGAR, "sci")
    assert said[1:] == [template("Puma concolor") for template in OPENAI_IMAGENET_TEMPLATES]


def test_the_nodes_of_a_taxon_are_those_of_its_ancestors_and_its_own():
    family = {**COUGAR, "genus": None, "species": None, "canonicalName": "Felidae"}
    below = {**COUGAR, "canonicalName": "Puma concolor couguar"}
    up, mine, down = (text.nodes(row) for row in (family, COUGAR, below))
    assert up[4] == mine[4] == down[4] and up[5:] == (None, None, None)
    assert mine[6] == down[6] and mine[7] is None and down[7] is not None
    plant = {**COUGAR, "kingdom": "Plantae"}
    assert not set(text.nodes(plant)) & set(mine) - {None}, (
        "a homonym of another kingdom is another taxon"
    )
