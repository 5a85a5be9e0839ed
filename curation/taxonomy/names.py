"""Scientific name strings -> canonical name, authorship, and what was odd about them.

Canonical is what taxonomies are joined on: Unicode NFC without markup, the genus and lower-case
epithets only, hybrid signs and rank markers left out. A qualified name (cf., sp., aff.) stands for
the part that is certain. Nothing is guessed: a string that cannot be a name says so.

This reads one name at a time and reads all of them; `keys.quick` reads the plain ones in SQL.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

from curation.taxonomy.vocabulary import (
    AGGREGATE,
    BELOW_GENUS_MARKS,
    INDETERMINATE,
    MARKERS,
    OR_WORDS,
    PARTICLES,
    STATES,
    UNCERTAIN,
    WORDS,
)

_TAG = re.compile(r"<[^>]{0,40}>")
_CODE = re.compile(r"^(BOLD:[A-Z]{3}\d{4}|SH\d+\.\d+FU)$", re.I)
_VIRUS = re.compile(r"(virus|viroid|phage|satellite|prion)(es|s)?\b", re.I)
_UNINOMIAL = re.compile(r"^[×x]?[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]+(-[a-zA-Zß-öø-ÿ]+)*$")
_EPITHET = re.compile(r"^(\d{1,2}-|[a-z]-)?[a-zß-öø-ÿ]{2,}(-[a-zß-öø-ÿ]+)*$")
_CAPITALS = re.compile(r"^[A-ZÀ-ÖØ-Þ]{3,}$")
_INITIAL = re.compile(r"^[A-Z][a-z]?\.$")
_CULTIVAR = re.compile(r"\s(cv\.?\s.*|['‘`\"“](?=[^\W\d_])[^'’`\"”]{2,}['’`\"”].*)$")
_LIGATURES = str.maketrans({"æ": "ae", "œ": "oe", "Æ": "Ae", "Œ": "Oe", "ﬁ": "fi", "ﬂ": "fl"})


@dataclass(frozen=True)
class Name:
    """A parsed name: canonical form (None when there is none), authorship, rank by marker, note.

    `note` is None or one of: otu_code, virus, hybrid_formula, several_names, misapplied, uncertain,
    indeterminate, infrageneric, aggregate, cultivar, epithet_only, abbreviated, not_a_name.
    """

    canonical: str | None
    authorship: str | None = None
    rank: str | None = None
    note: str | None = None


def plain(text: str | None) -> str:
    """Text without markup, entities, ligatures, odd spaces or enclosing quotes, in Unicode NFC."""
    if not text:
        return ""
    bare = _TAG.sub("", html.unescape(html.unescape(text)))
    if "_" in bare and " " not in bare:  # how folders and files are named
        bare = bare.replace("_", " ")
    return " ".join(unicodedata.normalize("NFC", bare).translate(_LIGATURES).split()).strip(
        " \"'“”,;"
    )


def parse(text: str | None, genus: str | None = None) -> Name:
    """Parse one name string; `genus`, stated beside it, completes a bare epithet or an initial."""
    name = plain(text)
    if not name:
        return Name(None, note="not_a_name")
    if _CODE.match(name):
        return Name(name.upper(), note="otu_code")
    if name.isupper() and " " in name:  # which of the capitals are an author's cannot be told
        genus_word, epithet, *rest = name.split(" ")
        name = " ".join([genus_word.capitalize(), epithet.lower(), *(w.title() for w in rest)])
    if _is_speech(name):
        return Name(None, note="not_a_name")
    if found := _beside_genus(name, genus):
        return found
    bare = _CULTIVAR.sub("", f"{name} ")
    if bare != f"{name} ":
        inner = parse(bare)
        return Name(inner.canonical, inner.authorship, inner.rank, inner.note or "cultivar")
    words = re.sub(
        r"\((\?|cf\.?|aff\.?)\)", r"\1", name.replace("×", " × ").replace("†", " ")
    ).split()
    if len(words) > 1 and (words[0] == "×" or (words[0] in "xX" and words[1][:1].isupper())):
        words = words[1:]
    while words and words[0].lower() in ("candidatus", '"candidatus', "ca.") and len(words) > 1:
        words = words[1:]
    if not words:
        return Name(None, note="not_a_name")
    signs = [i for i, word in enumerate(words) if word in ("×", "x", "X") and i > 0]
    if signs and (len(words) == signs[0] + 1 or _looks_like_formula(words, signs[0])):
        return Name(None, note="hybrid_formula")
    words = [word for i, word in enumerate(words) if i not in signs]
    return _from_genus(words, name)


def _is_speech(name: str) -> bool:
    """True when a word is one of plain speech; a capital inside is an author's (Bird, Wild, Fish)."""
    words = [word.strip(".,;:()") for word in name.split()]
    spoken = {word for word in words if word.islower()} | {words[0].lower()}
    return bool(WORDS & spoken) and not _VIRUS.search(name)


def _from_genus(words: list[str], name: str) -> Name:
    genus = words[0].strip(",")
    if _CAPITALS.match(genus):
        genus = genus.capitalize()
    virus = _VIRUS.search(name)
    if not _UNINOMIAL.match(genus):
        if virus:
            return Name(name, note="virus")
        if _INITIAL.match(genus) and len(words) > 1 and _epithet(words[1]):
            return Name(None, note="abbreviated")
        return Name(None, note="not_a_name")
    if virus and re.search(r"\b\w*(virus(es)?|viroid|phage|satellite)\b", name):
        return Name(name, note="virus")
    return _with_epithets(genus, words[1:])


def _beside_genus(name: str, genus: str | None) -> Name | None:
    """A bare epithet ("rufipes") or an initial ("C. rufipes") completed by the stated genus."""
    first, _, rest = name.partition(" ")
    head = plain(genus).capitalize()
    lower = first.islower() and _epithet(first) and bool(rest) and _epithet(rest.split(" ")[0])
    if lower and (not genus or first == head.lower()):  # "panthera leo": capitals were lost
        return parse(name[0].upper() + name[1:])
    if not _UNINOMIAL.match(head):
        return None
    if (
        _epithet(first)
        and first.islower()
        and first not in STATES
        and (not rest or _epithet(rest.split(" ")[0]))
    ):
        inner = parse(f"{head} {name}")
        return Name(inner.canonical, inner.authorship, inner.rank, inner.note or "epithet_only")
    if _INITIAL.match(first) and head.startswith(first[:-1]) and rest:
        return parse(f"{head} {rest}")
    return None


def _looks_like_formula(words: list[str], sign: int) -> bool:
    after = words[sign + 1]
    binomial_before = sign >= 2 and (
        bool(_EPITHET.match(words[1])) or bool(_INITIAL.match(after)) or after[:1].isupper()
    )
    return binomial_before and (bool(_EPITHET.match(after)) or after[:1].isupper())


def _with_epithets(genus: str, words: list[str]) -> Name:
    if words and re.match(r"^\([A-ZÀ-Þ][\w-]+\.?\)$", words[0]):  # a subgenus, not an author
        if len(words) == 1:
            return Name(genus, None, None, "infrageneric")
        if _epithet(words[1]):
            words = words[1:]
    if len(words) > 1 and words[0].lower() in BELOW_GENUS_MARKS:
        if len(words) == 2 or not _epithet(words[2]):
            return Name(genus, None, None, "infrageneric")
        words = words[2:]
    parts, rank = [genus], None
    i = 0
    while i < len(words) and len(parts) < 3:
        word = words[i]
        low = word.lower()
        if note := _ended(words[i:]):
            last = i + 1 == len(words) and note == "uncertain" and len(parts) > 1
            return Name(" ".join(parts[:-1] if last else parts), None, None if last else rank, note)
        if low in AGGREGATE:
            return Name(" ".join(parts), None, rank, "aggregate" if len(parts) > 1 else None)
        if len(parts) == 1 and _old_epithet(words[i:]):
            parts.append(low)
        elif low in MARKERS and len(parts) == 2 and i + 1 < len(words) and (
            _epithet(words[i + 1]) or (len(low) > 2 and _epithet(words[i + 1].lower()))
        ):  # fmt: skip
            rank, i = MARKERS[low], i + 1
            parts.append(words[i].lower())
        elif _epithet(word):
            parts.append(word.lower())
            rank = "subspecies" if len(parts) == 3 else rank
        else:
            break
        i += 1
    return _with_author(parts, rank, words[i:])


def _ended(words: list[str]) -> str | None:
    """`uncertain` or `indeterminate` where the name goes no further."""
    low = words[0].lower()
    if low in UNCERTAIN:
        return "uncertain"
    if low in INDETERMINATE or low in STATES or re.match(r"^spp?\.?\d*$|^spp?\.\S", low):
        return "indeterminate"
    new = low in ("n.", "nov.", "nova") and len(words) > 1 and words[1].lower() in INDETERMINATE
    return "indeterminate" if new else None


def _with_author(parts: list[str], rank: str | None, rest: list[str]) -> Name:
    """The name with what follows its epithets, which is not always an author."""
    name, low = " ".join(parts), [word.lower() for word in rest]
    if _several(rest):
        return Name(None, note="several_names")
    if any(word.startswith("auct") for word in low) and {"non", "nec", "not"} & set(low):
        return Name(None, note="misapplied")
    if len(parts) > 1 and any(word in ("agg.", "aggr.", "s.l.", "s.lat.") for word in low):
        return Name(name, " ".join(rest[:-1]) or None, rank, "aggregate")
    below = len(parts) == 3 and len(rest) > 1 and low[0] in MARKERS
    if below and _epithet(rest[1]):  # a form of a subspecies: the lowest epithet names the taxon
        return Name(
            " ".join([*parts[:2], rest[1]]), " ".join(rest[2:]) or None, MARKERS[low[0]], None
        )
    if len(parts) == 2:  # an author may stand between the species and the infraspecific epithet
        last = [j for j, word in enumerate(low[:-1]) if word in MARKERS and _epithet(rest[j + 1])]
        if last:
            j = last[-1]
            return Name(" ".join([*parts, rest[j + 1]]), " ".join(rest[j + 2 :]) or None,
                        MARKERS[low[j]], None)  # fmt: skip
    for j, word in enumerate(low):
        if word in UNCERTAIN and (j + 1 == len(rest) or _epithet(rest[j + 1])):
            return Name(name, None, rank, "uncertain")
    if len(parts) == 1 and rest and re.match(r"^[A-Za-z-]+\d{2,}", rest[0]):
        return Name(name, None, rank, "uncertain")  # a specimen of it ("Asteraceae Espinoza5721")
    if (
        len(parts) == 1
        and rest
        and not re.match(r"^[(\[]?([A-ZÀ-ÞŠŽ]|['’]t$|d['’]|[a-z]{1,4}$)", rest[0])
    ):
        return Name(name, None, rank, "uncertain")  # an epithet that cannot be read
    return Name(name, " ".join(rest) or None, rank, None)


def _several(rest: list[str]) -> bool:
    """True when a second name follows: "… / fuscus", "… or fuscus", "… & L. fuscus", "(Other name)"."""
    if not rest:
        return False
    joined = rest[0] in ("/", "|", "+", ";", "-", "–", "&") or rest[0].lower() in OR_WORDS
    if joined and len(rest) > 1:
        first = rest[1]
        next_is_epithet = len(rest) > 2 and _epithet(rest[2])
        return _epithet(first) or (
            (_INITIAL.match(first) or _UNINOMIAL.match(first)) is not None and next_is_epithet
        )
    return len(rest) > 1 and bool(re.match(r"^\([A-Z][a-z]+$", rest[0])) and (
        rest[1].endswith(")") and _epithet(rest[1][:-1])
    )  # fmt: skip


def _old_epithet(words: list[str]) -> bool:
    """A capital epithet as old books print it: "Henrylawsoni (Wells, 1985)"; no author stands so."""
    return len(words) > 1 and words[1].startswith("(") and _epithet(words[0].lower()) and (
        words[0][:1].isupper() and len(words[0]) > 3
    )  # fmt: skip


def _epithet(word: str) -> bool:
    return bool(_EPITHET.match(word)) and word not in PARTICLES
