"""Owns the renaming, merging and dropping of labels: `Old=New,Drop=`."""

from __future__ import annotations

from collections.abc import Mapping

from serve.examples import Example, Span


def parse_label_map(text: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of old and new label; an empty new label drops the old one's spans.

    Raises:
        ValueError: If a part is not `Old=New` or `Old=`, an old label comes twice, or a new one is
            not printable.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs: dict[str, str] = {}
    for part in parts:
        old, sign, new = (piece.strip() for piece in part.partition("="))
        if not sign or not old or "=" in new:
            raise ValueError(f"expected Old=New or Old=, apart by commas, got {part!r}")
        if old in pairs:
            raise ValueError(f"expected each label once before the =, got {old!r} twice")
        if not new.isprintable():  # no tag can hold it
            raise ValueError(f"expected a label of printable characters, got {new!r}")
        pairs[old] = new
    return tuple(pairs.items())


def map_labels(example: Example, label_map: Mapping[str, str]) -> Example:
    """Return an example with its labels renamed, in one pass, and dropped spans left out."""
    renamed = (Span(s.start, s.end, label_map.get(s.label, s.label)) for s in example.spans)
    return Example(example.text, tuple(span for span in renamed if span.label))
