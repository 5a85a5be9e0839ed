"""Words that taxonomies and providers use for ranks, statuses and kingdoms, and what they mean here."""

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
