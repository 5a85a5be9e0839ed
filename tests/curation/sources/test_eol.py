"""EOL media manifests with a hierarchy, and harvest archives."""

import gzip
import tarfile

import pytest

from catalog import schema, sql
from curation.sources import dwca
from curation.sources.eol import eol
from curation.taxonomy import lineage, nodes
from tests.archives import EOL_MEDIA, folder, meta, reasons, rows, table_xml, tsv, zipped

HEAD = "EOL content ID,EOL page ID,Scientific name,Title,Medium Source URL,EOL Full-Size Copy URL,License Name,Copyright Owner"
TREE = tsv(
    "taxonID parentNameUsageID scientificName taxonRank canonicalName eolID",
    "k _ Animalia kingdom Animalia 1", "c k Aves class Aves 2", "f c Clade_X unranked Clade_X _",
    "o f Apodiformes order Apodiformes 3", "g o Apus genus Apus 4", "s g Apus_apus species Apus_apus 5",
    "s2 g Apus_apus species Apus_apus 5", "x y Loop genus Loop 7", "y x Loopa family Loopa 8",
).replace("Apus_apus", "Apus apus")  # fmt: skip


def manifest(*lines):
    return "\n".join([HEAD, *lines]) + "\n"


def read(tmp_path, path, **how):
    query = eol(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work", **how)
    return rows(query, schema.SOURCE)


def read_manifest(tmp_path, *lines, tree=None):
    path = folder(tmp_path / "in", {"m.csv": manifest(*lines)}) / "m.csv"
    if tree is None:
        return read(tmp_path, path)
    return read(
        tmp_path, path, hierarchy=folder(tmp_path / "tree", {"taxon.tab": tree}) / "taxon.tab"
    )


MANIFEST = [  # line of a manifest, what is wrong with it
    ("9,5,Apus,t,http://x/page,http://x/a.jpg,cc-by,Ann", None),
    ('9,5,Apus,"a, ""b""\nc",http://x/page,http://x/a.jpg,cc-by,Ann', None),
    ("9,5,Apus,,,http://x/a.jpg,,", None),
    ("9,5,Apus,t,http://x/page,,cc-by,Ann", "no_identifier"),
    ("9,,Apus,t,http://x/page,http://x/a.jpg,cc-by,Ann", "no_record_id"),
    ("9,99,,t,http://x/page,http://x/a.jpg,cc-by,Ann", "page_not_in_hierarchy"),
    ("9,5,Apus,t,http://x/page,http://x/a.jpg,cc-by", "ragged_row"),
    ("9,5,Apus,t,http://x/page,http://x/a.jpg,cc-by,Ann,more", "ragged_row"),
    ('9,5,Apus,"never closed,http://x/page,http://x/a.jpg,cc-by,Ann', "ragged_row"),
]  # fmt: skip


def test_every_line_of_a_manifest_is_kept_or_says_why_not(tmp_path):
    found = read_manifest(tmp_path, *(line for line, _ in MANIFEST), MANIFEST[0][0])
    assert [row["reject_reason"] for row in found] == [reason for _, reason in MANIFEST] + [None]
    assert [row["source_row"] for row in found] == list(range(1, len(MANIFEST) + 2))


def test_ranks_are_rebuilt_from_parents_and_no_row_doubles(tmp_path):
    line = "9,{},Swift,t,http://x/page,http://x/{}.jpg,cc-by,media without owner"
    found = read_manifest(
        tmp_path, line.format(5, 1), line.format(5, 2), line.format(6, 3), tree=TREE
    )
    ranks = [[row[rank] for rank in schema.RANKS] for row in found]
    assert ranks[0] == ["Animalia", None, "Aves", "Apodiformes", None, "Apus", "Apus apus"]
    assert [row["scientificName"] for row in found] == ["Apus apus", "Apus apus", None]
    assert {row["verbatimScientificName"] for row in found} == {"Swift"}
    assert [(row["media_index"], row["rightsHolder"]) for row in found] == [
        (0, None),
        (1, None),
        (0, None),
    ]
    assert {row["references"] for row in found} == {"http://x/page"}


def test_taxa_on_a_cycle_are_read_once_without_their_parents(tmp_path):
    (row,) = read_manifest(tmp_path, "9,7,Loop,t,,http://x/a.jpg,,", tree=TREE)
    assert (row["taxonKey"], row["family"]) == ("x", None)


def test_all_manifests_of_a_tar_or_folder_are_read(tmp_path):
    line = "9,5,Apus,t,,http://x/{}.jpg,,"
    files = {f"media_manifest_{i}.csv": manifest(line.format(i)) for i in range(3)}
    path = folder(tmp_path / "in", files)
    with tarfile.open(tmp_path / "m.tgz", "w:gz") as tar:
        tar.add(path, "manifest")
    for source in (path, tmp_path / "m.tgz"):
        found = read(tmp_path, source)
        assert [row["source_row"] for row in found] == [1, 1, 1]
        assert sorted(row["media_index"] for row in found) == [0, 1, 2]


@pytest.mark.parametrize("content", [HEAD, HEAD + "\n", "\ufeff" + HEAD + "\r\n"])
def test_a_manifest_with_a_header_only_gives_no_rows(tmp_path, content):
    assert read(tmp_path, folder(tmp_path / "in", {"m.csv": content})) == []


def test_what_is_no_manifest_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path, tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="neither a media manifest"):
        read(tmp_path, zipped(tmp_path / "a.zip", {"readme.md": ""}))
    with pytest.raises(ValueError, match="no column 'EOL page ID'"):
        read(tmp_path, folder(tmp_path / "in", {"m.csv": "a,b\n1,2\n"}) / "m.csv")
    path = folder(tmp_path / "ok", {"m.csv": manifest()}) / "m.csv"
    with pytest.raises(ValueError, match="does not exist; check the taxonomy paths"):
        read(tmp_path, path, hierarchy=tmp_path / "taxon.tab")


TAXA, MEDIA, AGENTS = (
    ("taxonID", "scientificName", "kingdom"),
    ("identifier", "taxonID", "type", "format", "accessURI", "UsageTerms", "agentID"),
    ("identifier", "term_name"),
)


def harvest(media, *, media_header="1"):
    tables = (
        table_xml("table", dwca.TAXON, "t.tab", TAXA, fields='<field index="0" term="a/taxonID"/>'),
        table_xml("table", EOL_MEDIA, "m.tab", MEDIA, fields='<field index="0" term="a/identifier"/>',
                  ignoreHeaderLines=media_header),
        table_xml("table", "http://eol.org/schema/agent/Agent", "a.tab", AGENTS,
                  fields='<field index="0" term="a/identifier"/>'),
    )  # fmt: skip
    return {
        "meta.xml": meta(*tables), "m.tab": media,
        "t.tab": tsv("taxonID scientificName kingdom", "t1 Apus Animalia", "t1 Abies Plantae"),
        "a.tab": tsv("identifier term_name", "p1 Ann", "p1 Bob"),
    }  # fmt: skip


IMAGE = "http://purl.org/dc/dcmitype/StillImage image/jpeg"


HARVEST = [  # row of a harvest, what is wrong with it
    (f"m1 t1 {IMAGE} http://x/a.jpg cc-by p1", None),
    (f"m1 t1 {IMAGE} http://x/a.jpg cc-by nobody", None),
    ("m1 t1 http://purl.org/dc/dcmitype/Text text/html http://x/a cc-by p1", "not_still_image"),
    (
        "m1 t1 http://purl.org/dc/dcmitype/Sound audio/mpeg http://x/a cc-by p1",
        "not_still_image",
    ),
    (f"m1 t9 {IMAGE} http://x/a.jpg cc-by p1", "no_taxon"),
    (f"m1 _ {IMAGE} http://x/a.jpg cc-by p1", "no_record_id"),
    (f"m1 t1 {IMAGE} _ cc-by p1", "no_identifier"),
    (f"m1 t1 {IMAGE} http://x/a.jpg cc-by", "ragged_row"),
    (f"m1 t1 {IMAGE} http://x/a.jpg cc-by p1 more", "ragged_row"),
]  # fmt: skip


def test_every_row_of_a_harvest_is_kept_or_says_why_not(tmp_path):
    files = harvest(tsv(" ".join(MEDIA), *(line for line, _ in HARVEST)))
    found = read(tmp_path, folder(tmp_path / "in", files))
    said = [(line, row["reject_reason"]) for (line, _), row in zip(HARVEST, found, strict=True)]
    assert said == HARVEST


def test_a_harvest_table_without_header_may_have_more_columns_than_meta_xml_names(tmp_path):
    files = harvest(tsv(f"m1 t1 {IMAGE} http://x/a.jpg cc-by p1 more"), media_header="0")
    (row,) = read(tmp_path, folder(tmp_path / "in", files))
    assert (row["reject_reason"], row["creator"], row["verbatimScientificName"]) == (
        None,
        "Ann",
        "Apus",
    )  # of two taxa with one id the first row speaks


def test_a_harvest_without_taxa_is_refused(tmp_path):
    files = harvest("")
    files["meta.xml"] = meta(table_xml("table", EOL_MEDIA, "m.tab", MEDIA))
    with pytest.raises(ValueError, match="needs a media table and a taxon table"):
        read(tmp_path, folder(tmp_path / "in", files))


@pytest.mark.real_data
@pytest.mark.parametrize("tree", [None, "taxon.tab", "taxon2.tab.gz"])
def test_the_real_manifest_loses_no_row(real_data, tmp_path, tree):
    how = {} if tree is None else {"hierarchy": real_data / "eol/dynamic_hierarchy_sample" / tree}
    found = read(tmp_path, real_data / "eol/media_manifest", **how)
    assert reasons(found) == {None: 3350}
    assert len({(row["source_table"], row["source_row"]) for row in found}) == 3350


@pytest.mark.real_data
def test_the_real_harvest_loses_no_row(real_data, tmp_path):
    found = read(tmp_path, real_data / "eol/protisten_dwca")
    assert reasons(found) == {None: 2672}
    assert all(row["license_verbatim"] and row["creator"] for row in found)


@pytest.mark.real_data
def test_the_real_hierarchy_gives_every_taxon_once(real_data, tmp_path):
    path = real_data / "eol/dynamic_hierarchy_sample/taxon2.tab.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    n_taxa = len({line.partition("\t")[0] for line in lines})
    con = sql.connect()
    counted = "select count(*), count(distinct taxonID) from tree"
    node = nodes.from_table(con, nodes.loose(path, tmp_path), tmp_path / "node.parquet")
    assert sql.query(con, counted, tree=lineage.lineage(con, node, tmp_path)[0]).rows() == [
        (n_taxa, n_taxa)
    ]
