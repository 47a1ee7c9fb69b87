"""Tests the course of a request: where it goes, how often, how long, and how it ends."""

from __future__ import annotations

import logging
import random
from contextlib import suppress

import pytest

from serve.client.policy import Policy
from serve.client.stats import CANCELLED
from serve.client.steps import Answered, Outcome, Pause, Probe, Try
from serve.errors import (
    AnswerError,
    DataError,
    DeadlineError,
    Overloaded,
    ServerError,
    TaggingError,
    UnreachableError,
)
from serve.triton.failures import Failed, Failure
from tests.serve.client.courses import (
    ANSWER,
    A,
    B,
    C,
    Clock,
    a_request,
    answers,
    failing,
    world,
)

PASSING = (Failure.UNREACHABLE, Failure.STOPPING, Failure.NO_VERSION)


def test_an_answer_is_returned_after_one_try_that_may_last_until_the_deadline() -> None:
    it = world(A, policy=Policy(deadline_s=3.0))
    course, step = it.start()
    assert (step.endpoint.url, step.timeout_s) == (A, 3.0)
    with pytest.raises(StopIteration) as end:
        course.send(ANSWER)
    assert end.value.value is ANSWER
    assert it.in_flight() == [0]


def test_requests_take_turns_at_endpoints_that_are_equally_busy() -> None:
    it = world(A, B, C)
    for _ in range(6):
        it.run(answers)
    assert it.tries == [A, B, C, A, B, C]


def test_the_endpoint_with_fewer_requests_under_way_is_taken() -> None:
    it = world(A, B)
    _, first = it.start()
    _, second = it.start()
    assert {first.endpoint.url, second.endpoint.url} == {A, B}
    held, third = it.start()
    free = B if third.endpoint.url == A else A
    assert it.start()[1].endpoint.url == free
    held.close()
    assert it.in_flight() == ([1, 2] if free == B else [2, 1])


@pytest.mark.parametrize("failure", [*PASSING, Failure.DEAD_STUB, Failure.TIMEOUT])
def test_a_request_that_fails_safely_is_tried_elsewhere_after_a_short_pause(
    failure: Failure,
) -> None:
    it = world(A, B)
    assert it.run(failing(failure, at=[A])) is ANSWER
    assert it.tries == [A, B]
    assert it.pauses == [0.005]
    assert it.in_flight() == [0, 0]
    assert it.dispatcher.stats.retries == {failure: 1}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure.REFUSED, DataError),
        (Failure.WRONG_ANSWER, AnswerError),
        (Failure.OTHER, ServerError),
    ],
)
def test_what_another_try_cannot_help_is_told_at_once(
    failure: Failure, error: type[TaggingError]
) -> None:
    it = world(A, B)
    with pytest.raises(error, match=r"details.*\(request id-1, 1 try\)") as caught:
        it.run(failing(failure))
    assert type(caught.value) is error
    assert it.tries == [A]
    assert it.dispatcher.stats.failures == {failure: 1}


@pytest.mark.parametrize("failure", PASSING)
def test_endpoints_that_stay_down_are_tried_less_and_less_often_and_named(
    failure: Failure,
) -> None:
    it = world(A, B, policy=Policy(deadline_s=60.0, max_tries=4))
    message = rf"^{B}: expected a Triton.*\(request id-1, 4 tries\)"
    with pytest.raises(UnreachableError, match=message):
        it.run(failing(failure))
    assert it.tries == [A, B, A, B], "and the last one is named"
    assert it.pauses == [0.005, 0.01, 0.02]


def test_the_pause_before_a_retry_is_drawn_anew_below_its_bound() -> None:
    never, nearly = world(A, dice=0.0), world(A, dice=0.999)
    for it in (never, nearly):
        with pytest.raises(UnreachableError):
            it.run(failing(Failure.UNREACHABLE))
    assert set(never.pauses) == {0.0}
    assert nearly.pauses[:2] == [pytest.approx(0.00999), pytest.approx(0.01998)]


def test_a_dead_model_is_not_asked_again_where_there_is_no_other() -> None:
    it = world(A)
    with pytest.raises(ServerError, match=r"restart the server if its model died"):
        it.run(failing(Failure.DEAD_STUB))
    assert it.tries == [A]


def test_a_silent_endpoint_costs_a_try_timeout_where_another_can_take_over() -> None:
    it = world(A, B)
    began = it.clock.now
    assert it.run(lambda step: it.silent(step) if step.endpoint.url == A else ANSWER) is ANSWER
    assert it.clock.now - began == pytest.approx(0.25 + 0.005)


def test_a_silent_endpoint_without_another_is_waited_for_until_the_deadline() -> None:
    it = world(A)
    began = it.clock.now
    with pytest.raises(DeadlineError, match="expected an answer within 1 s, got none"):
        it.run(it.silent)
    assert it.tries == [A]
    assert it.clock.now - began == pytest.approx(1.0)


def test_a_longer_request_has_more_time_for_a_try() -> None:
    it = world(A, B)
    timeouts = []

    def serve(step: Try) -> Outcome:
        timeouts.append(step.timeout_s)
        return ANSWER

    for num_chars in (0, 1_024, 1_025, 3_000, 20_000):
        it.run(serve, num_chars=num_chars)
    assert timeouts == [0.25, 0.25, 0.5, 0.75, 1.0]


def test_silent_endpoints_use_up_the_deadline_and_no_more() -> None:
    it = world(A, B)
    began = it.clock.now
    with pytest.raises(DeadlineError):
        it.run(it.silent)
    assert it.clock.now - began == pytest.approx(1.0)
    assert it.tries == [A, B], "with no endpoint left to take over, a try has until the deadline"


@pytest.mark.parametrize("failure", [*PASSING, Failure.DEAD_STUB])
def test_retries_stay_within_the_budget_however_many_requests_fail(failure: Failure) -> None:
    it = world(A, B)
    num_requests = 1_000
    for _ in range(num_requests):
        with pytest.raises(ServerError):
            it.run(failing(failure))
    retries = len(it.tries) - num_requests
    assert retries <= 32 + 0.10 * num_requests
    assert retries > 100, "the budget is there to be used"
    assert it.in_flight() == [0, 0]


def test_a_budget_of_nothing_allows_no_retry_and_no_early_timeout() -> None:
    it = world(A, B, policy=Policy(retry_budget=0.0, retry_reserve=0))
    with pytest.raises(UnreachableError, match="1 try"):
        it.run(failing(Failure.UNREACHABLE))
    assert it.start()[1].timeout_s == 1.0


def test_no_try_is_cut_short_but_for_a_retry_that_is_set_aside() -> None:
    it = world(A, B, policy=Policy(retry_reserve=2, retry_budget=0.0))
    timeouts = [it.start()[1].timeout_s for _ in range(3)]
    assert timeouts == [0.25, 0.25, 1.0]
    with pytest.raises(StopIteration):
        it.held[0].send(ANSWER)
    it.held[1].close()  # its driver was interrupted
    assert [it.start()[1].timeout_s for _ in range(3)] == [0.25, 0.25, 1.0], "both came back"
    with pytest.raises(DataError):
        it.held[3].send(Failed(Failure.REFUSED, ""))
    with pytest.raises(ServerError):
        it.held[4].send(Failed(Failure.OTHER, ""))
    assert [it.start()[1].timeout_s for _ in range(3)] == [0.25, 0.25, 1.0], "and again"


@pytest.mark.parametrize("urls", [[A, B], [A, B, C]])
def test_a_server_that_dies_with_all_it_may_have_under_way_loses_none_of_it(
    urls: list[str],
) -> None:
    """Retries set aside for requests that go well elsewhere are there for those that fail."""
    it = world(*urls, policy=Policy(retry_budget=0.0))
    under_way = [it.start() for _ in range(Policy.max_in_flight * len(urls))]
    failed = [course for course, step in under_way if step.endpoint.url == A]
    assert len(failed) == Policy.max_in_flight == Policy.retry_reserve
    steps = [course.send(Failed(Failure.UNREACHABLE, "Connection reset")) for course in failed]
    assert all(isinstance(step, Pause) for step in steps)
    course = next(course for course, step in under_way if step.endpoint.url == B)
    with pytest.raises(UnreachableError, match="1 try"):
        course.send(Failed(Failure.UNREACHABLE, "one more than there are retries"))


def test_servers_that_all_turn_slow_at_once_are_waited_for() -> None:
    """Cut short at one after the other, a request has no time left at the last."""
    it = world(A, B, C)
    first = [it.start() for _ in range(3)]
    assert [step.timeout_s for _, step in first] == [0.25] * 3
    it.clock.now += 0.25
    pauses = [course.send(Failed(Failure.TIMEOUT, "")) for course, _ in first]
    assert all(isinstance(pause, Pause) for pause in pauses)
    again = [next(course) for course, _ in first]
    assert [step.timeout_s for step in again if isinstance(step, Try)] == [0.75] * 3
    with pytest.raises(StopIteration):
        first[0][0].send(ANSWER)
    assert it.start()[1].timeout_s == 0.25, "a first try is cut as ever"


def test_the_last_of_the_tries_is_not_cut_short() -> None:
    assert world(A, B, policy=Policy(max_tries=1)).start()[1].timeout_s == 1.0


def test_more_requests_than_the_cap_are_shed_unsent() -> None:
    it = world(A, B, policy=Policy(max_in_flight=3))
    under_way = [it.start()[0] for _ in range(6)]
    assert it.in_flight() == [3, 3]
    message = r"a:1, b:2: expected room for a request, got 3 under way .*\(request id-1, not sent\)"
    with pytest.raises(Overloaded, match=message):
        it.run(answers)
    assert it.dispatcher.stats.num_shed == 1
    under_way[0].close()  # its driver was interrupted
    assert it.run(answers) is ANSWER
    assert it.in_flight() == [2, 3]


def test_an_endpoint_that_is_left_out_is_no_room() -> None:
    it = world(A, B, policy=Policy(max_in_flight=1))
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    it.start()
    with pytest.raises(Overloaded):
        it.run(answers)


def test_a_patient_request_waits_for_room_and_gives_up_at_the_deadline() -> None:
    it = world(A, policy=Policy(max_in_flight=1))
    under_way, _ = it.start()
    course = it.dispatcher.course(a_request(is_patient=True))
    for _ in range(3):
        step = course.send(None)
        assert isinstance(step, Pause)
        assert 0 < step.seconds <= 0.02
        it.clock.now += step.seconds
    under_way.close()
    step = course.send(None)
    assert isinstance(step, Try)
    assert step.timeout_s == pytest.approx(1.0 - 3 * 0.01)
    began = it.clock.now
    message = r"room for a request within 1 s, .*id-1, not sent; those before it in its call were"
    with pytest.raises(Overloaded, match=message):
        it.run(answers, is_patient=True)
    assert it.clock.now - began <= 1.0


def test_a_retry_waits_for_room_too() -> None:
    it = world(A, B, policy=Policy(max_in_flight=1))
    held, step = it.start()
    course, other = it.start()
    assert {step.endpoint.url, other.endpoint.url} == {A, B}
    pause = course.send(Failed(Failure.UNREACHABLE, ""))
    assert isinstance(pause, Pause)
    assert isinstance(course.send(None), Pause)  # the only endpoint that serves is full
    held.close()
    last = course.send(None)
    assert isinstance(last, Try)
    assert last.endpoint is step.endpoint


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_no_request_outlives_its_deadline_or_its_tries(seed: int) -> None:
    chance = random.Random(seed)
    policy = Policy(max_tries=chance.randint(1, 9), retry_budget=chance.random())
    it = world(*(A, B, C)[: chance.randint(1, 3)], policy=policy, dice=chance.random())

    def serve(step: Try) -> Outcome:
        lasts_s = chance.choice([0.0, 0.001, 0.1, 0.3, 2.0])
        if lasts_s > step.timeout_s:
            return it.silent(step)
        it.clock.now += lasts_s
        outcomes: list[Outcome] = [ANSWER, *(Failed(failure, "") for failure in Failure)]
        return chance.choice(outcomes)

    for _ in range(30):
        began, it.tries, it.asks = it.clock.now, [], []
        with suppress(TaggingError):
            it.run(serve, num_chars=chance.choice([1, 5_000]), is_patient=chance.random() < 0.5)
        assert it.clock.now - began <= policy.deadline_s + 1e-9
        assert it.tries or it.asks
        assert max(len(it.tries), len(it.asks)) <= policy.max_tries
        assert not any(it.in_flight())
        for probe in it.probes:
            it.dispatcher.probed(probe.endpoint, chance.choice([ANSWER, Failed(Failure.OTHER, "")]))
        it.probes = []


def test_an_endpoint_that_is_down_is_left_out_at_once() -> None:
    it = world(A, B)
    it.run(failing(Failure.STOPPING, at=[A]))
    for _ in range(10):
        it.run(answers)
    assert it.tries == [A, B, *[B] * 10]
    assert it.dispatcher.stats.num_ejected == {A: 1}


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.WRONG_ANSWER, Failure.OTHER])
def test_an_endpoint_that_fails_otherwise_is_left_out_after_some_in_a_row(
    failure: Failure,
) -> None:
    it = world(A, B, policy=Policy(eject_after=3))

    def run(serve_as: Failure | None) -> None:
        with suppress(ServerError):
            it.run(failing(serve_as, at=[A]) if serve_as else answers)

    for serve_as in (failure, failure, None, None) * 3:  # at A, B, A, B: one in a row
        run(serve_as)
    assert it.dispatcher.stats.num_ejected == {}
    for _ in range(6):
        run(failure)
    assert it.dispatcher.stats.num_ejected == {A: 1}
    it.tries = []
    for _ in range(5):
        it.run(answers)
    assert it.tries == [B] * 5


def test_a_try_that_was_cut_short_is_nothing_against_its_endpoint() -> None:
    it = world(A, B, policy=Policy(eject_after=1, deadline_s=0.4))
    with pytest.raises(DeadlineError):
        it.run(it.silent)
    assert it.tries == [A, B]
    assert it.dispatcher.stats.num_ejected == {A: 1}, "B had what A had left of the deadline"


class Passing(Clock):
    """A clock by which time passes: no try ever gets quite all of its deadline."""

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@pytest.mark.parametrize(("deadline_s", "num_chars"), [(0.2, 10), (1.0, 5_000), (1.0, 20_000)])
def test_a_silent_endpoint_is_left_out_where_the_deadline_is_below_a_trys_time_out(
    deadline_s: float, num_chars: int
) -> None:
    it = world(A, B, policy=Policy(deadline_s=deadline_s), clock=Passing())
    num_lost = 0
    for _ in range(20):
        try:
            it.run(
                lambda step: it.silent(step) if step.endpoint.url == A else ANSWER,
                num_chars=num_chars,
            )
        except DeadlineError:
            num_lost += 1
    assert it.dispatcher.stats.num_ejected == {A: 1}
    assert num_lost == it.dispatcher.stats.failed_tries.total() == Policy.eject_after


def test_a_refused_request_is_nothing_against_its_endpoint() -> None:
    it = world(A, policy=Policy(eject_after=1))
    with pytest.raises(DataError):
        it.run(failing(Failure.REFUSED))
    assert it.dispatcher.stats.num_ejected == {}


def test_an_interrupted_request_gives_its_place_back_and_blames_nobody() -> None:
    it = world(A, policy=Policy(eject_after=1))
    course, _ = it.start()
    course.close()
    assert it.in_flight() == [0]
    assert it.dispatcher.stats.failed_tries == {}


@pytest.mark.parametrize("where", ["as an outcome is noted", "as a place is taken"])
def test_a_signals_exception_in_the_midst_of_it_gives_the_place_back(where: str) -> None:
    it = world(A, B)

    def struck(*_: object) -> float:
        raise KeyboardInterrupt

    if where == "as an outcome is noted":
        course, _ = it.start()
        it.dispatcher._clock = struck
    else:
        course = it.dispatcher.course(a_request())
        it.dispatcher._timeout_s = struck  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        course.send(ANSWER if it.held else None)
    assert it.in_flight() == [0, 0]


def test_with_every_endpoint_left_out_all_are_asked_and_an_answer_brings_one_back() -> None:
    it = world(A, B)
    with pytest.raises(UnreachableError):
        it.run(failing(Failure.UNREACHABLE))
    assert set(it.tries) == {A, B}
    assert it.dispatcher.stats.num_ejected == {A: 1, B: 1}
    it.clock.now += 60.0
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    assert it.probes == [], "while none serves, requests themselves are the probes"
    it.tries = []
    for _ in range(3):
        it.run(failing(Failure.UNREACHABLE, at=[A]))
    assert it.tries == [B] * 3


def test_a_probe_goes_to_the_endpoint_left_out_beside_a_request_and_brings_it_back() -> None:
    it = world(A, B)
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    it.run(answers)
    assert it.probes == []
    it.clock.now += 0.1
    it.run(answers)
    it.run(answers)
    assert [(probe.endpoint.url, probe.timeout_s) for probe in it.probes] == [(A, 0.25)]
    assert it.tries == [A, B, B, B, B], "no caller's request is risked"
    it.dispatcher.probed(it.probes[0].endpoint, ANSWER)
    it.run(answers)
    assert it.tries[-1] == A


@pytest.mark.parametrize("outcome", [ANSWER, Failed(Failure.TIMEOUT, "")])
def test_a_probe_heard_of_after_a_request_brought_the_endpoint_back_changes_nothing(
    outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="serve.client")
    it = world(A, B)
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    it.clock.now += 0.1
    it.run(failing(Failure.UNREACHABLE, at=[B]))  # with none left all are asked, and A answers
    (probe,), (first, second) = it.probes, it.dispatcher.endpoints
    assert (probe.endpoint, first.probe_at, it.tries[-1]) == (first, None, A)
    it.dispatcher.probed(first, outcome)
    assert (first.probe_at, first.probing_until, first.num_probes) == (None, None, 0)
    assert caplog.text.count("readmitted") == 1
    it.tries = []
    it.run(answers)
    assert it.tries == [A]
    assert second.probe_at is not None


def test_a_probe_of_which_nothing_is_heard_is_sent_again() -> None:
    it = world(A, B)
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    it.clock.now += 0.1
    it.run(answers)
    assert len(it.probes) == 1
    it.clock.now += 0.4
    it.run(answers)
    assert len(it.probes) == 1, "it may be under way yet"
    it.clock.now += 0.2
    it.run(answers)
    assert len(it.probes) == 2


def test_probes_that_fail_come_less_often_up_to_a_bound() -> None:
    it = world(A, B)
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    began, sent = it.clock.now, []
    for _ in range(1_000):
        it.clock.now += 0.01
        it.run(answers)
        while it.probes:
            sent.append(it.clock.now - began)
            it.dispatcher.probed(it.probes.pop().endpoint, Failed(Failure.UNREACHABLE, ""))
    gaps = [later - earlier for earlier, later in zip([0.0, *sent], sent, strict=False)]
    assert gaps[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0], abs=0.03)
    assert gaps[5:] == pytest.approx([1.0] * len(gaps[5:]), abs=0.03)


def test_an_endpoint_that_is_well_again_is_probed_though_one_before_it_stays_down() -> None:
    it = world(A, B, C)
    it.run(failing(Failure.UNREACHABLE, at=[A, B]))
    assert it.dispatcher.stats.num_ejected == {A: 1, B: 1}
    for _ in range(5):
        it.clock.now += 1.1  # longer than any pause: whoever is left out is due with each request
        it.run(answers)
        probe = it.probes.pop()
        is_down = probe.endpoint.url == A
        it.dispatcher.probed(probe.endpoint, Failed(Failure.UNREACHABLE, "") if is_down else ANSWER)
    assert [endpoint.probe_at is None for endpoint in it.dispatcher.endpoints] == [
        False,
        True,
        True,
    ]


def test_a_single_endpoint_is_asked_whatever_happened() -> None:
    it = world(A, policy=Policy(max_tries=1))
    for _ in range(5):
        with pytest.raises(UnreachableError):
            it.run(failing(Failure.UNREACHABLE))
    it.clock.now += 60.0
    assert it.run(answers) is ANSWER
    assert it.probes == []


def test_what_was_done_is_counted() -> None:
    it = world(A, B)
    it.run(failing(Failure.UNREACHABLE, at=[A]))
    it.clock.now += 0.2
    it.run(answers)
    with pytest.raises(DataError):
        it.run(failing(Failure.REFUSED))
    stats = it.dispatcher.stats
    assert (stats.num_requests, stats.num_texts, stats.num_chars) == (3, 2, 20)
    assert stats.failed_tries == {Failure.UNREACHABLE: 1, Failure.REFUSED: 1}
    assert (stats.retries, stats.num_probes) == ({Failure.UNREACHABLE: 1}, 1)
    assert sum(stats.durations) == 2


def test_a_course_without_an_outcome_is_refused() -> None:
    course, _ = world(A).start()
    with pytest.raises(TypeError, match="expected the outcome of the try, got None"):
        course.send(None)


def test_the_words_of_a_course_are_told_apart() -> None:
    assert not isinstance(Pause(1.0), Try | Probe)
    assert not isinstance(Answered([], ""), Failed)


def test_a_request_whose_driver_was_interrupted_is_told_as_cancelled() -> None:
    it = world(A)
    _, _ = it.start()
    it.held[0].close()
    course, _ = it.start()
    with pytest.raises(KeyboardInterrupt):
        course.throw(KeyboardInterrupt)
    it.run(answers)
    with pytest.raises(DataError):
        it.run(failing(Failure.REFUSED))
    stats = it.dispatcher.stats
    assert stats.failures == {CANCELLED: 2, Failure.REFUSED: 1}
    assert stats.num_requests == sum(stats.durations) + stats.failures.total()


def test_a_course_that_never_began_is_no_request() -> None:
    it = world(A)
    it.dispatcher.course(a_request()).close()
    assert it.dispatcher.stats.num_requests == it.dispatcher.stats.failures.total() == 0


def test_a_retry_that_finds_no_room_in_time_was_not_made() -> None:
    policy = Policy(max_in_flight=1, deadline_s=0.1, retry_budget=0.0, retry_reserve=1)
    it = world(A, policy=policy)

    def fails_and_is_taken(step: Try) -> Outcome:
        step.endpoint.in_flight += 1  # somebody else, who takes the place as soon as it is left
        return Failed(Failure.UNREACHABLE, "details")

    with pytest.raises(UnreachableError, match=r"\(request id-1, 1 try\)"):
        it.run(fails_and_is_taken)
    assert it.tries == [A]
    assert it.dispatcher.stats.retries.total() == 0
    (endpoint,) = it.dispatcher.endpoints
    endpoint.in_flight = 0  # somebody else is done
    with pytest.raises(UnreachableError, match=r"\(request id-1, 2 tries\)"):
        it.run(failing(Failure.UNREACHABLE))


@pytest.mark.parametrize("failure", [Failure.UNREACHABLE, Failure.STALE_VERSION])
def test_a_retry_whose_request_was_cancelled_in_the_pause_before_it_is_there_for_others(
    failure: Failure,
) -> None:
    it = world(A, B, policy=Policy(retry_budget=0.0, retry_reserve=1))
    for _ in range(3):
        course, step = it.start()
        assert step.timeout_s == 0.25, "with a retry set aside"
        assert isinstance(course.send(Failed(failure, "")), Pause)
        course.close()
        it.dispatcher.endpoints.answered(step.endpoint)
