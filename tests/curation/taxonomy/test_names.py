"""Name strings, as providers write them."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.taxonomy.names import Name, parse, plain


@pytest.mark.parametrize(
    ("text", "canonical", "authorship", "rank", "note"),
    [
        ("Apus apus", "Apus apus", None, None, None),
        ("Apus apus (Linnaeus, 1758)", "Apus apus", "(Linnaeus, 1758)", None, None),
        ("Aus bus de Geer, 1775", "Aus bus", "de Geer, 1775", None, None),
        ("Acer L.", "Acer", "L.", None, None),
        ("Abies alba Mill. var. acutifolia Turrill", "Abies alba acutifolia", "Turrill", "variety", None),
        ("Homo sapiens neanderthalensis King, 1864", "Homo sapiens neanderthalensis", "King, 1864", "subspecies", None),
        ("Aus bus f. cus", "Aus bus cus", None, "form", None),
        ("Polygonia c-album (Linnaeus, 1758)", "Polygonia c-album", "(Linnaeus, 1758)", None, None),
        ("Satyrium w-album", "Satyrium w-album", None, None, None),
        ("Coccinella 7-punctata", "Coccinella 7-punctata", None, None, None),
        ("Ixodes (Ixodes) ricinus L.", "Ixodes ricinus", "L.", None, None),
        ("Viola × wittrockiana", "Viola wittrockiana", None, None, None),
        ("Viola x wittrockiana Gams", "Viola wittrockiana", "Gams", None, None),
        ("×Cuprocyparis leylandii", "Cuprocyparis leylandii", None, None, None),
        ("x Agropogon lutosus (Poir.) P.Fourn.", "Agropogon lutosus", "(Poir.) P.Fourn.", None, None),
        ("Salix alba × Salix fragilis", None, None, None, "hybrid_formula"),
        ("Canis lupus × familiaris", None, None, None, "hybrid_formula"),
        ("Salix ×", None, None, None, "hybrid_formula"),
        ("Felis cf. catus", "Felis", None, None, "uncertain"),
        ("Felis catus aff. minor", "Felis catus", None, None, "uncertain"),
        ("Carex sp. 1", "Carex", None, None, "indeterminate"),
        ("Carex spp", "Carex", None, None, "indeterminate"),
        ("BOLD:AAF9225", "BOLD:AAF9225", None, None, "otu_code"),
        ("SH1234567.08FU", "SH1234567.08FU", None, None, "otu_code"),
        ("Tobacco mosaic virus", "Tobacco mosaic virus", None, None, "virus"),
        ("Candidatus Liberibacter asiaticus", "Liberibacter asiaticus", None, None, None),
        ("<i>Homo</i>&nbsp;sapiens", "Homo sapiens", None, None, None),
        ("&lt;i&gt;Homo&lt;/i&gt; sapiens", "Homo sapiens", None, None, None),
        ("Æschna cyanea", "Aeschna cyanea", None, None, None),
        ("Centaure\u0301a cyanus", "Centauréa cyanus", None, None, None),
        ("  Homo \t sapiens\n", "Homo sapiens", None, None, None),
        ('"Homo sapiens"', "Homo sapiens", None, None, None),
        ("HOMO SAPIENS", "Homo sapiens", None, None, None),
        ("APUS apus", "Apus apus", None, None, None),
        ("panthera leo", "Panthera leo", None, None, None),
        ("panthera leo (Linnaeus, 1758)", "Panthera leo", "(Linnaeus, 1758)", None, None),
        ("Panthera_leo", "Panthera leo", None, None, None),
        ("giant stick insect", None, None, None, "not_a_name"),
        ("rufipes", None, None, None, "not_a_name"),
        ("7-punctata", None, None, None, "not_a_name"),
        ("1827)", None, None, None, "not_a_name"),
        ("2019-05-01", None, None, None, "not_a_name"),
        ("null", None, None, None, "not_a_name"),
        ("×", None, None, None, "not_a_name"),
        ("?", None, None, None, "not_a_name"),
        ("\0", None, None, None, "not_a_name"),
        ("", None, None, None, "not_a_name"),
        (None, None, None, None, "not_a_name"),
    ],
)  # fmt: skip
def test_a_name_string_gives_its_certain_part(text, canonical, authorship, rank, note):
    assert parse(text) == Name(canonical, authorship, rank, note)


WORDS = st.sampled_from(
    ["Apus", "apus", "×", "x", "X", "var.", "f.", "cf.", "sp.", "(Bus)", "L.,", "1758", "&", "c-album", "<i>", "virus",
     "de", "CANIS", "Candidatus", "BOLD:AAA1234", "é", "\u0301", '"', ",", "ﬁ"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=8).map(" ".join)))
def test_any_text_is_parsed_to_a_clean_name_or_none(text):
    name = parse(text)
    assert name == parse(text)
    assert (name.canonical is not None) or name.note in ("not_a_name", "hybrid_formula")
    if name.canonical is not None:
        assert name.canonical == " ".join(name.canonical.split()) != ""
        if name.note != "virus":
            assert len(name.canonical.split()) <= 3
            assert parse(name.canonical).canonical == name.canonical


@given(st.text(max_size=40))
def test_plain_text_has_single_spaces_and_no_quotes_around_it(text):
    assert plain(text) == plain(text).strip(" \"'“”,;")
    assert "  " not in plain(text)


@pytest.mark.real_data
def test_almost_every_real_name_gives_the_canonical_form_of_its_checklist(real_data):
    path = real_data / "taxonomy/gbif_backbone_matches_trias/taxa_unified.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["nameType"] == "SCIENTIFIC"]
    wrong = [
        row["scientificName"]
        for row in rows
        if parse(row["scientificName"]).canonical != row["canonicalName"]
    ]
    assert len(rows) > 3000
    assert len(wrong) <= len(rows) // 200, wrong[:20]


@pytest.mark.parametrize(
    ("text", "genus", "canonical"),
    [("rufipes", "Formica", "Formica rufipes"), ("rufipes minor", "Formica", "Formica rufipes minor"),
     ("F. rufipes", "Formica", "Formica rufipes"), ("G. rufipes", "Formica", None),
     ("panthera leo", "Panthera", "Panthera leo"), ("Formica rufipes", "Formica", "Formica rufipes"),
     ("rufipes", None, None), ("rufipes", "1827)", None)],
)  # fmt: skip
def test_a_genus_beside_it_completes_a_bare_epithet_or_an_initial(text, genus, canonical):
    assert parse(text, genus).canonical == canonical
