"""Owns the tagger on the other side of the network for threads: it carries out what is decided."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from serve.client.answers import Answer
from serve.client.front import DEFAULT, Front
from serve.client.policy import Policy
from serve.client.questions import STREAM_REQUESTS, Question, Tagged, checked, cut
from serve.client.steps import Outcome, Pause, Probe, Step
from serve.entities import Entity
from serve.triton import missing_package
from serve.triton.names import ENTITIES, GRAPH, MODEL, GraphJson

if TYPE_CHECKING:
    from serve.triton.tls import TlsFiles

Item = TypeVar("Item")


class TritonTagger(Front):
    """Tags texts with the model of one or more Triton servers. Several threads may call it at once.

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
            urls: One address, `host:port`, or those of several servers with the same model.
            policy: How long to wait, how often to ask again, whom to avoid.
            model: The model's name.
            tls: Files of mutual TLS; None for plain text.

        Raises:
            ServerError: If the package tritonclient is not installed, or a file of TLS unreadable.
            ValueError: If an address or the name is none.
        """
        super().__init__(urls, policy, model)
        try:
            from serve.client.wire import BlockingWire
        except ImportError as error:
            raise missing_package(error) from error
        self._wire = BlockingWire(self.urls, model=model, tls=tls)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text.

        Raises:
            DataError: If a text is too long or not valid Unicode; naming its index.
            Overloaded: If too many requests are under way; nothing was sent.
            ServerError: If no server answers in time or as agreed.
            TypeError: If `texts` is a string or holds something else than strings.
        """
        return [row for tagged in self._tagged(texts) for row in tagged.entities]

    def ask(self, texts: Sequence[str]) -> list[Answer]:
        """Return the answer to each text: what `tag` does, with words and the model's version.

        Raises:
            TaggingError, TypeError: As `tag`.
        """
        return [answer for tagged in self._tagged(texts) for answer in tagged.answers()]

    def tag_stream(self, texts: Iterable[str]) -> Iterator[Answer]:
        """Yield the answer to each of any number of texts, in their order.

        Several requests are under way at once, so texts are read ahead: some five requests' worth.
        For texts that come now and then, call `ask` with each.

        Raises:
            TaggingError, TypeError: As `tag`, after the answers to all texts before. Whatever the
                source of the texts raises, likewise.
        """
        ask = partial(self._tagged_at_once, is_patient=True)
        with ThreadPoolExecutor(STREAM_REQUESTS, "tag_stream") as pool:
            asked = (pool.submit(ask, run) for run in cut(checked(texts)))
            for future in read_ahead(asked, STREAM_REQUESTS):
                yield from future.result().answers()

    def graph(self) -> GraphJson:
        """Return which graph a server runs, and where, as its model says.

        Raises:
            Overloaded: If too many requests are under way; nothing was sent.
            ServerError: If no server answers in time or as agreed.
        """
        return cast(GraphJson, self._run(self._questions.ask([""], GRAPH)))

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._wire.close()

    def __enter__(self) -> Self:
        """Return the tagger; leaving closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def _tagged(self, texts: Sequence[str]) -> Iterator[Tagged]:
        # All are checked before the first is sent. Later requests wait for room rather than throw
        # away what was answered.
        for number, run in enumerate(cut(list(checked(texts)))):
            yield self._tagged_at_once(run, is_patient=number > 0)

    def _tagged_at_once(self, texts: Sequence[str], *, is_patient: bool) -> Tagged:
        return cast(Tagged, self._run(self._questions.ask(texts, ENTITIES, is_patient=is_patient)))

    def _run(self, question: Question) -> Any:  # noqa: ANN401
        """Take a question through its course; return the value of its answer."""
        message = self._wire.message(question)
        course = self._dispatcher.course(question.request)
        outcome: Outcome | None = None
        try:
            while True:
                outcome = self._carry_out(course.send(outcome), question, message)
        except StopIteration as end:
            return end.value
        finally:
            course.close()

    def _carry_out(self, step: Step, question: Question, message: Any) -> Outcome | None:  # noqa: ANN401
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, Probe):
            then = partial(self._dispatcher.probed, step.endpoint)
            self._wire.start(step.endpoint.url, self._probe(), step.timeout_s, then)
            return None
        return self._wire.send(step.endpoint.url, question, message, step.timeout_s)


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
