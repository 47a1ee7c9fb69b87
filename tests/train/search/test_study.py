import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import event
from sqlalchemy.engine import Engine

from serve.errors import CheckpointError, DataError, TaggingError
from serve.files import locked
from train.config import Decoder
from train.search.space import Choice, Range
from train.search.study import STUDY, Report, num_ended, opened, search
from train.search.trials import Outcome, flags, format_outcome, outcome

SPACE = {"learning_rate": Range(1e-4, 1e-2, log=True), "batch_size": Choice((8, 16))}


class Trainer:
    """Trials whose dev F1 depends on the settings by a formula; it is best at 1e-3."""

    def __init__(
        self, *, fails_after: int | None = None, error: BaseException | None = None
    ) -> None:
        self.tried: list[dict[str, object]] = []
        self._fails_after = fails_after
        self._error = error

    def __call__(self, settings: dict[str, object], report: Report) -> float:
        self.tried.append(settings)
        if self._error and len(self.tried) > (self._fails_after or 0):
            report(1 / 3, 0.1)
            raise self._error
        rate = settings["learning_rate"]
        assert isinstance(rate, float)
        best = 0.9 - abs(rate - 1e-3) * 50
        for epoch in (1, 2, 3):
            report(epoch / 3, best * epoch / 3)
        return best


def run(folder: Path, num_trials: int, trainer: Trainer, run_id: str = "this run") -> Outcome:
    with opened(folder, run_id, seed=1) as study:
        search(study, SPACE, num_trials, trainer)
        return outcome(study, SPACE)


def test_a_study_finds_what_is_best_and_says_what_mattered(tmp_path: Path) -> None:
    found = run(tmp_path, 16, Trainer())
    assert len(found.trials) == 16
    assert found.best is not None
    assert found.best.settings["learning_rate"] == pytest.approx(1e-3, rel=0.7)
    assert found.importance["learning_rate"] > 0.8
    assert list(found.importance) == ["learning_rate", "batch_size"]


def test_a_trial_that_falls_behind_is_pruned_with_what_it_reached(tmp_path: Path) -> None:
    found = run(tmp_path, 12, Trainer())
    pruned = [trial for trial in found.trials if trial.outcome == "pruned"]
    assert pruned
    assert all(trial.best_f1 is None and 1 <= len(trial.dev_f1) < 3 for trial in pruned)
    ended = [trial.best_f1 for trial in found.trials if trial.outcome == "ended"]
    assert max(f1 for t in pruned for f1 in t.dev_f1) < max(filter(None, ended))


@pytest.mark.parametrize("name", ["what?", "a%20b", "x{y}", "a b"])
def test_a_study_lies_in_the_folder_that_was_named(tmp_path: Path, name: str) -> None:
    run(tmp_path / name, 1, Trainer())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "study.db").stat().st_size


def test_a_trial_that_is_through_is_not_pruned(tmp_path: Path) -> None:
    f1s = iter([0.5, 0.6, 0.7, 0.8, 0.9, 0.5, 0.1])

    def try_out(_: dict[str, object], report: Report) -> float:
        report(1.0, f1 := next(f1s))  # of one epoch
        return f1

    with opened(tmp_path, "this run", seed=1) as study:
        search(study, SPACE, 7, try_out)
        found = outcome(study, SPACE)
    assert [trial.best_f1 for trial in found.trials] == [0.5, 0.6, 0.7, 0.8, 0.9, 0.5, 0.1]


def test_a_run_of_more_epochs_is_compared_by_how_far_it_is(tmp_path: Path) -> None:
    """Eight epochs of large batches rise more slowly than four of small ones, as far in the end."""
    epochs_of = {"batch_size": Choice((4, 8))}
    runs = iter([4] * 6 + [8])

    def try_out(_: dict[str, object], report: Report) -> float:
        num_epochs = next(runs)
        for epoch in range(1, num_epochs + 1):
            report(epoch / num_epochs, 0.8 * epoch / num_epochs)
        return 0.8

    with opened(tmp_path, "this run", seed=1) as study:
        search(study, epochs_of, 7, try_out)
        found = outcome(study, epochs_of)
    assert [trial.outcome for trial in found.trials] == ["ended"] * 7
    assert found.trials[-1].dev_f1 == pytest.approx([0.1 * epoch for epoch in range(1, 9)])


def test_a_study_goes_on_where_it_was_without_repeating_itself(tmp_path: Path) -> None:
    first, then = Trainer(), Trainer()
    run(tmp_path, 3, first)
    assert len(run(tmp_path, 5, then).trials) == 5
    assert (len(first.tried), len(then.tried)) == (3, 2)
    rates = [settings["learning_rate"] for settings in first.tried + then.tried]
    assert len(set(rates)) == 5
    assert len(run(tmp_path, 5, Trainer(error=AssertionError())).trials) == 5  # nothing left to do


def test_the_same_seed_tries_the_same_settings(tmp_path: Path) -> None:
    trainers = [Trainer(), Trainer()]
    for number, trainer in enumerate(trainers):
        run(tmp_path / str(number), 4, trainer)
    assert trainers[0].tried == trainers[1].tried


def test_a_study_of_the_largest_seed_is_gone_on_with(tmp_path: Path) -> None:
    for num in (1, 2):
        with opened(tmp_path, "this run", seed=2**32 - 1) as study:
            search(study, SPACE, num, lambda *_: 0.5)
            assert num_ended(study) == num


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("x"), CheckpointError("x")])
def test_a_trial_that_is_cut_short_begins_again(tmp_path: Path, error: BaseException) -> None:
    broken, then = Trainer(fails_after=2, error=error), Trainer()
    with pytest.raises(type(error)):
        run(tmp_path, 5, broken)
    assert len(run(tmp_path, 5, then).trials) == 5
    assert then.tried[0] == broken.tried[-1]


def test_a_trial_whose_process_was_killed_begins_again(tmp_path: Path) -> None:
    with opened(tmp_path, "this run", seed=1) as study:
        trial = study.ask()
        lost = {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)}
        lost["batch_size"] = trial.suggest_categorical("batch_size", (8, 16))
    trainer = Trainer()
    assert len(run(tmp_path, 2, trainer).trials) == 2
    assert trainer.tried[0] == lost


def test_a_choice_begins_again_as_the_setting_takes_it(tmp_path: Path) -> None:
    space = {"decoder": Choice((Decoder.CRF,))}
    tried: list[object] = []

    def try_out(settings: dict[str, object], report: Report) -> float:
        tried.append(settings["decoder"])
        if len(tried) == 1:
            raise KeyboardInterrupt
        return 0.5

    with opened(tmp_path, "this run", seed=1) as study:
        with pytest.raises(KeyboardInterrupt):
            search(study, space, 1, try_out)
        search(study, space, 1, try_out)
    assert tried[0] is tried[1] is Decoder.CRF


def test_a_trial_that_fails_by_itself_counts_and_says_why(tmp_path: Path) -> None:
    found = run(tmp_path, 4, Trainer(fails_after=2, error=TaggingError("loss nan")))
    assert [trial.outcome for trial in found.trials] == ["ended", "ended", "failed", "failed"]
    assert found.trials[3].error == "loss nan"
    assert found.trials[3].best_f1 is None


def test_another_runs_study_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 1, Trainer())
    with pytest.raises(CheckpointError, match=r"a study of the same data, .*got another's; choose"):
        run(tmp_path, 1, Trainer(), run_id="another run")


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_file_that_is_no_study_is_refused_or_begun(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STUDY).write_bytes(content)
    if content:
        with pytest.raises(CheckpointError, match=r"study\.db: expected a study, got"):
            run(tmp_path, 1, Trainer())
        assert (tmp_path / STUDY).read_bytes() == content
    else:  # what SQLite itself leaves when it is interrupted at once
        assert len(run(tmp_path, 1, Trainer()).trials) == 1


def test_a_study_that_can_no_longer_be_written_is_told_and_goes_on_later(tmp_path: Path) -> None:
    """SQLite itself refuses more pages than it may have as it does on a full disk."""
    message = r"study\.db: expected to read and write the study, got .*full; make room there, or .*"
    run(tmp_path, 1, Trainer())
    size_bytes = (tmp_path / STUDY).stat().st_size

    def fill(connection: sqlite3.Connection, _: object) -> None:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {size_bytes // page_bytes + 1}")

    event.listen(Engine, "connect", fill)
    try:
        with pytest.raises(CheckpointError, match=message):
            run(tmp_path, 500, Trainer())
    finally:
        event.remove(Engine, "connect", fill)
    num_before = len(run(tmp_path, 1, Trainer()).trials)
    assert len(run(tmp_path, num_before + 1, Trainer()).trials) == num_before + 1


@pytest.mark.parametrize("step", ["ask", "tell"])
def test_whatever_step_the_disk_fails_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageInternalError("commit") from OSError("disk I/O error")

    monkeypatch.setattr(optuna.Study, step, fail)
    with pytest.raises(CheckpointError, match=r"write the study, got disk I/O error; make room"):
        run(tmp_path, 1, Trainer())


def test_a_second_search_in_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    message = "expected no other run there, got one at work; wait for its end, or choose another -"
    with locked(tmp_path), pytest.raises(CheckpointError, match=message):
        run(tmp_path, 1, Trainer())
    assert list(tmp_path.iterdir()) == []


def test_the_table_has_the_best_first_and_names_flags_and_space(tmp_path: Path) -> None:
    found = run(tmp_path, 6, Trainer())
    assert found.best
    lines = format_outcome(found).splitlines()
    assert lines[0].split() == ["trial", "dev", "F1", "epochs", "s", "outcome", *SPACE][
        :6
    ] + sorted(SPACE)
    assert lines[1].split()[:2] == [str(found.best.number), f"{found.best.best_f1:.4f}"]
    assert "searched: batch_size 8, 16; learning_rate 0.0001 to 0.01 by factors" in lines
    assert lines[-1] == "best: " + flags(found.best.settings)


def test_settings_are_shown_as_flags() -> None:
    settings = {"label_all_tokens": True, "batch_size": 8, "checkpoint_gradients": False}
    assert flags(settings) == "--batch-size 8 --label-all-tokens"
    assert flags({"learning_rate": 3e-4}) == "--learning-rate 0.0003"


def test_flags_are_the_very_numbers_that_were_tried() -> None:
    share = 0.1 + 0.2
    _, value = flags({"label_smoothing": share}).split()
    assert float(value) == share


def test_few_trials_tell_nothing_of_what_mattered(tmp_path: Path) -> None:
    found = run(tmp_path, 2, Trainer())
    assert found.importance == {}
    assert "too few trials to tell" in format_outcome(found)


def importance_of(settings: list[tuple[float, int]], f1s: list[float]) -> dict[str, float]:
    study = optuna.create_study(direction="maximize")
    for (rate, size), f1 in zip(settings, f1s, strict=True):
        study.enqueue_trial({"learning_rate": rate, "batch_size": size})
        search(study, SPACE, num_ended(study) + 1, lambda *_, f1=f1: f1)
    return outcome(study, SPACE).importance


def test_what_mattered_is_told_from_every_trial_not_the_best_alone() -> None:
    settings = [(rate, size) for size in (8, 16) for rate in (1e-4, 3e-3, 6e-3, 1e-2)]
    by_size = importance_of(settings, [0.1, 0.2, 0.1, 0.2, 0.8, 0.7, 0.8, 0.9])
    assert by_size["batch_size"] > 0.6
    assert sum(by_size.values()) <= 1
    assert importance_of(settings, [0.1, 0.2, 0.1, 0.2, 0.8, 0.7, 0.8, 0.9]) == by_size
    by_rate = importance_of(settings, [0.1, 0.2, 0.7, 0.8, 0.2, 0.1, 0.8, 0.9])
    assert by_rate["learning_rate"] > 0.6


def test_equal_settings_tell_nothing_of_what_mattered() -> None:
    assert importance_of([(1e-3, 8)] * 4, [0.1, 0.2, 0.3, 0.4]) == {}


def test_pruned_and_cut_short_trials_are_told_apart(tmp_path: Path) -> None:
    with opened(tmp_path, "this run", seed=1) as study:
        study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
        study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
        assert num_ended(study) == 1
