"""Owns how much the model takes on at once of what Triton merged, and for whom.

Triton merges up to 256 texts, each of up to `MAX_CHARS` characters: minutes of work, which nothing
can stop once it runs. So it is done in portions, and before each the model looks who still waits: a
caller whose deadline has passed costs no more than the portion under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from serve.entities import Entity

PORTION_CHARS = 32_768
"""Some 8,000 tokens, a third of a second of MiniLM in INT8 on two cores. 256 lines of 128 letters
hold as much, so executions of lines are one portion, and nobody is asked after."""
Tag = Callable[[Sequence[str]], list[list[Entity]]]


def tag_in_portions(
    tag: Tag, texts: Sequence[str], owners: Sequence[int], is_wanted: Callable[[int], bool]
) -> list[list[Entity] | None]:
    """Return each text's entities; None if nobody waited for them any more.

    Args:
        tag: Tags texts.
        texts: The texts.
        owners: Of each text, the place of the request that it came with.
        is_wanted: Whether the caller of a request still waits; not asked if all is one portion.
    """
    if sum(map(len, texts)) <= PORTION_CHARS:
        return list(tag(texts))
    entities: list[list[Entity] | None] = [None] * len(texts)
    for portion in portions([len(text) for text in texts]):
        wanted = {owner for owner in set(owners[portion]) if is_wanted(owner)}
        places = [place for place in range(*portion.indices(len(texts))) if owners[place] in wanted]
        for place, row in zip(places, tag([texts[place] for place in places]), strict=True):
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
