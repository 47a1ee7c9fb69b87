"""Owns how a page of figures looks: one file of HTML, no scripts, nothing from elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.2rem }
table { border-collapse: collapse; margin: .6rem 0 } svg { max-width: 100%; height: auto }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left } th { border-bottom: 2px solid #888 }
td { overflow-wrap: break-word } div { overflow-x: auto }
"""


def page(title: str, body: Iterable[str], *, style: str = "") -> str:
    """Return a page, as text that is UTF-8.

    A file's name may hold bytes that are no text; they are escaped with a backslash.

    Args:
        title: Its title, as text.
        body: Its parts, as HTML.
        style: Further CSS.
    """
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )
    return text.encode(errors="backslashreplace").decode()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts; every row as long as the head."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def bullets(sentences: Iterable[str]) -> str:
    """Return a list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in sentences) + "</ul>"


def picture(figure: Any) -> str:  # noqa: ANN401 (matplotlib has no types)
    """Return a figure of matplotlib as an SVG element, the same bytes each time."""
    import matplotlib as mpl  # who has a figure has it

    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "page"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]


def drawn(text: str) -> str:
    """Return a user's words as matplotlib draws them as they are: dollars set no mathematics."""
    return text.replace("$", r"\$")
