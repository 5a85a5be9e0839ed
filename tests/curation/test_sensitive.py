"""What a list of sensitive species names is told coarsely or not at all, wherever its place could be read."""

import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image

from catalog import schema, sql
from curation import build, geoprivacy, recipe, sensitive
from curation.recipe import SensitiveList
from tests.drawings import photo

TABLE = """identifier,scientificName,kingdom,family,genus,taxonRank,decimalLatitude,decimalLongitude,countryCode,coordinateUncertaintyInMeters,references,creator,informationWithheld,datasetName
0.png,Ninox strenua,Animalia,Strigidae,Ninox,species,-33.812345,151.198765,AU,12,https://x.example/?lat=-33.812345&lon=151.198765,Seen at 33°48'44.4"S 151°11'55.6"E by A,,Nest 56H LH 33300 58700
1.png,Ninox strenua,Animalia,Strigidae,Ninox,species,-37.912345,145.198765,AU,12,,A,,plain
2.png,Callocephalon fimbriatum,Animalia,Cacatuidae,Callocephalon,species,-33.512345,150.198765,AU,60000,,A,,plain
3.png,Phaeophyscia orbicularis,Fungi,Physciaceae,Phaeophyscia,species,-33.612345,150.298765,AU,12,https://x.example/-33.612345%2C150.298765,A,,-33.612345 150.298765
4.png,Wollemia nobilis,Plantae,Araucariaceae,Wollemia,species,-33.412345,150.398765,AU,12,,A,,plain
5.png,Corvus corax,Animalia,Corvidae,Corvus,species,48.212345,16.398765,AT,12,,A at 48.212345 N,nest,48.212345 / 16.398765
6.png,Ninox strenua rothschildi,Animalia,Strigidae,Ninox,subspecies,-33.212345,151.498765,,12,,A,,plain
7.png,not resolvable strenua,,,,,-33.112345,151.598765,AU,12,,A,,plain
"""
LIST = """scientificName,family,genus,vernacularName,generalisation,category
Ninox strenua,Strigidae,Ninox,Powerful Owl,1km,Category 3
Callocephalon fimbriatum,Cacatuidae,Callocephalon,Gang-gang,10km,Category 2
Wollemia nobilis,Araucariaceae,Wollemia,Wollemi Pine,WITHHOLD,Category 1
Not resolvable,,,,100 km,
"""
RECIPE = """
name = "guarded"
[[source]]
kind = "own"
name = "o"
path = "t.csv"
licence = "CC BY 4.0"
[verdict]
min_rank = "any"
min_side_px = 20
[geoprivacy]
policy = "sensitive/1"
[[geoprivacy.list]]
name = "NSW"
path = "list.csv"
country = "AU"
box = [-37.6, 141.0, -28.1, 153.7]
"""
SECRETS = re.compile(r"\.(8123|1987|6123|2987|4123|3987|2123|4987|1123|5987)|48'44|58700|11'55")


def tagged():
    """A JPEG that tells its place in EXIF (GPS, artist, copyright, description, comment), XMP, IPTC and a comment."""
    exif, out = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.ImageDescription] = "Nest at -33.812345, 151.198765"
    exif[ExifTags.Base.Artist] = "A at 33\u00b048'44.4S 151\u00b011'55.6E".encode()
    exif[ExifTags.Base.Copyright] = "B, 56H LH 33300 58700"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLongitude] = (
        (33.0, 48.0, 44.4),
        (151.0, 11.0, 55.6),
    )
    gps[ExifTags.GPS.GPSAreaInformation] = b"ASCII\0\0\0.8123"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"ASCII\0\0\0-33.812345"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a exif:GPSLatitude="33,48.74S" xmlns:exif="e">-33.812345</a></x:xmpmeta>'
    photo(0).convert("RGB").save(
        out, "JPEG", exif=exif, xmp=xmp, comment=b"-33.812345 151.198765", quality=92
    )
    words = b"\x1c\x02\x5c" + (9).to_bytes(2, "big") + b"-33.81234"  # IPTC sublocation
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(words).to_bytes(4, "big") + words
    data = out.getvalue()
    return data[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A dataset with places that must not be told, its rows by picture, and its folder."""
    folder = tmp_path_factory.mktemp("guarded")
    for k in range(8):
        photo(k).save(folder / f"{k}.png")
    (folder / "0.png").write_bytes(tagged())
    (folder / "t.csv").write_text(TABLE)
    (folder / "list.csv").write_text(LIST)
    (folder / "r.toml").write_text(RECIPE)
    made = build.build(recipe.read(str(folder / "r.toml")), folder / "root")["shard"][0]
    rows = pq.read_table(next(made.dir.rglob("catalog-*.parquet"))).to_pylist()
    return {int(r["identifier"][0]): r for r in rows}, made.dir


@pytest.mark.parametrize(
    ("picture", "place", "told"),
    [
        (0, (-33.815, 151.195), "sensitive/1:coarsened_1km:NSW"),
        (1, (-37.912345, 145.198765), "sensitive/1:unchanged"),  # outside the list's region
        (2, (-33.55, 150.15), "sensitive/1:coarsened_10km:NSW"),
        (3, (-33.612345, 150.298765), "sensitive/1:unchanged"),
        (4, (None, None), "sensitive/1:withheld:NSW"),
        (5, (48.212345, 16.398765), "sensitive/1:generalised_by_publisher"),
        (
            6,
            (-33.215, 151.495),
            "sensitive/1:coarsened_1km:NSW",
        ),  # below a listed species; no country
        (7, (-33.5, 151.5), "sensitive/1:coarsened_100km:NSW"),  # by its name alone
    ],
)
def test_a_place_is_as_coarse_as_its_list_says(guarded, picture, place, told):
    row = guarded[0][picture]
    assert (row["decimalLatitude"], row["decimalLongitude"]) == pytest.approx(place)
    assert row["geoprivacy"] == told


def test_the_radius_covers_the_cell_and_never_shrinks(guarded):
    assert guarded[0][0]["coordinateUncertaintyInMeters"] == pytest.approx(787, abs=1)
    assert guarded[0][2]["coordinateUncertaintyInMeters"] == 60_000
    assert guarded[0][4]["coordinateUncertaintyInMeters"] is None


def test_no_published_file_tells_a_protected_place(guarded):
    _, folder = guarded
    free = (
        "-33.612345",
        "150.298765",
        "-37.912345",
        "145.198765",
        "48.2",
        "16.39",
    )  # of rows without protection
    n_read = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "duplicates.html"):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            text = [
                c
                for c in table.column_names
                if c not in ("image", "thumbnail", "phash", "md5", "image_md5", "uuid", "group_id")
            ]
            said = json.dumps(table.select(text).to_pylist(), default=str)
            n_read += table.num_rows
        elif path.suffix in (".jpg", ".png"):
            continue
        else:
            said = path.read_text()
        if path.name == "manifest.json":
            continue  # digests
        for word in free:
            said = said.replace(word, "")
        assert not SECRETS.search(said), (path.name, SECRETS.search(said))
    assert n_read > 20


def test_no_picture_or_thumbnail_tells_its_place_in_tags_or_text(guarded):
    """Planted in every block a JPEG has; picture bytes lie uncompressed in the files, so all of a file is searched."""
    _, folder = guarded
    given = tagged()
    words = re.compile(rb"\.8123|1987|48'44|58700|11'55|GPS|xmpmeta|8BIM|Nest|33300|,48\.74")
    assert len(set(words.findall(given))) >= 8, "they are there"
    n_images = 0
    for path in sorted(folder.rglob("*.parquet")):
        for column in {"image", "thumbnail"} & set(pq.read_schema(path).names):
            for image in pq.read_table(path, columns=[column])[column].to_pylist():
                found = Image.open(io.BytesIO(image["bytes"]))
                assert not words.search(image["bytes"]) and not found.getexif().get_ifd(
                    ExifTags.IFD.GPSInfo
                )
                assert (
                    not set(found.info) & {"xmp", "comment", "photoshop"}
                    and len(found.getexif()) == 0
                )
                n_images += 1
    assert n_images >= 16, "eight pictures, eight thumbnails"


@pytest.mark.parametrize(
    "text",
    [
        "IMG_-33.812.jpg",
        "lot 33812345",
        "33,8123",
        "33_812 and 151_198",
        "https://x.example/33.81234/t",
        "a151.1987z",
        "33-812345",
    ],
)
def test_the_digits_of_the_rows_own_place_are_found_however_they_stand(con, text):
    con.execute(geoprivacy.MACROS)
    for macro in ("told", "told_id"):
        (found,) = con.execute(
            f"select {macro}(?, true, -33.812345, 151.198765)", [text]
        ).fetchone()
        assert "[withheld]" in found and "812" not in found and "198" not in found, found
        assert con.execute(
            f"select {macro}(?, false, -33.812345, 151.198765)", [text]
        ).fetchone() == (text,)


@pytest.mark.parametrize(
    ("lat", "lon"), [(None, None), (float("nan"), float("inf")), (33.0, 151.0), (999.0, -999.5)]
)
def test_numbers_that_are_no_place_of_the_row_stay(con, lat, lon):
    con.execute(geoprivacy.MACROS)
    text = "specimen 33812, box 151198, in 1998, photos/3300000123"
    assert con.execute("select told(?, true, ?, ?)", [text, lat, lon]).fetchone() == (text,)


def test_ids_that_begin_with_the_same_digits_stay(con):
    con.execute(geoprivacy.MACROS)
    for text, lat in (
        ("2500432112", 2.5),
        ("photos/34567123/o.jpg", 34.56789),
        ("1234567890", 1.2),
        ("12340001", 12.34),
    ):
        assert con.execute("select told_id(?, true, ?, 103.8)", [text, lat]).fetchone() == (text,)


def test_no_column_of_a_protected_row_tells_its_place_whatever_it_is(tmp_path):
    """A place planted in every column that a table may have."""
    columns = ("verbatimScientificName sex lifeStage basisOfRecord eventDate countryCode recordedBy creator rightsHolder publisher datasetName "
               "title license references occurrenceID organismID eventID deploymentID catalogNumber kingdom phylum class order family genus "
               "species infraspecificEpithet taxonRank informationWithheld dataGeneralizations").split()  # fmt: skip
    photo(1).save(tmp_path / "a.png")
    plant = "x 48.2123, 16.3987"
    cells = [f'"{plant}"' for _ in columns]
    (tmp_path / "t.csv").write_text("identifier,scientificName,decimalLatitude,decimalLongitude," + ",".join(columns) + "\n"
                                    f'a.png,"Aus bus {plant}",48.21234,16.39876,' + ",".join(cells) + "\n")  # fmt: skip
    (tmp_path / "list.csv").write_text("scientificName\nAus bus\nx\n")
    text = RECIPE.replace('country = "AU"\nbox = [-37.6, 141.0, -28.1, 153.7]\n', "").replace(
        'licence = "CC BY 4.0"', 'licence = "CC0"'
    )
    (tmp_path / "r.toml").write_text(text)
    made = build.build(recipe.read(str(tmp_path / "r.toml")), tmp_path / "root")["shard"][0]
    n_read = 0
    for path in sorted(made.dir.rglob("*")):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            said = json.dumps(
                table.drop_columns(
                    [c for c in ("image", "thumbnail") if c in table.column_names]
                ).to_pylist(),
                default=str,
            )
            n_read += table.num_rows
        elif path.suffix in (".md", ".cff", ".csv", ".json") and path.name != "manifest.json":
            said = path.read_text()
        else:
            continue
        assert not re.search(r"48\.212|16\.398", said), path.name
    assert n_read > 3


@pytest.mark.parametrize(
    ("entry", "picture", "is_hit"),
    [("Ninox strenua rothschildi", "Ninox strenua", True), ("Ninox strenua", "Ninox strenua rothschildi", True),
     ("Banksia (Isostylis) cuneata", "Banksia integrifolia", False), ("Banksia (Isostylis) cuneata", "Banksia cuneata", True),
     ("Dactylorhiza × grandis", "Dactylorhiza maculata", False), ("Dactylorhiza × grandis", "Dactylorhiza grandis", True),
     ("Dactylorhiza", "Dactylorhiza maculata", True), ("Dactylorhiza Neck. ex Nevski", "Dactylorhiza maculata", True),
     ("Ninox strenua", "Ninox connivens", False)])  # fmt: skip
def test_a_list_protects_what_it_names_and_not_its_whole_genus(tmp_path, entry, picture, is_hit):
    photo(1).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(
        f"identifier,scientificName,genus,decimalLatitude,decimalLongitude\na.png,{picture},{picture.split()[0]},-33.812345,151.198765\n"
    )
    (tmp_path / "list.csv").write_text(f"scientificName\n{entry}\n")
    (tmp_path / "r.toml").write_text(RECIPE)
    made = build.build(recipe.read(str(tmp_path / "r.toml")), tmp_path / "root")["geoprivacy"][0]
    (row,) = pq.read_table(made.paths[0]).to_pylist()
    assert row["geoprivacy"] == (
        "sensitive/1:coarsened_10km:NSW" if is_hit else "sensitive/1:unchanged"
    )


def test_text_of_protected_rows_loses_coordinates_and_other_text_does_not(guarded):
    rows, _ = guarded
    assert rows[0]["references"] == "https://x.example/?[withheld]&[withheld]"
    assert (
        rows[0]["creator"] == "Seen at [withheld] [withheld] by A"
        and rows[0]["datasetName"] == "Nest [withheld]"
    )
    assert rows[5]["datasetName"] == "[withheld]" and rows[5]["creator"] == "A at [withheld]"
    assert rows[3]["datasetName"] == "-33.612345 150.298765", "its place is no secret"


@pytest.mark.parametrize(
    "text",
    ["-33.8123, 151.1987", "33.8123 S 151.1987 E", "lat: -33.8123 lon: 151.1987", "33°48'44\"S, 151°11'55\"E",
     "33° 48.74' S 151° 11.9' E", "56H LH 33300 58700", "56H 333000 6258700", "O 15904 34671", "J 1590 3467", "SU 1234 5678", "NZ123456",
     "latitude=-33.8", "48.123456;16.123456", "decimalLatitude=51.5074", "N51.50740 W0.12780", "S33 52.128 E151 12.558",
     "33 52 08 S, 151 12 33 E", "33d52m08s S", "img_51.5074_-0.1278.jpg", "51.5074|-0.1278", "51.5074\t-0.1278",
     "51,5074 / -0,1278", "lat51.5074lon-0.1278", "51.5074&deg;N", "tq3000380001", "UTM 30 699316 5710163"],
)  # fmt: skip
def test_coordinates_in_every_usual_writing_are_seen(con, text):
    con.execute(geoprivacy.MACROS)
    (found,) = con.execute(
        "select told(?, true, null, null)", [f"seen near {text} yesterday"]
    ).fetchone()
    assert "[withheld]" in found and not re.search(r"\d{3,}|\d\.\d", found), found
    (kept,) = con.execute("select told(?, false, null, null)", [text]).fetchone()
    assert kept == text


@pytest.mark.parametrize(
    "text",
    [
        "Museum of Natural History, 1998",
        "catalogue 12345",
        "2.5 m high",
        "CC BY 4.0",
        "A. B. Smith",
    ],
)
def test_text_without_coordinates_stays(con, text):
    con.execute(geoprivacy.MACROS)
    assert con.execute("select told(?, true, null, null)", [text]).fetchone() == (text,)


@pytest.mark.parametrize(
    ("table", "said"),
    [("name\nx\n", "has no column 'scientificName'"),
     ("scientificName,generalisation\nA b,roughly\n", "says 'roughly' of 'A b'; write a distance"),
     ("scientificName,generalisation\nA b,0 km\n", "write a distance"), ("scientificName\n", "names no species")],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_the_users_error(tmp_path, table, said):
    (tmp_path / "l.csv").write_text(table)
    with pytest.raises(ValueError, match=said):
        sensitive.entries(SensitiveList("l", "l.csv"), tmp_path / "l.csv")
    with pytest.raises(ValueError, match="does not exist"):
        sensitive.entries(SensitiveList("l", "m.csv"), tmp_path / "m.csv")


@pytest.mark.real_data
def test_the_state_lists_of_australia_are_read(real_data):
    folder = real_data / "geoprivacy/ala/sensitive-lists"
    found = {
        p.name[:3]: sensitive.entries(SensitiveList(p.name, p.name), p)
        for p in sorted(folder.iterdir())
    }
    assert {name: len(rows) for name, rows in found.items()} == {
        "NSW": 203,
        "QLD": 960,
        "WA-": 4604,
    }
    assert {e["cell_km"] for _, e in found["NSW"]} == {0.0, 1.0, 10.0}
    assert sum(e["is_withheld"] for _, e in found["NSW"]) == 1
    assert {e["cell_km"] for _, e in found["QLD"]} == {2.0} and {
        e["cell_km"] for _, e in found["WA-"]
    } == {10.0}


@pytest.mark.parametrize(
    ("listed", "row"),
    [
        ("Aquila audax", {"species": "Aquila audax", "verbatimScientificName": "Uroaetus audax"}),
        ("Aquila audax", {"species": "Aquila audax"}),
        ("Prasophyllum", {"genus": "Prasophyllum", "verbatimScientificName": "Prasophyllum fuscum"}),
        ("Chiroptera", {"order": "Chiroptera", "verbatimScientificName": "Myotis macropus"}),
        ("Falco hypoleucos Gould, 1841", {"verbatimScientificName": "Falco hypoleucos"}),
        ("Falco hypoleucos", {"verbatimScientificName": "Falco hypoleucos Gould, 1841"}),
        ("Aquila audax", {"verbatimScientificName": "Aquila  audax"}),
        ("Aquila audax", {"verbatimScientificName": "Aquila cf. audax"}),
        ("Aquila audax", {"verbatimScientificName": "Aquila audax fleayi"}),
        ("Abutilon sp. Hamelin (A.M. Ashby 2196)", {"verbatimScientificName": "Abutilon sp. Hamelin (A.M. Ashby 2196)"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("country", ["AU", "Australia", None])
def test_without_any_taxonomy_a_list_protects_what_its_names_say(
    con, tmp_path, listed, row, country
):
    row = {
        "uuid": "u",
        "lineage": "l",
        "decimalLatitude": 10.123,
        "decimalLongitude": 20.456,
        "countryCode": country,
        **row,
    }
    other = {"uuid": "v", "lineage": "k", "decimalLatitude": 10.123, "decimalLongitude": 20.456,
             "verbatimScientificName": "Corvus coronoides", "genus": "Corvus", "species": "Corvus coronoides"}  # fmt: skip
    media, label = tmp_path / "m.parquet", tmp_path / "l.parquet"
    pq.write_table(pa.Table.from_pylist([row, other], schema=schema.MEDIA.schema), media)
    pq.write_table(schema.LABEL.empty(), label)
    (tmp_path / "list.csv").write_text(f'scientificName\n"{listed}"\n')
    item = SensitiveList("x", "list.csv", country="AU")

    def resolve(_, work):
        return sql.query(con, "select * from label order by lineage", label=label)

    hit = sensitive.hits(
        con,
        [(item, tmp_path / "list.csv")],
        media_=media,
        label=label,
        resolve=resolve,
        folder=tmp_path,
    )
    query = geoprivacy.geoprivacy(con, media=media, policy="sensitive/1", hit=hit)
    found = {r["uuid"]: r["geoprivacy"] for r in query.table().to_pylist()}
    assert found == {"u": "sensitive/1:coarsened_10km:x", "v": "sensitive/1:unchanged"}


def test_schema_of_hits_is_what_the_policy_reads(con, tmp_path):
    path = tmp_path / "m.parquet"
    row = {"uuid": "u", "lineage": "l", "decimalLatitude": 10.123, "decimalLongitude": 20.456}
    pq.write_table(pa.Table.from_pylist([row], schema=schema.MEDIA.schema), path)
    hit = pa.Table.from_pylist([{"lineage": "l", "list": "x", "is_withheld": False, "cell_km": 10.0},
                                {"lineage": "l", "list": "y", "is_withheld": True, "cell_km": 0.0}], schema=sensitive.HIT)  # fmt: skip
    (found,) = (
        geoprivacy.geoprivacy(con, media=path, policy="sensitive/1", hit=hit).table().to_pylist()
    )
    assert found["decimalLatitude"] is None and found["geoprivacy"] == "sensitive/1:withheld:y", (
        "the strictest counts"
    )
