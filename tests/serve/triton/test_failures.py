"""Tests that Triton's failures are told apart, by what release 24.10 was seen to answer."""

from __future__ import annotations

import pytest

from serve.errors import (
    AnswerError,
    DataError,
    DeadlineError,
    ServerError,
    TaggingError,
    UnreachableError,
)
from serve.triton.failures import Failed, Failure, classify, explain


@pytest.mark.parametrize(
    ("code", "details", "failure"),
    [
        ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped", Failure.STOPPING),
        ("UNAVAILABLE", "failed to connect to all addresses; Connection refused", "unreachable"),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", Failure.UNREACHABLE),
        (
            "NOT_FOUND",
            "Request for unknown model: 'tagger' has no available versions",
            Failure.NO_VERSION,
        ),
        ("NOT_FOUND", "Request for unknown model: 'tager' is not found", Failure.OTHER),
        (
            "NOT_FOUND",
            "Request for unknown model: 'tagger' version 2 is not found",
            Failure.STALE_VERSION,
        ),
        (
            "UNAVAILABLE",
            "Request for unknown model: 'tagger' version 2 is not at ready state",
            Failure.STALE_VERSION,
        ),
        ("INTERNAL", "Stub process 'tagger_0_0' is not healthy.", Failure.DEAD_STUB),
        ("INTERNAL", "onnx runtime error 2", Failure.OTHER),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Failure.TIMEOUT),
        ("INVALID_ARGUMENT", "text 0: expected UTF-8", Failure.REFUSED),
        (
            "INVALID_ARGUMENT",
            "unexpected inference output 'NUM_CHARS' for model 'tagger'",
            Failure.WRONG_ANSWER,
        ),
        ("CANCELLED", "Channel closed!", Failure.OTHER),
        ("CANCELLED", "Stream removed (Closed on fork)", Failure.UNREACHABLE),
    ],
)
def test_a_status_is_known_by_its_code_and_words(code: str, details: str, failure: Failure) -> None:
    assert classify(code, f"{details}\nand a second line").failure == failure
    assert "second line" not in classify(code, f"{details}\nand a second line").details


def test_only_what_says_nothing_of_the_request_is_tried_again() -> None:
    passing = {
        Failure.UNREACHABLE,
        Failure.STOPPING,
        Failure.NO_VERSION,
        Failure.STALE_VERSION,
    }
    assert {failure for failure in Failure if failure.may_pass} == passing
    elsewhere = passing | {Failure.DEAD_STUB, Failure.TIMEOUT}
    assert {failure for failure in Failure if failure.may_do_elsewhere} == elsewhere


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (Failure.REFUSED, DataError, r"^h:1 refused: why \(request x\)$"),
        (Failure.TIMEOUT, DeadlineError, r"^h:1: expected an answer within 0\.5 s, got none; give"),
        (Failure.WRONG_ANSWER, AnswerError, r"^h:1: why; serve with the version of linetag that"),
        (Failure.UNREACHABLE, UnreachableError, r"^h:1: expected a Triton that answers, got why; "),
        (Failure.STOPPING, UnreachableError, "start one with python -m serve start"),
        (Failure.NO_VERSION, UnreachableError, "got why"),
        (Failure.DEAD_STUB, ServerError, r"^h:1: expected an answer from the model, got why; see"),
        (Failure.OTHER, ServerError, "restart the server if its model died"),
    ],
)
def test_each_failure_has_its_error_and_remedy(
    failure: Failure, error: type[TaggingError], message: str
) -> None:
    told = explain(Failed(failure, "why"), url="h:1", deadline_s=0.5, note="request x")
    with pytest.raises(error, match=message):
        raise told
    assert type(told) is error
