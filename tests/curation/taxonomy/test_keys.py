"""Names and keys in SQL: the quick reader agrees with the slow one, keys survive spelling."""

import gzip

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import sql
from curation.taxonomy import keys, names
from tests.benchmarks import _names_world as worlds
from tests.curation.taxonomy.test_names import WORDS


def read(tmp_path, texts):
    con = sql.connect()
    con.execute(keys.macros())
    said = pa.table({"text": pa.array(texts), "genus": pa.array([None] * len(texts), pa.string())})
    found = sql.query(con, keys.READ_SQL, read_name=keys.parsed(con, said, tmp_path, "t")).table()
    return {row["text"]: names.Name(row["canonical"], row["authorship"], row["rank"], row["note"])
            for row in found.to_pylist()}  # fmt: skip


def one(expression, **given):
    con = sql.connect()
    con.execute(keys.macros())
    return sql.query(con, f"select {expression}", given).scalar()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=40, unique=True))
def test_quick_and_slow_reading_agree_on_any_words(tmp_path_factory, texts):
    found = read(tmp_path_factory.mktemp("k"), texts)
    assert found == {text: names.parse(text) for text in texts}


@pytest.mark.real_data
def test_quick_and_slow_reading_agree_on_every_real_name(real_data, tmp_path):
    texts = {row["scientificName"] for row in worlds.taxonomy(real_data)}
    for table in ("taxonomy", "synonyms"):
        texts |= {
            row["name"] for row in worlds.bars(real_data / f"taxonomy/asterales/ott/{table}.tsv.gz")
        }
    with gzip.open(
        real_data / "taxonomy/southafrican_vertebrates/taxa.txt.gz", "rt", encoding="latin-1"
    ) as lines:
        texts |= {line.split("\t")[1] for line in lines if "\t" in line}
    texts = sorted(texts - {""})
    found = read(tmp_path, texts)
    assert len(texts) > 130_000
    assert [text for text in texts if found[text] != names.parse(text)] == []


@pytest.mark.parametrize(
    ("one_name", "other"),
    [
        ("Aus albus", "Aus alba"), ("Aus albus", "Aus album"), ("Aus gracilis", "Aus gracile"),
        ("Aus niger", "Aus nigra"), ("Aus smithi", "Aus smithii"), ("Aus smithae", "Aus smithiae"),
        ("Aus caeruleus", "Aus coerulea"), ("Aus silvestris", "Aus sylvester"), ("Aus novae-zelandiae", "Aus novaezelandiae"),
        ("Aus litoralis", "Aus littoralis"), ("Aus jezoensis", "Aus iezoense"), ("Aus bus minor", "Aus bum minor"),
    ],
)  # fmt: skip
def test_spelling_variants_share_a_stem_key(one_name, other):
    assert one("stem_key($a) = stem_key($b) and name_key($a) <> name_key($b)", a=one_name, b=other)


@pytest.mark.parametrize(
    ("one_name", "other"),
    [("Aus smithi", "Aus smithae"), ("Aus smithi", "Aus smithorum"), ("Aus albus", "Aus albicans"),
     ("Aus albus", "Bus albus"), ("Aus minor", "Aus minus"), ("Aus bus", "Aus bus minor")],
)  # fmt: skip
def test_different_names_do_not_share_a_stem_key(one_name, other):
    assert one("stem_key($a) <> stem_key($b)", a=one_name, b=other)


@pytest.mark.parametrize(
    ("a", "b", "agree"),
    [("L.", "Linnaeus", True), ("(L.) Mill.", "Mill.", True), ("Willd.", "Willdenow, 1805", True), ("DC.", "de Candolle", True),
     ("C.D.Brickell", "C. D. Brickell", True), ("Hook. f.", "Hook.fil.", True), ("Smith", "Jones", False), ("", "Jones", None),
     ("de Geer, 1775", "De Geer", True), ("Müll.Arg.", "Muller Arg.", True)],
)  # fmt: skip
def test_authors_agree_when_one_surname_begins_with_another(a, b, agree):
    assert one("authors_agree(authors($a), authors($b))", a=a, b=b) is agree
