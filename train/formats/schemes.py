"""Owns the tag schemes of column files: which one a file uses, and the spans its tags mean.

IOB1, IOB2 and IO differ in how an entity may start, not in what a tag means once this policy
holds: `B-X` starts an entity, `I-X` goes on with an entity of X and starts one where there is none.
BIOES and BILOU add tags that end an entity (E, L) and that are a whole one (S, U).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

_TAG = re.compile(r"O|[BIESLU]-\S.*")
_ENDS = frozenset("ESLU")


class Scheme(StrEnum):
    """A tag scheme, by the name it is known under."""

    IO = "IO"
    IOB1 = "IOB1"
    IOB2 = "IOB2"
    BIOES = "BIOES"
    BILOU = "BILOU"


_ENDINGS = {Scheme.BIOES: ("E", "S"), Scheme.BILOU: ("L", "U")}
"""Prefixes of an entity's last word and of its only one, where a scheme marks them."""


def is_tag(text: str) -> bool:
    """Tell whether a text is a tag of some scheme."""
    return _TAG.fullmatch(text) is not None


@dataclass(slots=True)
class SchemeDetector:
    """Sees every tag of a file once and then names its scheme.

    Attributes:
        num_ill_formed: I- and end tags that continue nothing, so that they start an entity.
    """

    num_ill_formed: int = 0
    _prefixes: set[str] = field(default_factory=set)
    _b_only_between: bool = True

    def see(self, tag: str, previous: str) -> None:
        """Take in a tag and the one before it in the sentence, `O` at its start.

        Raises:
            ValueError: If the tag is none, not printable, or of another scheme than those before.
        """
        if not is_tag(tag):
            raise ValueError(f"expected a tag O, B-X, I-X, or E-, S-, L-, U-X, got {tag!r}")
        if not tag.isprintable():
            raise ValueError(f"expected a tag of printable characters, got {tag!r}")
        prefix = tag[0]
        prefixes = self._prefixes | {prefix}
        if prefixes & {"E", "S"} and prefixes & {"L", "U"}:
            raise ValueError(f"expected tags of one scheme, BIOES or BILOU, got {tag!r} among both")
        self._prefixes = prefixes
        continues = _continues(tag, previous)
        if prefix == "B":
            self._b_only_between &= previous[1:] == tag[1:]
        elif prefix in "IEL" and not continues:
            self.num_ill_formed += 1

    @property
    def scheme(self) -> Scheme:
        """The scheme of the tags seen."""
        if self._prefixes & {"E", "S"}:
            return Scheme.BIOES
        if self._prefixes & {"L", "U"}:
            return Scheme.BILOU
        if "I" in self._prefixes and "B" not in self._prefixes:
            return Scheme.IO
        # IOB1 writes B- only between two entities of one label, and I- at every other start.
        if "I" in self._prefixes and self._b_only_between:
            return Scheme.IOB1
        return Scheme.IOB2


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A labelled range of words.

    Attributes:
        first_word: Its first word.
        end_word: The word after its last.
        label: Entity type.
    """

    first_word: int
    end_word: int
    label: str


def word_spans(tags: Sequence[str]) -> list[WordSpan]:
    """Return the entities that the tags of one sentence mean, in any of the schemes."""
    spans: list[WordSpan] = []
    first = 0
    for word in range(1, len(tags) + 1):
        if word < len(tags) and _continues(tags[word], tags[word - 1]):
            continue
        if tags[first] != "O":
            spans.append(WordSpan(first, word, tags[first][2:]))
        first = word
    return spans


def tags_of(num_words: int, spans: Iterable[WordSpan], scheme: Scheme) -> list[str]:
    """Return the tags of a sentence's words in a scheme.

    In IO, two entities of one label that touch become one.

    Args:
        num_words: Number of words.
        spans: Entities in order, disjoint.
        scheme: The scheme.
    """
    tags = ["O"] * num_words
    previous = WordSpan(0, 0, "")
    for span in spans:
        length = span.end_word - span.first_word
        touches = (previous.end_word, previous.label) == (span.first_word, span.label)
        prefixes = _prefixes(length, scheme, is_parted=touches)
        tags[span.first_word : span.end_word] = [f"{prefix}-{span.label}" for prefix in prefixes]
        previous = span
    return tags


def _prefixes(length: int, scheme: Scheme, *, is_parted: bool) -> str:
    """Return the prefix of each word of an entity, parted or not from one of its label before."""
    if scheme in _ENDINGS:
        end, whole = _ENDINGS[scheme]
        return whole if length == 1 else f"B{'I' * (length - 2)}{end}"
    begins_with_b = scheme is Scheme.IOB2 or (scheme is Scheme.IOB1 and is_parted)
    return f"{'B' if begins_with_b else 'I'}{'I' * (length - 1)}"


def violations(tags: Sequence[str], scheme: Scheme) -> Iterator[tuple[int, str]]:
    """Yield the words of a sentence whose tags break a scheme, and how they do."""
    for word, tag in enumerate(tags):
        previous = tags[word - 1] if word else "O"
        following = tags[word + 1] if word + 1 < len(tags) else "O"
        may_start = tag[0] == "I" and scheme in (Scheme.IO, Scheme.IOB1)
        if tag[0] in "IEL" and not may_start and not _continues(tag, previous):
            yield word, f"{tag} continues nothing, {previous} stands before it"
        elif scheme in _ENDINGS and tag[0] in "BI" and not _continues(following, tag):
            end, whole = _ENDINGS[scheme]
            yield word, f"{tag} is the last of its entity, expected {end}- or {whole}-"


def _continues(tag: str, previous: str) -> bool:
    """Tell whether a tag goes on with the entity of the tag before it."""
    return tag[0] in "IEL" and tag[1:] == previous[1:] and previous[0] not in _ENDS
