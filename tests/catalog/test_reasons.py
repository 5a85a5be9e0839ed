"""The glossary knows every reason that the code can give."""

import re
from pathlib import Path

from catalog import reasons

ROOT = Path(__file__).parents[2]
_GIVEN = re.compile(
    r"""(?:Refused|Undecodable)\("(\w+)"|"(?:gone|transient)", "(\w+)"|return b"", "(\w+)\""""
)
_SQL = re.compile(r"then '(\w+)'")
_FILES = ("sources/*.py", "media.py", "images/*.py")


def test_a_reason_written_in_the_code_is_in_the_glossary():
    given = set()
    for pattern in _FILES:
        for path in (ROOT / "curation").glob(pattern):
            text = path.read_text(encoding="utf-8")
            given |= {word for words in _GIVEN.findall(text) for word in words if word}
            for block in re.findall(r"case\n(?:.*\n)*?  end[\s,]+as reject_reason", text):
                given |= set(_SQL.findall(block))
    assert len(given) > 25
    assert not {word for word in given if reasons.meaning(word) is None}


def test_patterns_are_read_and_other_words_are_not():
    assert "status" in reasons.meaning("http_404")
    assert reasons.meaning("review_in review\n?"), (
        "the word after it is the provider's, whatever it is"
    )
    assert "benchmark" in reasons.meaning("near_rare_species")
    assert reasons.meaning("http_") is None and reasons.meaning("because") is None
