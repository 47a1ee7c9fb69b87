"""Owns how much the model takes on at once of what Triton merged, and for whom.

Triton merges up to 256 texts, each of up to `MAX_CHARS` characters: minutes of work, which nothing
can stop once it runs. So it is done in portions, and before each the model looks who still waits. A
portion may take seconds, too: a character of Chinese is a token. While it runs, the model looks
four times a second whether any of its callers still waits, and leaves the rest of it undone if not.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from serve.entities import Entity

PORTION_CHARS = 32_768
"""Some 8,000 tokens of English, a third of a second of MiniLM in INT8 on two cores. 256 lines of
128 letters hold as much, so executions of lines are one portion, and begin without asking."""
LOOK_S = 0.25
"""To ask after a caller takes a message to the server and back."""
Tag = Callable[[Sequence[str]], list[list[Entity]]]
IsWanted = Callable[[int], bool]


class GoneError(Exception):
    """Nobody waits any more for what is under way."""


class Watch:
    """Ends what is under way as soon as nobody waits for it any more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what tells the time, in seconds; nothing is under way yet."""
        self._clock = clock
        self._owners: Collection[int] = ()
        self._is_wanted: IsWanted = bool
        self._due = math.inf

    def begin(self, owners: Collection[int], is_wanted: IsWanted) -> None:
        """Take for whom something is under way from now on, and who knows whether one waits."""
        self._owners, self._is_wanted = owners, is_wanted
        self._due = self._clock() + LOOK_S

    def look(self) -> None:
        """Look whether anybody still waits, if it is time to.

        Raises:
            GoneError: If nobody does.
        """
        if self._clock() < self._due:
            return
        if not any(map(self._is_wanted, self._owners)):
            raise GoneError
        self._due = self._clock() + LOOK_S


def tag_in_portions(
    tag: Tag,
    texts: Sequence[str],
    owners: Sequence[int],
    is_wanted: IsWanted,
    watch: Watch,
) -> list[list[Entity] | None]:
    """Return each text's entities; None if nobody waited for them any more.

    Args:
        tag: Tags texts, and lets the watch look now and then.
        texts: The texts.
        owners: Of each text, the place of the request that it came with.
        is_wanted: Whether the caller of a request still waits; not asked before if all is one
            portion.
        watch: What ends a portion that nobody waits for.
    """
    entities: list[list[Entity] | None] = [None] * len(texts)
    is_one = sum(map(len, texts)) <= PORTION_CHARS
    for portion in portions([len(text) for text in texts]):
        wanted = {owner for owner in set(owners[portion]) if is_one or is_wanted(owner)}
        places = [place for place in range(*portion.indices(len(texts))) if owners[place] in wanted]
        watch.begin(wanted, is_wanted)
        with contextlib.suppress(GoneError):
            rows = tag([texts[place] for place in places])
            for place, row in zip(places, rows, strict=True):
                entities[place] = row
    return entities


def abandoned(owners: Sequence[int], entities: Sequence[list[Entity] | None]) -> set[int]:
    """Return the requests of which texts were skipped."""
    return {owner for owner, row in zip(owners, entities, strict=True) if row is None}


def portions(lengths: Sequence[int]) -> Iterator[slice]:
    """Yield runs of neighbours of at most `PORTION_CHARS` characters, at least one text each."""
    start = num_chars = 0
    for place, length in enumerate(lengths):
        if place > start and num_chars + length > PORTION_CHARS:
            yield slice(start, place)
            start, num_chars = place, 0
        num_chars += length
    if lengths:
        yield slice(start, len(lengths))
