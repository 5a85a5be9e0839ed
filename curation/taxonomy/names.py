"""Scientific name strings -> canonical name, authorship, and what was odd about them.

Canonical is what taxonomies are joined on: Unicode NFC without markup, the genus and lower-case
epithets only, hybrid signs and rank markers left out. A qualified name (cf., sp., aff.) stands for
the part that is certain. Nothing is guessed: a string that cannot be a name says so.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

_TAG = re.compile(r"<[^>]{0,40}>")
_CODE = re.compile(r"^(BOLD:[A-Z]{3}\d{4}|SH\d+\.\d+FU)$", re.I)
_VIRUS = re.compile(r"(virus|viroid|phage|satellite|prion)(es|s)?\b", re.I)
_UNINOMIAL = re.compile(r"^[×x]?[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]+(-[a-zA-Zß-öø-ÿ]+)*$")
_EPITHET = re.compile(r"^(\d{1,2}-|[a-z]-)?[a-zß-öø-ÿ]{2,}(-[a-zß-öø-ÿ]+)*$")
_CAPITALS = re.compile(r"^[A-ZÀ-ÖØ-Þ]{3,}$")
_MARKERS = {
    "subsp.": "subspecies", "subsp": "subspecies", "ssp.": "subspecies", "ssp": "subspecies",
    "var.": "variety", "var": "variety", "f.": "form", "fo.": "form", "forma": "form",
    "subvar.": "subvariety", "morph": "form",
}  # fmt: skip
_UNCERTAIN = {"cf.", "cf", "aff.", "aff", "nr.", "nr", "?", "near", "affin."}
_INDETERMINATE = {"sp.", "sp", "spp.", "spp", "sp.nov.", "indet.", "indet", "n.sp.", "gen."}
_PARTICLES = {
    "de", "den", "der", "des", "di", "du", "da", "do", "dos", "el", "et", "ex", "in", "la", "le", "van",
    "von", "vom", "zu", "zur", "und", "and", "y", "non", "nec", "sensu", "auct", "emend", "ined", "bis",
    "agg", "nom", "sp", "spp", "ssp", "cf", "aff",
}  # fmt: skip
_LIGATURES = str.maketrans({"æ": "ae", "œ": "oe", "Æ": "Ae", "Œ": "Oe", "ﬁ": "fi", "ﬂ": "fl"})


@dataclass(frozen=True)
class Name:
    """A parsed name: canonical form (None when there is none), authorship, rank by marker, note.

    `note` is None or one of: otu_code, virus, hybrid_formula, uncertain, indeterminate, not_a_name.
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
    return " ".join(unicodedata.normalize("NFC", bare).translate(_LIGATURES).split()).strip(
        " \"'“”,;"
    )


def parse(text: str | None) -> Name:
    """Parse one name string."""
    name = plain(text)
    if not name:
        return Name(None, note="not_a_name")
    if _CODE.match(name):
        return Name(name.upper(), note="otu_code")
    if name.isupper() and " " in name:
        name = name.capitalize()
    words = name.replace("×", " × ").split()
    if len(words) > 1 and (words[0] == "×" or (words[0] in "xX" and words[1][:1].isupper())):
        words = words[1:]
    while words[0].lower() == "candidatus" and len(words) > 1:
        words = words[1:]
    signs = [i for i, word in enumerate(words) if word in ("×", "x", "X") and i > 0]
    if signs and (len(words) == signs[0] + 1 or _looks_like_formula(words, signs[0])):
        return Name(None, note="hybrid_formula")
    words = [word for i, word in enumerate(words) if i not in signs]
    genus = words[0].strip(",")
    if _CAPITALS.match(genus):
        genus = genus.capitalize()
    if not _UNINOMIAL.match(genus):
        if _VIRUS.search(name):
            return Name(name, note="virus")
        return Name(None, note="not_a_name")
    if re.search(r"\b(virus(es)?|viroid|phage|satellite)\b", name):
        return Name(name, note="virus")
    return _with_epithets(genus, words[1:])


def _looks_like_formula(words: list[str], sign: int) -> bool:
    after = words[sign + 1]
    binomial_before = sign >= 2 and bool(_EPITHET.match(words[1]))
    return binomial_before and (bool(_EPITHET.match(after)) or after[:1].isupper())


def _with_epithets(genus: str, words: list[str]) -> Name:
    if words and re.match(r"^\([A-ZÀ-Þ][\w-]+\)$", words[0]) and len(words) > 1 and (
        _EPITHET.match(words[1]) and words[1] not in _PARTICLES
    ):  # fmt: skip
        words = words[1:]  # a subgenus, not an author
    parts, rank, note = [genus], None, None
    i = 0
    while i < len(words) and len(parts) < 3:
        word = words[i]
        low = word.lower()
        if low in _UNCERTAIN or low in _INDETERMINATE:
            note = "uncertain" if low in _UNCERTAIN else "indeterminate"
            return Name(" ".join(parts), None, rank, note)
        if low in _MARKERS and len(parts) == 2 and i + 1 < len(words) and _epithet(words[i + 1]):
            rank, i = _MARKERS[low], i + 1
            parts.append(words[i])
        elif _epithet(word):
            parts.append(word.lower())
            rank = "subspecies" if len(parts) == 3 else rank
        else:
            break
        i += 1
    rest = words[i:]
    if len(parts) == 2:  # an author may stand between the species and the infraspecific epithet
        for j, word in enumerate(rest[:-1]):
            if word.lower() in _MARKERS and word != "f." and _epithet(rest[j + 1]):
                return Name(" ".join([*parts, rest[j + 1]]), " ".join(rest[j + 2 :]) or None,
                            _MARKERS[word.lower()], None)  # fmt: skip
    return Name(" ".join(parts), " ".join(rest) or None, rank, note)


def _epithet(word: str) -> bool:
    return bool(_EPITHET.match(word)) and word not in _PARTICLES
