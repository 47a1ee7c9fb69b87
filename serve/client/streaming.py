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
    Request,
    answers,
    check,
    checked,
    cut,
    refuse_string,
)
from serve.client.steps import Answered

Asked = tuple[Request, Answered]
Texts = Iterable[str] | AsyncIterable[str]


async def stream(
    texts: Texts, ask: Callable[[list[str]], Awaitable[Asked]]
) -> AsyncGenerator[Answer, None]:
    """Yield the answer to each text, in order.

    Args:
        texts: Any number.
        ask: Sends one request.

    Raises:
        TaggingError, TypeError: What `ask` raises, or a check of a text, after the answers to all
            texts before. Whatever the source of the texts raises, likewise.
    """
    refuse_string(texts)
    waiting: asyncio.Queue[str | None] = asyncio.Queue(MAX_REQUEST_TEXTS)
    asked: asyncio.Queue[asyncio.Task[Asked] | None] = asyncio.Queue()
    room = asyncio.Semaphore(STREAM_REQUESTS)
    under_way: set[asyncio.Task[Asked]] = set()

    async def send() -> None:
        async for run in _runs(waiting, room):
            task = asyncio.ensure_future(ask(run))
            under_way.add(task)
            asked.put_nowait(task)
        asked.put_nowait(None)

    reader, sender = asyncio.create_task(_read(texts, waiting)), asyncio.create_task(send())
    try:
        while task := await asked.get():
            for answer in answers(*await task):
                yield answer
            under_way.discard(task)
            room.release()
        await reader  # which failed, if the source did
    finally:
        await _end(reader, sender, *under_way)


async def _read(texts: Texts, waiting: asyncio.Queue[str | None]) -> None:
    try:
        async for text in _each(texts):
            await waiting.put(text)
    except (Exception, asyncio.CancelledError):
        # The source may wait for a task that was cancelled; at the stream's own end nobody takes.
        if not is_asked_to_end():
            await waiting.put(None)
        raise
    await waiting.put(None)


async def _each(texts: Texts) -> AsyncIterator[str]:
    """Yield the texts, checked, of either kind of source."""
    if not isinstance(texts, AsyncIterable):
        for text in checked(texts):
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
