"""Words that names, taxonomies and providers use, and what they mean here."""

RANK_WORDS = {
    "sp.": "species", "sp": "species", "ssp.": "subspecies", "ssp": "subspecies", "subsp.": "subspecies",
    "infraspecificname": "infraspecific_name", "var.": "variety", "varietas": "variety", "f.": "form",
    "forma": "form", "regnum": "kingdom", "divisio": "phylum", "division": "phylum", "classis": "class",
    "ordo": "order", "familia": "family", "fam.": "family", "gen.": "genus", "no rank": "unranked",
    "no rank - terminal": "unranked", "": "unranked",
}  # fmt: skip
RANKS = tuple("""
 domain realm superkingdom kingdom subkingdom infrakingdom superphylum phylum subphylum infraphylum parvphylum
 microphylum gigaclass megaclass superclass class subclass infraclass subterclass parvclass magnorder
 superorder order nanorder hyporder suborder infraorder parvorder minorder superfamily epifamily family
 subfamily infrafamily supertribe tribe subtribe infratribe suprageneric_name supergenus genus subgenus
 infragenus supersection section subsection superseries series subseries infrageneric_name
 species_aggregate species_group species_subgroup species infraspecific_name grex subspecies cultivar_group
 convariety infrasubspecific_name proles natio aberration morph supervariety variety subvariety
 superform form subform pathovar biovar chemovar morphovar phagovar serovar chemoform forma_specialis
 lusus cultivar mutatio strain other unranked cohort subcohort supercohort infracohort epiclass
 falanx megafamily grandfamily hyperfamily grandorder mirorder superdivision subdivision varietas
 genotype isolate serogroup serotype clade biotype subgroup division
""".split())  # fmt: skip
ACCEPTED = (
    "accepted",
    "valid",
    "provisionally accepted",
    "doubtful",
    "accepted name",
    "provisional",
    "current",
)
SYNONYM = (
    "synonym|^invalid$|^unaccepted$|^not accepted$|^includes$|^equivalent name$|^authority$|misspelling|^basionym$"
    "|^replaced$|^unavailable$|misappl|misident|^auct"
)
NO_TAXON = "bare name|nomen|^nom\\.|exclu|unassessed|unevaluated|unplaced|unchecked|uncertain|not established"
KINGDOMS = {
    "metazoa": "Animalia", "viridiplantae": "Plantae", "archaeplastida": "Plantae", "chloroplastida": "Plantae",
    "streptophyta": "Plantae", "eubacteria": "Bacteria", "monera": "Bacteria", "archaebacteria": "Archaea",
    "virus": "Viruses", "eumycota": "Fungi",
}  # fmt: skip
BELOW_GENUS = RANKS[RANKS.index("subgenus") : RANKS.index("other")]
OTHER_NAMES = {  # conserved names of families (ICN 18.5) and older names of one phylum
    "palmae": "arecaceae", "gramineae": "poaceae", "cruciferae": "brassicaceae", "leguminosae": "fabaceae",
    "papilionaceae": "fabaceae", "guttiferae": "clusiaceae", "umbelliferae": "apiaceae", "labiatae": "lamiaceae",
    "compositae": "asteraceae", "magnoliophyta": "tracheophyta", "angiospermae": "tracheophyta",
    "spermatophyta": "tracheophyta", "anthophyta": "tracheophyta",
}  # fmt: skip
NOTHING = (  # what people write where they know nothing
    r"^(incertae sedis|unknown|unassigned|not assigned|n/?a|none|null|unplaced|undetermined|unclassified|"
    r"unidentified|indet\.?|eukaryota|eukarya|protista|-+|\?+|\.+)$"
)

# words inside names
MARKERS = {
    "subsp.": "subspecies", "subsp": "subspecies", "ssp.": "subspecies", "ssp": "subspecies",
    "nothosubsp.": "subspecies", "nothossp.": "subspecies", "nssp.": "subspecies",
    "var.": "variety", "var": "variety", "nothovar.": "variety", "nvar.": "variety",
    "convar.": "variety", "f.": "form", "fo.": "form", "forma": "form", "form": "form",
    "subvar.": "subvariety", "subf.": "subform", "morph": "form", "ab.": "aberration", "f.sp.": "form",
}  # fmt: skip
UNCERTAIN = {"cf.", "cf", "aff.", "aff", "nr.", "nr", "?", "near", "affin.", "cfr.", "cfr"}
INDETERMINATE = {"sp.", "sp", "spp.", "spp", "sp.nov.", "indet.", "indet", "n.sp.", "gen.", "species",
                  "ssp.nov.", "sp.n.", "spec.", "spec"}  # fmt: skip
BELOW_GENUS_MARKS = {
    "subgen.",
    "subg.",
    "subgenus",
    "sect.",
    "section",
    "ser.",
    "series",
    "subsect.",
    "subser.",
}
OR_WORDS = {"or", "and", "et", "und", "y", "oder", "og", "och", "vs", "vs."}
AGGREGATE = {
    "agg.",
    "agg",
    "aggr.",
    "s.l.",
    "s.lat.",
    "s.str.",
    "sensu",
    "s.s.",
    "coll.",
    "complex",
    "group",
    "gr.",
}
PARTICLES = {
    "de", "den", "der", "des", "di", "du", "da", "do", "dos", "el", "et", "ex", "in", "la", "le", "van",
    "von", "vom", "zu", "zur", "und", "and", "y", "non", "nec", "sensu", "auct", "emend", "ined", "bis",
    "agg", "nom", "sp", "spp", "ssp", "cf", "aff", "ter", "ten", "af", "av", "del", "della", "dal", "hort",
    "fil", "apud", "var", "subsp", "or", "of", "the", "with", "incl", "near", "nr", "indet", "gen", "zum",
    "dalla", "dalle", "delle", "degli", "vander", "vanden", "oder", "og", "och", "not", "as",
}  # fmt: skip
# words of plain speech: a text that holds one names something, but not by a scientific name
WORDS = frozenset("""
 incertae sedis animal animals ant ants ape bat bats bear bee bees beetle beetles bird birds bug bugs butterfly cat
 crab crabs creature deer dog dolphin duck egg eggs empty fish fishes flower flowers fly frog frogs
 giant grass human humans insect insects leaf leaves lizard mammal mammals
 marine microbe monkey moss moth moths mushroom nest none object organism organisms owl person plant
 plants rodent seed seeds shark shell shrimp shrub snail snake specimen spider spiders squirrel
 stick tree trees turtle unclassified undetermined unidentified unknown vehicle weed whale wild worm
 worms blank the with from some other
""".split())  # fmt: skip
# words that end a name at its genus, though they look like epithets
STATES = frozenset("""hybrid hybrids hybr fossil fossils juvenile juveniles adult adults male female males females
 native exotic cultivar cultivars cultivated nymph pupa seedling sapling""".split())  # fmt: skip
