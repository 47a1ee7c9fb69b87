"""Owns how a lint looks as a page: one file of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from serve.display.page import bullets, page, table
from serve.display.render import printable
from train.lint import tables
from train.lint.inspect import Inspection

NUM_SHOWN = 200
"""Findings of each rule that are shown; the JSON has all."""
_STYLE = """
.bar { background: #4a7db5; height: .8rem }
li { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere }
"""


def inspection_page(inspection: Inspection) -> str:
    """Return a lint's findings and figures as HTML."""
    return page("Corpus check", _parts(inspection), style=_STYLE)


def _parts(inspection: Inspection) -> Iterator[str]:
    yield f"<h1>Corpus check</h1><p>{tables.totals(inspection)}</p>"
    yield bullets(f"{f.part}: {f.path}" for f in inspection.files)
    yield table(*tables.files(inspection))
    yield "<h2>Labels</h2>"
    yield table(*tables.labels(inspection))
    yield "<h2>Lengths</h2>"
    yield from _bars(inspection)
    for heading, found in tables.by_rule(inspection):
        yield f"<h2>{escape(heading)}</h2>"
        yield bullets(printable(f"{f.place}: {f.message}") for f in found[:NUM_SHOWN])
        if len(found) > NUM_SHOWN:
            yield f"<p>and {len(found) - NUM_SHOWN} more</p>"


def _bars(inspection: Inspection) -> Iterator[str]:
    head, rows = tables.lengths(inspection)
    totals = [sum(map(int, numbers)) for _, *numbers in rows]
    longest = max(totals, default=0) or 1
    yield "<div><table><thead><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head)
    yield "<th></th></tr></thead><tbody>"
    for row, total in zip(rows, totals, strict=True):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        bar = f'<div class="bar" style="width:{20 * total / longest:.2f}rem"></div>'
        yield f"<tr>{cells}<td>{bar}</td></tr>"
    yield "</tbody></table></div>"
