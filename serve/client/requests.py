"""Owns the way of texts into requests, and of a model's rows back into entities.

Texts are checked here, as the embedded tagger checks them, before anything is sent. Many texts go
in requests of bounded size: the server's memory and the time of a request stay bounded, and other
callers get their turn in between.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from serve.client.answers import Answer, TextEntity
from serve.client.steps import Answered
from serve.entities import Entity
from serve.errors import AnswerError
from serve.limits import check_text
from serve.triton.names import OWN_ID

MAX_REQUEST_TEXTS = 64
MAX_REQUEST_CHARS = 2_048
"""Characters of a request, but for a single longer text: some 500 tokens of model time."""
MAX_LABEL_BYTES = 4_096
"""Of a label in an answer; whatever answers with longer ones is no tagger."""
STREAM_REQUESTS = 4
"""Requests of a stream under way at once: a server has the next one when it is done with one."""

Check = Callable[[str, int], None]
"""Refuses a text, which it calls by its index, or returns."""


@dataclass(slots=True, eq=False)
class Request:
    """What is asked at once; nobody changes it.

    Attributes:
        request_id: For logs and messages, and to know the answer by.
        texts: Asked about.
        output: Which output of the model is wanted, see `serve.triton.names`.
        num_chars: Of all texts.
        is_patient: Whether to wait until the deadline for room at an endpoint.
    """

    request_id: str
    texts: Sequence[str]
    output: str
    num_chars: int
    is_patient: bool = False


class Requests:
    """Numbers the requests of one client."""

    def __init__(self) -> None:
        """Choose what all numbers begin with, so that no two clients' are alike."""
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)  # a step of it is atomic

    def make(
        self, texts: Sequence[str], output: str, *, is_patient: bool = False, is_own: bool = False
    ) -> Request:
        """Return a request under a number of its own; one that no caller asks for is marked so."""
        own = OWN_ID if is_own else ""
        request_id = f"{own}{self._prefix}-{next(self._numbers)}"
        return Request(request_id, texts, output, sum(map(len, texts)), is_patient)


def checked(texts: Iterable[str], check: Check) -> Iterator[str]:
    """Yield texts that may be sent.

    Args:
        texts: Any number.
        check: Refuses a text, as `check_sendable` does.

    Raises:
        DataError: If a text is too long or not valid Unicode; naming its index.
        TypeError: If `texts` is a string or holds something else than strings.
    """
    refuse_string(texts)
    for index, text in enumerate(texts):
        check(text, index)
        yield text


def check_sendable(text: str, index: int) -> None:
    """Refuse what must not be sent; raises as `checked`."""
    if not isinstance(text, str):
        raise TypeError(f"text {index}: expected a string, got {type(text).__name__}")
    check_text(text, index)


def refuse_string(texts: object) -> None:
    """Refuse one string where several are expected: it would be taken for its characters.

    Raises:
        TypeError: If it is one.
    """
    if isinstance(texts, str):
        raise TypeError("expected texts, got one string; put it into a list")


def cut(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield texts in runs of bounded number and length, at least one text each.

    What the texts' source raises comes after the run with the texts before.
    """
    run: list[str] = []
    num_chars = 0
    try:
        for text in texts:
            num_chars += len(text)
            if run and (len(run) == MAX_REQUEST_TEXTS or num_chars > MAX_REQUEST_CHARS):
                yield run
                run, num_chars = [], len(text)
            run.append(text)
    except Exception:
        if run:
            yield run
        raise
    if run:
        yield run


def read_entities(row: Any, text: str) -> list[Entity]:  # noqa: ANN401  JSON from outside
    """Return a text's entities, of the JSON that a model answered.

    Raises:
        AnswerError: If it is something else, or an entity lies outside the text or not behind the
            one before it.
    """
    num_chars = len(text)
    rows: list[Any] = row if type(row) is list else [None]  # `{}` would be no entities
    entities: list[Entity] = []
    previous_end = 0
    try:
        for fields in rows:
            entity = Entity(**fields)
            is_typed = type(entity.start) is type(entity.end) is int and type(entity.label) is str
            is_number = type(entity.score) in (int, float)
            is_inside = previous_end <= entity.start < entity.end <= num_chars
            # A label names a figure in metrics, where half a surrogate pair would spoil them all.
            is_name = len(entity.label.encode()) <= MAX_LABEL_BYTES
            if not (is_typed and is_number and is_name and is_inside and 0 <= entity.score <= 1):
                break
            entities.append(entity)
            previous_end = entity.end
        else:
            return entities
    except (TypeError, AttributeError, UnicodeEncodeError):
        pass  # no list of objects, or not with these keys, or not of these types
    raise AnswerError(
        "expected entities with label, start, end and score, one after the other within "
        f"{num_chars} characters, got {row!r:.80}"
    )


def answers(request: Request, answered: Answered) -> Iterator[Answer]:
    """Yield the answer to each text of a request."""
    rows: list[list[Entity]] = answered.rows
    for text, row in zip(request.texts, rows, strict=True):
        entities = tuple(
            TextEntity(e.label, e.start, e.end, e.score, text[e.start : e.end]) for e in row
        )
        yield Answer(text, entities, answered.version, request.request_id)
