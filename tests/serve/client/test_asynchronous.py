"""Tests the client of asyncio over real connections to servers in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.client import Answer, AsyncTritonTagger, Policy
from serve.client.requests import MAX_REQUEST_TEXTS, STREAM_REQUESTS
from serve.client.steps import Answered
from serve.errors import DataError, DeadlineError, Overloaded, ServerError, UnreachableError
from serve.triton.names import ENTITIES, GRAPH
from serve.versions.traffic import Traffic
from tests.serve.fake_triton import Held, Moody, fake_triton, proper_answer, texts_of, words

PATIENT = Policy(deadline_s=30.0)
LINES = [f"pump {number} leaks" for number in range(500)]
MOST_HELD = (STREAM_REQUESTS + 2) * MAX_REQUEST_TEXTS + 2


def with_client(
    url: str | list[str],
    use: Callable[[AsyncTritonTagger], Awaitable[object]],
    policy: Policy = PATIENT,
) -> object:
    """Return what `use` makes of a client, in an event loop of its own."""

    async def main() -> object:
        async with AsyncTritonTagger(url, policy=policy) as client:
            return await use(client)

    return asyncio.run(main())


def test_it_has_the_same_answers_as_the_client_of_threads() -> None:
    async def use(client: AsyncTritonTagger) -> None:
        assert await client.tag(LINES) == [words(line) for line in LINES]
        assert await client.tag([]) == []
        (answer,) = await client.ask(["fix pump"])
        assert [entity.text for entity in answer.entities] == ["fix", "pump"]
        assert (await client.graph())["version"] == answer.version == "1"
        with pytest.raises(TypeError, match="expected texts, got one string"):
            await client.tag("text")
        with pytest.raises(DataError, match="text 1: expected at most"):
            await client.tag(["fine", "x" * 30_000])

    with fake_triton() as url:
        with_client(url, use)


def test_a_request_goes_on_at_another_server_and_a_probe_brings_the_first_back() -> None:
    moody = Moody()

    async def use(client: AsyncTritonTagger) -> None:
        assert await client.tag(["a line"]) == [words("a line")]
        assert client.dispatcher.stats.retries.total() == 1
        moody.is_sick = False
        async with asyncio.timeout(10.0):
            while "a line" not in moody.asked:
                await client.tag(["a line"])
        assert (moody.asked[0], moody.versions[0]) == ("a", "1"), "the probe came first"

    with fake_triton(moody) as sick, fake_triton() as well:
        with_client([sick, well], use)


def test_deadline_cap_and_dead_servers_end_as_they_do_for_threads() -> None:
    held = Held()

    async def use(client: AsyncTritonTagger) -> None:
        first = asyncio.create_task(client.tag(["a"]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await client.tag(["b"])
        with pytest.raises(DeadlineError):
            await first

    async def nobody(client: AsyncTritonTagger) -> None:
        with pytest.raises(UnreachableError):
            await client.tag(["a"])

    with fake_triton(held) as url:
        with_client(url, use, Policy(deadline_s=0.3, max_in_flight=1))
        held.go_on.set()
    with_client("127.0.0.1:1", nobody, Policy(deadline_s=1.0, max_tries=2))


def test_a_cancelled_request_gives_its_place_back() -> None:
    held = Held()

    async def use(client: AsyncTritonTagger) -> list[int]:
        task = asyncio.create_task(client.tag(["a"]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [endpoint.in_flight for endpoint in client.dispatcher.endpoints]

    with fake_triton(held) as url:
        assert with_client(url, use) == [0]
        held.go_on.set()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_keeps_the_order_and_holds_a_bounded_number(is_async: bool) -> None:
    num_taken = 0

    async def source() -> AsyncIterator[str]:
        nonlocal num_taken
        for line in LINES:
            num_taken += 1
            yield line

    async def use(client: AsyncTritonTagger) -> None:
        number = -1
        async for answer in client.tag_stream(source() if is_async else LINES):
            number += 1
            assert answer.text == LINES[number]
            assert num_taken - number <= MOST_HELD
            if number % 100 == 0:
                await asyncio.sleep(0.02)  # a slow taker holds the source up
        assert number == len(LINES) - 1

    with fake_triton() as url:
        with_client(url, use)


def test_a_line_that_comes_alone_is_answered_before_the_next_one_comes() -> None:
    async def use(client: AsyncTritonTagger) -> None:
        answered = asyncio.Queue[str]()

        async def source() -> AsyncIterator[str]:
            for line in LINES[:5]:
                yield line
                async with asyncio.timeout(20.0):
                    assert await answered.get() == line

        async for answer in client.tag_stream(source()):
            answered.put_nowait(answer.text)

    with fake_triton() as url:
        with_client(url, use)


def test_lines_that_come_faster_than_answers_share_requests() -> None:
    sizes: list[int] = []

    def note(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> object:
        if request.outputs[0].name == ENTITIES:
            sizes.append(len(texts_of(request)))
        return proper_answer(request)

    async def use(client: AsyncTritonTagger) -> None:
        assert [a.text async for a in client.tag_stream(LINES)] == LINES

    with fake_triton(note) as url:
        with_client(url, use)
    assert sum(sizes) == len(LINES)
    assert max(sizes) > 16
    assert len(sizes) < 100


async def take(stream: AsyncIterator[Answer], into: list[str]) -> None:
    async for answer in stream:
        into.append(answer.text)


def test_a_stream_answers_what_came_before_a_bad_text_or_a_broken_source() -> None:
    async def broken() -> AsyncIterator[str]:
        for line in LINES[:100]:
            yield line
        raise OSError("the queue is gone")

    async def use(client: AsyncTritonTagger) -> None:
        for source, error, message in (
            (broken(), OSError, "the queue is gone"),
            ([*LINES[:100], "x" * 30_000], DataError, "text 100: expected at most"),
        ):
            answered: list[str] = []
            with pytest.raises(error, match=message):
                await take(client.tag_stream(source), answered)
            assert answered == LINES[:100]
        with pytest.raises(TypeError, match="expected texts, got one string"):
            _ = [answer async for answer in client.tag_stream("text")]

    with fake_triton() as url:
        with_client(url, use)


def test_a_stream_ends_with_an_error_where_its_source_waited_for_a_cancelled_task() -> None:
    async def source() -> AsyncIterator[str]:
        for line in LINES[:100]:
            yield line
        gone = asyncio.create_task(asyncio.sleep(60.0))
        gone.cancel()
        await gone

    async def use(client: AsyncTritonTagger) -> None:
        answered: list[str] = []
        with pytest.raises(ServerError, match="got one of their tasks cancelled"):
            await asyncio.wait_for(take(client.tag_stream(source()), answered), 10.0)
        assert answered == LINES[:100]

    with fake_triton() as url:
        with_client(url, use)


@pytest.mark.parametrize("struck", [{"_read"}, {"send"}, {"_ask"}, {"_read", "send", "_ask"}])
@pytest.mark.parametrize("is_full", [False, True])
def test_a_stream_whose_tasks_others_cancel_ends_with_an_error(
    struck: set[str], is_full: bool
) -> None:
    """As at a shutdown that cancels all tasks but its own; the texts that wait are some or many."""
    held = Held()

    async def source() -> AsyncIterator[str]:
        for line in LINES if is_full else LINES[:1]:
            yield line
        await asyncio.Event().wait()

    async def use(client: AsyncTritonTagger) -> None:
        before = asyncio.all_tasks()
        taking = asyncio.create_task(take(client.tag_stream(source()), []))
        assert await asyncio.to_thread(held.asked.acquire, timeout=10.0)
        for task in asyncio.all_tasks() - before:
            if task.get_coro().__name__ in struck:
                task.cancel()
        held.go_on.set()
        with pytest.raises(ServerError, match="cancel what takes its answers"):
            await asyncio.wait_for(taking, 10.0)
        assert asyncio.all_tasks() == before

    with fake_triton(held) as url:
        with_client(url, use)
        held.go_on.set()


@pytest.mark.parametrize("knows_version", [False, True])
def test_closing_ends_calls_under_way_with_an_error_not_as_cancelled(knows_version: bool) -> None:
    held = Held()

    async def use(client: AsyncTritonTagger) -> None:
        if knows_version:
            client.dispatcher.learned(Answered([Traffic(stable=1)], "1"))
        answered: list[str] = []
        calls = [client.tag(["a"]), take(client.tag_stream(["a"]), answered)]
        tasks = [asyncio.ensure_future(call) for call in calls]
        for _ in tasks:
            assert await asyncio.to_thread(held.asked.acquire, timeout=10.0)
        await client.close()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, ServerError)
            assert "got one that was closed; close it after its last call, or" in str(ended)

    with fake_triton(held) as url:
        with_client(url, use)
        held.go_on.set()


def test_a_stream_that_is_left_early_leaves_no_task() -> None:
    async def use(client: AsyncTritonTagger) -> None:
        before = asyncio.all_tasks()
        stream = client.tag_stream(LINES)
        assert (await anext(stream)).text == LINES[0]
        assert asyncio.all_tasks() > before
        await stream.aclose()
        assert asyncio.all_tasks() == before

    with fake_triton() as url:
        with_client(url, use)


def test_closing_before_anything_was_asked_is_fine() -> None:
    async def use(client: AsyncTritonTagger) -> str:
        return GRAPH

    assert with_client("127.0.0.1:1", use) == GRAPH


@pytest.mark.parametrize("is_used", [False, True])
def test_a_closed_client_says_so_and_opens_nothing(is_used: bool) -> None:
    async def use(client: AsyncTritonTagger) -> None:
        if is_used:
            await client.tag(["fix"])
        await client.close()
        calls = [client.tag(["fix"]), client.graph(), take(client.tag_stream(["fix"]), [])]
        for call in calls:
            with pytest.raises(
                ServerError, match=r"open, got one that was closed; .* make another"
            ):
                await call

    with fake_triton() as url:
        with_client(url, use)


def test_a_client_of_another_event_loop_is_refused_by_name() -> None:
    with fake_triton() as url:
        client = AsyncTritonTagger(url, policy=PATIENT)
        assert asyncio.run(client.tag(["fix"])) == [words("fix")]
        with pytest.raises(ServerError, match="first used in, got another; make a client in each"):
            asyncio.run(client.tag(["fix"]))
        asyncio.run(client.close())
