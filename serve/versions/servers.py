"""Owns what a step asks of a server that runs: to load what lies on the disk, and to warm it up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.bundle import Bundle
from serve.encoding import Encoder, bucket_of
from serve.errors import AnswerError, EndedError, ServerError
from serve.triton.listening import listens
from serve.triton.names import ENCODER, MODEL
from serve.triton.probe import Probe
from serve.triton.processes import wait_until
from serve.triton.serving import serving
from serve.triton.state import ServerState
from serve.versions.folders import MODEL_FILE, show_changed, versions_in
from serve.versions.probes import LINES

TIMEOUT_S = 120.0
"""Of loading a version; TensorRT may build engines then, which takes minutes."""
_SHORT_TOKENS, _NUM_TOGETHER = 64, 32
_READY = "READY"
_ENDING_S = 15.0
"""For a server that refuses calls because it ends: answering what is in flight takes less."""


class Running:
    """A server that runs, as its administrator sees it.

    Attributes:
        state: The note of it.
    """

    def __init__(self, state: ServerState, *, timeout_s: float = TIMEOUT_S) -> None:
        """Take a server's note; the connection is made with the first call.

        Raises:
            ServerError: If its key, or a certificate to reach it with, cannot be read.
        """
        self.state = state
        self._timeout_s = timeout_s
        self._probe = Probe(state, timeout_s=timeout_s, name="warm-up")
        self._admin = self._probe.admin()

    def load(self) -> None:
        """Serve new versions on the disk beside the old ones. Requests go on meanwhile.

        Should a version not load, nothing changes. A server that starts just now is waited for.

        Raises:
            EndedError: If the server ends meanwhile.
            ServerError: If a version does not load, or the server does not answer in time; or if a
                folder is there that Triton takes for a version and would wait for.
        """
        self._check_folders()
        with self._unless_ended():
            self._await_start()
            if self._has_encoder():
                self._load(ENCODER)  # the tagger's version asks for it
            self._load(MODEL)

    def unload(self) -> None:
        """Serve no version any more that is gone from the disk; what is under way is answered.

        Raises:
            EndedError: If the server ends meanwhile; the next one reads what is there.
            ServerError: If the server does not answer in time, or a folder is as in `load`.
        """
        self._check_folders()
        with self._unless_ended():
            self._await_start()
            self._load(MODEL)
            if self._has_encoder():
                self._load(ENCODER)

    def warm_up(self, folder: Path, version: str) -> None:
        """Let a version answer a text of each padded length, before anybody waits for it.

        And the lines that the supervisor will ask for, together: what fails on them is refused.

        Args:
            folder: Where the version lies.
            version: Its number.

        Raises:
            EndedError: If the server ends meanwhile.
            ServerError: If there is no proper answer in time.
        """
        texts = list(warm_texts(Bundle.load(folder).encoder()))
        short = [text for text in texts if len(text) < 2 * _SHORT_TOKENS]
        with self._unless_ended():
            for together in ([text] for text in texts):
                self._ask(together, version)
            self._ask((short * 2)[:_NUM_TOGETHER], version)
            self._ask(list(LINES), version)

    def close(self) -> None:
        """Close the connection."""
        self._probe.close()

    def __enter__(self) -> Self:
        """Return the server; leaving closes the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    @contextlib.contextmanager
    def _unless_ended(self) -> Iterator[None]:
        """Tell a server that ended from one that does not do what it is asked."""
        try:
            yield
        except ServerError as error:
            is_ending = _code(error) is grpc.StatusCode.UNAVAILABLE
            if wait_until(self._has_ended, timeout_s=_ENDING_S if is_ending else 0.0):
                raise EndedError(
                    f"{self.state.url}: expected a server that goes on, got one that ended "
                    f"meanwhile, see {self.state.log}; try again"
                ) from error
            raise

    def _has_ended(self) -> bool:
        return not self.state.is_running()

    def _await_start(self) -> None:
        """Wait until it listens, which it does when it has loaded what it found."""
        wait_until(lambda: self._has_ended() or listens(self.state.url), timeout_s=self._timeout_s)

    def _has_encoder(self) -> bool:
        listed = self._admin.model_versions()
        return any(v.model == ENCODER and v.state == _READY for v in listed)

    def _check_folders(self) -> None:
        """Refuse versions without a model file: the stub ends over one, and Triton never hears."""
        model = Path(self.state.repository) / MODEL
        for version in versions_in(model):
            folder = model / str(version)
            if not os.path.isfile(folder / MODEL_FILE):
                raise ServerError(
                    f"{folder}: expected a version as python -m serve publish makes it, got a "
                    f"folder without {MODEL_FILE}; remove it"
                )

    def _load(self, model: str) -> None:
        show_changed(Path(self.state.repository) / model)
        request = pb.RepositoryModelLoadRequest(model_name=model)
        try:
            self._admin.call("RepositoryModelLoad", request, pb.RepositoryModelLoadResponse)
        except ServerError as error:
            raise ServerError(f"{self.state.url}: {error}{_remedy(error)}") from error

    def _ask(self, texts: list[str], version: str) -> None:
        what = f"version {version} to answer a text of {len(texts[0])} characters"
        reply = self._probe.send(texts, version).result(what)
        if reply.version != version:
            raise AnswerError(
                f"{self.state.url}: expected version {version}, got {reply.version!r:.20}"
            )


class RunningServers(Collection[Running]):
    """The servers of this machine that run and serve a repository, looked up anew each time.

    One that starts while a step is under way may have read the repository before the new version
    was there; found when the step began, it would be told of nothing.
    """

    def __init__(self, repository: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        """Take what they serve; none is looked up yet."""
        self._repository, self._timeout_s = repository, timeout_s

    def __iter__(self) -> Iterator[Running]:
        """Yield each server; its connection is closed when the next is asked for.

        Raises:
            ServerError: If one cannot be reached as this user, see `serve.triton.serving`.
        """
        for state in serving(self._repository):
            if state.is_running():  # telling the one before may have taken minutes
                with Running(state, timeout_s=self._timeout_s) as server:
                    yield server

    def __len__(self) -> int:
        """Return how many there are by now.

        Raises:
            ServerError: As in `__iter__`.
        """
        return len(serving(self._repository))

    def __contains__(self, server: object) -> bool:
        """Return whether a server is one of them."""
        return isinstance(server, Running) and server.state in serving(self._repository)


def _code(error: BaseException | None) -> grpc.StatusCode | None:
    """Return the code of the call that an error comes from, if from one."""
    while error is not None and not isinstance(error, grpc.Call):
        error = error.__cause__
    return None if error is None else error.code()


def _remedy(error: ServerError) -> str:
    if _code(error) is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "; allow more with --timeout, or python -m serve restart if it is stuck"
    return ""


def warm_texts(encoder: Encoder) -> Iterator[str]:
    """Yield a text of each length that the tagger pads to, shortest first."""
    word_tokens = _num_tokens(encoder, 3) - _num_tokens(encoder, 2)
    around = _num_tokens(encoder, 1) - word_tokens
    reached = range(around + word_tokens, encoder.max_tokens + 1, word_tokens)
    longest = {bucket_of(num_tokens, encoder.max_tokens): num_tokens for num_tokens in reached}
    for num_tokens in longest.values():
        yield _words((num_tokens - around) // word_tokens)


def _num_tokens(encoder: Encoder, num_words: int) -> int:
    return len(encoder.encode([_words(num_words)])[0].windows[0].input_ids)


def _words(num_words: int) -> str:
    return " ".join(["a"] * num_words)
