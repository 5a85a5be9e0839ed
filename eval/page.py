"""A page for people, twice: Markdown, and one HTML file that holds its figures and pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22302a; max-width: 84em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .7em; text-align: left; border-bottom: 1px solid #dde5e0 }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums } img { max-width: 100% } figure { margin: 1em 0 }
.pictures { display: flex; flex-wrap: wrap; gap: 1em } .pictures figure { width: 10em; margin: 0 } .pictures img { width: 100% }
p { max-width: 46em } figcaption { font-size: 13px } .wrong { color: #a33 }
"""


@dataclass(frozen=True)
class Section:
    """A part of a page: words, a table, a figure (a PNG under the page's folder), pictures (JPEG, truth, answer)."""

    title: str
    words: tuple[str, ...] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figure: Path | None = None
    pictures: Sequence[tuple[bytes, str, str]] = ()


def write(folder: Path, name: str, title: str, sections: Sequence[Section], notes: Sequence[str] = ()) -> Path:  # fmt: skip
    """NAME.md and NAME.html in a folder; returns the latter. Pictures are in the HTML alone."""
    (folder / f"{name}.md").write_text(_markdown(folder, title, sections, notes), encoding="utf-8")
    path = folder / f"{name}.html"
    path.write_text(_html(title, sections, notes), encoding="utf-8")
    return path


def number(value: float | None) -> str:
    """Three decimals; "-" where there is none."""
    return "-" if value is None or value != value else f"{value:.3f}"


def _markdown(folder: Path, title: str, sections: Sequence[Section], notes: Sequence[str]) -> str:
    lines = [f"# {title}", "", *(f"- {cell(note)}" for note in dict.fromkeys(notes)), ""]
    for part in sections:
        if not (part.words or part.heads or part.figure):
            continue
        lines += [f"## {cell(part.title)}", ""]
        for words in part.words:
            lines += [cell(words), ""]
        if part.heads:
            lines += [_line(part.heads), _line(["---"] * len(part.heads)), *map(_line, part.rows), ""]  # fmt: skip
        if part.figure:
            lines += [f"![{cell(part.title)}]({part.figure.relative_to(folder).as_posix()})", ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell(one) for one in cells) + " |"


def cell(words: str) -> str:
    """Text that Markdown takes as text."""
    return (
        html.escape(" ".join(words.split()), quote=False)
        .replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("[", "\\[")
        .replace("*", "\\*")
    )


def _html(title: str, sections: Sequence[Section], notes: Sequence[str]) -> str:
    e = html.escape
    body = [f"<h1>{e(title)}</h1>", "<ul>", *(f"<li>{e(note)}</li>" for note in dict.fromkeys(notes)), "</ul>"]  # fmt: skip
    for part in sections:
        body.append(f"<h2>{e(part.title)}</h2>")
        body += [f"<p>{e(words)}</p>" for words in part.words]
        if part.heads:
            body += ["<table><tr>", *(f"<th>{e(head)}</th>" for head in part.heads), "</tr>"]
            body += ["<tr>" + "".join(f'<td{" class=n" if _is_number(one) else ""}>{e(one)}</td>' for one in row) + "</tr>" for row in part.rows]  # fmt: skip
            body.append("</table>")
        if part.figure:
            body.append(f'<img alt="{e(part.title)}" src="{_embedded(part.figure.read_bytes(), "png")}">')  # fmt: skip
        if part.pictures:
            shown = (f'<figure><img alt="" src="{_embedded(data, "jpeg")}"><figcaption>{e(truth)}<br><span class="wrong">{e(answer)}</span></figcaption></figure>'
                     for data, truth, answer in part.pictures)  # fmt: skip
            body += ['<div class="pictures">', *shown, "</div>"]
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{e(title)}</title>'
            f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n")  # fmt: skip


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _is_number(words: str) -> bool:
    plain = words.replace(" to ", "")
    return plain.translate(str.maketrans("", "", ".-+,")).isdigit()
