"""Owns the course of a request: where it is sent, how long for, whether again, when it is given up.

All of it is decided here, for threads and asyncio alike, and nothing is done here: a course tells
its driver step by step what to do, and is told what came of it. The clock and the dice are given.
What follows from which failure is one table, in `serve.triton.failures`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from serve.client.budget import RetryBudget
from serve.client.endpoints import Endpoint, Endpoints
from serve.client.journey import Journey
from serve.client.policy import Policy
from serve.client.requests import Request
from serve.client.route import Route
from serve.client.stats import CANCELLED, UNSENT, Stats
from serve.client.steps import Answered, Ask, Course, Outcome, Pause, Probe, Refresh, Try
from serve.errors import TaggingError
from serve.events import log_event
from serve.triton.failures import Failed, Failure
from serve.versions.traffic import Traffic

FIRST_PAUSE_S = 0.01
"""Longest pause before the first retry; it doubles with each further one."""
ROOM_PAUSE_S = 0.02
"""Longest pause of a request that waits for room at an endpoint."""

_UNVERSED = (Failure.WRONG_ANSWER, Failure.REFUSED, Failure.OTHER)
"""How a server that answers fails to say which versions there are."""

logger = logging.getLogger("serve.client")
logger.addHandler(logging.NullHandler())  # silent, unless the program that uses it wants the log


class Dispatcher:
    """What all requests of one client share. Several threads may use it at once.

    Attributes:
        lock: Guards all that follows.
        endpoints: The servers.
        stats: The figures.
    """

    def __init__(
        self,
        urls: Sequence[str],
        policy: Policy,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
        route: Route,
    ) -> None:
        """Take the addresses and the settings.

        Args:
            urls: At least one, `host:port` each.
            policy: The settings.
            clock: Returns seconds.
            dice: Returns a number in [0, 1).
            route: Which version to ask for.
        """
        self.lock = threading.Lock()
        self.endpoints = Endpoints(urls, policy)
        self.stats = Stats()
        self._urls = ", ".join(urls)
        self._has_others = len(urls) > 1
        self._policy = policy
        self._budget = RetryBudget(policy.retry_budget, policy.retry_reserve)
        self._clock = clock
        self._dice = dice
        self._route = route

    def course(self, request: Request) -> Course:
        """Yield what to do for a request, step by step; return its answer.

        A driver that stops in the middle closes the generator.

        Raises:
            DataError: If an endpoint refuses the request.
            Overloaded: If no endpoint has room.
            ServerError: If there is no answer in time, or none as agreed.
        """
        journey = Journey(request, self._clock())
        try:
            return (yield from self._travel(journey))
        except BaseException as error:
            if not isinstance(error, TaggingError):
                with self.lock:
                    self.stats.failures[CANCELLED] += 1
            raise
        finally:  # wherever a signal's exception struck: what is never given back runs out
            if journey.owes:
                with self.lock:
                    journey.release(self._budget)

    def _travel(self, journey: Journey) -> Course:
        yield from self._begin(journey.started)
        while True:
            step = self._next(journey)
            if isinstance(step, Pause):
                yield step
                continue
            outcome = None
            try:
                outcome = yield step
            finally:  # also when the driver was interrupted
                self._settle(journey, step, outcome)
            if isinstance(step, Ask) and self._is_answered(journey, outcome):
                continue
            if isinstance(outcome, Answered):
                return outcome
            yield self._before_retry(journey)

    def probed(self, endpoint: Endpoint, outcome: Outcome) -> None:
        """Take what came of a probe."""
        with self.lock:
            endpoint.probing_until = None
            if isinstance(outcome, Failed):
                self.endpoints.probe_failed(endpoint, self._clock())
                return
            is_back = self.endpoints.answered(endpoint)
            self._route.found()
        if is_back:
            log_event(logger, logging.WARNING, "readmitted", url=endpoint.url)

    def learned(self, outcome: Outcome) -> None:
        """Take which versions there are, as a server says; nothing, if it does not."""
        if isinstance(outcome, Answered):
            with self.lock:
                self._route.learn(outcome.rows[0], self._clock())

    def count_unsent(self) -> None:
        """Count a request with a text that must not be sent."""
        with self.lock:
            self.stats.num_requests += 1
            self.stats.failures[UNSENT] += 1

    def take_over(self) -> bool:
        """Make this a forked process's own, whose threads are gone; return if none was at work."""
        self.lock = threading.Lock()
        return not any(endpoint.in_flight for endpoint in self.endpoints)

    def _begin(self, now: float) -> list[Probe | Refresh]:
        """Return what to do beside a request."""
        steps: list[Probe | Refresh] = []
        with self.lock:
            self.stats.num_requests += 1
            self._budget.earn()
            if due := self.endpoints.due(now):
                self.stats.num_probes += 1
                steps.append(Probe(due, self._policy.try_timeout_s, self._route.version))
            if self._route.is_due(now):
                steps.append(Refresh(self.endpoints.idlest(), self._policy.try_timeout_s))
        return steps

    def _is_answered(self, journey: Journey, outcome: Outcome | None) -> bool:
        """Take the answer to which versions there are; return whether the request can go on.

        A server that does not know of versions has one, and is not asked for any.
        """
        if isinstance(outcome, Failed) and outcome.failure in _UNVERSED:
            outcome = Answered([Traffic()], "")
        if not isinstance(outcome, Answered):
            return False
        self.learned(outcome)
        journey.go_on()
        return True

    def _next(self, journey: Journey) -> Try | Ask | Pause:
        """Return the next try, or a pause while there is no room.

        Raises:
            TaggingError: If it is too late for either.
        """
        left_s = self._left_s(journey)
        if journey.failed and left_s <= 0:
            raise self._given_up(journey, journey.failed)
        with self.lock:
            journey.holding = endpoint = self.endpoints.take(journey.tried)
            is_lost = not (self._route.is_known and journey.is_versed)
            version = self._route.version
            if endpoint is not None:
                journey.tried.append(endpoint)
                if journey.failed:
                    self.stats.retries[journey.failed.failure] += 1
                    journey.has_retry = False  # it is made now
                left_s = self._timeout_s(journey, left_s)
        if endpoint is None:
            return self._wait_for_room(journey, left_s)
        return Ask(endpoint, left_s) if is_lost else Try(endpoint, left_s, version)

    def _timeout_s(self, journey: Journey, left_s: float) -> float:
        """Return how long the next try may take.

        It is cut short for another endpoint to take over only if a retry is set aside for that. An
        endpoint may be just slow: whoever is cut off there with no retry left loses an answer.
        """
        cut_s = self._policy.try_timeout_of(journey.request.num_chars)
        has_spare = self.endpoints.has_spare(journey.tried) or journey.can_turn_back
        is_last = len(journey.tried) >= self._policy.max_tries
        if is_last or cut_s >= left_s or not has_spare:
            return left_s
        journey.has_aside = self._budget.set_aside()
        return cut_s if journey.has_aside else left_s

    def _wait_for_room(self, journey: Journey, left_s: float) -> Pause:
        request = journey.request
        pause_s = ROOM_PAUSE_S * self._dice()
        if (request.is_patient or journey.failed) and pause_s < left_s:
            return Pause(pause_s)
        if journey.failed:
            raise self._given_up(journey, journey.failed)
        with self.lock:
            self.stats.num_shed += 1
        log_event(logger, logging.DEBUG, "shed", request_id=request.request_id)
        raise journey.no_room(self._urls, self._policy)

    def _settle(self, journey: Journey, step: Try | Ask, outcome: Outcome | None) -> None:
        """Note what came of a try; None for nothing that can be said."""
        endpoint, now = step.endpoint, self._clock()
        changed = None
        with self.lock:
            journey.release(self._budget)
            if isinstance(outcome, Answered):
                changed = "readmitted" if self.endpoints.answered(endpoint) else None
                if isinstance(step, Try):
                    self.stats.count_answer(journey.request, outcome.rows, now - journey.started)
                    self._route.saw(outcome.version)
            elif outcome:
                journey.failed = outcome
                changed = self._blame(journey, step, outcome.failure, now)
        if changed:
            reason = outcome.failure if isinstance(outcome, Failed) else None
            log_event(logger, logging.WARNING, changed, url=endpoint.url, reason=reason)

    def _blame(self, journey: Journey, step: Try | Ask, failure: Failure, now: float) -> str | None:
        """Hold a failed try against its endpoint, if it is to blame; return what changed."""
        self.stats.failed_tries[failure] += 1
        if failure is Failure.STALE_VERSION and isinstance(step, Try):
            if step.version != self._route.version:  # learned meanwhile: the endpoint is well
                return None
            journey.is_versed = False
        if failure.is_callers or (isinstance(step, Ask) and failure in _UNVERSED):
            return "readmitted" if self.endpoints.answered(step.endpoint) else None
        is_cut_short = step.timeout_s < self._policy.fair_timeout_of(journey.request.num_chars)
        if failure is Failure.TIMEOUT and is_cut_short:
            return None
        self._route.missed(step.endpoint, len(self.endpoints), is_lacked=not journey.is_versed)
        if not self.endpoints.failed(step.endpoint, failure, now):
            return None
        self.stats.num_ejected[step.endpoint.url] += 1
        return "ejected"

    def _before_retry(self, journey: Journey) -> Pause:
        """Return the pause before the next try.

        Raises:
            TaggingError: If there must be none.
        """
        failed, num_tries = journey.failed, len(journey.tried)
        if failed is None:
            raise TypeError("expected the outcome of the try, got None")
        pause_s = FIRST_PAUSE_S * 2 ** (num_tries - 1) * self._dice()
        may_help = failed.failure.may_pass or (failed.failure.may_do_elsewhere and self._has_others)
        is_early = num_tries < self._policy.max_tries and pause_s < self._left_s(journey)
        if not (may_help and is_early and self._spend_retry(journey, failed.failure)):
            raise self._given_up(journey, failed)
        told = {"request_id": journey.request.request_id, "url": journey.tried[-1].url}
        told |= {"reason": failed.failure, "details": failed.details}
        log_event(logger, logging.INFO, "retry", **told)
        return Pause(pause_s)

    def _left_s(self, journey: Journey) -> float:
        return journey.started + self._policy.deadline_s - self._clock()

    def _spend_retry(self, journey: Journey, reason: Failure) -> bool:
        """Take a retry for a request, if one is left; a stale version needs none at first.

        It was refused before any work was done for it. After a promotion all requests of a client
        that was idle meanwhile are, at once. A server that names a version which it lacks says so
        for ever.
        """
        if reason is Failure.STALE_VERSION and journey.tried.count(journey.tried[-1]) == 1:
            return True
        with self.lock:
            journey.has_retry = self._budget.spend()
        return journey.has_retry

    def _given_up(self, journey: Journey, failed: Failed) -> TaggingError:
        with self.lock:
            self.stats.failures[failed.failure] += 1
        return journey.given_up(failed, self._policy)
