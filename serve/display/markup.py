"""Owns how labelled lines look on a page: spans in colours, each with its label."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

from serve.display.render import printable
from serve.examples import Span

STYLE = """
mark { padding: .1rem .25rem; border-radius: .25rem; color: #111; white-space: pre-wrap }
mark.wrong { outline: 2px solid #c0392b }
mark small { font-size: .68em; opacity: .75; margin-left: .3em }
"""
_TURN = 137.508
"""Degrees from one hue to the next, the golden angle: neighbours are never alike."""


class Marker:
    """Marks spans, one colour a label, the same on every line."""

    def __init__(self, labels: Iterable[str]) -> None:
        """Give each label its colour."""
        hues = {label: round(i * _TURN) % 360 for i, label in enumerate(sorted(set(labels)))}
        self._colours = {label: f"hsl({hue} 85% 82%)" for label, hue in hues.items()}

    def line(self, text: str, spans: Sequence[Span], wrong: Collection[Span] = ()) -> str:
        """Return a text as HTML.

        Args:
            text: The text.
            spans: What to mark, disjoint and in the text's order.
            wrong: Those of them to frame.
        """
        parts: list[str] = []
        position = 0
        for span in spans:
            parts.append(escape(printable(text[position : span.start])))
            parts.append(self._mark(text[span.start : span.end], span.label, span in wrong))
            position = span.end
        return "".join([*parts, escape(printable(text[position:]))])

    def _mark(self, text: str, label: str, is_wrong: bool) -> str:
        inside = f"{escape(printable(text))}<small>{escape(printable(label))}</small>"
        kind = ' class="wrong"' if is_wrong else ""
        return f'<mark{kind} style="background:{self._colours[label]}">{inside}</mark>'
