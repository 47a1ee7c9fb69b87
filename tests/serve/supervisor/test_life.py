"""Tests what becomes of a replica, without a process and with a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serve.supervisor.life import Action, Cause, Life, Phase, Seen, Verdict, restart, step, stop
from serve.supervisor.patience import Patience

PATIENCE = Patience()
ALIVE, DEAD, GONE = Seen(True), Seen(False, reason="killed"), Seen(False, is_gone=True)
RIGHT = Seen(True, verdict=Verdict.RIGHT)
FAILED = Seen(True, verdict=Verdict.FAILED, reason="INTERNAL")
WRONG = Seen(True, verdict=Verdict.WRONG, reason="another answer")
SILENT = Seen(True, verdict=Verdict.SILENT, reason="DEADLINE_EXCEEDED")
BUSY = Seen(True, verdict=Verdict.SILENT, is_busy=True, reason="DEADLINE_EXCEEDED")


class Story:
    """A replica's life as it is told: what is seen at which time, and what is done."""

    def __init__(self, life: Life = Life()) -> None:  # noqa: B008  frozen
        self.life = life
        self.actions: list[Action] = []

    def see(self, seen: Seen, at: float) -> Phase:
        self.life, action = step(self.life, seen, at, PATIENCE)
        self.actions += [action] if action else []
        return self.life.phase


def ready(at: float = 0.0) -> Story:
    return Story(Life(phase=Phase.READY, since=at, last_right=at, num_starts=1))


def test_a_replica_is_launched_and_ready_with_the_first_right_answer() -> None:
    story = Story()
    assert story.see(DEAD, at=0.0) is Phase.STARTING
    assert story.see(ALIVE, at=0.1) is Phase.STARTING
    assert story.see(FAILED, at=0.2) is Phase.STARTING, "it may not listen yet"
    assert story.see(RIGHT, at=1.0) is Phase.READY
    assert story.actions == [Action.LAUNCH]
    assert (story.life.since, story.life.num_starts) == (1.0, 1)


@pytest.mark.parametrize(
    ("seen", "cause"), [(DEAD, Cause.START), (WRONG, Cause.WRONG)], ids=["died", "wrong"]
)
def test_a_start_that_fails_is_killed_and_counts(seen: Seen, cause: Cause) -> None:
    story = Story()
    story.see(DEAD, at=0.0)
    assert story.see(seen, at=1.0) is Phase.ENDING
    assert story.actions == [Action.LAUNCH, Action.KILL]
    assert (story.life.failures, story.life.cause) == ((1.0,), cause)
    assert story.life.reason == seen.reason


def test_a_start_that_takes_too_long_fails() -> None:
    story = Story()
    story.see(DEAD, at=0.0)
    assert story.see(ALIVE, at=PATIENCE.ready_s) is Phase.STARTING
    assert story.see(Seen(True, reason="loading"), at=PATIENCE.ready_s + 0.1) is Phase.ENDING
    assert story.life.reason == "not ready within 60 s: loading"


def test_a_start_may_take_as_long_again_while_what_is_right_is_worked_out() -> None:
    learning, story = Seen(True, is_learning=True), Story()
    story.see(DEAD, at=0.0)
    assert story.see(learning, at=2 * PATIENCE.ready_s) is Phase.STARTING
    assert story.see(learning, at=2 * PATIENCE.ready_s + 0.1) is Phase.ENDING
    assert story.life.reason == "not ready within 120 s: "


@pytest.mark.parametrize(
    ("seen", "cause"),
    [(DEAD, Cause.DIED), (WRONG, Cause.WRONG), (SILENT, Cause.SILENT)],
    ids=["died", "wrong", "silent"],
)
def test_a_sick_replica_is_killed_at_once(seen: Seen, cause: Cause) -> None:
    story = ready()
    assert story.see(seen, at=50.0) is Phase.ENDING
    assert story.actions == [Action.KILL]
    assert story.life.cause is cause


def test_one_failure_is_a_doubt_and_the_second_in_a_row_is_proof() -> None:
    story = ready()
    assert story.see(FAILED, at=50.0) is Phase.READY
    assert story.see(RIGHT, at=50.1) is Phase.READY
    assert story.see(FAILED, at=51.0) is Phase.READY, "not in a row"
    assert story.see(FAILED, at=51.1) is Phase.ENDING
    assert story.life.cause is Cause.FAILED


def test_a_silent_replica_that_computes_is_left_alone_for_a_while() -> None:
    story = ready()
    story.see(RIGHT, at=50.0)
    assert story.see(BUSY, at=51.0) is Phase.READY
    assert story.see(BUSY, at=50.0 + PATIENCE.busy_s - 0.1) is Phase.READY
    assert story.see(BUSY, at=50.0 + PATIENCE.busy_s) is Phase.ENDING
    story = ready()
    story.see(RIGHT, at=50.0)
    story.see(BUSY, at=51.0)
    story.see(RIGHT, at=59.0)
    assert story.see(BUSY, at=61.0) is Phase.READY, "an answer begins the wait anew"


def test_a_silent_replica_whose_work_moves_on_is_left_alone_for_as_long_as_it_does() -> None:
    story = ready()
    for at in range(1, 100):
        assert story.see(replace(BUSY, moved=at - 5.0), at=float(at)) is Phase.READY
    stuck = replace(BUSY, moved=94.0)
    assert story.see(stuck, at=94.0 + PATIENCE.busy_s - 0.1) is Phase.READY
    assert story.see(stuck, at=94.0 + PATIENCE.busy_s) is Phase.ENDING
    story = ready()
    asleep = replace(SILENT, moved=50.0)
    assert story.see(asleep, at=50.1) is Phase.ENDING, "what moved and computes no more is sick"


def test_a_sick_replica_is_out_within_two_seconds_by_the_settings() -> None:
    assert PATIENCE.canary_interval_s + PATIENCE.canary_timeout_s + 0.2 <= 2.0


def test_remains_are_cleared_when_all_processes_are_gone_and_killed_again_before() -> None:
    story = ready()
    story.see(DEAD, at=50.0)
    assert story.see(Seen(False), at=50.1) is Phase.ENDING
    assert story.see(Seen(False), at=50.0 + PATIENCE.kill_s) is Phase.ENDING
    assert story.see(Seen(False), at=50.1 + PATIENCE.kill_s) is Phase.ENDING
    assert story.actions == [Action.KILL, Action.KILL], "again after the time, not each time"
    assert story.see(GONE, at=52.0) is Phase.WAITING
    assert story.actions[2:] == [Action.CLEAR]


def test_what_was_stable_starts_again_at_once_and_counts_no_failure() -> None:
    story = ready()
    story.see(DEAD, at=PATIENCE.stable_s)
    story.see(GONE, at=PATIENCE.stable_s)
    assert story.see(DEAD, at=PATIENCE.stable_s) is Phase.STARTING
    assert story.life.failures == ()


def test_a_replica_that_dies_some_seconds_after_each_start_is_known_for_it() -> None:
    story, now = Story(), 0.0
    for _ in range(8):
        while story.see(GONE, at=now) is not Phase.STARTING:
            now += 0.1
        story.see(RIGHT, at=now + 1.5)
        now += 5.5  # four seconds of answers
        story.see(DEAD, at=now)
    assert story.life.failures == ()
    assert len(story.life.recent_ends(now, PATIENCE)) == 8
    assert len(story.life.recent_ends(now + PATIENCE.window_s - 0.1, PATIENCE)) == 1
    assert story.life.recent_ends(now + PATIENCE.window_s + 0.1, PATIENCE) == ()


def test_what_fails_again_and_again_is_tried_more_and_more_rarely() -> None:
    story, now, ended, pauses = Story(), 0.0, 0.0, []
    for _ in range(9):
        while story.see(DEAD, at=now) is not Phase.STARTING:
            now += 0.25
        pauses.append(now - ended)
        story.see(DEAD, at=now)
        ended = now
        story.see(GONE, at=now)
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert PATIENCE.backoff_s(5_000) == 30, "no power of two is too large for it"


def test_a_replica_that_was_ready_for_too_short_counts_as_failed() -> None:
    story = ready(at=10.0)
    story.see(DEAD, at=10.0 + PATIENCE.stable_s - 0.1)
    assert len(story.life.failures) == 1


def test_a_replica_is_exhausted_by_failures_within_the_window_only() -> None:
    few = tuple(float(at) for at in range(PATIENCE.max_failures - 1))
    waiting = Life(failures=(*few, 10.0))
    assert waiting.is_exhausted(11.0, PATIENCE)
    assert not Life(failures=few).is_exhausted(11.0, PATIENCE)
    assert not waiting.is_exhausted(PATIENCE.window_s, PATIENCE), "the first no longer counts"
    ready_now = Life(phase=Phase.READY, failures=waiting.failures)
    assert not ready_now.is_exhausted(11.0, PATIENCE)


def test_a_restart_on_purpose_drains_first_and_counts_no_failure() -> None:
    story = ready()
    story.life, action = restart(story.life, "asked to restart", 1.0, PATIENCE)
    assert (story.life.phase, action) == (Phase.DRAINING, Action.DRAIN)
    assert story.see(ALIVE, at=2.0) is Phase.DRAINING
    assert story.see(SILENT, at=2.5) is Phase.DRAINING, "nobody asks it any more"
    assert story.see(DEAD, at=3.0) is Phase.ENDING
    story.see(GONE, at=3.1)
    assert story.see(DEAD, at=3.1) is Phase.STARTING
    assert (story.life.failures, story.life.ends) == ((), ())
    assert (story.life.cause, story.life.reason) == (Cause.ASKED, "asked to restart")
    assert story.actions == [Action.KILL, Action.CLEAR, Action.LAUNCH]


def test_a_drain_that_takes_too_long_ends_in_a_kill() -> None:
    story = ready()
    story.life, _ = restart(story.life, "", 1.0, PATIENCE)
    assert story.see(ALIVE, at=1.0 + PATIENCE.drain_s) is Phase.ENDING
    assert story.actions == [Action.KILL]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.READY])
def test_only_a_ready_replica_is_restarted_on_purpose(phase: Phase) -> None:
    life = Life(phase=phase)
    assert restart(life, "", 1.0, PATIENCE) == (life, None)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_replica_that_is_to_stop_stops_from_wherever_it_is(phase: Phase) -> None:
    story = Story(Life(phase=phase, due=100.0))
    for look in range(4):
        story.life, action = stop(story.life, 0.1 * look, PATIENCE)
        story.actions += [action] if action else []
        story.see(GONE, at=0.1 * look)
    assert story.life.phase is Phase.STOPPED
    assert Action.LAUNCH not in story.actions
    assert (Action.DRAIN in story.actions) == (phase is Phase.READY)
    assert (Action.CLEAR in story.actions) == (phase not in (Phase.WAITING, Phase.STOPPED))


def test_a_replica_is_drained_once_however_often_it_is_asked_to_stop() -> None:
    story = ready()
    for at in (1.0, 1.1, 1.2):
        story.life, action = stop(story.life, at, PATIENCE)
        story.actions += [action] if action else []
        story.see(ALIVE, at=at)
    assert story.actions == [Action.DRAIN]
    assert story.life.due == 1.0 + PATIENCE.drain_s


def test_starts_that_hang_are_given_up_although_each_takes_longer_than_failures_count() -> None:
    story, at = Story(), 0.0
    while not story.life.is_exhausted(at, PATIENCE):
        assert story.actions.count(Action.LAUNCH) <= PATIENCE.max_failures
        hangs = story.life.phase is Phase.STARTING
        story.see(Seen(is_alive=hangs, is_gone=not hangs, reason="hangs"), at)
        at += 0.5
    assert story.actions.count(Action.LAUNCH) == PATIENCE.max_failures
    assert len(story.life.recent_failures(at, PATIENCE)) < PATIENCE.max_failures


def test_what_worked_for_a_while_is_not_given_up_for_what_was_before() -> None:
    life = Life(phase=Phase.READY, since=0.0, last_right=10.0, num_in_vain=4)
    story = Story(life)
    assert story.see(DEAD, at=10.0) is Phase.ENDING
    assert story.life.num_in_vain == 0
    story = Story(life)
    story.see(RIGHT, at=PATIENCE.stable_s - 0.1)
    assert story.life.num_in_vain == 4
    story.see(RIGHT, at=PATIENCE.stable_s)
    assert story.life.num_in_vain == 0, "whatever ends it then: a restart that is asked for, say"


def test_the_pause_after_starts_that_hang_grows_as_after_others() -> None:
    life = Life(phase=Phase.STARTING, num_in_vain=3)
    story = Story(life)
    story.see(DEAD, at=500.0)
    assert story.life.resume == 500.0 + PATIENCE.backoff_s(4)
