"""Owns how a try can fail, what may be done about it, and how a user is told.

What Triton answers in each case was measured on release 24.10 (2.51); the words after the status
code tell cases of one code apart. A client's dispatcher makes of a failed try:

    failure                             the endpoint                 the request
    unreachable, stopping, no_version   is left out at once          is tried again, anywhere
    stale_version                       the same, unless a newer     the same, once it was asked
                                        one was learned since        which versions there are; for
                                                                     free once at each endpoint
    dead_stub                           is left out at once          is tried again elsewhere
    timeout                             has a strike, unless cut     is tried again elsewhere
                                        short
    refused                             is well                      is given up
    wrong_answer, closed, other         has a strike                 is given up

`Policy.eject_after` strikes in a row leave an endpoint out. A retry takes one of the budget unless
it is free, and `Policy.max_tries` bounds them in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from serve.descriptors import REMEDY
from serve.errors import (
    AnswerError,
    DataError,
    DeadlineError,
    ServerError,
    TaggingError,
    UnreachableError,
)


class Failure(StrEnum):
    """Why a try gave no answer; the values are what metrics and logs say."""

    UNREACHABLE = "unreachable"
    STOPPING = "stopping"
    NO_VERSION = "no_version"
    STALE_VERSION = "stale_version"
    DEAD_STUB = "dead_stub"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    WRONG_ANSWER = "wrong_answer"
    CLOSED = "closed"
    OTHER = "other"

    @property
    def is_down(self) -> bool:
        """Whether the endpoint itself says that it takes no requests for now."""
        return self in _PASSING or self is Failure.DEAD_STUB

    @property
    def may_pass(self) -> bool:
        """Whether another try may help, even at the same endpoint."""
        return self in _PASSING

    @property
    def may_do_elsewhere(self) -> bool:
        """Whether another try may help at another endpoint.

        Only what says nothing of the request counts. Tagging changes nothing, so a request that
        was perhaps carried out may be sent again.
        """
        return self.is_down or self is Failure.TIMEOUT

    @property
    def is_callers(self) -> bool:
        """Whether the endpoint is well and the request was not."""
        return self is Failure.REFUSED


_ONE_VERSION = re.compile(r"version \d+ is not (found|at ready state)")
"""What Triton says of a version that is gone, and of any version when it drains."""
CLOSED_CLIENT = (
    "expected a client that is open, got one that was closed; close it after its last call, or "
    "make another"
)
_PASSING = frozenset(
    {Failure.UNREACHABLE, Failure.STOPPING, Failure.NO_VERSION, Failure.STALE_VERSION}
)


@dataclass(frozen=True, slots=True)
class Failed:
    """A try without an answer.

    Attributes:
        failure: Why.
        details: What the endpoint or the network said.
    """

    failure: Failure
    details: str


def classify(code: str, details: str) -> Failed:
    """Return what a gRPC status means.

    Args:
        code: Its name, as UNAVAILABLE.
        details: Its message; the first line counts.
    """
    first_line = details.split("\n", 1)[0]
    failure = _failure(code, first_line)
    is_told_by_class = failure in (Failure.UNREACHABLE, Failure.REFUSED, Failure.TIMEOUT)
    return Failed(failure, first_line if is_told_by_class else f"{code}: {first_line}")


def _failure(code: str, details: str) -> Failure:
    if code in ("NOT_FOUND", "UNAVAILABLE") and _ONE_VERSION.search(details):
        return Failure.STALE_VERSION
    if code == "UNAVAILABLE":
        return Failure.STOPPING if "Server is stopping" in details else Failure.UNREACHABLE
    if code == "NOT_FOUND" and "no available versions" in details:
        return Failure.NO_VERSION
    if code == "CANCELLED" and "Closed on fork" in details:  # a connection of before a fork
        return Failure.UNREACHABLE
    if code == "INTERNAL" and "Stub process" in details:
        return Failure.DEAD_STUB
    if code == "DEADLINE_EXCEEDED":
        return Failure.TIMEOUT
    if code == "INVALID_ARGUMENT":
        # Of a repository whose config.pbtxt is older than this package.
        is_outdated = "unexpected inference output" in details
        return Failure.WRONG_ANSWER if is_outdated else Failure.REFUSED
    return Failure.OTHER


def explain(failed: Failed, *, url: str, deadline_s: float, note: str) -> TaggingError:
    """Return the error that tells a user of a request that came to nothing.

    Args:
        failed: Its last try.
        url: The endpoint of that try.
        deadline_s: How long the request could take.
        note: Which request it was, and how often it was tried.
    """
    failure, details, end = failed.failure, failed.details, f" ({note})"
    if failure is Failure.REFUSED:
        return DataError(f"{url} refused: {details}{end}")
    if failure is Failure.TIMEOUT:
        return DeadlineError(
            f"{url}: expected an answer within {deadline_s:g} s, got none; "
            f"give it more time, or see python -m serve status{end}"
        )
    if failure is Failure.WRONG_ANSWER:
        return AnswerError(
            f"{url}: {details}; serve with the version of linetag that this client is of, from a "
            f"repository that it wrote{end}"
        )
    if failure is Failure.CLOSED:
        return ServerError(f"{CLOSED_CLIENT}{end}")
    if failure in (Failure.OTHER, Failure.DEAD_STUB):
        return ServerError(
            f"{url}: expected an answer from the model, got {details}; "
            f"see python -m serve status, and restart the server if its model died{end}"
        )
    return UnreachableError(
        f"{url}: expected a Triton that answers, got {details}; {_way_to_reach(details)}{end}"
    )


def _way_to_reach(details: str) -> str:
    """Return what may help to reach a server, by what gRPC says of a connection in vain."""
    if "Tls handshake failed" in details or "Verification Check failed" in details:
        return (
            "see that the server has TLS, that its certificate names this host, and that "
            "--tls-authority signed it"
        )
    if "Too many open files" in details:
        return REMEDY
    start = "start one with python -m serve start"
    if "Socket closed" in details:
        return f"{start}, or if it has TLS, give files of TLS with a certificate that it accepts"
    return start
