"""Owns the tagger on the other side of the network for threads: it carries out what is decided."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar, cast

from serve.client.answers import Answer
from serve.client.front import DEFAULT, Front
from serve.client.policy import Policy
from serve.client.requests import STREAM_REQUESTS, Request, answers, checked, cut
from serve.client.steps import Answered, Ask, Outcome, Pause, Probe, Refresh, Try
from serve.entities import Entity
from serve.errors import needing
from serve.pools import submitted
from serve.triton.names import ENTITIES, GRAPH, MODEL, GraphJson

if TYPE_CHECKING:
    from serve.triton.tls import TlsFiles

Item = TypeVar("Item")


class TritonTagger(Front):
    """Tags texts with the model of one or more Triton servers. Several threads may call it at once.

    A forked process may use it if it was idle at the fork; else it needs one of its own.

    Attributes:
        urls: Addresses of the servers' gRPC, `host:port`.
        policy: How long to wait, how often to ask again, whom to avoid.
    """

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
            ServerError: If the package tritonclient is not installed, or a file of TLS unreadable.
            ValueError: If an address or the name is not valid.
        """
        super().__init__(urls, policy, model)
        with needing("the package tritonclient", "triton"):
            from serve.client.wire import BlockingWire
        self._wire = BlockingWire(self.urls, model=model, tls=tls)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text.

        Raises:
            DataError: If a text is too long or not valid Unicode, naming its index; or the model
                has no answer to it, where `serve.tagger` raises NonFiniteError.
            Overloaded: If too many requests are under way. Nothing was sent, but for the first
                requests of many texts, see `serve.client.policy`.
            ServerError: If no server answers in time or as agreed.
            TypeError: If `texts` is a string or holds something else than strings.
        """
        return [row for _, answered in self._answered(texts) for row in answered.rows]

    def ask(self, texts: Sequence[str]) -> list[Answer]:
        """Return the answer to each text: what `tag` does, with words and the model's version.

        Raises:
            TaggingError, TypeError: As `tag`.
        """
        return [answer for asked in self._answered(texts) for answer in answers(*asked)]

    def tag_stream(self, texts: Iterable[str]) -> Generator[Answer, None, None]:
        """Yield the answer to each of any number of texts, in their order.

        Several requests are under way at once, so texts are read ahead: some five requests' worth.
        For texts that come now and then, call `ask` with each.

        Raises:
            TaggingError, TypeError: As `tag`, after the answers to all texts before. Whatever the
                source of the texts raises, likewise.
        """
        ask = partial(self._ask, is_patient=True)
        with ThreadPoolExecutor(STREAM_REQUESTS, "tag_stream") as pool:
            asked = (submitted(pool, ask, run) for run in cut(checked(texts, self._check)))
            for future in read_ahead(asked, STREAM_REQUESTS):
                yield from answers(*future.result())

    def graph(self) -> GraphJson:
        """Return which graph a server runs, and where, as its model says.

        Raises:
            Overloaded: If too many requests are under way; nothing was sent.
            ServerError: If no server answers in time or as agreed.
        """
        return cast(GraphJson, self._run(self._make([""], GRAPH)).rows[0])

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._is_closed = True
        self._wire.close()

    def __enter__(self) -> Self:
        """Return the tagger; leaving closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def _answered(self, texts: Sequence[str]) -> Iterable[tuple[Request, Answered]]:
        """Return the requests that texts come to, each with its answer."""
        taken = list(checked(texts, self._check))  # all of them, before the first is sent
        if len(taken) == 1:
            return [self._ask(taken)]
        # Later requests wait for room rather than throw away what was answered.
        return [self._ask(run, is_patient=number > 0) for number, run in enumerate(cut(taken))]

    def _ask(self, texts: list[str], *, is_patient: bool = False) -> tuple[Request, Answered]:
        request = self._make(texts, ENTITIES, is_patient=is_patient)
        return request, self._run(request)

    def _run(self, request: Request) -> Answered:
        """Take a request through its course."""
        message = self._wire.message(request)
        course = self.dispatcher.course(request)
        outcome: Outcome | None = None
        try:
            while True:
                step = course.send(outcome)
                if isinstance(step, Try):
                    outcome = self._wire.send(step, request, message)
                else:
                    outcome = self._pass(step)
        except StopIteration as end:
            answered: Answered = end.value
            return answered
        finally:
            course.close()

    def _pass(self, step: Ask | Pause | Probe | Refresh) -> Outcome | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, Ask):
            question = self._question()
            return self._wire.send(Try(*step), question, self._wire.message(question))
        request, then = self._aside(step)
        self._wire.start(Try(*step), request, then)
        return None


def read_ahead(source: Iterable[Item], num_items: int) -> Iterator[Item]:
    """Yield what a source yields, always a few items later; its failure after all items before."""
    taken: deque[Item] = deque()
    try:
        for item in source:
            taken.append(item)
            if len(taken) == num_items:
                yield taken.popleft()
    except Exception:
        yield from taken
        raise
    yield from taken
