"""Lines for people at a terminal, in which what others wrote cannot move the cursor or turn the text around."""

from __future__ import annotations

import sys
from typing import TextIO


def tell(text: str = "", *, to: TextIO | None = None) -> None:
    """Write a line (to stdout, unless `to`); control and direction characters are shown as escapes."""
    stream = to or sys.stdout
    stream.write(shown(text) + "\n")
    stream.flush()


def error(said: object) -> None:
    """Write what the user has to mend to stderr."""
    tell(f"error: {said}", to=sys.stderr)


def line(text: str) -> str:
    """The text in one line, for what others wrote inside a line of ours."""
    return " ".join(text.split())


def shown(text: str) -> str:
    """The text with every character that does not print, line breaks and tabs aside, as its escape."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )
