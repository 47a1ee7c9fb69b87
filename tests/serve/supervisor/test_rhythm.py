"""Tests when the canary asks and what it asks whom, by a clock of the test's own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.entities import EntityJson
from serve.supervisor.answers import Known
from serve.supervisor.canary import Canary, Result
from serve.supervisor.life import Verdict
from serve.supervisor.patience import Patience
from serve.triton.processes import wait_until
from serve.versions.probes import LINES
from tests.serve.fake_triton import fake_triton
from tests.serve.supervisor.test_canary import (
    NAME,
    RIGHT,
    GivenAnswers,
    Hanging,
    canary_of,
    ready,
)

PATIENCE = Patience(canary_interval_s=600.0, canary_timeout_s=5.0)


def result_at(canary: Canary, now: float) -> Result:
    """Return what comes back while the clock stands still."""
    found: list[Result] = []

    def look() -> bool:
        found.extend(result for result in [canary.look(now)] if result)
        return bool(found)

    assert wait_until(look, timeout_s=20.0)
    return found[0]


def test_after_a_right_answer_nothing_is_asked_until_the_interval_is_over() -> None:
    server = Hanging()
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT), patience=PATIENCE)
        result_at(canary, 0.0)
        for now in (0.1, 599.9):
            assert canary.look(now) is None
        assert not wait_until(lambda: len(server.asked) > 1, timeout_s=0.2)
        result_at(canary, 600.0)
        canary.close()
    assert len(server.asked) == 2


def test_after_a_failure_the_next_canary_follows_at_once() -> None:
    def fail(request: object, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        context.abort(grpc.StatusCode.INTERNAL, "not healthy")

    with fake_triton(fail, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT), patience=PATIENCE)
        verdicts = [result_at(canary, 0.0).verdict for _ in range(2)]
        assert canary.look(0.0) is None
        flying = canary._round
        assert flying is not None
        assert wait_until(flying.is_done, timeout_s=5.0)  # nobody looks: only silence means nothing
        late = canary.look(100.0)
        canary.close()
    assert verdicts == [Verdict.FAILED] * 2
    assert late is not None
    assert late.verdict is Verdict.FAILED


def test_what_a_server_computed_is_counted_from_when_it_was_slow() -> None:
    asked_s: list[float] = []
    server = Hanging()
    patience = Patience(canary_interval_s=0.0, canary_timeout_s=0.3)
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(
            url, GivenAnswers(RIGHT), lambda seconds: bool(asked_s.append(seconds)), patience
        )
        result_at(canary, 0.0)
        server.hung.add("1")
        for now in (10.0, 10.2):  # sent, and slow
            assert canary.look(now) is None
        assert result_at(canary, 10.6).verdict is Verdict.SILENT
        server.is_over.set()
        canary.close()
    assert asked_s == [0.0, 10.6 - 10.2]


def test_the_newest_version_is_told_and_the_slowest_answer() -> None:
    class Slow(Hanging):
        def __call__(self, request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
            if request.model_version == "9":
                time.sleep(0.05)
            return super().__call__(request, context)

    with fake_triton(Slow(), name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT), patience=PATIENCE)
        canary.ask_versions(ready("9", "10"))
        result = result_at(canary, 0.0)
        canary.close()
    assert result.version == "10", "by its number"
    assert result.latency_s is not None
    assert result.latency_s >= 0.05


def test_whoever_serves_is_asked_at_once_where_no_known_version_does() -> None:
    class Moved(Hanging):
        def __call__(
            self, request: pb.ModelInferRequest, context: grpc.ServicerContext
        ) -> pb.ModelInferResponse:
            if request.model_version == "7":
                context.abort(grpc.StatusCode.NOT_FOUND, "'tagger' version 7 is not found")
            return super().__call__(request, context)

    with fake_triton(Moved(), name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT), patience=PATIENCE)
        canary.ask_versions(ready("7"))
        assert result_at(canary, 0.0).verdict is Verdict.RIGHT
        canary.close()


def test_a_version_that_came_under_the_name_of_another_answers_every_line() -> None:
    """Its own first answer may be all there is to hold it against."""

    class Learning(GivenAnswers):
        def of(
            self, version: str, first: Mapping[str, Sequence[EntityJson]], now: float
        ) -> Known | None:
            return None if version == "2" and first.keys() != set(LINES) else self.given

    class Renewed(Hanging):
        version = "1"

        def __call__(self, request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
            answer = super().__call__(request, context)
            answer.model_version = self.version
            return answer

    server = Renewed()
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, Learning(RIGHT), patience=PATIENCE)
        assert result_at(canary, 0.0).version == "1"
        server.version = "2"
        assert canary.look(600.0) is None
        assert wait_until(lambda: canary.look(600.1) is None and canary.is_learning, timeout_s=5.0)
        assert result_at(canary, 601.0).version == "2"
        canary.close()
    assert [count for _, count in server.asked] == [11, 3, 11]


def test_a_version_that_never_answered_is_asked_anew_when_a_process_has_ended() -> None:
    server = Hanging()
    server.hung.add("2")
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT), patience=PATIENCE)
        result_at(canary, 0.0)
        canary.ask_versions(ready("1", "2"))
        assert result_at(canary, 600.0).version == "1", "the other is under way"
        server.hung.clear()
        canary.hurry()
        assert result_at(canary, 600.1).version in ("1", "2")
        assert wait_until(lambda: server.asked.count(("2", 11)) == 2, timeout_s=5.0)
        server.is_over.set()
        canary.close()
