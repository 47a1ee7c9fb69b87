"""Tests which version a client asks for: asked first, then each second, and never an older one."""

from __future__ import annotations

import pytest

from serve.client.dispatch import Dispatcher
from serve.client.policy import Policy
from serve.client.requests import Requests
from serve.client.route import ASK_EVERY_S, Route
from serve.client.steps import Answered, Ask, Outcome, Pause, Probe, Refresh, Step, Try
from serve.errors import UnreachableError
from serve.triton.failures import Failed, Failure, classify
from serve.triton.names import ENTITIES
from serve.versions.traffic import Traffic
from tests.serve.client.courses import A, B, C, world
from tests.serve.client.loads import Load, Sent

STALE = Failed(Failure.STALE_VERSION, "gone")


class Client:
    """A dispatcher with a clock to turn, and answers to give."""

    def __init__(self, *urls: str, draw: float = 0.5, max_tries: int = Policy.max_tries) -> None:
        self.now = 0.0
        self.route = Route(draw)
        self.dispatcher = Dispatcher(
            urls or ("a:1",),
            Policy(max_tries=max_tries),
            clock=lambda: self.now,
            dice=lambda: 0.5,
            route=self.route,
        )

    def call(self, *outcomes: Outcome) -> list[Step]:
        """Return the steps of a request, pauses left out, given what comes of its tries."""
        course = self.dispatcher.course(Requests().make(["x"], ENTITIES))
        left, outcome = list(outcomes), None
        steps: list[Step] = []
        try:
            while True:
                step = course.send(outcome)
                outcome = left.pop(0) if isinstance(step, Try | Ask) else None
                if not isinstance(step, Pause | Probe):
                    steps.append(step)
        except StopIteration:
            return steps


def says(stable: int, canary: int = 0, share: float = 0.0) -> Answered:
    return Answered([Traffic(stable=stable, canary=canary, share=share)], "1")


def tagged(version: int) -> Answered:
    return Answered([[]], str(version))


def asked(steps: list[Step]) -> list[str]:
    return [step.version if isinstance(step, Try) else type(step).__name__ for step in steps]


def test_a_client_asks_which_versions_there_are_before_its_first_request_and_not_again() -> None:
    client = Client()
    assert asked(client.call(says(3), tagged(3))) == ["Ask", "3"]
    assert asked(client.call(tagged(3))) == ["3"]


def test_it_asks_again_each_second_beside_a_request() -> None:
    client = Client()
    client.call(says(3), tagged(3))
    client.now += ASK_EVERY_S
    assert asked(client.call(tagged(3))) == ["Refresh", "3"]
    assert asked(client.call(tagged(3))) == ["3"], "once a second"
    client.dispatcher.learned(says(4))
    assert asked(client.call(tagged(4))) == ["4"]


def test_it_is_on_one_side_of_a_trial_and_never_goes_back() -> None:
    for draw, version in ((0.2, "4"), (0.3, "3")):
        client = Client(draw=draw)
        assert asked(client.call(says(3, 4, 0.3), tagged(int(version)))) == ["Ask", version]
    client = Client(draw=0.1)
    client.call(says(3, 4, 0.3), tagged(4))
    client.dispatcher.learned(says(3))  # another server, which is behind
    assert asked(client.call(tagged(4))) == ["4"]


def test_a_version_that_answered_is_not_gone_back_from_though_none_was_asked_for() -> None:
    """A server that cannot read its history once says nothing, and Triton takes the newest."""
    client = Client(draw=0.5)
    nothing = Answered([Traffic()], "4")
    assert asked(client.call(nothing, tagged(4))) == ["Ask", ""]
    client.dispatcher.learned(says(3, 4, 0.3))
    assert asked(client.call(tagged(4))) == ["4"]
    client.dispatcher.learned(nothing)
    assert asked(client.call(tagged(4))) == ["4"]


def test_a_version_that_is_gone_is_asked_about_elsewhere_before_it_is_given_up() -> None:
    client = Client("a:1", "b:1")
    client.call(says(3), tagged(3))
    steps = client.call(STALE, says(3), tagged(3))
    assert asked(steps) == ["3", "Ask", "3"]
    gone, *others = [step.endpoint.url for step in steps if isinstance(step, Try | Ask)]
    assert gone not in others
    assert asked(client.call(STALE, says(5), tagged(5))) == ["3", "Ask", "5"]
    assert [e.probe_at is None for e in client.dispatcher.endpoints].count(True) == 1, (
        "a server without the version may be draining: it is probed before it is asked again"
    )


def test_a_version_gone_because_a_newer_one_was_learned_meanwhile_is_nothing_against_a_server() -> (
    None
):
    it = world(A, B, route=Route(0.5))
    it.dispatcher.learned(says(1))
    course, _ = it.start()
    it.dispatcher.learned(says(2))
    course.send(STALE)
    assert it.dispatcher.stats.num_ejected == {}
    step = course.send(None)
    assert isinstance(step, Try)
    assert step.version == "2"


def test_a_question_to_a_healthy_server_is_not_cut_short_for_one_that_lacks_the_version() -> None:
    it = world(A, B, route=Route(0.5))
    it.dispatcher.learned(says(1))
    course, _ = it.start()
    assert isinstance(course.send(STALE), Pause)
    ask = course.send(None)
    assert isinstance(ask, Ask)
    assert (ask.endpoint.url, ask.timeout_s) == (B, Policy.deadline_s)


def test_a_version_that_one_server_lacks_is_forgotten_once_the_others_are_silent() -> None:
    lacking, silent = world(A, B).dispatcher.endpoints
    route = Route(0.5)
    route.learn(Traffic(stable=7), 1.0)
    route.missed(lacking, 2, is_lacked=True)
    assert route.is_known
    route.missed(silent, 2, is_lacked=False)
    assert not route.is_known


def test_numbers_that_begin_anew_are_followed_when_no_server_has_the_old_one() -> None:
    client = Client()
    client.call(says(7), tagged(7))
    assert asked(client.call(STALE, says(1), tagged(1))) == ["7", "Ask", "1"]


class Anew:
    """Endpoints whose repository was made anew: their version was 7 and is 1; one is silent."""

    def __init__(self, *urls: str, silent: str, max_tries: int = Policy.max_tries) -> None:
        self.it = world(*urls, policy=Policy(max_tries=max_tries), route=Route(0.5))
        self.silent, self.version = silent, 7

    def serve(self, step: Sent) -> tuple[float, Outcome]:
        if self.version == 1 and step.endpoint.url == self.silent:
            return 60.0, tagged(0)
        if isinstance(step, Ask | Refresh):
            return 0.002, says(self.version)
        is_there = step.version in ("", str(self.version))
        return 0.002, tagged(self.version) if is_there else STALE

    def num_lost(self, num_requests: int, version: int) -> int:
        """Return how many requests of a caller come to nothing."""
        self.version = version
        load = Load(self.it, self.serve, num_left=num_requests)
        load.run(num_callers=1)
        return len(load.errors)


@pytest.mark.parametrize(("num_endpoints", "max_tries"), [(2, 1), (9, 1), (9, 3), (9, 8)])
def test_numbers_that_begin_anew_are_followed_however_few_endpoints_a_request_gets_to(
    num_endpoints: int, max_tries: int
) -> None:
    urls = [f"host:{port}" for port in range(1, num_endpoints + 1)]
    anew = Anew(*urls, silent=urls[3 % num_endpoints], max_tries=max_tries)
    assert anew.num_lost(20, version=7) == 0
    anew.num_lost(2 * num_endpoints, version=1)  # each gets to as many as it may
    assert anew.num_lost(100, version=1) == 0


@pytest.mark.parametrize("silent", [A, B])
def test_numbers_that_begin_anew_are_followed_beside_an_endpoint_left_out(silent: str) -> None:
    anew = Anew(A, B, silent=silent)
    anew.num_lost(1, version=7)
    for endpoint in anew.it.dispatcher.endpoints:
        if endpoint.url == silent:
            anew.it.dispatcher.endpoints.failed(endpoint, Failure.STOPPING, anew.it.clock.now)
    assert anew.num_lost(50, version=1) == 0


def test_a_version_that_answers_between_those_who_lack_it_is_not_forgotten() -> None:
    """As servers of a rolling restart do, one after the other."""
    it = world(A, B, C, route=(route := Route(0.5)))
    it.dispatcher.learned(says(7))
    for draining in (A, B, C):

        def serve(step: Try, url: str = draining) -> Outcome:
            if step.endpoint.url == url:
                return STALE
            return says(6) if isinstance(step, Ask) else tagged(7)

        for _ in range(3):
            it.run(serve)
    assert (route.version, route.is_known) == ("7", True)
    assert it.dispatcher.stats.num_ejected == {A: 1, B: 1, C: 1}


def test_a_probe_that_is_answered_keeps_the_version_too() -> None:
    it = world(A, B, policy=Policy(max_tries=1), route=(route := Route(0.5)))
    it.dispatcher.learned(says(7))
    first, second = it.dispatcher.endpoints
    for is_known in (True, False):
        for endpoint in (first, second):
            with pytest.raises(UnreachableError):
                it.run(lambda step: STALE)
            assert endpoint.probe_at is not None
            assert route.is_known is is_known or endpoint is first
            if is_known:
                it.dispatcher.probed(endpoint, tagged(7))


def test_what_was_known_is_forgotten_until_a_server_says_it_anew() -> None:
    route = Route(0.5)
    route.learn(Traffic(stable=7), 1.0)
    assert (route.version, route.is_known) == ("7", True)
    route.forget()
    assert (route.version, route.is_known) == ("", False)
    assert not route.is_due(100.0), "it is asked before the next request, not beside it"
    route.learn(Traffic(stable=1), 100.0)
    assert (route.version, route.is_due(100.9), route.is_due(101.0)) == ("1", False, True)


def test_asking_which_versions_there_are_takes_none_of_the_tries() -> None:
    client = Client(max_tries=2)
    stopping = Failed(Failure.STOPPING, "stopping")
    assert asked(client.call(says(3), stopping, tagged(3))) == ["Ask", "3", "3"]


def test_a_server_that_knows_of_no_versions_is_asked_for_none() -> None:
    client = Client()
    failed = classify("INVALID_ARGUMENT", "unexpected inference output 'TRAFFIC' for model")
    assert failed.failure is Failure.WRONG_ANSWER
    assert asked(client.call(failed, tagged(2))) == ["Ask", ""]
    assert client.dispatcher.stats.retries.total() == 0


def test_a_server_that_is_down_is_asked_elsewhere() -> None:
    client = Client("a:1", "b:1")
    down = Failed(Failure.UNREACHABLE, "refused")
    steps = client.call(down, says(2), tagged(2))
    assert asked(steps) == ["Ask", "Ask", "2"]
    assert [step.endpoint.url for step in steps if not isinstance(step, Refresh)][:2] == [
        "a:1",
        "b:1",
    ]
