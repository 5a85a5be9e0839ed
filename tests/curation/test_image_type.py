"""The kind of a picture is read from its metadata: what says it, what only seems to, and which saying counts."""

import re

import duckdb
import pytest

from catalog import sql
from curation import image_type
from curation.sources import eol, gbif


@pytest.fixture(scope="module")
def con():
    made = sql.connect()
    made.execute(image_type.MACROS)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Sonogram of the first ten seconds of the sound recording", "spectrogram"), ("XC123-spectrogram.png", "spectrogram"),
        ("Distribution map of Aus bus", "map"), ("range_map.png", "map"), ("Map Lichen NH.jpg", None), ("Map butterfly", None),
        ("Label image for C0237399F", "text"), ("SMP-123_label.jpg", "text"), ("SMP-123-label-2.JPG", "text"), ("specimen labels", "text"), ("catalog page", "text"),
        ("Ficha", "text"), ("Herbarium sheet with label", None), ("Labellum of Ophrys", None), ("Label-winged moth", None),
        ("CT scan of skeleton", "scan"), ("X-ray of a fish", "scan"), ("photomicrograph of spores", "microscopy"),
        ("scanning electron microscopy", "microscopy"), ("seen without microscope", None), ("Microscopium sp", None),
        ("Illustration Castanea sativa0 clean.jpg", "drawing"), ("Muscus pulmonarius (illustration).jpg", "drawing"),
        ("Plate XII", "drawing"), ("Beetroot on plate.jpg", None), ("Painted turtle f1.jpg", None), ("Blueprint beetle", None),
        ("Eggs of Bombina", "egg"), ("Egg mass", "egg"), ("Female with eggs", None), ("Egg-laying female", None), ("Eggplant", None),
        ("Nest of Great Spotted Woodpecker.jpg", "nest"), ("Nestling", None), ("Nest box with birds", None), ("bird on nest", None),
        ("Erinaceus.europaeus.tracks.jpg", "track"), ("Paw prints in mud", "track"), ("beside the tracks", None),
        ("Fersk avføring fra orrfugl", "scat"), ("otter spraint", "scat"), ("Dung beetle", None), ("fungus on rabbit droppings", None),
        ("Black-alder-habitat.JPG", "habitat"), ("White-footed fox in its Desert Habitat (cropped).jpg", None),
        ("Field notes: male singing from reeds", None), ("From my field notebook", None), ("Field notebook 12", "text"), ("Moth at notebook", None),
        ("Undescribed species (manuscript name)", None), ("Lichen on church ledger stone", None), ("Herbarbeleg mit Etikett", None),
        ("Sedum with plant label for scale", None), ("Habitus, dorsal view, with specimen labels", None), ("Aus bus | etikett", "text"),
        ("Figs 1-4. Aus bus. 1 habitus 2 head 3 genitalia 4 distribution map", None), ("Aus bus, range map", "map"),
        ("Quercus robur L., Sp. Pl. 996 (1753)", None), ("Agar plate 3", None), ("Spotted Scat", None), ("fox scats", "scat"),
        ("Sordaria from rabbit droppings", None), ("X-ray tetra (Pristella maxillaris)", None), ("Egg-eating snake", None),
        ("Egg cowry (Ovula ovum)", None), ("Egg parasitoid Trissolcus japonicus", None), ("Ladybird larva eating eggs of Colorado beetle", None),
        ("Clutch of ducklings", None), ("Found in nest of Lasius fuliginosus", None), ("Nest-building weaver", None),
        ("Orchid growing in old wheel tracks", None), ("ID confirmed by microscopy", None), ("growing in dry sandy coastal habitat", None),
        ("A painting by Audubon", "drawing"), ("Painting party beetle", None), ("pencil drawing.png", "drawing"),
        ("", None), ("IMG_2301.JPG", None), ("European Beech (Fagus sylvatica), old specimen", None),
    ],
)  # fmt: skip
def test_words_of_the_picture_are_taken_at_their_narrowest(con, words, kind):
    assert con.execute("select words_type($1)", [words]).fetchone()[0] == kind


KIND_SQL = "select image_type_of($basis, record_words($protocol, $preparations, $remarks, null, null, $properties), $media, $provider, $key, $deployment, $stage)"


def _kind(con, **say):
    names = ("basis", "protocol", "preparations", "remarks", "properties", "media", "provider", "key", "deployment", "stage")  # fmt: skip
    return con.execute(KIND_SQL, {name: say.get(name) for name in names}).fetchone()[0]


@pytest.mark.parametrize(
    ("say", "kind"),
    [
        ({}, None), ({"basis": "OCCURRENCE"}, None), ({"basis": "PRESERVED_SPECIMEN"}, "specimen"), ({"basis": "PreservedSpecimen"}, "specimen"),
        ({"basis": "FOSSIL_SPECIMEN"}, "fossil"), ({"basis": "MATERIAL_SAMPLE"}, "material_sample"), ({"basis": "LIVING_SPECIMEN"}, "living_specimen"),
        ({"basis": "HUMAN_OBSERVATION"}, "observation"), ({"basis": "HUMAN_OBSERVATION", "provider": "iNaturalist research-grade observations"}, "citizen_science"),
        ({"basis": "HUMAN_OBSERVATION", "key": "50c9509d-22c7-4a22-a47d-8c48425ef4a7"}, "citizen_science"),
        ({"basis": "PRESERVED_SPECIMEN", "provider": "iNaturalist"}, "specimen"),
        ({"basis": "MACHINE_OBSERVATION"}, "machine_observation"), ({"basis": "MACHINE_OBSERVATION", "protocol": "camera trap"}, "camera_trap"),
        ({"basis": "HUMAN_OBSERVATION", "remarks": "Wild camera"}, "camera_trap"), ({"basis": "MACHINE_OBSERVATION", "remarks": "Trigger Sensitivity: high"}, "camera_trap"),
        ({"basis": "MACHINE_OBSERVATION", "deployment": "d1"}, "camera_trap"), ({"deployment": "d1"}, "camera_trap"),
        ({"basis": "PRESERVED_SPECIMEN", "deployment": "plot-3"}, "specimen"), ({"basis": "HUMAN_OBSERVATION", "remarks": "Near Trail Camp on the trail"}, "observation"),
        ({"basis": "HUMAN_OBSERVATION", "remarks": "Lupine near the trail campground"}, "observation"), ({"basis": "HUMAN_OBSERVATION", "remarks": "taken by my trail camera."}, "camera_trap"),
        ({"basis": "HUMAN_OBSERVATION", "remarks": "Seen while setting up a camera trap"}, "observation"), ({"basis": "PRESERVED_SPECIMEN", "remarks": "Not from a camera trap"}, "specimen"),
        ({"basis": "HUMAN_OBSERVATION", "protocol": "camera trap"}, "camera_trap"), ({"protocol": "light trap", "basis": "HUMAN_OBSERVATION"}, "observation"),
        ({"basis": "PRESERVED_SPECIMEN", "media": "SMP_label.jpg"}, "text"), ({"basis": "MACHINE_OBSERVATION", "protocol": "camera trap", "media": "distribution map"}, "map"),
        ({"basis": "HUMAN_OBSERVATION", "provider": "Xeno-canto"}, "spectrogram"),
        ({"basis": "PRESERVED_SPECIMEN", "preparations": "egg set"}, "egg"), ({"basis": "HUMAN_OBSERVATION", "preparations": "egg set"}, "observation"),
        ({"basis": "PRESERVED_SPECIMEN", "preparations": "microscope slide"}, "microscopy"), ({"basis": "PRESERVED_SPECIMEN", "preparations": "skin | nest"}, "nest"),
        ({"basis": "HUMAN_OBSERVATION", "stage": "EGG"}, "egg"), ({"basis": "HUMAN_OBSERVATION", "stage": "Eggs and larvae"}, "observation"),
        ({"basis": "HUMAN_OBSERVATION", "properties": '{"evidenceOfPresence":"track"}'}, "track"),
        ({"basis": "HUMAN_OBSERVATION", "properties": '{"evidenceOfPresence":"feather"}'}, "sign"),
    ],
)  # fmt: skip
def test_the_pictures_own_words_come_first_then_how_the_record_was_made_then_its_basis(con, say, kind):  # fmt: skip
    assert _kind(con, **say) == kind


def test_every_kind_that_the_macros_give_is_in_the_vocabulary():
    given = set(re.findall(r"then '([a-z_]+)'|else '([a-z_]+)'", image_type.MACROS))
    assert {a or b for a, b in given} <= set(image_type.TYPES)


def _counts(query, con):
    rows = query.table()
    assert rows.num_rows
    return dict(con.execute("select image_type, count(*) from rows group by all").fetchall())  # fmt: skip


@pytest.mark.real_data
def test_real_media_tables_sonograms_ledgers_and_scans_are_told_from_photographs(real_data, tmp_path):  # fmt: skip
    con = sql.connect()
    norway = gbif.gbif(con, archive="n", path=real_data / "gbif/multimedia_norway", work_dir=tmp_path / "n", media_only=True)  # fmt: skip
    assert (
        _counts(norway, con)["spectrogram"] == 33
    )  # each says "Sonogram of the first ten seconds"
    frogs = gbif.gbif(con, archive="f", path=real_data / "gbif/multimedia_frogs_museum", work_dir=tmp_path / "f", media_only=True)  # fmt: skip
    found = _counts(frogs, con)
    assert (
        found["text"] >= 258 + 14 and found["scan"] == 4
    )  # "catalog page", "Ficha"; "CT scan of skeleton"
    ticks = gbif.gbif(con, archive="t", path=real_data / "gbif/dwca_ticks_multimedia", work_dir=tmp_path / "t")  # fmt: skip
    found = _counts(ticks, con)
    assert found == {
        "citizen_science": 1326,
        "material_sample": 36,
    }  # whose pictures are on boldsystems.org
    con.close()


@pytest.mark.real_data
def test_real_titles_of_eol_give_away_drawings_nests_and_tracks_and_nothing_else(real_data, tmp_path):  # fmt: skip
    con = sql.connect()
    path = real_data / "eol/media_manifest/eol_media_manifest_sample.csv"
    found = _counts(eol.eol(con, archive="e", path=path, work_dir=tmp_path), con)
    assert found["drawing"] >= 8 and found["nest"] == 1 and found["track"] == 2 and found["habitat"] >= 1  # fmt: skip
    assert found.get("map", 0) == 0, "a map lichen is a lichen"
    assert found[None] > 0.98 * sum(found.values())
    con.close()


def test_the_macros_parse_on_a_plain_connection():
    duckdb.connect().execute(image_type.MACROS)
