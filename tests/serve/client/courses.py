"""Carries out courses without a network: endpoints are functions, and time passes when told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from serve.client.dispatch import Dispatcher
from serve.client.front import DEFAULT
from serve.client.policy import Policy
from serve.client.requests import Request
from serve.client.route import Route
from serve.client.steps import Answered, Ask, Course, Outcome, Pause, Probe, Refresh, Try
from serve.triton.failures import Failed, Failure
from serve.triton.names import ENTITIES
from serve.versions.traffic import Traffic

A, B, C = "a:1", "b:2", "c:3"
ANSWER = Answered([[]], "1")
TOLD = Answered([Traffic()], "1")
Serve = Callable[[Try], Outcome]


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A dispatcher with its clock, and what its requests came to.

    Attributes:
        clock: Its time.
        dispatcher: What is tested.
        tries: Address of each try, in order.
        asks: Address of each question which versions there are.
        pauses: Seconds of each pause.
        probes: Each probe that was asked for.
        held: Requests that are under way.
    """

    clock: Clock
    dispatcher: Dispatcher
    tries: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    held: list[Course] = field(default_factory=list)

    def start(self) -> tuple[Course, Try]:
        """Begin a request and leave it under way."""
        course = self.dispatcher.course(a_request())
        step = course.send(None)
        if isinstance(step, Ask):
            step = course.send(TOLD)
        assert isinstance(step, Try)
        self.held.append(course)
        return course, step

    def run(self, serve: Serve, *, num_chars: int = 10, is_patient: bool = False) -> Answered:
        """Take one request through its course; return its answer or raise its error."""
        course = self.dispatcher.course(a_request(num_chars, is_patient=is_patient))
        outcome: Outcome | None = None
        while True:
            try:
                step = course.send(outcome)
            except StopIteration as end:
                answered: Answered = end.value
                return answered
            outcome = None
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.clock.now += step.seconds
            elif isinstance(step, Probe):
                self.probes.append(step)
            elif isinstance(step, Refresh):
                self.dispatcher.learned(TOLD)
            elif isinstance(step, Ask):
                self.asks.append(step.endpoint.url)
                outcome = serve(Try(*step))
                outcome = TOLD if isinstance(outcome, Answered) else outcome
            else:
                self.tries.append(step.endpoint.url)
                outcome = serve(step)

    def silent(self, step: Try) -> Outcome:
        """Serve as an endpoint that never answers."""
        self.clock.now += step.timeout_s
        return Failed(Failure.TIMEOUT, "Deadline Exceeded")

    def in_flight(self) -> list[int]:
        return [endpoint.in_flight for endpoint in self.dispatcher.endpoints]


def world(
    *urls: str,
    policy: Policy = DEFAULT,
    dice: float = 0.5,
    route: Route | None = None,
    clock: Clock | None = None,
) -> World:
    """Return a dispatcher for endpoints, with dice that always fall the same.

    Unless a route is given, no endpoint need be asked which versions there are.
    """
    clock = clock or Clock()
    if route is None:
        route = Route(dice)
        route.is_known = True  # and never asked for, so never due
    return World(clock, Dispatcher(urls, policy, clock=clock, dice=lambda: dice, route=route))


def a_request(num_chars: int = 10, *, is_patient: bool = False) -> Request:
    return Request("id-1", ["x" * num_chars], ENTITIES, num_chars, is_patient)


def answers(step: Try) -> Outcome:
    """Serve as a healthy endpoint."""
    return ANSWER


def failing(failure: Failure, *, at: Sequence[str] = (A, B, C)) -> Serve:
    """Serve as endpoints of which some fail."""

    def serve(step: Try) -> Outcome:
        return Failed(failure, "details") if step.endpoint.url in at else ANSWER

    return serve
