"""Traps: what looks like a name's taxon and is not, and what is lost for a trifle."""

import pytest

from tests.benchmarks._names_world import BY_NAME, World

RANKS = ("kingdom", "phylum", "class", "order", "family")
FLY = dict(zip(RANKS, ("Animalia", "Arthropoda", "Insecta", "Diptera", "Muscidae"), strict=True))
BEETLE = {**FLY, "order": "Coleoptera", "family": "Carabidae"}
LEAF = {**BEETLE, "family": "Chrysomelidae"}
BIRD = dict(zip(RANKS, ("Animalia", "Chordata", "Aves", "Passeriformes", "Corvidae"), strict=True))
MINT = dict(
    zip(RANKS, ("Plantae", "Tracheophyta", "Magnoliopsida", "Lamiales", "Lamiaceae"), strict=True)
)
FISH = {
    "kingdom": "Animalia",
    "class": "Teleostei",
    "order": "Aulopiformes",
    "family": "Synodontidae",
}


def taxon(key, name, rank="species", accepted="", status="", **ranks):
    return {"taxonID": key, "scientificName": name, "taxonRank": rank, "acceptedNameUsageID": accepted,
            "taxonomicStatus": status or ("synonym" if accepted else "accepted"), **ranks}  # fmt: skip


TRAPS = [  # the taxonomy, what is said, the accepted id it may have by name (None: none)
    # ranks that speak against the name
    ([taxon("1", "Rufipes bus", **FLY)], {"text": "Rufipes bus", **BEETLE}, None),
    ([taxon("1", "Phyllodius albus", **LEAF)], {"text": "Phyllobius albus", **BEETLE}, None),
    ([taxon("1", "Amara communis", **BEETLE)], {"text": "Amara commonis", **LEAF}, None),
    ([taxon("1", "Rufipes bus Somebody, 1900", **FLY)], {"text": "Rufipes bus So, 1990", **BIRD}, None),
    # spellings that are names of their own
    ([taxon("1", "Saurida macrolepis", **FISH)], {"text": "Saurida microlepis", **FISH}, None),
    ([taxon("1", "Schistura fasciata", **FISH)], {"text": "Schistura afasciata", **FISH}, None),
    ([taxon("1", "Leporinus octomaculatus", **FISH)], {"text": "Leporinus ortomaculatus"}, None),
    ([taxon("1", "Mylochromis mollis", **FISH)], {"text": "Mylochromis mola"}, None),
    ([taxon("1", "Aus smythi", **FLY)], {"text": "Aus smithi"}, None),
    ([taxon("1", "Amaranthus hybridus", **MINT)], {"text": "Amaranthus hybrid", **MINT}, None),
    ([taxon("1", "Misgurnus fossilis", **FISH)], {"text": "fossil", "genus": "Misgurnus", **FISH}, None),
    # homonyms
    ([taxon("1", "Aus Smith", "genus", **BEETLE), taxon("2", "Aus Jones", "genus", **LEAF)], {"text": "Aus"}, None),
    ([taxon("1", "Aus bus alba", "variety", **MINT), taxon("2", "Aus bus rubra", "variety", **MINT),
      taxon("3", "Cus dus", accepted="1"), taxon("4", "Cus dus", accepted="2")], {"text": "Cus dus"}, None),
    ([taxon("1", "Aus", "genus", **MINT), taxon("2", "Aus", "genus", **FLY)], {"text": "Aus nova"}, None),
    # names below the genus, and epithets that cannot be read, are not the genus
    ([taxon("1", "Pilosella", "genus", **MINT), taxon("2", "Hieracium subgen. Pilosella (Hill) Gray", "subgenus", "1")],
     {"text": "Hieracium L.", "taxonRank": "genus", **MINT}, None),
    ([taxon("10", "Carex sect. Ovales", "section", **MINT), taxon("2", "Carex L.", "genus", **MINT)], {"text": "Carex sp."}, "2"),
    ([taxon("1", "Carabus n. sp. 3", "", **BEETLE), taxon("2", "Carabus o'brieni Smith", "", **BEETLE)],
     {"text": "Carabus", **BEETLE}, None),
    # statuses
    ([taxon("1", "Acacia vera", **MINT), taxon("2", "Acacia falsa", accepted="1", status="pro parte misapplied")],
     {"text": "Acacia falsa", **MINT}, None),
    ([taxon("1", "Aus bus", status="bare name", **MINT)], {"text": "Aus bus", **MINT}, None),
    ([taxon("1", "Aus bus", **MINT), taxon("2", "Cus dus", accepted="1", status="PROPARTE_SYNONYM")], {"text": "Cus dus", **MINT}, "1"),
    # what follows a name
    ([taxon("1", "Prunella vulgaris L.", **MINT)], {"text": "Prunella vulgaris auct. non L.", **MINT}, None),
    ([taxon("1", "Larus argentatus", **BIRD)], {"text": "Larus argentatus / Larus fuscus", **BIRD}, None),
    ([taxon("1", "Larus argentatus", **BIRD)], {"text": "Larus argentatus or fuscus", **BIRD}, None),
    ([taxon("1", "Larus argentatus", **BIRD)], {"text": "Larus argentatus & L. fuscus", **BIRD}, None),
    ([taxon("1", "Geranium", "genus", **MINT)], {"text": "Geranium (Pelargonium zonale)", **MINT}, None),
    ([taxon("1", "Prunella vulgaris", **MINT)], {"text": "Prunella vulgaris (?)", **MINT}, None),
    ([taxon("1", "Prunella vulgaris", **MINT)], {"text": "Prunella vulgaris cf.", **MINT}, None),
    ([taxon("1", "Prunella vulgaris", **MINT)],
     {"text": "Prunella vulgaris × grandiflora", "species": "Prunella vulgaris", **MINT}, None),
    # and what is lost for a trifle
    ([taxon("1", "Prunella vulgaris", **MINT)], {"text": "Prunella vulgaris", **MINT, "family": "Labiatae", "phylum": "Magnoliophyta"}, "1"),
    ([taxon("1", "Prunella vulgaris", **MINT)], {"text": "Prunella vulgaris", "kingdom": "Plantae", "family": "unknown"}, "1"),
    ([taxon("1", "Prunella vulgaris", **MINT)], {"text": "Prunella vulgaris", "kingdom": "incertae sedis", "order": "Not assigned"}, "1"),
    ([taxon("1", "Prunella vulgaris", **MINT)], {"text": "Prunella vulgaris", "phylum": "Tracheophyta Sinnott, 1935"}, "1"),
    ([taxon("1", "Paenibacillus larvae", kingdom="Bacteria")], {"text": "Paenibacillus larvae"}, "1"),
    ([taxon("1", "Panthera leo", kingdom="Metazoa")], {"text": "Panthera leo", "kingdom": "Animalia"}, "1"),
    ([taxon("1", "Panthera leo", **BIRD), taxon("2", "Panthera", "genus", **BIRD)], {"text": "Panthera Leo"}, "1"),
    ([taxon("1", "Vespula germanica dalla Torre", **FLY)], {"text": "Vespula germanica", **FLY}, "1"),
    ([taxon("1", "Abies niger Mill", **MINT)], {"text": "Abies nigra"}, "1"),
    ([taxon("1", "Aus bus", status="unheard of", **MINT)], {"text": "Aus bus", **MINT}, "1"),
    ([taxon("1", "Aus bus", "espèce", **MINT)], {"text": "Aus bus", **MINT}, "1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("taxa", "said", "wanted"), TRAPS, ids=[f"{i}-{s['text']}" for i, (_, s, _) in enumerate(TRAPS)]
)
def test_a_trap_is_seen(tmp_path, taxa, said, wanted):
    (found,) = World(taxa, tmp_path).resolve([said])
    assert (found["taxonID"] if found["match_rule"] in BY_NAME else None) == wanted
    assert found["match_rule"] or found["match_reason"]


def test_a_chain_of_twenty_synonyms_is_followed_and_a_child_of_a_synonym_keeps_its_lineage(
    tmp_path,
):
    chain = [
        taxon(
            f"s{i}",
            f"Synonyma n{'abcdefghijklmnopqrstu'[i]}x",
            accepted=f"s{i + 1}" if i < 19 else "g",
        )
        for i in range(20)
    ]
    taxa = [taxon("k", "Animalia", "kingdom"), {**taxon("f", "Felidae", "family"), "parentNameUsageID": "k"},
            {**taxon("g", "Panthera", "genus"), "parentNameUsageID": "f"}, taxon("y", "Leo", "genus", "g"),
            {**taxon("l", "Leo leo"), "parentNameUsageID": "y"}, *chain]  # fmt: skip
    world = World(taxa, tmp_path)
    first, lion = world.resolve([{"text": "Synonyma nax"}, {"text": "Leo leo"}])
    assert first["taxonID"] == "g"
    assert (lion["kingdom"], lion["family"]) == ("Animalia", "Felidae")
    assert ("l", "parent_is_synonym") in {
        (r["taxonID"], r["problem"]) for r in world.problems.to_pylist()
    }


def test_the_same_names_give_the_same_rule_however_often_and_in_whatever_threads(tmp_path):
    taxa = [
        taxon(f"{i}", f"Genus{chr(97 + i % 26)}{chr(97 + i // 26)}", "genus", **MINT)
        for i in range(300)
    ]
    world = World(taxa, tmp_path)
    said = [
        {"text": t["scientificName"], "taxonKey": t["taxonID"], "checklistKey": "x"} for t in taxa
    ]
    first = world.resolve(said)
    world.con.execute("set threads = 8")
    assert world.resolve(said) == first


def test_a_name_of_ones_own_that_the_taxonomy_does_not_hold_stops_where_the_taxonomy_does(tmp_path):
    taxa = [taxon("k", "Animalia", "kingdom"), {**taxon("f", "Felidae", "family"), "parentNameUsageID": "k"},
            {**taxon("g", "Panthera", "genus"), "parentNameUsageID": "f"},
            {**taxon("s", "Panthera tigris"), "parentNameUsageID": "g"}]  # fmt: skip
    said = [{"text": "Foobarus bazus", "kingdom": "Animalia", "family": "Felidae"},
            {"text": "Panthera foo", "kingdom": "Animalia", "family": "Felidae"},
            {"text": "Tiger", "kingdom": "Animalia", "family": "Felidae"},
            {"text": "Vulpes vulpes", "species": "Vulpes vulpes", "kingdom": "Animalia"}]  # fmt: skip
    found = World(taxa, tmp_path).resolve({"source": "own", **row} for row in said)
    got = [(r["canonicalName"], r["taxonRank"], r["match_rule"]) for r in found]
    assert got == [("Felidae", "family", "higher_rank"), ("Panthera", "genus", "higher_rank"),
                   ("Felidae", "family", "higher_rank"), ("Vulpes vulpes", "species", "provider")]  # fmt: skip
    assert found[3]["genus"] == "Vulpes"


def test_a_clade_of_two_words_is_no_species_and_a_specimen_is_not_its_family(tmp_path):
    taxa = [taxon("f", "Asteraceae", "family", kingdom="Plantae"),
            {**taxon("c", "Australasian lineages", "no rank"), "parentNameUsageID": "f"},
            {**taxon("g", "Aster", "genus"), "parentNameUsageID": "c"}, taxon("s", "Bellis", "genus", kingdom="Plantae"),
            taxon("y", "Asteraceae Espinoza5721", "", "s")]  # fmt: skip
    aster, family = World(taxa, tmp_path).resolve([{"text": "Aster"}, {"text": "Asteraceae"}])
    assert (aster["taxonID"], aster["species"], aster["family"]) == ("g", None, "Asteraceae")
    assert family["taxonID"] == "f"


def test_terms_in_another_case_are_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("TaxonID,ScientificName,Kingdom,FAMILY\n1,Aus bus,Animalia,Aidae\n")
    (found,) = World([], tmp_path, path=path).resolve([{"text": "Aus bus", "family": "Aidae"}])
    assert (found["taxonID"], found["kingdom"], found["family"]) == ("1", "Animalia", "Aidae")
