"""Tests which servers a step tells of a new version, and how one is warmed up for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.bundle import Bundle
from serve.encoding import bucket_of
from serve.errors import AnswerError, ServerError
from serve.repository import publish
from serve.triton.processes import wait_until
from serve.versions.probes import LINES
from serve.versions.servers import Running, RunningServers, warm_texts
from tests.serve.fake_triton import fake_triton, proper_answer, texts_of
from tests.serve.stand_in import PREFIX, stand_in
from tests.serve.tiny import MAX_TOKENS


def test_a_server_that_starts_while_a_step_is_under_way_is_told_too(tmp_path: Path) -> None:
    """It may have read the repository before the new version was there."""
    servers = RunningServers(tmp_path)
    assert (len(servers), list(servers)) == (0, [])
    with stand_in(tmp_path / "triton", tmp_path) as state:
        assert len(servers) == 1
        (server,) = servers
        assert server.state == state
        assert server in servers
    assert (len(servers), list(servers)) == (0, [])
    assert server not in servers


def test_a_server_that_ends_while_another_is_told_is_not_told(tmp_path: Path) -> None:
    other = f"{PREFIX[:-2]}c-"
    with (
        stand_in(tmp_path / "a", tmp_path),
        stand_in(tmp_path / "b", tmp_path, prefix=other) as second,
    ):
        told = iter(RunningServers(tmp_path))
        next(told)
        os.kill(second.pid, signal.SIGKILL)
        assert wait_until(lambda: not second.is_running(), timeout_s=5)
        assert list(told) == []


def test_there_is_a_warm_text_of_each_padded_length_as_long_as_fits(bundle: Path) -> None:
    encoder = Bundle.load(bundle).encoder()
    encoded = encoder.encode(list(warm_texts(encoder)))
    assert all(len(text.windows) == 1 for text in encoded)
    lengths = [len(text.windows[0].input_ids) for text in encoded]
    possible = range(3, MAX_TOKENS + 1)  # a word between two tokens, at least
    buckets = sorted({bucket_of(length, MAX_TOKENS) for length in possible})
    assert lengths == buckets
    assert len(buckets) > 1


@contextmanager
def running(tmp_path: Path, url: str) -> Iterator[Running]:
    with stand_in(tmp_path / "triton", tmp_path, url=url) as state, Running(state) as server:
        yield server


class Warmed:
    """A server that answers as a version; notes what it was asked, and of which version."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.asked: list[tuple[str, list[str]]] = []
        self.ids: list[str] = []

    def __call__(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        if request.model_version == "9":
            context.abort(grpc.StatusCode.INTERNAL, "no memory\nat line 3")
        self.asked.append((request.model_version, texts_of(request)))
        self.ids.append(request.id)
        answer = proper_answer(request)
        answer.model_version = self.version
        return answer


def test_a_version_is_warmed_up_with_each_length_alone_and_with_many_together(
    bundle: Path, tmp_path: Path
) -> None:
    server = Warmed("2")
    with fake_triton(server) as url, running(tmp_path, url) as connected:
        connected.warm_up(bundle, "2")
    texts = list(warm_texts(Bundle.load(bundle).encoder()))
    *alone, together, canary = server.asked
    assert alone == [("2", [text]) for text in texts]
    assert together == ("2", (texts * 2)[:32])
    assert len(together[1]) == 32
    assert canary == ("2", list(LINES)), "what the supervisor asks: lines of several lengths"
    assert all(request_id.startswith("linetag:warm-up-") for request_id in server.ids)


@pytest.mark.parametrize(
    ("version", "error", "message"),
    [
        ("3", AnswerError, "expected version 3, got '2'"),
        ("9", ServerError, "expected version 9 to answer a text of .* got INTERNAL: no memory$"),
    ],
)
def test_a_version_that_does_not_answer_itself_is_no_success(
    bundle: Path, tmp_path: Path, version: str, error: type[ServerError], message: str
) -> None:
    with (
        fake_triton(Warmed("2")) as url,
        running(tmp_path, url) as connected,
        pytest.raises(error, match=f"^{url}: {message}"),
    ):
        connected.warm_up(bundle, version)


@pytest.mark.parametrize("step", ["load", "unload"])
def test_a_folder_that_triton_would_wait_for_is_told_at_once(
    bundle: Path, tmp_path: Path, step: str
) -> None:
    """Somebody made it after the step had tidied up."""
    repository = tmp_path / "repository"
    publish(bundle, repository)
    (repository / "tagger" / "7").mkdir()
    with (
        stand_in(tmp_path / "triton", repository) as state,
        Running(state) as server,
        pytest.raises(ServerError, match=r"tagger/7: expected a version .*, got a folder without"),
    ):
        getattr(server, step)()


@contextmanager
def answering(calls: Mapping[str, Callable[[bytes, grpc.ServicerContext], bytes]]) -> Iterator[str]:
    """Have calls of Triton's service answered; give the address."""
    methods = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
    with ThreadPoolExecutor(2) as pool:
        triton = grpc.server(pool)
        handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
        triton.add_generic_rpc_handlers((handler,))
        port = triton.add_insecure_port("127.0.0.1:0")
        triton.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            triton.stop(None).wait()


def test_a_server_that_does_not_load_in_time_is_told_with_what_helps(tmp_path: Path) -> None:
    def late(content: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "late")
        raise AssertionError

    def none(content: bytes, context: grpc.ServicerContext) -> bytes:
        return b""

    remedy = "DEADLINE.*; allow more with --timeout, or python -m serve restart"
    with (
        answering({"RepositoryModelLoad": late, "RepositoryIndex": none}) as url,
        running(tmp_path, url) as server,
        pytest.raises(ServerError, match=remedy),
    ):
        server.load()


def test_the_encoder_is_loaded_before_the_tagger_and_unloaded_after_it(tmp_path: Path) -> None:
    """The tagger of a version asks the encoder of the same."""
    told: list[str] = []

    def load(content: bytes, context: grpc.ServicerContext) -> bytes:
        told.append(pb.RepositoryModelLoadRequest.FromString(content).model_name)
        return b""

    def index(content: bytes, context: grpc.ServicerContext) -> bytes:
        ready = pb.RepositoryIndexResponse.ModelIndex(name="encoder", version="1", state="READY")
        return bytes(pb.RepositoryIndexResponse(models=[ready]).SerializeToString())

    with (
        answering({"RepositoryModelLoad": load, "RepositoryIndex": index}) as url,
        running(tmp_path, url) as server,
    ):
        server.load()
        server.unload()
    assert told == ["encoder", "tagger", "tagger", "encoder"]
