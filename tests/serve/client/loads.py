"""Carries out many courses at once without a network: endpoints are functions, time is told."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from serve.client.steps import Answered, Ask, Course, Outcome, Pause, Probe, Refresh, Try
from serve.errors import TaggingError
from serve.triton.failures import Failed, Failure
from tests.serve.client.courses import World, a_request

Sent = Try | Ask | Probe | Refresh
Server = Callable[[Sent], tuple[float, Outcome]]
"""Returns how long a step takes, in seconds, and what comes of it if it may take as long."""
TIMEOUT = Failed(Failure.TIMEOUT, "Deadline Exceeded")


@dataclass
class Load:
    """Callers that make a request after the other, all of them at once.

    Attributes:
        it: The dispatcher and its clock.
        serve: The endpoints.
        num_left: Requests still to be begun.
        num_answered: Requests answered.
        errors: Of the others.
        slowest_s: Longest time of a request.
    """

    it: World
    serve: Server
    num_left: int
    num_answered: int = 0
    errors: list[TaggingError] = field(default_factory=list)
    slowest_s: float = 0.0
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, num_callers: int) -> None:
        """Let callers make all requests."""
        for _ in range(num_callers):
            self._after(0.0, self._begin)
        while self._due:
            self.it.clock.now, _, go_on = heapq.heappop(self._due)
            go_on()

    def _after(self, seconds: float, go_on: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.it.clock.now + seconds, next(self._numbers), go_on))

    def _begin(self) -> None:
        if self.num_left:
            self.num_left -= 1
            self._go_on(self.it.dispatcher.course(a_request()), None, self.it.clock.now)

    def _go_on(self, course: Course, outcome: Outcome | None, began: float) -> None:
        """Take a request to its next wait, or to its end and on to the next request."""
        try:
            step = course.send(outcome)
            while isinstance(step, Probe | Refresh):
                self._aside(step)
                step = course.send(None)
        except (StopIteration, TaggingError) as end:
            self._end(end, began)
            return
        seconds, then = (step.seconds, None) if isinstance(step, Pause) else self._sent(step)
        self._after(seconds, lambda: self._go_on(course, then, began))

    def _aside(self, step: Probe | Refresh) -> None:
        seconds, outcome = self._sent(step)
        take = self.it.dispatcher.learned
        if isinstance(step, Probe):
            self._after(seconds, lambda: self.it.dispatcher.probed(step.endpoint, outcome))
        else:
            self._after(seconds, lambda: take(outcome))

    def _sent(self, step: Sent) -> tuple[float, Outcome]:
        lasts_s, outcome = self.serve(step)
        is_late = lasts_s > step.timeout_s
        return (step.timeout_s, TIMEOUT) if is_late else (lasts_s, outcome)

    def _end(self, end: StopIteration | TaggingError, began: float) -> None:
        self.slowest_s = max(self.slowest_s, self.it.clock.now - began)
        if isinstance(end, TaggingError):
            self.errors.append(end)
        else:
            assert isinstance(end.value, Answered)
            self.num_answered += 1
        # A caller that was refused at once does not ask again within the same instant.
        self._after(0.001, self._begin)
