"""Owns what becomes of a replica: a state machine that knows no process and no clock of its own.

    WAITING ──launch──► STARTING ──right answer──► READY ──asked to──► DRAINING
       ▲                    │                        │                    │
       │                    └────────── sick ────────┤◄── ended, or time ─┘
       │                                            kill
       └────────── its remains cleared ────────── ENDING ──unwanted──► STOPPED

* A replica that ended, answered wrongly, failed twice in a row or fell silent is sick, is killed
  with all its processes, and starts again after a pause.
* A silent replica that computes is not sick for a while, or for as long as its work moves on, see
  `Patience.busy_s`.
* An end counts as a failure unless the replica had answered for `Patience.stable_s`: what worked
  and was killed starts again at once, what never works is tried more and more rarely. One that
  dies some seconds after each start serves most of the time: it has no pause either, but is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from serve.supervisor.patience import Patience

_DOUBTS = 2
"""Failures in a row of a replica that is sick; the second canary follows the first at once."""


class Phase(StrEnum):
    """Where a replica is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    ENDING = "ending"
    STOPPED = "stopped"


class Action(StrEnum):
    """What is to be done to a replica's processes."""

    LAUNCH = "launch"
    DRAIN = "drain"
    KILL = "kill"
    CLEAR = "clear"


class Verdict(StrEnum):
    """What came of a canary."""

    RIGHT = "right"
    WRONG = "wrong"
    FAILED = "failed"
    SILENT = "silent"


class Cause(StrEnum):
    """Why a replica ended."""

    START = "start"
    DIED = "died"
    WRONG = "wrong"
    FAILED = "failed"
    SILENT = "silent"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a replica just now.

    Attributes:
        is_alive: Whether its server's process lives.
        is_gone: Whether none of its processes is left; looked for while it ends.
        verdict: What came of a canary since the last look; None if none came back.
        is_busy: Whether it computed while a canary was silent.
        moved: Since when each of its versions was seen to move on, see `serve.supervisor.progress`.
        reason: What there is to say to the verdict, or to its end.
        is_learning: Whether it answers, and what is right is still being worked out.
    """

    is_alive: bool
    is_gone: bool = False
    verdict: Verdict | None = None
    is_busy: bool = False
    moved: float = 0.0
    reason: str = ""
    is_learning: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """A replica's state. Times are of a monotonic clock, in seconds.

    Attributes:
        phase: Where it is.
        since: When that began.
        due: When WAITING is over, DRAINING has taken too long, or ENDING needs another kill.
        resume: When to start again, once it has ended.
        last_right: When a canary was last answered rightly.
        doubts: Canaries that failed in a row.
        failures: When it failed, as far as that counts still.
        ends: When it ended though nobody had asked it to, failure or not, as far as that counts.
        num_in_vain: Starts in a row after which it was not ready for long.
        num_starts: How often it was started.
        cause: Why it last ended, or is ending; None if it never did.
        reason: The same in words.
        is_wanted: Whether it is to start again.
    """

    phase: Phase = Phase.WAITING
    since: float = 0.0
    due: float = 0.0
    resume: float = 0.0
    last_right: float = 0.0
    doubts: int = 0
    failures: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()
    num_in_vain: int = 0
    num_starts: int = 0
    cause: Cause | None = None
    reason: str = ""
    is_wanted: bool = True

    def is_exhausted(self, now: float, patience: Patience) -> bool:
        """Return whether it failed as often as is allowed, and is not ready.

        A start that hangs takes so long that hardly two fall into one window: those in a row count.
        """
        num_failures = max(len(self.recent_failures(now, patience)), self.num_in_vain)
        return self.phase is not Phase.READY and num_failures >= patience.max_failures

    def recent_failures(self, now: float, patience: Patience) -> tuple[float, ...]:
        """Return the failures that count still."""
        return tuple(failure for failure in self.failures if now - failure < patience.window_s)

    def recent_ends(self, now: float, patience: Patience) -> tuple[float, ...]:
        """Return the ends that count still."""
        return tuple(end for end in self.ends if now - end < patience.window_s)

    def is_settled(self, now: float, patience: Patience) -> bool:
        """Return whether it has been ready for long enough to take over for another."""
        return self.phase is Phase.READY and now - self.since >= patience.settle_s


Step = tuple[Life, Action | None]


def step(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    """Return a replica's next state, and what is to be done for it."""
    return _STEPS[life.phase](life, seen, now, patience)


def restart(life: Life, reason: str, now: float, patience: Patience) -> Step:
    """Ask a replica to end and start again; only a ready one does."""
    if life.phase is not Phase.READY:
        return life, None
    return _drain(life, reason, now, patience)


def stop(life: Life, now: float, patience: Patience) -> Step:
    """Ask a replica to end for good."""
    life = replace(life, is_wanted=False)
    if life.phase is Phase.READY:
        return _drain(life, "asked to stop", now, patience)
    if life.phase is Phase.STARTING:  # nothing is in flight
        return _end(life, now, patience)
    return life, None


def _drain(life: Life, reason: str, now: float, patience: Patience) -> Step:
    due = now + patience.drain_s
    life = replace(life, phase=Phase.DRAINING, since=now, due=due, resume=now)
    return replace(life, cause=Cause.ASKED, reason=reason), Action.DRAIN


def _end(life: Life, now: float, patience: Patience) -> Step:
    return replace(life, phase=Phase.ENDING, since=now, due=now + patience.kill_s), Action.KILL


def _waiting(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    if not life.is_wanted:
        return replace(life, phase=Phase.STOPPED, since=now), None
    if now < life.due:
        return life, None
    starts = life.num_starts + 1
    started = replace(life, phase=Phase.STARTING, since=now, doubts=0, num_starts=starts)
    return started, Action.LAUNCH


def _starting(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    if not seen.is_alive:
        return _sick(life, Cause.START, seen.reason, now, patience)
    if seen.verdict is Verdict.RIGHT:
        return replace(life, phase=Phase.READY, since=now, last_right=now), None
    if seen.verdict is Verdict.WRONG:
        return _sick(life, Cause.WRONG, seen.reason, now, patience)
    allowed_s = 2 * patience.ready_s if seen.is_learning else patience.ready_s
    if now - life.since > allowed_s:
        reason = f"not ready within {allowed_s:g} s: {seen.reason}"
        return _sick(life, Cause.START, reason, now, patience)
    return life, None


def _ready(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    if not seen.is_alive:
        return _sick(life, Cause.DIED, seen.reason, now, patience)
    if seen.verdict is Verdict.RIGHT:
        num_in_vain = 0 if _is_stable(life, now, patience) else life.num_in_vain
        return replace(life, last_right=now, doubts=0, num_in_vain=num_in_vain), None
    if seen.verdict is Verdict.WRONG:
        return _sick(life, Cause.WRONG, seen.reason, now, patience)
    if seen.verdict is Verdict.FAILED:
        life = replace(life, doubts=life.doubts + 1)
        is_sick = life.doubts >= _DOUBTS
        return _sick(life, Cause.FAILED, seen.reason, now, patience) if is_sick else (life, None)
    is_patient = seen.is_busy and now - max(life.last_right, seen.moved) < patience.busy_s
    if seen.verdict is Verdict.SILENT and not is_patient:
        return _sick(life, Cause.SILENT, seen.reason, now, patience)
    return life, None


def _draining(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    if seen.is_alive and now < life.due:
        return life, None
    return _end(life, now, patience)


def _ending(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    if not seen.is_gone:
        again = replace(life, due=now + patience.kill_s)
        return (again, Action.KILL) if now >= life.due else (life, None)
    phase = Phase.WAITING if life.is_wanted else Phase.STOPPED
    return replace(life, phase=phase, since=now, due=life.resume), Action.CLEAR


def _stopped(life: Life, seen: Seen, now: float, patience: Patience) -> Step:
    return life, None


def _sick(life: Life, cause: Cause, reason: str, now: float, patience: Patience) -> Step:
    failures = life.recent_failures(now, patience)
    was_stable = _is_stable(life, now, patience)
    if not was_stable:
        failures = (*failures, now)
    num_in_vain = 0 if was_stable else life.num_in_vain + 1
    pause_s = 0.0 if was_stable else patience.backoff_s(max(len(failures), num_in_vain))
    ends = (*life.recent_ends(now, patience), now)
    life = replace(
        life, failures=failures, ends=ends, num_in_vain=num_in_vain, resume=now + pause_s
    )
    return _end(replace(life, cause=cause, reason=reason), now, patience)


def _is_stable(life: Life, now: float, patience: Patience) -> bool:
    return life.phase is Phase.READY and now - life.since >= patience.stable_s


_STEPS: dict[Phase, Callable[[Life, Seen, float, Patience], Step]] = {
    Phase.WAITING: _waiting,
    Phase.STARTING: _starting,
    Phase.READY: _ready,
    Phase.DRAINING: _draining,
    Phase.ENDING: _ending,
    Phase.STOPPED: _stopped,
}
