"""meta.xml as publishers write it: what it may say, and what is refused."""

import gzip

import pytest

from catalog import sql
from curation.sources import dwca
from tests.archives import folder, meta, table_xml, tsv, zipped

COLUMNS = ("id", "scientificName", "kingdom")
ROWS = tsv("id scientificName kingdom", "1 Apus Animalia", "2 Abies Plantae")


def opened(tmp_path, files, **how):
    return dwca.open_archive(folder(tmp_path / "in", files), tmp_path / "work", **how)


def said(table, **wanted):
    """What every row of a table says for each wanted name, as tuples."""
    con = sql.connect()
    con.execute(dwca.MACROS)
    words = ", ".join(f"said(fields, $at.{name})" for name in wanted)
    query = f"select {words} from t order by source_row"
    return sql.query(con, query, {"at": table.at(**wanted)}, t=table.input).rows()


def core(files="t.txt", columns=COLUMNS, **more):
    return table_xml("core", dwca.OCCURRENCE, files, columns, **more)


def names(tmp_path, xml, files):
    archive = opened(tmp_path, {"meta.xml": meta(xml), **files})
    return said(archive.tables[0], key="id", name="scientificName", kingdom="kingdom")


BOTH = [("1", "Apus", "Animalia"), ("2", "Abies", "Plantae")]


@pytest.mark.parametrize(
    ("xml", "content"),
    [
        (core(), ROWS.encode()),
        (core(), ROWS.replace("\n", "\r\n").encode()),
        (core(linesTerminatedBy="\\r\\n"), ROWS.replace("\n", "\r\n").encode()),
        (core(linesTerminatedBy="\\r"), ROWS.replace("\n", "\r").encode()),
        (core(), ROWS.replace("\n", "\r").encode()),
        (core(), b"\xef\xbb\xbf" + ROWS.encode()),
        (core(encoding="UTF-16"), ROWS.encode("utf-16")),
        (core(encoding="utf-16-be"), ROWS.encode("utf-16-be")),
        (core(), ROWS.replace("\n", " \n\n").replace("1\t", " 1 \t").encode()),
        (core(fieldsTerminatedBy="&#9;".replace("&#9;", "\t")), ROWS.encode()),
        (core(fieldsTerminatedBy=","), ROWS.replace("\t", ",").encode()),
        (core(fieldsTerminatedBy="||"), ROWS.replace("\t", "||").encode()),
        (core(fieldsTerminatedBy=";", fieldsEnclosedBy='"'), ROWS.replace("\t", '";"').replace("\n", '"\n')
         .replace("1", '"1').replace("2", '"2').replace("id", '"id').encode()),
        (core(fieldsTerminatedBy="|", fieldsEnclosedBy="'"), ROWS.replace("\t", "|").encode()),
        (core(ignoreHeaderLines="0"), ROWS.partition("\n")[2].encode()),
        (core(ignoreHeaderLines="2"), b"id\tscientificName\tkingdom\n" + ROWS.encode()),
    ],
)  # fmt: skip
def test_the_same_rows_come_out_of_every_way_to_write_them(tmp_path, xml, content):
    assert names(tmp_path, xml, {"t.txt": content}) == BOTH


def test_latin_1_is_read_as_stated(tmp_path):
    content = tsv("id scientificName kingdom", "1 Sclérotium Fungi").encode("latin-1")
    assert names(tmp_path, core(encoding="ISO-8859-1"), {"t.txt": content})[0][1] == "Sclérotium"


def test_members_may_be_gzipped_and_a_table_may_lie_in_several_files(tmp_path):
    files = {
        "a.txt.gz": gzip.compress(ROWS.encode()),
        "b.txt": tsv("id scientificName kingdom", "3 Bos _"),
    }
    assert names(tmp_path, core("a.txt b.txt"), files) == [*BOTH, ("3", "Bos", None)]


def test_an_archive_may_be_wrapped_in_a_folder(tmp_path):
    path = zipped(tmp_path / "a.zip", {"got/meta.xml": meta(core()), "got/t.txt": ROWS})
    assert dwca.open_archive(path, tmp_path / "work").tables[0].n_columns == 3


def test_a_default_stands_for_a_missing_column_and_for_blanks(tmp_path):
    fields = ('<field term="http://x/basisOfRecord" default="LIVING_SPECIMEN"/>'
              '<field index="2" term="http://x/kingdom" default="Fungi"/>'
              '<field term="http://x/country"/>')  # fmt: skip
    xml = core(columns=COLUMNS[:2], fields=fields)
    files = {
        "meta.xml": meta(xml),
        "t.txt": tsv("id scientificName kingdom", "1 Apus Animalia", "2 Abies _"),
    }
    table = opened(tmp_path, files).tables[0]
    found = said(table, key="id", basis="basisOfRecord", kingdom="kingdom", country="country")
    assert found == [
        ("1", "LIVING_SPECIMEN", "Animalia", None),
        ("2", "LIVING_SPECIMEN", "Fungi", None),
    ]


def test_terms_are_known_by_their_last_word(tmp_path):
    fields = ('<field index="1" term="http://purl.org/dc/terms/license/"/>'
              '<field index="2" term="http://xmlns.com/foaf/spec/#term_name"/>')  # fmt: skip
    files = {"meta.xml": meta(core(columns=["id"], fields=fields)), "t.txt": ROWS}
    columns = opened(tmp_path, files).tables[0].columns
    assert columns == {"id": 0, "license": 1, "term_name": 2}


def test_tables_that_are_not_asked_for_are_not_landed(tmp_path):
    other = table_xml("extension", "http://x/Other", "absent.txt", COLUMNS)
    files = {"meta.xml": meta(core(), other), "t.txt": ROWS}
    assert len(opened(tmp_path, files, only=dwca.MEDIA_ROWS).tables) == 1
    with pytest.raises(ValueError, match=r"names absent\.txt, which is not in the archive"):
        opened(tmp_path, files)


BILLION = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><archive>&b;</archive>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><archive>&x;</archive>'


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        (BILLION, "meta.xml is not readable XML"),
        (EXTERNAL, "meta.xml is not readable XML"),
        ('<!DOCTYPE a SYSTEM "http://x/a.dtd"><archive/>', "meta.xml is not readable XML"),
        ("", "meta.xml is not readable XML"),
        ("<archive><core></archive>", "meta.xml is not readable XML"),
        ("<archive>\0</archive>", "meta.xml is not readable XML"),
        ("<archive/>", "names no <core> table"),
        (meta(table_xml("extension", dwca.TAXON, "t.txt", COLUMNS)), "names no <core> table"),
        (meta(core("nowhere.txt")), "names nowhere.txt, which is not in the archive"),
        (meta(core("")), "names no file"),
        (meta(core("../t.txt")), "leaves the archive"),
        (meta(core("/in/t.txt")), "leaves the archive"),
        (meta(core("http://x/t.txt")), "which is not in the archive"),
        (meta(core(encoding="klingon")), "unknown encoding 'klingon'"),
        (meta(core(encoding="zlib")), "unknown encoding 'zlib'"),
        (meta(core(fieldsTerminatedBy="")), "no fieldsTerminatedBy"),
        (meta(core(fieldsTerminatedBy="||", fieldsEnclosedBy='"')), "a delimiter of one character"),
        (meta(core(ignoreHeaderLines="yes")), "'yes' is not a column number or a count"),
        (meta(core(ignoreHeaderLines="-1")), "'-1' is not a column number or a count"),
        (meta(core(fields='<field index="two" term="a/b"/>')), "'two' is not a column number"),
        (meta(core(fields='<field index="-1" term="a/b"/>')), "'-1' is not a column number"),
        (meta(core(fields=f'<field index="{9**99}" term="a/b"/>')), "is not a column number"),
        (meta('<core><files><location>t.txt</location></files></core>'), "maps no column to a term"),
    ],
)  # fmt: skip
def test_a_bad_meta_xml_is_refused_with_the_reason(tmp_path, xml, why):
    with pytest.raises(ValueError, match=why):
        opened(tmp_path, {"meta.xml": xml, "t.txt": ROWS})


def test_a_huge_meta_xml_is_refused(tmp_path):
    with pytest.raises(ValueError, match="larger than"):
        opened(tmp_path, {"meta.xml": "<archive>" + " " * (33 * 2**20), "t.txt": ROWS})


def test_nothing_is_written_beside_the_work_folder(tmp_path):
    files = {"meta.xml": meta(core("../../../evil/t.txt")), "evil/t.txt": ROWS}
    with pytest.raises(ValueError, match="leaves the archive"):
        opened(tmp_path, files)
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "work"}


def test_without_meta_xml_one_table_describes_itself_and_two_do_not(tmp_path):
    one = dwca.open_archive(
        zipped(tmp_path / "a.zip", {"t.csv": "id,scientificName\n1,Apus\n"}), tmp_path / "w"
    )
    assert said(one.tables[0], key="id", name="scientificName") == [("1", "Apus")]
    for files in (
        {"a.csv": "a,b\n", "b.csv": "a,b\n"},
        {"a.csv": "a,b\n", "c.bin": ""},
        {"c.xml": ""},
    ):
        with pytest.raises(ValueError, match=r"no meta\.xml"):
            dwca.open_archive(zipped(tmp_path / "b.zip", files), tmp_path / "w")


@pytest.mark.parametrize(
    "content",
    [
        b"path;scientificName\na.jpg;Apus\n",
        b"path|scientificName\na.jpg|Apus\n",
        b"path,dwc:scientificName\r\na.jpg,Apus\r\n",
        b"\xef\xbb\xbfpath,scientificName\ra.jpg,Apus\r",
        b"\n\npath\tscientificName\na.jpg\tApus",
        'path,"scientificName"\n"a.jpg",Apus\n'.encode("utf-16"),
        "path\tscientificName\r\na.jpg\tApus\r\n".encode("utf-16-le"),
    ],
)
def test_a_loose_table_is_described_by_its_header(tmp_path, content):
    box = dwca.boxes.open_box(folder(tmp_path / "in", {"t.csv": content}))
    table = dwca.loose_table(box, "t.csv", dwca.OCCURRENCE, tmp_path / "work")
    assert said(table, picture="path", name="scientificName") == [("a.jpg", "Apus")]


@pytest.mark.parametrize("content", [b"", b"\n", b"lonely\n1\n", b"\0\0\0"])
def test_a_table_without_a_header_line_is_refused(tmp_path, content):
    box = dwca.boxes.open_box(folder(tmp_path / "in", {"t.csv": content}))
    with pytest.raises(ValueError, match="no header line of column names"):
        dwca.loose_table(box, "t.csv", dwca.OCCURRENCE, tmp_path / "work")


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        ("2019-05-01T10:00:00", True), ("US", True), ("35", True), ("1827)", True), ("true", True),
        ("http://x/y", True), ("PRESENT", True), (None, False), ("Animalia", False), ("Io", False),
        ("Ixodes (Ixodes)", False), ("incertae sedis", False), ("Viola × wittrockiana", False),
    ],
)  # fmt: skip
def test_a_value_of_another_column_is_no_rank(value, odd):
    con = sql.connect()
    con.execute(dwca.MACROS)
    assert con.execute("select odd_rank($value::varchar)", {"value": value}).fetchone() == (odd,)


# table:rows, and :rows that are not of the table's width
SMALL_ARCHIVES = {
    "dwca-io/6632D8151686A3F8C71D4B5A5B1181A4.zip":
        "taxa.txt:10 occurrences.txt:47 description.txt:17 distribution.txt:0 media.txt:9 "
        "references.txt:9 vernaculars.txt:0",
    "dwca-io/archive-occ.zip": "DarwinCore.txt:1534",
    "dwca-io/archive-tax.zip": "DarwinCore.txt:3248 VernacularName.txt:1057",
    "dwca-io/checklist_980.zip": "taxa.csv:356 media.csv:0 references.csv:1:1 occurrences.csv:740",
    "dwca-io/csv-json-escaped-quotes": "occurrence.csv:1 multimedia.csv:4",
    "dwca-io/csv_optional_quotes_puma.csv": "csv_optional_quotes_puma.csv:3391:2560",
    "dwca-io/iucn100.csv": "iucn100.csv:99",
    "dwca-io/nullCoreID.zip": "DarwinCore.txt:3248 VernacularName.txt:1057",
    "pipelines/archive_with_extensions.zip":
        "taxon.txt:7089 distribution.txt:7089 measurementorfacts.txt:14178 identifier.txt:7089",
    "pipelines/plants.zip": "occurrence.txt:307 identifier.txt:307",
    "python-dwca-reader/dwca-2extensions.zip": "taxon.txt:4 description.txt:3 vernacularname.txt:4",
    "python-dwca-reader/dwca-default-metadata-filename.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-ids.zip": "taxon.txt:4 description.txt:3 vernacularname.txt:4",
    "python-dwca-reader/dwca-invalid-simple-toomuch.zip": "no meta.xml",
    "python-dwca-reader/dwca-invalid-simple-two.zip": "no meta.xml",
    "python-dwca-reader/dwca-noheaders-1.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-noheaders-2.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-nometadata.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-orphaned-rows.zip":
        "taxon.txt:4 description.txt:6 vernacularname.txt:5:1",
    "python-dwca-reader/dwca-partial-default.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-simple-csv-dos.zip": "0008333-160118175350007.csv:3",
    "python-dwca-reader/dwca-simple-csv-eml.zip": "0008333-160118175350007.csv:3",
    "python-dwca-reader/dwca-simple-csv-notenclosed.zip": "0008333-160118175350007.csv:3",
    "python-dwca-reader/dwca-simple-csv.zip": "0008333-160118175350007.csv:3",
    "python-dwca-reader/dwca-simple-subdir.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-simple-test-archive-enclosed.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-simple-test-archive.tgz": "occurrence.txt:2",
    "python-dwca-reader/dwca-simple-test-archive.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-star-test-archive.zip": "taxon.txt:4 vernacularname.txt:4",
    "python-dwca-reader/dwca-test-default.zip": "occurrence.txt:2",
    "python-dwca-reader/dwca-utf8-eol-test.zip": "occurrence.txt:1",
    "python-dwca-reader/gbif-results-lacks-s-metadata.zip": "occurrence.txt:158",
    "python-dwca-reader/gbif-results-whitespace-in-xml.zip": "occurrence.txt:158",
    "python-dwca-reader/gbif-results.zip": "occurrence.txt:158",
}  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("name", SMALL_ARCHIVES)
def test_every_small_archive_gives_all_its_rows_or_a_reason(real_data, tmp_path, name):
    path, expected = real_data / "gbif/small_archives" / name, SMALL_ARCHIVES[name]
    if expected.startswith("no "):
        with pytest.raises(ValueError, match=expected):
            dwca.open_archive(path, tmp_path)
        return
    if path.suffix == ".csv":
        box = dwca.boxes.Box(path.parent, (path.name,))
        tables = [dwca.loose_table(box, path.name, dwca.OCCURRENCE, tmp_path)]
    else:
        tables = list(dwca.open_archive(path, tmp_path).tables)
    widths = "select len(fields) < $n or ($exact and len(fields) > $n) from t"
    found = []
    for table in tables:
        params = {"n": table.n_columns, "exact": table.exact}
        ragged = [odd for (odd,) in sql.query(sql.connect(), widths, params, t=table.input).rows()]
        found.append(f"{table.name}:{len(ragged)}" + (f":{sum(ragged)}" if any(ragged) else ""))
    assert " ".join(found) == expected


@pytest.mark.real_data
def test_the_table_of_small_archives_is_complete(real_data):
    folder_of = real_data / "gbif/small_archives"
    assert {path.relative_to(folder_of).as_posix() for path in folder_of.glob("*/*")} == set(
        SMALL_ARCHIVES
    )
