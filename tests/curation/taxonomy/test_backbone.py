"""Checklists of every shape become one table of names with rank-labelled lineages."""

import csv
import gzip

import pytest

from catalog import schema, sql
from curation.sources import dwca
from curation.taxonomy import backbone
from tests.archives import folder, meta, rows, table_xml, tsv, zipped

HEAD = "taxonID parentNameUsageID acceptedNameUsageID scientificName taxonRank taxonomicStatus"
ANIMALS = tsv(
    HEAD, "k _ _ Animalia kingdom accepted", "p k _ Chordata phylum accepted", "c p _ Aves class accepted",
    "o c _ Apodiformes order accepted", "f o _ Apodidae family accepted", "g f _ Apus genus accepted",
    "s g _ Apus_apus_(Linnaeus,_1758) species accepted", "u s _ Apus_apus_pekinensis subspecies accepted",
    "y g s Hirundo_apus_Linnaeus,_1758 species synonym",
).replace("_(", " (").replace("_", " ").replace("\t \t", "\t\t").replace("\t \t", "\t\t")  # fmt: skip
VERNACULAR = tsv("taxonID vernacularName language", "s Swift en", "s Common_swift eng", "s Swift en",
                 "s Mauersegler deu", "s Apus _", "_ Nobody en", "g _ en")  # fmt: skip


def read(tmp_path, path, **how):
    checklist = backbone.taxon(
        sql.connect(), name="t", path=path, work_dir=tmp_path / "work", **how
    )
    every = rows(checklist.names, schema.TAXON)
    found = {row["taxonID"]: row for row in every}
    assert len(found) == len(every)
    return found, rows(checklist.common, schema.VERNACULAR)


def problems(tmp_path, path, **how):
    checklist = backbone.taxon(sql.connect(), name="t", path=path, work_dir=tmp_path / "w", **how)
    return {(row["taxonID"], row["problem"]) for row in rows(checklist.problems, schema.PROBLEM)}


def boxes(tmp_path):
    """The same checklist in every shape."""
    core = table_xml(
        "core", dwca.TAXON, "taxa.txt", HEAD.split(), fields='<field index="0" term="a/taxonID"/>'
    )
    common = table_xml(
        "extension", dwca.VERNACULAR, "v.txt", ("taxonID", "vernacularName", "language")
    )
    archive = {"meta.xml": meta(core, common), "taxa.txt": ANIMALS, "v.txt": VERNACULAR}
    loose = folder(
        tmp_path / "loose", {"Taxon.tsv": ANIMALS, "Taxon.tsv.gz": gzip.compress(ANIMALS.encode())}
    )
    return {
        "archive": zipped(tmp_path / "a.zip", archive),
        "backbone": zipped(tmp_path / "b.zip", {"backbone/Taxon.tsv": ANIMALS, "backbone/VernacularName.tsv": VERNACULAR}),
        "loose": loose / "Taxon.tsv",
        "gzip": loose / "Taxon.tsv.gz",
    }  # fmt: skip


@pytest.mark.parametrize("shape", ["archive", "backbone", "loose", "gzip"])
def test_a_checklist_of_any_shape_gives_every_name_with_its_lineage(tmp_path, shape):
    found, common = read(tmp_path, boxes(tmp_path)[shape])
    assert set(found) == set("kpcofgsuy")
    swift = found["s"]
    assert [swift[rank] for rank in schema.RANKS] == [
        "Animalia", "Chordata", "Aves", "Apodiformes", "Apodidae", "Apus", "Apus apus"
    ]  # fmt: skip
    assert (swift["canonicalName"], swift["scientificNameAuthorship"]) == (
        "Apus apus",
        "(Linnaeus, 1758)",
    )
    assert (swift["specificEpithet"], swift["acceptedNameUsageID"]) == ("apus", None)
    assert (found["u"]["species"], found["u"]["infraspecificEpithet"]) == (
        "Apus apus",
        "pekinensis",
    )
    assert (found["y"]["acceptedNameUsageID"], found["y"]["canonicalName"]) == ("s", "Hirundo apus")
    assert len(common) == (3 if shape in ("archive", "backbone") else 0)


def test_the_common_name_most_rows_agree_on_is_taken_per_language(tmp_path):
    _, common = read(tmp_path, boxes(tmp_path)["archive"])
    assert {row["language"]: row["vernacularName"] for row in common} == {
        "en": "Swift", "de": "Mauersegler", "und": "Apus"
    }  # fmt: skip


def test_a_coldp_synonym_belongs_to_the_taxon_it_names_as_parent(tmp_path):
    usage = tsv("ID parentID status rank scientificName authorship", "g _ accepted genus Apus _",
                "s g accepted species Apus_apus L.", "y s synonym species Hirundo_apus L.").replace("_apus", " apus")  # fmt: skip
    path = zipped(
        tmp_path / "c.zip",
        {
            "NameUsage.tsv": usage,
            "vernacular-name.tsv": tsv("taxonID name language", "s Swift eng"),
        },
    )
    found, common = read(tmp_path, path)
    assert (found["y"]["acceptedNameUsageID"], found["s"]["acceptedNameUsageID"]) == ("s", None)
    assert (found["s"]["genus"], common[0]["vernacularName"]) == ("Apus", "Swift")


def test_a_coldp_package_of_names_taxa_and_synonyms_is_joined(tmp_path):
    files = {
        "name.csv": "ID,scientificName,authorship,rank,code\nn1,Apus,,genus,zoological\n"
        'n2,Apus apus,"(L., 1758)",species,zoological\nn3,Hirundo apus,"L., 1758",species,zoological\n',
        "taxon.csv": "ID,nameID,parentID,provisional\nt1,n1,,\nt2,n2,t1,true\n",
        "synonym.csv": "taxonID,nameID,status\nt2,n3,synonym\n",
        "vernacularname.csv": "taxonID,name,language\nt2,Swift,eng\n",
    }
    found, common = read(tmp_path, zipped(tmp_path / "c.zip", files))
    assert (found["t2"]["taxonomicStatus"], found["t2"]["genus"]) == (
        "provisionally accepted",
        "Apus",
    )
    assert (found["n3@t2"]["acceptedNameUsageID"], found["n3@t2"]["species"]) == ("t2", "Apus apus")
    assert common[0]["vernacularName"] == "Swift"


def test_open_trees_two_tables_are_one_taxonomy(tmp_path):
    bar = "\t|\t"
    taxa = [("uid", "parent_uid", "name", "rank", "sourceinfo", "uniqname", "flags", ""),
            ("1", "", "Apus", "genus", "", "", "", ""), ("2", "1", "Apus apus", "species", "", "", "x", "")]  # fmt: skip
    names = [("name", "uid", "type", "uniqname", ""), ("Hirundo apus L.", "2", "synonym", "", ""),
             ("Nobody", "9", "synonym", "", "")]  # fmt: skip
    files = {"taxonomy.tsv": "\n".join(bar.join(r) for r in taxa) + "\n",
             "synonyms.tsv": "\n".join(bar.join(r) for r in names) + "\n"}  # fmt: skip
    place = folder(tmp_path / "in", files)
    for path in (place, place / "taxonomy.tsv"):
        found, _ = read(tmp_path, path)
        assert [row["canonicalName"] for row in found.values()] == [
            "Apus",
            "Apus apus",
            "Hirundo apus",
            "Nobody",
        ]
        assert (found["2"]["taxonRank"], found["2"]["genus"]) == ("species", "Apus")
        assert (found["synonym:1"]["acceptedNameUsageID"], found["synonym:1"]["species"]) == (
            "2",
            "Apus apus",
        )
        assert found["synonym:2"]["name_key"] is None, "a synonym of nothing matches nothing"


def test_what_is_not_sound_is_loaded_as_far_as_it_goes_and_listed(tmp_path):
    lines = [
        "a b _ Aus genus accepted", "b a _ Bidae family accepted",  # a circle of parents
        "c nowhere _ Cus genus accepted",
        "d _ e Dus genus synonym", "e _ d Eus genus synonym",  # a circle of synonyms
        "f _ nowhere Fus genus synonym", "g _ _ Gus genus synonym",
        "h _ _ Hus genus accepted", "h _ _ Hus_minor species accepted",  # one id twice
        "i _ _ Ius_bus species accepted", "j _ _ Ius_bus species accepted",
        "k _ _ Kus quux accepted", "l _ _ Lus genus splendid",
        "m _ _ 12345 species accepted", "n _ _ Nus_sp._1 species accepted", "_ _ _ Ous genus accepted",
        "p _ q Pus genus synonym", "q _ r Qus genus synonym", "r _ _ Rus genus accepted",
    ]  # fmt: skip
    text = tsv(HEAD, *lines).replace("Hus_minor", "Hus minor").replace("Ius_bus", "Ius bus").replace(
        "Nus_sp._1", "Nus sp. 1")  # fmt: skip
    path = folder(tmp_path / "in", {"Taxon.tsv": text}) / "Taxon.tsv"
    assert problems(tmp_path, path) == {
        ("a", "parent_cycle"), ("b", "parent_cycle"), ("c", "parent_missing"), ("d", "synonym_cycle"),
        ("e", "synonym_cycle"), ("f", "accepted_missing"), ("g", "synonym_of_nothing"), ("h", "id_repeated"),
        ("i", "accepted_twice"), ("k", "unknown_rank"), ("l", "unknown_status"), ("m", "not_a_name"),
        ("n", "not_a_name"), (None, "no_id_or_name"),
    }  # fmt: skip
    found, _ = read(tmp_path, path)
    assert set(found) == set("abcdefghijklmnpqr")
    assert [found[i]["name_key"] for i in "defgmn"] == [None] * 6
    assert (found["p"]["acceptedNameUsageID"], found["p"]["genus"]) == ("r", "Rus")
    assert (found["k"]["taxonRank"], found["l"]["name_key"]) == ("quux", "lus")


def test_a_vernacular_name_of_the_other_kingdom_is_left_out_and_listed(tmp_path):
    head = f"{HEAD} kingdom"
    taxa = tsv(head, "a _ _ Microdon genus accepted Animalia", "p _ _ Microdon genus accepted Plantae",
               "s _ _ Sealily genus accepted Animalia")  # fmt: skip
    common = "taxonID\tvernacularName\tlanguage\tsource\na\tCatstailbush\ten\tITIS\na\tAnt Fly\ten\tCOL\n" \
             "s\tSea Lily\ten\tWoRMS\np\tCatstailbush\ten\tITIS\n"  # fmt: skip
    path = zipped(tmp_path / "b.zip", {"Taxon.tsv": taxa, "VernacularName.tsv": common})
    _, found = read(tmp_path, path)
    assert {row["taxonID"]: (row["vernacularName"], row["vernacularSource"]) for row in found} == {
        "a": ("Ant Fly", "COL"), "p": ("Catstailbush", "ITIS"), "s": ("Sea Lily", "WoRMS")
    }  # fmt: skip
    assert ("a", "vernacular_of_homonym") in problems(tmp_path, path)


def test_latin_1_is_read_as_what_it_is(tmp_path, caplog):
    text = "taxonID,scientificName,scientificNameAuthorship\n1,Aus bus,Müller\n".encode("latin-1")
    found, _ = read(tmp_path, folder(tmp_path / "in", {"t.csv": text}) / "t.csv")
    assert found["1"]["scientificNameAuthorship"] == "Müller" and "Windows-1252" in caplog.text


@pytest.mark.parametrize(
    ("lines", "genus"),
    [
        (("a b _ Aus genus accepted", "b a _ Bus family accepted"), "Aus"),
        (("a a _ Aus genus accepted",), "Aus"),
        (("a nowhere _ Aus genus accepted",), "Aus"),
        (("a _ _ Aus genus accepted", "a _ _ Zus genus accepted"), "Aus"),
    ],
    ids=["a cycle", "its own parent", "a missing parent", "a repeated id"],
)
def test_a_broken_tree_gives_every_id_once(tmp_path, lines, genus):
    found, _ = read(
        tmp_path, folder(tmp_path / "in", {"Taxon.tsv": tsv(HEAD, *lines)}) / "Taxon.tsv"
    )
    assert set(found) == {line[0] for line in lines}
    assert found["a"]["genus"] == genus


def test_rows_without_id_or_name_are_no_names(tmp_path):
    lines = (
        "_ _ _ Aus genus accepted",
        "b _ _ _ genus accepted",
        "c",
        "d _ _ Dus genus accepted more",
    )
    found, _ = read(
        tmp_path, folder(tmp_path / "in", {"Taxon.tsv": tsv(HEAD, *lines)}) / "Taxon.tsv"
    )
    assert set(found) == {"d"}


def test_other_words_and_constants_describe_a_loose_table(tmp_path):
    path = folder(tmp_path / "in", {"t.csv": "key,name,level\n1,Apus apus,SPECIES\n"}) / "t.csv"
    found, _ = read(tmp_path, path, columns={"taxonID": "key", "scientificName": "name", "taxonRank": "level"},
                    constants={"kingdom": "Animalia"})  # fmt: skip
    assert (found["1"]["kingdom"], found["1"]["species"]) == ("Animalia", "Apus apus")
    with pytest.raises(ValueError, match=r"no column 'nowhere' \(for taxonID\)"):
        read(tmp_path, path, columns={"taxonID": "nowhere"})


def test_what_is_no_checklist_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="has no column taxonID and no column scientificName; name yours"
    ):
        read(tmp_path, folder(tmp_path / "in", {"t.csv": "a,b\n1,2\n"}) / "t.csv")
    with pytest.raises(ValueError, match=r"is no checklist: it needs meta\.xml"):
        read(tmp_path, zipped(tmp_path / "a.zip", {"readme.md": ""}))
    core = table_xml("core", dwca.OCCURRENCE, "t.txt", ("a", "b"))
    with pytest.raises(ValueError, match="has no taxon table"):
        read(tmp_path, zipped(tmp_path / "b.zip", {"meta.xml": meta(core), "t.txt": "a\tb\n"}))
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path, tmp_path / "nowhere.zip")


@pytest.mark.real_data
def test_the_real_order_of_asterales_is_walked_whole(real_data, tmp_path):
    path = real_data / "taxonomy/asterales/gbif/taxonomy.tsv.gz"
    found, _ = read(tmp_path, path, constants={"kingdom": "Plantae"},
                    columns={"taxonID": "uid", "parentNameUsageID": "parent_uid", "scientificName": "name",
                             "taxonRank": "rank"})  # fmt: skip
    assert len(found) == 11_221
    species = [row for row in found.values() if row["taxonRank"] == "species"]
    assert len(species) > 8000
    assert {(row["kingdom"], row["order"]) for row in species} == {("Plantae", "Asterales")}
    named_so = [row for row in species if row["species"].startswith(row["genus"] or "?")]
    assert len(named_so) > 0.95 * len(species)  # the rest stand under another genus in the backbone


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "n_names", "n_synonyms", "n_common"),
    [
        ("cites_appendix1_coldp", 3637, 1818, 2281),
        ("col_backend_samples/taxalign_a", 3347, 2011, 0),
    ],
)
def test_real_checklists_lose_no_name(real_data, tmp_path, name, n_names, n_synonyms, n_common):
    path = real_data / "taxonomy" / name
    table = next(p for p in (path / "NameUsage.tsv", path / "Taxon.tsv") if p.exists())
    with table.open(encoding="utf-8", newline="") as stream:
        assert (
            sum(1 for _ in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
            == n_names + 1
        )
    found, common = read(tmp_path, path)
    assert (len(found), len(common)) == (n_names, n_common)
    assert sum(row["taxonomicStatus"] == "synonym" for row in found.values()) == n_synonyms


@pytest.mark.real_data
def test_a_real_latin_1_checklist_loads_whole(real_data, tmp_path):
    path = real_data / "taxonomy/southafrican_vertebrates/taxa.txt.gz"
    columns = {"taxonID": "Identifier", "scientificName": "ScientificName", "taxonRank": "TaxonRank",
               "parentNameUsageID": "Parent TaxonID", "taxonomicStatus": "TaxonomicStatus",
               "kingdom": "Kingdom", "phylum": "Phylum", "class": "Class", "order": "Order", "family": "Family",
               "genus": "Genus"}  # fmt: skip
    found, _ = read(tmp_path, path, columns=columns)
    assert len(found) > 7_300
    assert not any("\ufffd" in row["scientificName"] for row in found.values())
