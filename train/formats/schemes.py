"""Owns the tag schemes of column files: which one a file uses, and the spans its tags mean.

Schemes differ in how an entity may start and end, not in what a tag means once this policy holds:
`B-X`, and `S-`, `U-` or `W-X` for a whole one, start an entity; `I-X`, `M-X`, and `E-` or `L-X` for
its last word, go on with an entity of X that has not ended, and start one where there is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

_TAG = re.compile(r"O|[BIESLUMW]-\S.*")
_GO_ON, _ENDS = frozenset("IMEL"), frozenset("ELSUW")


class Scheme(StrEnum):
    """A tag scheme, by the name it is known under; of two that fit a file the first is meant."""

    IO = "IO"
    IOB1 = "IOB1"
    IOB2 = "IOB2"
    IOE1 = "IOE1"
    IOE2 = "IOE2"
    BIOES = "BIOES"
    BILOU = "BILOU"
    BMES = "BMES"
    BMEWO = "BMEWO"


@dataclass(frozen=True, slots=True)
class _Prefixes:
    """What a scheme writes before the label of an entity's words.

    Attributes:
        first: At the first of several.
        inner: Between first and last.
        last: At the last of several.
        whole: At an only one.
        parting: At the first (B) or last (E) where an entity of its label follows on another.
    """

    first: str
    inner: str
    last: str
    whole: str
    parting: str = ""

    def of(self, num_words: int) -> str:
        """Return the prefix of each word of an entity."""
        inner = self.inner * (num_words - 2)
        return self.whole if num_words == 1 else f"{self.first}{inner}{self.last}"

    @property
    def all(self) -> str:
        """All that there are."""
        return f"{self.first}{self.inner}{self.last}{self.whole}{self.parting}"

    @property
    def starts(self) -> str:
        """Those that may start an entity."""
        return f"{self.first}{self.whole}{self.parting}"

    @property
    def ends(self) -> str:
        """Those that may end one."""
        return f"{self.last}{self.whole}{self.parting}"


_PREFIXES = {
    Scheme.IO: _Prefixes(*"IIII"),
    Scheme.IOB1: _Prefixes(*"IIIIB"),
    Scheme.IOB2: _Prefixes(*"BIIB"),
    Scheme.IOE1: _Prefixes(*"IIIIE"),
    Scheme.IOE2: _Prefixes(*"IIEE"),
    Scheme.BIOES: _Prefixes(*"BIES"),
    Scheme.BILOU: _Prefixes(*"BILU"),
    Scheme.BMES: _Prefixes(*"BMES"),
    Scheme.BMEWO: _Prefixes(*"BMEW"),
}


def is_tag(text: str) -> bool:
    """Tell whether a text is a tag of some scheme."""
    return _TAG.fullmatch(text) is not None


@dataclass(slots=True)
class SchemeDetector:
    """Sees every tag of a file once and then names its scheme."""

    _seen: Counter[str] = field(default_factory=Counter)
    _starting: Counter[str] = field(default_factory=Counter)
    _parting: Counter[str] = field(default_factory=Counter)

    def see(self, tag: str, previous: str) -> None:
        """Take in a tag and the one before it in the sentence, `O` at its start.

        Raises:
            ValueError: If the tag is none, not printable, or of another scheme than those before.
        """
        if not is_tag(tag):
            raise ValueError(f"expected a tag O or B-, I-, E-, S-, L-, U-, M-, W-X, got {tag!r}")
        if not tag.isprintable():
            raise ValueError(f"expected a tag of printable characters, got {tag!r}")
        if tag == "O":
            return
        prefix = tag[0]
        if prefix not in self._seen and not _fitting({prefix, *self._seen}):
            seen = ", ".join(f"{prefix}-" for prefix in self._seen)
            raise ValueError(
                f"expected tags of one scheme ({', '.join(Scheme)}), got {tag!r} among {seen}"
            )
        self._seen[prefix] += 1
        self._starting[prefix] += not _continues(tag, previous)
        if tag[1:] == previous[1:]:
            self._parting["B"] += prefix == "B"
            self._parting["E"] += previous[0] == "E"

    @property
    def scheme(self) -> Scheme:
        """The scheme of the tags seen; IOB2 if they are all `O`."""
        if not self._seen:
            return Scheme.IOB2
        return next(
            scheme
            for scheme in _fitting(self._seen)
            if all(self._seen[p] == self._parting[p] for p in _PREFIXES[scheme].parting)
        )

    @property
    def num_ill_formed(self) -> int:
        """Number of tags that continue nothing, so that they start an entity, and should not."""
        starts = _PREFIXES[self.scheme].starts
        return sum(num for prefix, num in self._starting.items() if prefix not in starts)


def _fitting(prefixes: Iterable[str]) -> list[Scheme]:
    """Return the schemes that have these prefixes."""
    return [scheme for scheme in Scheme if set(prefixes) <= set(_PREFIXES[scheme].all)]


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
    spans = list(spans)
    prefixes = _PREFIXES[scheme]
    tags = ["O"] * num_words
    for span in spans:
        written = prefixes.of(span.end_word - span.first_word)
        tags[span.first_word : span.end_word] = [f"{prefix}-{span.label}" for prefix in written]
    for span, following in pairwise(spans):
        if (span.end_word, span.label) == (following.first_word, following.label):
            if prefixes.parting == "B":
                tags[following.first_word] = f"B-{span.label}"
            elif prefixes.parting == "E":
                tags[span.end_word - 1] = f"E-{span.label}"
    return tags


def violations(tags: Sequence[str], scheme: Scheme) -> Iterator[tuple[int, str]]:
    """Yield the words of a sentence whose tags break a scheme, and how they do."""
    prefixes = _PREFIXES[scheme]
    for word, tag in enumerate(tags):
        if tag == "O":
            continue
        previous = tags[word - 1] if word else "O"
        following = tags[word + 1] if word + 1 < len(tags) else "O"
        if tag[0] not in prefixes.starts and not _continues(tag, previous):
            yield word, f"{tag} continues nothing, {previous} stands before it"
        elif tag[0] not in prefixes.ends and not _continues(following, tag):
            ends = " or ".join(f"{p}-" for p in dict.fromkeys(prefixes.ends))
            yield word, f"{tag} is the last of its entity, expected {ends}"


def _continues(tag: str, previous: str) -> bool:
    """Tell whether a tag goes on with the entity of the tag before it."""
    return tag[0] in _GO_ON and tag[1:] == previous[1:] and previous[0] not in _ENDS
