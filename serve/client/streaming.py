"""Owns streams of texts through asyncio: order kept, memory bounded, nothing waits for company.

A text is sent as soon as it comes while there is room for another request; those that come
meanwhile gather, and the next request takes them all. A reader that is faster than the server is
held up, and so is a server that is faster than whoever takes the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)

from serve.client.answers import Answer
from serve.client.cancellation import is_asked_to_end
from serve.client.requests import (
    MAX_REQUEST_TEXTS,
    STREAM_REQUESTS,
    Check,
    Request,
    answers,
    checked,
    cut,
    refuse_string,
)
from serve.client.steps import Answered
from serve.errors import ServerError

Asked = tuple[Request, Answered]
Texts = Iterable[str] | AsyncIterable[str]
_CANCELLED = (
    "expected a stream's source and requests to go on, got one of their tasks cancelled; to end a "
    "stream, cancel what takes its answers"
)


async def stream(
    texts: Texts, ask: Callable[[list[str]], Awaitable[Asked]], check: Check
) -> AsyncGenerator[Answer, None]:
    """Yield the answer to each text, in order.

    Args:
        texts: Any number.
        ask: Sends one request.
        check: Refuses a text.

    Raises:
        TaggingError, TypeError: What `ask` raises, or a check of a text, after the answers to all
            texts before. Whatever the source of the texts raises, likewise; but a ServerError
            where that is the cancellation of another task, or others cancel the stream's.
    """
    refuse_string(texts)
    waiting: asyncio.Queue[str | None] = asyncio.Queue(MAX_REQUEST_TEXTS)
    asked: asyncio.Queue[asyncio.Task[Asked] | None] = asyncio.Queue()
    room = asyncio.Semaphore(STREAM_REQUESTS)
    under_way: set[asyncio.Task[Asked]] = set()

    async def send() -> None:
        try:
            async for run in _runs(waiting, room):
                task = asyncio.ensure_future(ask(run))
                under_way.add(task)
                asked.put_nowait(task)
        finally:
            asked.put_nowait(None)

    reader, sender = asyncio.create_task(_read(texts, waiting, check)), asyncio.create_task(send())
    try:
        while task := await asked.get():
            for answer in answers(*await task):
                yield answer
            under_way.discard(task)
            room.release()
        await sender
        await reader  # which failed, if the source did
    except asyncio.CancelledError as error:
        if is_asked_to_end():
            raise
        raise ServerError(_CANCELLED) from error
    finally:
        await _end(reader, sender, *under_way)


async def _read(texts: Texts, waiting: asyncio.Queue[str | None], check: Check) -> None:
    try:
        async for text in _each(texts, check):
            await waiting.put(text)
    except (Exception, asyncio.CancelledError):
        # The source may wait for a task that was cancelled. At the stream's own end nobody takes.
        while is_asked_to_end() and not waiting.empty():
            waiting.get_nowait()
        await waiting.put(None)
        raise
    await waiting.put(None)


async def _each(texts: Texts, check: Check) -> AsyncIterator[str]:
    """Yield the texts, checked, of either kind of source."""
    if not isinstance(texts, AsyncIterable):
        for text in checked(texts, check):
            yield text
        return
    index = 0
    async for text in texts:
        check(text, index)
        yield text
        index += 1


async def _runs(
    waiting: asyncio.Queue[str | None], room: asyncio.Semaphore
) -> AsyncIterator[list[str]]:
    """Yield what goes into the next request, when there is room for one."""
    is_last = False
    while not is_last:
        texts = [await waiting.get()]
        await room.acquire()
        while not waiting.empty():
            texts.append(waiting.get_nowait())
        is_last = texts[-1] is None
        for number, run in enumerate(cut(text for text in texts if text is not None)):
            if number:
                await room.acquire()
            yield run


async def _end(*tasks: asyncio.Task[Asked] | asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
