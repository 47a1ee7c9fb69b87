"""Owns an assessment's page: one file of HTML with tables, pictures and the worst errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from serve.bootstrap import MIN_TEXTS
from serve.display.markup import STYLE, Marker
from serve.display.page import page, table
from serve.examples import Span
from train.evaluation import tables
from train.evaluation.assess import Assessment
from train.evaluation.plots import label_picture, reliability_picture
from train.evaluation.worst import NUM_WORST, WorstLine

_STYLE = f"""{STYLE}
.error {{ margin: 1rem 0; padding: .3rem .8rem; line-height: 1.9 }}
.error {{ border-left: .25rem solid #c0392b }}
.error b {{ display: inline-block; width: 6.5em; font-weight: 600; color: #555 }}
td.cell {{ text-align: center; padding: .2rem .3rem }}
th.across {{ writing-mode: vertical-rl; vertical-align: bottom; padding: .3rem }}
"""


def assessment_page(name: str, assessment: Assessment) -> str:
    """Return an assessment as a page.

    Args:
        name: What was asked about what.
        assessment: Its figures.
    """
    return page("Evaluation", _sections(name, assessment), style=_STYLE)


def _sections(name: str, a: Assessment) -> Iterator[str]:
    yield "<h1>Evaluation</h1>"
    gold = a.entities.micro.num_gold
    yield f"<p>{escape(name)}: {a.num_lines} lines, {gold} entities</p>"
    yield table(*tables.modes(a))
    if a.against is not None:
        yield "<h2>Against the other tagger</h2>"
        yield table(*tables.differences(a.against, "other", "this"))
        yield (
            "<p>F1 and gain in points. p: chance of a difference as large between equally good "
            "taggers, by approximate randomization; interval by a paired bootstrap.</p>"
        )
    yield "<h2>Labels</h2>" + label_picture(a)
    yield (
        "<p>Strict, and F1 in the modes partial and type. No interval (-) where fewer than "
        f"{MIN_TEXTS} texts have the label, and where all is right, or nothing.</p>"
    )
    yield table(*tables.labels(a))
    yield "<h2>Confusion</h2>"
    yield "<p>Gold's label down, the predicted one across; equal spans are paired first, then those"
    yield "that share most characters. Borders do not count here; below they do.</p>"
    yield _confusion(a.confusion)
    yield table(*tables.kinds(a))
    yield "<h2>Lengths</h2>" + table(*tables.groups("words of the line", a.line_lengths))
    yield table(*tables.groups("words of the entity", a.entity_lengths))
    if a.novelty is not None:
        yield "<h2>Seen and unseen</h2>" + table(*tables.groups("in the train lines", a.novelty))
    yield "<h2>Can the scores be believed?</h2>" + reliability_picture(a.trust)
    yield table(*tables.trust(a.trust))
    yield "<h2>Tags of words</h2>" + table(*tables.word_tags(a))
    yield from _worst(a)


def _confusion(counts: Mapping[tuple[str | None, str | None], int]) -> str:
    """Return the matrix, each cell as dark as its share of its row."""
    names = sorted({label for pair in counts for label in pair if label is not None})
    columns: list[str | None] = [*names, None]
    head = "".join(f'<th class="across">{escape(name or "missed")}</th>' for name in columns)
    rows = []
    for gold in columns:
        total = sum(counts.get((gold, predicted), 0) for predicted in columns)
        cells = (_cell(counts.get((gold, other), 0), total, gold == other) for other in columns)
        rows.append(f"<tr><td>{escape(gold or 'spurious')}</td>{''.join(cells)}</tr>")
    return (
        f"<div><table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        "</table></div>"
    )


def _cell(num: int, total: int, right: bool) -> str:
    hue = 140 if right else 10
    light = 100 - 45 * num / max(1, total)
    return f'<td class="cell" style="background:hsl({hue} 70% {light:.0f}%)">{num or ""}</td>'


def _worst(a: Assessment) -> Iterator[str]:
    yield "<h2>Worst errors</h2>"
    if not a.worst:
        yield "<p>None: every entity is right.</p>"
        return
    yield f"<p>The lines whose wrong words the tagger was surest of; at most {NUM_WORST}.</p>"
    marker = Marker(a.entities.by_label)
    for line in a.worst:
        yield _line(line, marker)


def _line(line: WorstLine, marker: Marker) -> str:
    wrong = {span for pair in line.errors for span in (pair.gold, pair.predicted) if span}
    predicted = [Span(e.start, e.end, e.label) for e in line.entities]
    kinds = "; ".join(map(str, line.kinds))
    return (
        f'<div class="error"><small>{escape(line.place)}: {escape(kinds)}</small><br>'
        f"<b>gold</b>{marker.line(line.text, line.gold, wrong)}<br>"
        f"<b>predicted</b>{marker.line(line.text, predicted, wrong)}</div>"
    )
