"""Owns the study: trials asked for and told one after the other, kept in an SQLite file.

The sampler is TPE, the pruner stops a trial whose best dev F1 so far is below the median of the
others' at the same quarter of the run; both are Optuna's. The study may be interrupted at any
moment and gone on with: a trial that was cut short is begun again with the same settings. A study
belongs to its data, fixed settings and space; another's is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from serve.errors import CheckpointError, DataError, TaggingError, first_line
from train.loop.alone import alone_in
from train.search.space import Range, Space, Value

STUDY, NAME = "study.db", "linetag"
NUM_STARTUP_TRIALS = 5
"""Trials before the sampler learns from them and the pruner compares with them."""
NUM_MARKS = 4
"""Parts of a run after which trials are compared."""
DEV_F1, ERROR, RUN = "dev_f1", "error", "run"
"""Names of what is kept beside trials and study."""

Report = Callable[[float, float], None]
"""Takes the share of the run that is done, in (0, 1], and the dev F1 of the epoch that ended."""
TryOut = Callable[[dict[str, Value], Report], float]
"""Trains with some settings, reports after each epoch, returns the best dev F1."""

logger = logging.getLogger(__name__)


@contextmanager
def opened(folder: Path, run: str, seed: int) -> Iterator[optuna.Study]:
    """Open the study of a folder, or begin one; nobody else can meanwhile.

    Args:
        folder: Where its file lies; made if need be.
        run: Identifies data, fixed settings and space.
        seed: Of the sampler.

    Raises:
        CheckpointError: If the file is no study, or one of another run, or cannot be read or
            written, at whatever moment; or if somebody else searches there.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / STUDY
    with alone_in(folder, "--search"), _told(path):
        try:
            study = optuna.create_study(
                study_name=NAME,
                storage=_url(path),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=NUM_STARTUP_TRIALS),
                direction="maximize",
                load_if_exists=True,
            )
        except (SQLAlchemyError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: expected a study, got {first_line(error)}; choose another --search folder"
            ) from error
        if study.user_attrs.setdefault(RUN, run) != run:
            raise CheckpointError(
                f"{path}: expected a study of the same data, settings and space, got another's; "
                "choose another --search folder"
            )
        study.set_user_attr(RUN, run)
        # Another seed each time it is gone on with, or the same settings would be drawn again.
        study.sampler = optuna.samplers.TPESampler(
            seed=(seed + len(study.trials)) % 2**32, n_startup_trials=NUM_STARTUP_TRIALS
        )
        _begin_again(study)
        yield study


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell in words of a study that cannot be read or written in the block."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise CheckpointError(
            f"{path}: expected to read and write the study, got {first_line(reason)}; make room "
            "there, or have its owner let you, and search again: it goes on"
        ) from error


def _url(path: Path) -> str:
    """Return the URL of a database, in which ? and % mean something.

    SQLAlchemy takes quotes back from 2.1 on only.
    """
    quoted = f"sqlite:///{quote(str(path))}"
    return quoted if make_url(quoted).database == str(path) else f"sqlite:///{path}"


def search(study: optuna.Study, space: Space, num_trials: int, try_out: TryOut) -> None:
    """Go on with a study until it has so many trials that ended, pruned and failed ones too.

    Raises:
        TaggingError: If data, base model or disk fail a trial; settings that do not go together or
            with the model, a loss that is no longer finite, and too little memory are the trial's
            own.
    """
    while (number := num_ended(study)) < num_trials:
        trial = study.ask()
        settings = {name: _suggest(trial, name, space) for name in space}
        try:
            f1 = try_out(settings, _reporter(trial))
            study.tell(trial, f1)
            outcome = f"dev F1 {f1:.4f}"
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
            outcome = "pruned"
        except (CheckpointError, DataError):
            _cut_short(study, trial)
            raise
        except TaggingError as error:
            trial.set_user_attr(ERROR, str(error))
            study.tell(trial, state=TrialState.FAIL)
            outcome = f"failed: {error}"
        except BaseException:
            _cut_short(study, trial)
            raise
        ended = f"{number + 1} of {num_trials} ended"
        logger.info("trial %d (%s): %s; %s", trial.number, ended, outcome, settings)


def num_ended(study: optuna.Study) -> int:
    """Return how many trials ended, those cut short aside."""
    return sum(map(is_ended, study.trials))


def is_ended(trial: optuna.trial.FrozenTrial) -> bool:
    """Tell whether a trial said something of its settings: ended, pruned, or failed by itself."""
    by_itself = trial.state is TrialState.FAIL and ERROR in trial.user_attrs
    return by_itself or trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _suggest(trial: Trial, name: str, space: Space) -> Value:
    dimension = space[name]
    if not isinstance(dimension, Range):
        value = trial.suggest_categorical(name, dimension.values)
        # A trial that begins again has its values from JSON: a plain string for one of an enum.
        return dimension.values[dimension.values.index(value)]
    low, high, log, step = dimension.low, dimension.high, dimension.log, dimension.step
    if dimension.whole:
        return trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log)
    return trial.suggest_float(name, low, high, step=step, log=log)


def _reporter(trial: Trial) -> Report:
    """Return what tells the study how far a trial is, and ends one that is not worth going on with.

    Trials are compared by the share of their runs, not by epochs: with larger batches an epoch has
    fewer steps, and a run more epochs.
    """
    scores: list[float] = []
    marked = 0

    def report(share: float, f1: float) -> None:
        nonlocal marked
        scores.append(f1)
        trial.set_user_attr(DEV_F1, scores)
        if (mark := int(share * NUM_MARKS)) > marked:
            marked = mark
            trial.report(max(scores), mark)
            if share < 1 and trial.should_prune():  # one that is through has its figure
                raise optuna.TrialPruned

    return report


def _begin_again(study: optuna.Study) -> None:
    """End trials whose process died, and put their settings first in the queue."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _cut_short(study: optuna.Study, trial: Trial) -> None:
    study.tell(trial, state=TrialState.FAIL)
    study.enqueue_trial(trial.params)
