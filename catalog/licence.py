"""Licence text -> SPDX id and status; and which statuses may be redistributed.

Covers Creative Commons addresses (any host spelling, ported or not), GBIF's enumeration
(`CC_BY_4_0`), iNaturalist's codes (`CC-BY-NC`), written-out names, public domain marks and
reservations. A text that says two things gets the stricter one; what is not understood is
`unknown`, never open. Ids are those of the SPDX licence list, version 3.
"""

from __future__ import annotations

import re
import unicodedata

_VERSIONS = {"1.0", "2.0", "2.5", "3.0", "4.0"}
_PORTED = {
    "CC-BY-2.5-AU", "CC-BY-3.0-AT", "CC-BY-3.0-AU", "CC-BY-3.0-DE", "CC-BY-3.0-IGO",
    "CC-BY-3.0-NL", "CC-BY-3.0-US", "CC-BY-NC-3.0-DE", "CC-BY-NC-ND-3.0-DE",
    "CC-BY-NC-ND-3.0-IGO", "CC-BY-NC-SA-2.0-DE", "CC-BY-NC-SA-2.0-FR", "CC-BY-NC-SA-2.0-UK",
    "CC-BY-NC-SA-3.0-DE", "CC-BY-NC-SA-3.0-IGO", "CC-BY-ND-3.0-DE", "CC-BY-SA-2.0-UK",
    "CC-BY-SA-2.1-JP", "CC-BY-SA-3.0-AT", "CC-BY-SA-3.0-DE", "CC-BY-SA-3.0-IGO",
}  # fmt: skip
_ADDRESS = re.compile(
    r"creativecommons\.org/(licen[cs]es|publicdomain)/([a-z-]+)/?(\d\.\d)?/?([a-z]{2,3})?(?![a-z])"
)
_RESERVED = re.compile(r"all rights? reserved|todos los derechos|alle rechte|tous droits|©|\(c\) ?\d|"
                       r"^copyright\b|^in copyright|rightsstatements\.org/vocab/inc")  # fmt: skip
_PUBLIC = re.compile(r"^(the )?public domain\b|^pd$|^no known copyright|^pdm\b|"
                     r"rightsstatements\.org/vocab/nkc")  # fmt: skip
_DENIAL = re.compile(r"\b(not|except|unless|without)\b|\bno (?!deriv)")

Licence = tuple[str | None, str]
"""(SPDX id or None, status: open, nc, nd, reserved or unknown)."""


_NEEDS_NO_CREDIT = re.compile(r"public\W?domain|\bpdm?\b|no known copyright", re.I)


def licence(text: str | None) -> Licence:
    """What a licence text means."""
    plain = unicodedata.normalize("NFKC", text or "").strip().casefold()[:500]
    if not plain:
        return None, "unknown"
    if address := _ADDRESS.search(plain):
        return _from_address(*address.groups())
    if re.search(r"all rights? reserved", plain):
        return None, "reserved"
    if _PUBLIC.search(plain):
        return None, "open"
    if _DENIAL.search(plain):
        return None, "unknown"
    words = re.sub(r"[\s_\-–/.,()]+", " ", plain).strip()
    if re.search(r"\bcc ?(0|zero)\b|creative commons (cc ?0|zero)", words):
        return "CC0-1.0", "open"
    if re.search(r"\bcc by\b|creative commons|\battribution\b|^by( (nc|nd|sa))*\b", words):
        return _from_words(words)
    if "gnu free documentation" in words or re.match(r"gfdl\b", words):
        return None, "open"
    return (None, "reserved") if _RESERVED.search(plain) else (None, "unknown")


def _from_address(path: str, elements: str, version: str | None, port: str | None) -> Licence:
    if elements == "publicdomain":
        return "CC-PDDC", "open"
    if elements in ("zero", "cc0"):
        return "CC0-1.0", "open"
    if elements == "mark":
        return None, "open"
    if path == "publicdomain":
        return None, "unknown"
    return _creative_commons(set(elements.split("-")), version, port)


def _from_words(words: str) -> Licence:
    elements = {"by"} if re.search(r"\bby\b|attribution", words) else set()
    if re.search(r"\bnc\b|non ?commercial", words):
        elements.add("nc")
    if re.search(r"\bnd\b|no ?deriv", words):
        elements.add("nd")
    if re.search(r"\bsa\b|share ?alike", words):
        elements.add("sa")
    version = re.search(r"\b([1-4]) ([05])\b", words)
    return _creative_commons(elements, f"{version[1]}.{version[2]}" if version else None, None)


def _creative_commons(elements: set[str], version: str | None, port: str | None) -> Licence:
    if "by" not in elements or elements - {"by", "nc", "nd", "sa"}:
        return None, "unknown"
    if version and version not in _VERSIONS and not port:
        return None, "unknown"  # no such version
    status = "nd" if "nd" in elements else "nc" if "nc" in elements else "open"
    parts = ["CC", "BY", *(e.upper() for e in ("nc", "nd", "sa") if e in elements)]
    spdx = "-".join([*parts, version or ""])
    ported = f"{spdx}-{port.upper()}" if port and port not in ("en", "int") else spdx
    known = ported in _PORTED if ported != spdx else version in _VERSIONS
    return (ported if known and not {"nd", "sa"} <= elements else None), status


def may_redistribute(spdx: str | None, status: str, verbatim: str | None, allow_nc: bool) -> bool:
    """True when pixels under this licence may be published (attribution is judged elsewhere).

    CC0, the public domain mark, CC BY and CC BY-SA by default (also unversioned); their
    non-commercial forms by opt-in; no-derivatives, reserved and unknown never.
    """
    if status == "nc":
        return allow_nc
    return status == "open" and "gnu" not in (verbatim or "").casefold()


def needs_credit(spdx: str | None, verbatim: str | None) -> bool:
    """True when a picture under this licence must not be published without its creator's name."""
    return spdx not in ("CC0-1.0", "CC-PDDC") and not (
        spdx is None and _NEEDS_NO_CREDIT.search(verbatim or "")
    )
