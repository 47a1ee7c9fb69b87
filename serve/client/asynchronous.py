"""Owns the tagger on the other side of the network for asyncio: it carries out what is decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Self, cast

from serve.client.answers import Answer
from serve.client.front import DEFAULT, Front
from serve.client.policy import Policy
from serve.client.requests import Request, answers, checked, cut
from serve.client.steps import Answered, Ask, Outcome, Pause, Probe, Refresh, Try
from serve.client.streaming import Texts, stream
from serve.entities import Entity
from serve.errors import ServerError, needing
from serve.triton.names import ENTITIES, GRAPH, MODEL, GraphJson

if TYPE_CHECKING:
    from serve.client.wire import AsyncWire
    from serve.triton.tls import TlsFiles


class AsyncTritonTagger(Front):
    """Tags texts with the model of one or more Triton servers, within one event loop.

    While it is open, no process may be forked that uses gRPC, be it by a client of its own.

    Attributes:
        urls: Addresses of the servers' gRPC, `host:port`.
        policy: How long to wait, how often to ask again, whom to avoid.
    """

    _hears_in_threads = False

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        policy: Policy = DEFAULT,
        model: str = MODEL,
        tls: TlsFiles | None = None,
    ) -> None:
        """Take the servers' addresses; nothing is sent yet.

        Args:
            urls: One address, `host:port`, or those of several servers with the same model, one by
                one or in a text with commas between.
            policy: How long to wait, how often to ask again, whom to avoid.
            model: The model's name.
            tls: Files of mutual TLS; None for plain text.

        Raises:
            ValueError: If an address or the name is not valid.
        """
        super().__init__(urls, policy, model)
        self._tls = tls
        self._opened: AsyncWire | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._probes: set[asyncio.Task[None]] = set()

    async def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text.

        Raises:
            DataError: If a text is too long or not valid Unicode, naming its index; or the model
                has no answer to it, where `serve.tagger` raises NonFiniteError.
            Overloaded: If too many requests are under way. Nothing was sent, but for the first
                requests of many texts, see `serve.client.policy`.
            ServerError: If no server answers in time or as agreed, the package tritonclient is not
                installed, or a file of TLS unreadable.
            TypeError: If `texts` is a string or holds something else than strings.
        """
        return [row for _, answered in await self._answered(texts) for row in answered.rows]

    async def ask(self, texts: Sequence[str]) -> list[Answer]:
        """Return the answer to each text: what `tag` does, with words and the model's version.

        Raises:
            TaggingError, TypeError: As `tag`.
        """
        return [answer for asked in await self._answered(texts) for answer in answers(*asked)]

    async def tag_stream(self, texts: Texts) -> AsyncGenerator[Answer, None]:
        """Yield the answer to each of any number of texts, in their order.

        A text is sent as soon as it comes while few requests are under way; texts that come faster
        share requests. No more than about 300 texts are held at any time.

        Raises:
            TaggingError, TypeError: As `tag`, after the answers to all texts before. Whatever the
                source of the texts raises, likewise; but a ServerError where that is the
                cancellation of another task, or others cancel the stream's.
        """
        ask = partial(self._ask, is_patient=True)
        async with aclosing(stream(texts, ask, self._check)) as answered:
            async for answer in answered:
                yield answer

    async def graph(self) -> GraphJson:
        """Return which graph a server runs, and where, as its model says.

        Raises:
            Overloaded: If too many requests are under way; nothing was sent.
            ServerError: If no server answers in time or as agreed.
        """
        return cast(GraphJson, (await self._run(self._make([""], GRAPH))).rows[0])

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._is_closed = True
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        if self._opened:
            await self._opened.close()

    async def __aenter__(self) -> Self:
        """Return the tagger; leaving closes it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def _answered(self, texts: Sequence[str]) -> list[tuple[Request, Answered]]:
        """Return the requests that texts come to, each with its answer."""
        taken = list(checked(texts, self._check))  # all of them, before the first is sent
        # Later requests wait for room rather than throw away what was answered.
        return [
            await self._ask(run, is_patient=number > 0) for number, run in enumerate(cut(taken))
        ]

    async def _ask(self, texts: list[str], *, is_patient: bool = False) -> tuple[Request, Answered]:
        request = self._make(texts, ENTITIES, is_patient=is_patient)
        return request, await self._run(request)

    async def _run(self, request: Request) -> Answered:
        """Take a request through its course."""
        wire = self._wire()
        message = wire.message(request)
        course = self.dispatcher.course(request)
        outcome: Outcome | None = None
        try:
            while True:
                step = course.send(outcome)
                if isinstance(step, Try):
                    outcome = await wire.send(step, request, message)
                else:
                    outcome = await self._pass(step, wire)
        except StopIteration as end:
            answered: Answered = end.value
            return answered
        finally:
            course.close()

    async def _pass(self, step: Ask | Pause | Probe | Refresh, wire: AsyncWire) -> Outcome | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, Ask):
            question = self._question()
            return await wire.send(Try(*step), question, wire.message(question))
        task = asyncio.create_task(self._send_aside(step, wire))
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)
        return None

    async def _send_aside(self, step: Probe | Refresh, wire: AsyncWire) -> None:
        request, then = self._aside(step)
        then(await wire.send(Try(*step), request, wire.message(request)))

    def _wire(self) -> AsyncWire:
        """Return what carries the requests; made by the first of them, within the event loop.

        Raises:
            ServerError: If that was another event loop, or the package tritonclient is missing.
        """
        if self._opened is None:
            with needing("the package tritonclient", "triton"):
                from serve.client.wire import AsyncWire
            self._opened = AsyncWire(self.urls, model=self._model, tls=self._tls)
            self._loop = asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise ServerError(
                "expected the event loop that the client was first used in, got another; "
                "make a client in each, within what asyncio.run runs"
            )
        return self._opened
