"""Tests that whatever shares a batch, each text gets the answer of the embedded tagger, exactly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.triton import TritonServer, start_triton
from serve.client import AsyncTritonTagger, Policy, TritonTagger
from serve.entities import Entity
from serve.tagger import Tagger
from tests.serve.tiny import noisy_lines

pytestmark = pytest.mark.triton
NUM_CALLERS = 32
POLICY = Policy(deadline_s=60.0)  # nothing here is about time
Asked = tuple[Sequence[str], list[list[Entity]]]


@pytest.mark.parametrize("sizes", [(1,), (64,), (1, 2, 3, 8, 40, 100)], ids=str)
def test_600_lines_of_32_callers_are_tagged_exactly_as_embedded(
    sizes: tuple[int, ...], server: TritonServer, embedded: Tagger
) -> None:
    lines = noisy_lines(600, seed=len(sizes))
    expected = dict(zip(lines, [embedded.tag([line])[0] for line in lines], strict=True))
    assert sum(map(len, expected.values())) > 1_000

    def ask(batch: list[str]) -> Asked:
        return batch, client.tag(batch)

    with TritonTagger(server.url, policy=POLICY) as client, ThreadPoolExecutor(NUM_CALLERS) as pool:
        answers = list(pool.map(ask, batches(lines, sizes)))
    assert sum(len(batch) for batch, _ in answers) == 600
    for batch, rows in answers:
        assert rows == [expected[line] for line in batch]


def batches(lines: list[str], sizes: tuple[int, ...]) -> list[list[str]]:
    """Cut lines, in a random order, into batches of random sizes."""
    choose = random.Random(0)
    left = choose.sample(lines, len(lines))
    cut = []
    while left:
        size = choose.choice(sizes)
        cut.append(left[:size])
        left = left[size:]
    return cut


def test_asyncio_and_streams_give_the_same_over_two_servers(
    server: TritonServer, repository: Path, environment: Path, embedded: Tagger
) -> None:
    lines = noisy_lines(600, seed=9)
    expected = embedded.tag(lines)
    with start_triton(repository, environment=environment) as second:
        urls = [server.url, second.url]

        async def ask() -> tuple[list[list[Entity]], list[str]]:
            async with AsyncTritonTagger(urls, policy=POLICY) as client:
                rows = await asyncio.gather(*(client.tag([line]) for line in lines[:32]))
                one_by_one = [row for (row,) in rows]
                streamed = [answer async for answer in client.tag_stream(lines)]
                again = [[as_entity(e) for e in answer.entities] for answer in streamed]
                return [*one_by_one, *again], [answer.text for answer in streamed]

        answers, texts = asyncio.run(ask())
        assert answers == [*expected[:32], *expected]
        assert texts == lines
        with TritonTagger(urls, policy=POLICY) as client:
            streamed = list(client.tag_stream(iter(lines)))
    assert [answer.text for answer in streamed] == lines
    assert [[as_entity(e) for e in answer.entities] for answer in streamed] == expected


def as_entity(entity: Entity) -> Entity:
    return Entity(entity.label, entity.start, entity.end, entity.score)
