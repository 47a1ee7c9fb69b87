"""Tests errors as values: another process gets them whole."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from serve import errors
from serve.errors import DataError, Refusal, TaggingError


def classes(root: type[TaggingError] = TaggingError) -> Iterator[type[TaggingError]]:
    """Yield an error's class and all that are made of it."""
    yield root
    for inner in root.__subclasses__():
        yield from classes(inner)


@pytest.mark.parametrize("kind", [c for c in classes() if c.__module__ == errors.__name__])
def test_every_error_comes_through_a_pipe(kind: type[TaggingError]) -> None:
    sent = kind("expected this, got that")
    got = pickle.loads(pickle.dumps(sent))
    assert type(got) is kind
    assert str(got) == str(sent) != ""


def test_the_reason_of_a_refusal_comes_with_it() -> None:
    sent = DataError("expected this", reason=Refusal.TOO_LONG)
    assert pickle.loads(pickle.dumps(sent)).reason is Refusal.TOO_LONG
