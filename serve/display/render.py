"""Owns how tagged lines look to a person: coloured text with a legend.

Colours are given to labels as they appear. Without colour an entity stands in brackets with its
label. What could steer the terminal (control characters, changes of writing direction) is replaced,
one character for one.
"""

from __future__ import annotations

from collections.abc import Sequence

from serve.entities import Entity

_BACKGROUNDS = (153, 157, 223, 218, 229, 189, 159, 216, 193, 225, 187, 195)
"""Light tones of the 256-colour palette, under black text."""
_RESET = "\x1b[0m"
_REPLACED = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\N{REPLACEMENT CHARACTER}"),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}"),
    ord("\t"): " ",
}


class Painter:
    """Paints lines, remembering which label has which colour."""

    def __init__(self, *, in_colour: bool) -> None:
        """Choose between colours and brackets."""
        self._in_colour = in_colour
        self._backgrounds: dict[str, int] = {}

    def line(self, text: str, entities: Sequence[Entity]) -> str:
        """Return a text with its entities marked."""
        parts: list[str] = []
        position = 0
        for entity in entities:
            parts.append(printable(text[position : entity.start]))
            parts.append(self._mark(printable(text[entity.start : entity.end]), entity.label))
            position = entity.end
        return "".join([*parts, printable(text[position:])])

    def legend(self) -> str:
        """Return the labels seen so far in their colours; empty without colour or labels."""
        if not self._in_colour:
            return ""
        labels = self._backgrounds
        return " ".join(self._mark(f" {printable(label)} ", label) for label in labels)

    def _mark(self, text: str, label: str) -> str:
        if not self._in_colour:
            return f"[{text}|{printable(label)}]"
        number = len(self._backgrounds) % len(_BACKGROUNDS)
        background = self._backgrounds.setdefault(label, _BACKGROUNDS[number])
        return f"\x1b[38;5;16;48;5;{background}m{text}{_RESET}"


def printable(text: str) -> str:
    """Return a text of the same length that cannot steer a terminal."""
    return text.translate(_REPLACED)


def printable_lines(text: str) -> str:
    """Return the same of a text that may have several lines."""
    return "\n".join(map(printable, text.split("\n")))
