"""How a record says what a species is: rightly, by a synonym, misspelt, half, or not at all."""

import random
from dataclasses import dataclass, replace

from curation.sample.taxa import HEMIHOMONYMS, HYBRIDS, INFRASPECIFIC, SPECIES, Species

ABSENT = frozenset(
    (
        *("Rana arvalis", "Salamandra atra", "Danaus chrysippus", "Silene latifolia"),
        *("Russula emetica", "Megaselia scalaris", "Crossota millsae", "Paphiopedilum callosum"),
    )
)
"""Species that the sample's backbone does not know; two of them are all of their genus."""

HOMONYM_GENERA = frozenset(one.genus for one in HEMIHOMONYMS)
RATES: dict[str, float] = {
    "synonym": 0.09,
    "misspelt": 0.05,
    "wrong_lineage": 0.012,
    "authorship": 0.05,
    "html": 0.02,
    "infraspecific": 0.03,
    "hybrid": 0.02,
    "bin": 0.02,
    "rank_only": 0.05,
    "missing_ranks": 0.04,
    "not_a_name": 0.012,
    "bare_homonym": 0.006,
}
"""Share of records of each kind; the others give the accepted name. At least one record each."""

_NOT_NAMES = ("unknown", "indet.", "???", "Unidentified organism 3", "2 adults, 1 young", "n/a")


@dataclass(frozen=True)
class Naming:
    """What a record says, and how far a perfect resolver could get with it.

    `ranks` are the seven stated names, "" where the record is silent. `true_rank` is null when
    nothing can be made of the name.
    """

    kind: str
    name: str
    ranks: tuple[str, ...]
    rank: str
    true_rank: str | None
    authorship: str = ""


def _hybrids() -> tuple[Species, ...]:
    by_genus = {one.genus: one for one in SPECIES}
    found = []
    for name, authorship in HYBRIDS:
        genus, _, epithet = name.split(" ")
        if parent := by_genus.get(genus):
            name = f"{genus} {epithet}"
            plain = replace(parent, species=name, authorship=authorship)
            found.append(replace(plain, vernacular=None, synonyms=()))
    return tuple(found)


NAMED_HYBRIDS = _hybrids()
ALL_SPECIES = (*SPECIES, *NAMED_HYBRIDS)


def named(one: Species, kind: str, rng: random.Random) -> Naming:
    """Return what a record of `one` says when it is told in the way of `kind`.

    A kind that the species has no material for (a synonym of a species without synonyms) falls
    back to the accepted name.
    """
    full = f"{one.species} {one.authorship}"
    accepted = Naming("accepted", full, one.lineage, "SPECIES", "species", one.authorship)
    if one in NAMED_HYBRIDS:
        genus, epithet = one.species.split(" ")
        ranks = one.lineage
        return Naming(
            "hybrid", f"{genus} × {epithet} {one.authorship}", ranks, "SPECIES", "species"
        )
    if one.species in ABSENT:
        return Naming("absent_from_backbone", full, one.lineage, "SPECIES", "species")
    upper = one.lineage[:6]
    if kind == "synonym" and one.synonyms:
        name, authorship = rng.choice(one.synonyms)
        ranks = (*one.lineage[:5], *((one.genus, one.species) if rng.random() < 0.5 else ("", "")))
        return Naming("synonym", f"{name} {authorship}", ranks, "SPECIES", "species", authorship)
    if kind == "misspelt":
        genus, epithet = one.genus, one.species.split(" ")[1]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):  # three edits are more than can be told
            if rng.random() < 0.2:
                genus = genus[0] + _misspelt(genus[1:], rng)
            else:
                epithet = _misspelt(epithet, rng)
        stated = upper if rng.random() < 0.7 else (*one.lineage[:1], *("",) * 5)
        return Naming("misspelt", f"{genus} {epithet}", (*stated, ""), "SPECIES", "species")
    if kind == "wrong_lineage":  # the ranks are another's: name and lineage contradict each other
        others = [s for s in SPECIES if s.lineage[2] != one.lineage[2]]
        return Naming(
            "wrong_lineage", full, (*rng.choice(others).lineage[:5], "", ""), "SPECIES", "species"
        )
    if kind == "authorship":
        odd = rng.choice((one.species, f"{one.species} auct.", f"{one.species} ({one.authorship}"))
        odd = odd if rng.random() < 0.7 else full.upper()
        return Naming("authorship", odd, (*upper, ""), "SPECIES", "species")
    if kind == "html":
        marked = f"<i>{one.species}</i> {one.authorship}".replace("&", "&amp;")
        odd = rng.choice((marked, full.replace(" ", "&nbsp;", 1), f"&quot;{one.species}&quot;"))
        return Naming("html", odd, (*upper, ""), "SPECIES", "species")
    if kind == "hybrid":
        mate = rng.choice([s for s in SPECIES if s.genus == one.genus])
        return Naming(
            "hybrid", f"{one.species} × {mate.species}", (*upper, ""), "UNRANKED", "genus"
        )
    if kind == "bin":
        code = f"BOLD:AA{rng.choice('ABCDEFGH')}{rng.randint(1, 9999):04d}"
        depth = rng.choice((5, 6))
        ranks = one.lineage[:depth] + ("",) * (7 - depth)
        return Naming("bin", code, ranks, "UNRANKED", ("family", "genus")[depth - 5])
    if kind == "rank_only":
        depth = rng.choice((5, 6, 6))
        ranks = one.lineage[:depth] + ("",) * (7 - depth)
        rank = ("family", "genus")[depth - 5]
        return Naming("rank_only", one.lineage[depth - 1], ranks, rank.upper(), rank)
    if kind == "missing_ranks" and one.genus not in HOMONYM_GENERA:
        kept = {rng.choice((0, 4)), 6}
        ranks = tuple(r if i in kept else "" for i, r in enumerate(one.lineage))
        return Naming("missing_ranks", full, ranks, "SPECIES", "species")
    if kind == "not_a_name":
        return Naming("not_a_name", rng.choice(_NOT_NAMES), ("",) * 7, "", None)
    below = [b for b in INFRASPECIFIC if b.parent == one.species]
    if kind == "infraspecific" and below:
        part = rng.choice(below)
        zoological = one.kingdom == "Animalia"
        words = (one.species, *(() if zoological else (part.marker,)), part.epithet)
        rank = "VARIETY" if part.marker == "var." else "SUBSPECIES"
        return Naming(
            "infraspecific", f"{' '.join(words)} {part.authorship}", one.lineage, rank, "species"
        )
    if one.genus in HOMONYM_GENERA:
        if kind == "bare_homonym":  # the genus alone, used in two kingdoms: nothing can tell
            return Naming("homonym", one.genus, ("",) * 7, "GENUS", None)
        return Naming("homonym", full, one.lineage, "SPECIES", "species", one.authorship)
    return accepted


def _misspelt(word: str, rng: random.Random) -> str:
    if len(word) < 4:
        return f"{word}{word[-1]}"
    at = rng.randint(1, len(word) - 2)
    kind = rng.randint(0, 2)
    if kind == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    return word[:at] + word[at + 1 :]
