"""Owns offsets that quote their characters: counted in characters, or in UTF-16 units.

Marks of one annotation are counted in one way: in UTF-16 units if one of them quotes what stands
there only so. For a quoted `7` may stand where either way leads, and a mark may quote nothing. A
mark that quotes something else than what stands there either way is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from serve.examples import Span
from train.formats.record import shown


@dataclass(frozen=True, slots=True)
class Mark:
    """A label on some characters.

    Attributes:
        span: Its offsets as they were written, and the label.
        quoted: The characters that it says it has; None if it says nothing of them.
        at: Where it stands in its row.
    """

    span: Span
    quoted: str | None
    at: str


def placed(marks: Sequence[Mark], text: str) -> Iterable[Span]:
    """Return the spans of an annotation's marks, in characters.

    A span that no text can have is returned as it is, to be told of as any other such.

    Raises:
        ValueError: If a mark's characters are not those it quotes; once the span is asked for.
    """
    in_units = any(not _fits(mark, text) and _fits(_by_units(mark, text), text) for mark in marks)
    return (_placed(mark, text, in_units=in_units) for mark in marks)


def _placed(mark: Mark, text: str, *, in_units: bool) -> Span:
    span = mark.span
    if not 0 <= span.start < span.end:
        return span
    readings = [mark, _by_units(mark, text)]
    for reading in reversed(readings) if in_units else readings:
        if _fits(reading, text):
            return reading.span
    if mark.quoted is None:
        return span
    raise ValueError(
        f"expected the text at start and end of {mark.at} to be {shown(mark.quoted)}, as it says "
        f"there, got {shown(text[span.start : span.end])}; "
        "export text and labels together"
    )


def _fits(mark: Mark, text: str) -> bool:
    """Tell whether a mark's characters are those it quotes; of one that quotes none, any are."""
    span = mark.span
    if not 0 <= span.start < span.end <= len(text):
        return False
    return mark.quoted is None or _same(text[span.start : span.end], mark.quoted)


def _same(found: str, quoted: str) -> bool:
    """Tell whether two texts differ in nothing but blanks; a line end may be quoted as escaped."""
    return found == quoted or found.split() == quoted.replace("\\n", "\n").split()


def _by_units(mark: Mark, text: str) -> Mark:
    """Return a mark with its offsets read as UTF-16 units; as they are if they leave the text."""
    units, span = _utf16(text), mark.span
    if not 0 <= span.start < span.end < len(units):
        return mark
    return replace(mark, span=Span(units[span.start], units[span.end], span.label))


@lru_cache(maxsize=1)  # a text's marks come one after the other
def _utf16(text: str) -> list[int]:
    """Return the character that each UTF-16 unit of a text belongs to, and the text's length."""
    units = [i for i, char in enumerate(text) for _ in range(1 + (char > "\uffff"))]
    return [*units, len(text)]
