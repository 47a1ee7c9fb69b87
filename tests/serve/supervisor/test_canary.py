"""Tests what the canary makes of a server that is well, wrong, silent, gone, or somebody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.entities import EntityJson
from serve.supervisor.answers import LINES, Known, KnownAnswers
from serve.supervisor.canary import Canary, Result
from serve.supervisor.life import Verdict
from serve.supervisor.patience import Patience
from serve.triton.names import ModelVersion
from serve.triton.probe import Probe
from serve.triton.processes import wait_until
from serve.triton.state import ServerState
from tests.serve.fake_triton import fake_triton, proper_answer, texts_of, words

NAME = "linetag-0123456789ab-"
PATIENCE = Patience(canary_interval_s=0.02, canary_timeout_s=0.3)
RIGHT = {line: [entity.to_json() for entity in words(line)] for line in LINES}


class GivenAnswers(KnownAnswers):
    """Known answers that the test knows; of some versions they are still worked out."""

    def __init__(self, known: Mapping[str, Sequence[EntityJson]], *pending: str) -> None:
        super().__init__(Path("none"), Path("none"))
        self.given, self.pending = Known(known), set(pending)

    def of(self, version: str, first: object, now: float) -> Known | None:
        return None if version in self.pending else self.given


class Hanging:
    """Answers, but when it is to hang; notes how many texts each version was asked about."""

    def __init__(self) -> None:
        self.hung: set[str] = set()
        self.is_over = threading.Event()
        self.asked: list[tuple[str, int]] = []

    def __call__(self, request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
        version = request.model_version or "1"
        self.asked.append((version, len(texts_of(request))))
        if version in self.hung:
            self.is_over.wait(20.0)
        answer = proper_answer(request)
        answer.model_version = version
        return answer


def ready(*versions: str) -> list[ModelVersion]:
    return [ModelVersion("tagger", version, "READY", "") for version in versions]


def canary_of(
    url: str,
    answers: GivenAnswers,
    is_busy: Callable[[float], bool] = lambda seconds: False,
    patience: Patience = PATIENCE,
) -> Canary:
    state = ServerState(
        pid=1,
        start_ticks=1,
        prefix=NAME,
        url=url,
        http_url=None,
        metrics_url="127.0.0.1:1",
        repository="r",
        log="l",
        started="2026-01-01T00:00:00+00:00",
    )
    return Canary(state, answers, patience, is_busy)


def results(canary: Canary, count: int) -> list[Result]:
    """Look until so many canaries came to something, and close the connection."""
    found = looked(canary, count)
    canary.close()
    return found


def looked(canary: Canary, count: int) -> list[Result]:
    found: list[Result] = []
    end = time.monotonic() + 20.0
    while len(found) < count and time.monotonic() < end:
        result = canary.look(time.monotonic())
        found += [result] if result else []
        time.sleep(0.002)
    return found


def test_a_right_answer_is_right_and_later_canaries_ask_a_few_lines_only() -> None:
    asked: list[list[str]] = []

    def note(request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
        asked.append(texts_of(request))
        return proper_answer(request)

    with fake_triton(note, name=NAME) as url:
        found = results(canary_of(url, GivenAnswers(RIGHT)), 3)
    assert [result.verdict for result in found] == [Verdict.RIGHT] * 3
    assert (found[0].version, found[0].triton) == ("1", "2.51.0")
    assert all(result.latency_s and 0 < result.latency_s < 5 for result in found)
    assert asked[0] == list(LINES)
    assert [len(texts) for texts in asked[1:3]] == [3, 3]
    assert all(words(text) for texts in asked[1:3] for text in texts), "lines with entities"


def test_a_wrong_answer_is_wrong_and_told() -> None:
    known = {**RIGHT, LINES[0]: []}
    with fake_triton(name=NAME) as url:
        (result,) = results(canary_of(url, GivenAnswers(known)), 1)
    assert result.verdict is Verdict.WRONG
    assert result.reason.startswith(f"version 1: expected [] for {LINES[0]!r}, got [")


def test_a_version_that_was_replaced_is_learned_anew_and_not_wrong() -> None:
    class Replaced(GivenAnswers):
        def forget_replaced(self, version: str) -> bool:
            is_first = self.given.answers is not RIGHT
            self.given = Known(RIGHT)
            return is_first

    with fake_triton(name=NAME) as url:
        (result,) = results(canary_of(url, Replaced({**RIGHT, LINES[0]: []})), 1)
    assert result.verdict is Verdict.RIGHT


def test_a_version_that_was_replaced_once_is_still_told_when_it_is_wrong() -> None:
    answers = GivenAnswers({})
    answers.given = Known({**RIGHT, LINES[0]: []}, former=Known({**RIGHT, LINES[1]: []}))
    with fake_triton(name=NAME) as url:
        (result,) = results(canary_of(url, answers), 1)
    assert result.verdict is Verdict.WRONG


def test_answers_that_are_not_known_yet_decide_nothing_but_later_ones_do() -> None:
    answers, server = GivenAnswers(RIGHT, "1"), Hanging()
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, answers)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert canary.look(time.monotonic()) is None
            time.sleep(0.002)
        assert canary.is_learning
        assert server.asked == [("1", 11)], "asking again takes time from who works them out"
        answers.pending.clear()
        assert results(canary, 1)[0].verdict is Verdict.RIGHT
        assert not canary.is_learning


def test_a_model_that_is_slow_from_the_start_is_waited_for_once_and_then_asked_a_line() -> None:
    asked: list[int] = []

    def slowly(request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
        asked.append(len(texts_of(request)))
        time.sleep(0.04 * asked[-1])
        return proper_answer(request)

    with fake_triton(slowly, name=NAME) as url:
        found = results(canary_of(url, GivenAnswers(RIGHT)), 3)
    assert [result.verdict for result in found] == [Verdict.RIGHT] * 3
    assert asked[:3] == [11, 1, 1], "of which all take longer than a canary may"


def test_a_version_that_has_not_answered_yet_is_waited_for_while_the_others_are_asked() -> None:
    server, answers = Hanging(), GivenAnswers(RIGHT, "3")
    server.hung.add("2")
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, answers)
        looked(canary, 1)
        canary.ask_versions(ready("1", "2", "3"))
        began = time.monotonic()
        while time.monotonic() - began < 1.3 * PATIENCE.canary_timeout_s:
            (result,) = looked(canary, 1)
            assert (result.verdict, result.version) == (Verdict.RIGHT, "1")
        assert server.asked.count(("2", 11)) == server.asked.count(("3", 11)) == 1
        server.hung.add("1")
        assert looked(canary, 1)[-1].verdict in (Verdict.RIGHT, Verdict.SILENT)
        began = time.monotonic()
        assert results(canary, 1)[0].verdict is Verdict.SILENT, "known to be quick"
        server.is_over.set()
    assert time.monotonic() - began < 5.0


def test_a_first_answer_is_not_waited_for_when_a_process_has_ended() -> None:
    server = Hanging()
    server.hung.add("1")
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        assert canary.look(time.monotonic()) is None
        assert wait_until(lambda: bool(server.asked), timeout_s=5.0)
        server.hung.clear()
        canary.hurry()
        assert results(canary, 1)[0].verdict is Verdict.RIGHT
        server.is_over.set()


def test_something_that_seems_wrong_is_asked_about_at_once() -> None:
    server = Hanging()
    with fake_triton(server, name=NAME) as url:
        patience = Patience(canary_interval_s=600.0, canary_timeout_s=5.0)
        canary = canary_of(url, GivenAnswers(RIGHT), patience=patience)
        (first,) = looked(canary, 1)
        assert canary.look(time.monotonic()) is None
        canary.hurry()
        (second,) = results(canary, 1)
    assert (first.verdict, second.verdict) == (Verdict.RIGHT, Verdict.RIGHT)
    assert server.asked == [("1", 11), ("1", 3)], "and not a third time"


def test_another_server_behind_the_port_is_a_failure() -> None:
    with fake_triton(name="linetag-another-server-") as url:
        (result,) = results(canary_of(url, GivenAnswers(RIGHT)), 1)
    assert result.verdict is Verdict.FAILED
    assert result.reason == f"expected the server {NAME}, got 'linetag-another-server-'"


def test_an_error_of_the_server_is_a_failure_and_told() -> None:
    def fail(request: object, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        context.abort(grpc.StatusCode.INTERNAL, "Stub process 'tagger_0_0' is not healthy.")

    with fake_triton(fail, name=NAME) as url:
        first, second = results(canary_of(url, GivenAnswers(RIGHT)), 2)
    assert (first.verdict, second.verdict) == (Verdict.FAILED, Verdict.FAILED)
    assert "got INTERNAL: Stub process 'tagger_0_0' is not healthy." in first.reason


def test_an_answer_to_other_texts_is_a_failure() -> None:
    def swap(request: pb.ModelInferRequest, context: object) -> pb.ModelInferResponse:
        request.raw_input_contents[0] = b"\x01\x00\x00\x00a" * len(texts_of(request))
        return proper_answer(request)

    with fake_triton(swap, name=NAME) as url:
        (result,) = results(canary_of(url, GivenAnswers(RIGHT)), 1)
    assert result.verdict is Verdict.FAILED
    assert "expected the answers to 11 texts of" in result.reason


@pytest.mark.parametrize("is_busy", [True, False])
def test_no_answer_in_time_is_silence_and_says_whether_the_server_computes(is_busy: bool) -> None:
    asked_s: list[float] = []
    server = Hanging()

    def busy(seconds: float) -> bool:
        asked_s.append(seconds)
        return is_busy

    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT), busy)
        assert looked(canary, 1)[0].verdict is Verdict.RIGHT
        server.hung.add("1")
        asked_s.clear()
        (result,) = results(canary, 1)
        server.is_over.set()
    assert (result.verdict, result.is_busy) == (Verdict.SILENT, is_busy)
    assert asked_s[0] == 0.0, "the beginning of what is watched"
    assert asked_s[1] > 0.0


def test_a_server_that_does_not_say_who_it_is_in_time_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that computes is waited for then, and not taken out as one that fails."""
    monkeypatch.setattr(Probe, "send_identity", lambda probe: probe.send(["fix"], "2"))
    server = Hanging()
    server.hung.add("2")
    with fake_triton(server, name=NAME) as url:
        (result,) = results(canary_of(url, GivenAnswers(RIGHT), lambda seconds: True), 1)
        server.is_over.set()
    assert (result.verdict, result.is_busy) == (Verdict.SILENT, True)


def test_silence_means_nothing_when_nobody_looked_meanwhile() -> None:
    server = Hanging()
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        looked(canary, 1)
        server.hung.add("1")
        asked = len(server.asked)
        while len(server.asked) == asked:
            canary.look(time.monotonic())
        time.sleep(1.0)  # this machine was asleep, for all that the canary knows
        assert canary.look(time.monotonic()) is None
        server.is_over.set()
        assert results(canary, 1)[0].verdict is Verdict.RIGHT


def test_a_server_that_is_gone_is_a_failure() -> None:
    (result,) = results(canary_of("127.0.0.1:1", GivenAnswers(RIGHT)), 1)
    assert result.verdict is Verdict.FAILED
    assert "UNAVAILABLE" in result.reason


def test_every_version_that_serves_is_asked_and_one_that_is_sick_is_enough() -> None:
    asked: list[str] = []

    def answer(
        request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        asked.append(request.model_version)
        if request.model_version == "1":
            context.abort(grpc.StatusCode.INTERNAL, "Stub process is not healthy")
        return proper_answer(request)

    with fake_triton(answer, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        canary.ask_versions(
            [
                ModelVersion("tagger", "1", "READY", ""),
                ModelVersion("tagger", "2", "READY", ""),
                ModelVersion("tagger", "3", "LOADING", ""),
                ModelVersion("encoder", "4", "READY", ""),
            ]
        )
        (result,) = results(canary, 1)
    assert result.verdict is Verdict.FAILED
    assert sorted(asked[:2]) == ["1", "2"]


class Sick:
    """Answers properly, but for one version, while that is sick."""

    def __init__(self, version: str, *, after_s: float = 0.0) -> None:
        self.version, self.after_s, self.is_sick = version, after_s, True

    def __call__(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        if request.model_version == self.version and self.is_sick:
            time.sleep(self.after_s)
            context.abort(grpc.StatusCode.INTERNAL, "indices out of bounds")
        return proper_answer(request)


@pytest.mark.parametrize("after_s", [0.0, 0.05])  # a round is over before it has failed
def test_a_new_version_that_fails_from_the_start_is_told_while_an_older_one_answers(
    after_s: float,
) -> None:
    server = Sick("12", after_s=after_s)
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        canary.ask_versions(ready("9", "12"))
        first: list[Result] = []
        while not canary.failing and len(first) < 50:
            first += looked(canary, 1)
        told = []
        for _ in range(5):
            first += looked(canary, 1)
            told.append(dict(canary.failing))
        server.is_sick = False
        while canary.failing and len(first) < 50:
            first += looked(canary, 1)
        assert canary.failing == {}
        server.is_sick = True
        (*_, last) = results(canary, 1)
    assert {result.verdict for result in first} == {Verdict.RIGHT}
    assert [list(one) for one in told] == [["12"]] * 5, "it does not come and go"
    assert "INTERNAL: indices out of bounds" in told[0]["12"]
    assert last.verdict is Verdict.FAILED, "it has answered here: a restart may bring that back"


def test_a_version_that_was_right_before_gets_one_restart() -> None:
    answers = GivenAnswers(RIGHT)
    answers.was_right.add("12")
    verdicts: list[list[Verdict]] = []
    with fake_triton(Sick("12"), name=NAME) as url:
        for _ in range(2):  # each start has a canary of its own
            canary = canary_of(url, answers)
            canary.ask_versions(ready("9", "12"))
            verdicts.append([])
            while not canary.failing and len(verdicts[-1]) < 50:
                (result,) = looked(canary, 1)
                verdicts[-1].append(result.verdict)
            canary.close()
    assert verdicts[0].count(Verdict.WRONG) == 1
    assert Verdict.WRONG not in verdicts[1]


def test_a_new_version_that_hangs_keeps_no_server_from_being_ready() -> None:
    server = Hanging()
    server.hung.add("12")
    with fake_triton(server, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        canary.ask_versions(ready("9", "12"))
        (result,) = results(canary, 1)
        server.is_over.set()
    assert result.verdict is Verdict.RIGHT


def test_a_version_that_is_served_no_more_is_no_failure() -> None:
    def answer(
        request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        if request.model_version == "7":
            context.abort(grpc.StatusCode.NOT_FOUND, "'tagger' version 7 is not found")
        return proper_answer(request)

    with fake_triton(answer, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        canary.ask_versions([ModelVersion("tagger", "7", "READY", "")])
        assert results(canary, 2)[0].verdict is Verdict.RIGHT, "whoever serves now was asked"


def test_a_server_of_which_no_version_is_served_is_a_failure() -> None:
    def answer(request: object, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        context.abort(grpc.StatusCode.NOT_FOUND, "'tagger' version 7 is not found")

    with fake_triton(answer, name=NAME) as url:
        canary = canary_of(url, GivenAnswers(RIGHT))
        canary.ask_versions(ready("7"))
        (result,) = results(canary, 1)
    assert result.verdict is Verdict.FAILED, "whoever serves now was asked, and nobody does"
