"""Owns how a lint looks in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from serve.display.render import printable
from train.lint import tables
from train.lint.inspect import Inspection
from train.scores.tables import Table, aligned

NUM_SHOWN = 5
"""Findings of each rule that are shown; the page and the JSON have more."""
BAR_CHARS = 40


def inspection_text(inspection: Inspection) -> str:
    """Return a lint's findings and figures as text."""
    return "\n\n".join(_parts(inspection))


def _parts(inspection: Inspection) -> Iterator[str]:
    yield aligned(tables.files(inspection))
    if any(figures.num_lines for figures in inspection.files):
        yield aligned(tables.labels(inspection))
        yield _histogram(tables.lengths(inspection))
    for heading, found in tables.by_rule(inspection):
        lines = [heading, *(f"  {f.place}: {f.message}" for f in found[:NUM_SHOWN])]
        if len(found) > NUM_SHOWN:
            lines.append(f"  ... and {len(found) - NUM_SHOWN} more")
        yield "\n".join(map(printable, lines))
    yield tables.totals(inspection)


def _histogram(table: Table) -> str:
    """Return the lengths with a bar for all files together behind each row."""
    totals = [sum(map(int, numbers)) for _, *numbers in table.rows]
    longest = max(totals, default=0) or 1
    first, *rows = aligned(table).splitlines()
    bars = ("#" * -(-BAR_CHARS * total // longest) for total in totals)
    return "\n".join([first, *(f"{row}  {bar}" for row, bar in zip(rows, bars, strict=True))])
