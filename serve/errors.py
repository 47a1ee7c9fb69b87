"""Errors a user can act on; misuse by a caller is ValueError or TypeError instead.

TaggingError
├── DataError        a data file or an input text is not as expected
├── CheckpointError  a checkpoint or base model is missing, unsafe or not a BERT tagger
├── GraphError       a graph is not what was asked for: fusion, tensors, opset, provider
│   └── NonFiniteError    it overflows on a text
├── ParityError      a graph's answers differ from PyTorch's by more than allowed
├── BundleError      a bundle is missing, damaged or tampered with
└── ServerError      Triton cannot be started, reached, or did not answer as agreed
    ├── Overloaded        too much is under way; the request was not sent, ask again later
    ├── UnreachableError  no endpoint takes requests just now
    ├── DeadlineError     no answer in time
    ├── AnswerError       an answer came, but not to what was asked
    └── EndedError        a server ended before it had done what it was asked to
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path


class TaggingError(Exception):
    """Root of what a user can act on; the message says what was expected, got, and the remedy."""


class Refusal(StrEnum):
    """Why a request for entities has no answer; the values are what metrics and logs say."""

    TOO_LONG = "too_long"
    NOT_UNICODE = "not_unicode"
    ABANDONED = "abandoned"
    NOT_FINITE = "not_finite"
    GRAPH = "graph"
    OTHER = "other"


class DataError(TaggingError):
    """A data file or an input text is not as expected.

    Attributes:
        reason: The same of a text in a word, which what callers send has no part in.
    """

    def __init__(self, message: str, *, reason: Refusal = Refusal.OTHER) -> None:
        """Take what was expected and got, and the reason of a refusal."""
        super().__init__(message)
        self.reason = reason


class CheckpointError(TaggingError):
    """A checkpoint or base model is missing, unsafe or not a BERT-family tagger."""


class GraphError(TaggingError):
    """A graph is not what was asked for: fusion, tensors, opset or provider."""


class NonFiniteError(GraphError):
    """A graph overflows on a text: its logits are not finite."""


class ParityError(TaggingError):
    """A graph's answers differ from PyTorch's by more than allowed."""


class BundleError(TaggingError):
    """A bundle is missing, damaged or tampered with."""


class ServerError(TaggingError):
    """Triton cannot be started, reached, or did not answer as agreed."""


class Overloaded(ServerError):  # noqa: N818  a state of the client, not a fault of anybody
    """Every endpoint has as many requests under way as it may; the request was not sent.

    Of a call of several requests, those before it were.
    """


class UnreachableError(ServerError):
    """No endpoint takes requests: down, stopping, or without a version of the model."""


class DeadlineError(ServerError):
    """No endpoint answered before the deadline."""


class AnswerError(ServerError):
    """An answer is not in the agreed form, or not to the request it came for."""


class EndedError(ServerError):
    """A server ended before it had done what it was asked to; the next one reads what is there."""


@contextlib.contextmanager
def needing(
    what: str, extra: str, kind: type[TaggingError] = ServerError, *, at: Path | None = None
) -> Iterator[None]:
    """Tell in words of an import that fails in the block.

    Args:
        what: What is expected, such as "the package rich".
        extra: Of this distribution, with which pip installs it.
        kind: The error to raise.
        at: The file that needs it, if one does.
    """
    try:
        yield
    except ImportError as error:
        where = f"{at}: " if at else ""
        message = f"{where}expected {what}, got {error}; {_install(extra)}"
        raise kind(message) from error


def lacking(error: ModuleNotFoundError, extra: str) -> str:
    """Return what to say of a package that is not installed.

    Args:
        error: What the import said.
        extra: Of this distribution, which brings all but ONNX Runtime, of which there are two.
    """
    extras = f"{extra},cpu" if str(error.name).partition(".")[0] == "onnxruntime" else extra
    return f"expected the package {error.name}, got none installed; {_install(extras)}"


def _install(extras: str) -> str:
    """Return how to: from a checkout, as no registry has this distribution."""
    return f"pip install '.[{extras}]' in linetag's folder"


def in_words(error: Exception) -> str:
    """Return an error as a user is told it; one of the system's with its file and what helps."""
    if not isinstance(error, OSError) or error.filename is None or error.errno is None:
        return str(error)
    remedy = _REMEDIES.get(error.errno, "")
    name = error.filename if error.filename2 is None else error.filename2  # of a move, where to
    return f"{os.fsdecode(name)}: {error.strerror}{remedy and f'; {remedy}'}"


_REMEDIES = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EROFS: "choose another place",
    errno.EACCES: "have its owner let you, or choose another place",
    errno.EPERM: "have its owner let you, or choose another place",
    errno.EEXIST: "choose another place",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "choose another place",
    errno.ENOLCK: "choose a place whose file system has locks",
}


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return next(iter(in_words(error).splitlines()), type(error).__name__)
