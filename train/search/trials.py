"""Owns what is shown of a study: the trials, the best settings, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from serve.display.columns import in_columns
from train.search.space import Space, Value, space_json
from train.search.study import DEV_F1, ERROR, is_ended

MIN_TRIALS = 4
"""Trials that ended with a figure, from which importances can be told at all."""
_NUM_TREES = 256
"""With so many, another seed moves a share by some 0.03; with Optuna's 64 by 0.1."""
_SEED = 24
_STATES = {TrialState.COMPLETE: "ended", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial.

    Attributes:
        number: In the study, from 0.
        outcome: `ended`, `pruned` or `failed`.
        settings: What it tried.
        dev_f1: By epoch, in order, each in [0, 1].
        best_f1: The highest of them, if it ended.
        training_s: Seconds it took; None where it is not known.
        error: Why it failed, or "".
    """

    number: int
    outcome: str
    settings: dict[str, Value]
    dev_f1: tuple[float, ...]
    best_f1: float | None
    training_s: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole study.

    Attributes:
        space: What was searched, as JSON.
        trials: The trials, in order.
        importance: Share of each setting by itself in the variance of dev F1 over the space, as a
            forest fitted to the trials that ended has it (fANOVA), in [0, 1], the largest first;
            what settings do together is the rest. Empty while too few trials ended, or none differ.
    """

    space: dict[str, dict[str, Any]]
    trials: tuple[TrialRow, ...]
    importance: dict[str, float]

    @property
    def best(self) -> TrialRow | None:
        """The trial of the highest dev F1, the first of equals; None if none ended."""
        ended = [trial for trial in self.trials if trial.best_f1 is not None]
        return max(ended, key=lambda trial: trial.best_f1 or 0.0, default=None)


def outcome(study: optuna.Study, space: Space) -> Outcome:
    """Return what a study found so far."""
    trials = tuple(_row(trial) for trial in study.trials if is_ended(trial))
    ended = [trial for trial in trials if trial.best_f1 is not None]
    figures = {trial.best_f1 for trial in ended}
    settings = {frozenset(trial.settings.items()) for trial in ended}
    enough = len(ended) >= MIN_TRIALS and len(figures) > 1 and len(settings) > 1
    return Outcome(space_json(space), trials, _importance(study) if enough else {})


def _importance(study: optuna.Study) -> dict[str, float]:
    """Return the settings' shares in the variance, the largest first.

    Not by `get_param_importances`: it takes another evaluator, of what sets the best tenth apart,
    which of ten trials is one, whatever the others' figures; and makes the shares sum up to 1.
    """
    evaluator = FanovaImportanceEvaluator(n_trees=_NUM_TREES, seed=_SEED)
    return {name: float(share) for name, share in evaluator.evaluate(study).items()}


def format_outcome(found: Outcome) -> str:
    """Return the trials as a table, best first; below it the best's flags, importances, space."""
    names = list(found.space)
    rows = [["trial", "dev F1", "epochs", "s", "outcome", *names]]
    order = sorted(found.trials, key=lambda t: (-(t.best_f1 or 0.0), t.number))
    for trial in order:
        f1 = "" if trial.best_f1 is None else f"{trial.best_f1:.4f}"
        seconds = "" if trial.training_s is None else f"{trial.training_s:.0f}"
        settings = [_shown(trial.settings.get(name, "")) for name in names]
        rows.append(
            [str(trial.number), f1, str(len(trial.dev_f1)), seconds, trial.outcome, *settings]
        )
    lines = in_columns(rows, flush_right_from=0)
    shares = ", ".join(f"{name} {share:.2f}" for name, share in found.importance.items())
    lines += ["", f"share in the variance of dev F1: {shares or 'too few trials to tell'}"]
    lines.append("searched: " + "; ".join(f"{n} {_span(d)}" for n, d in found.space.items()))
    if found.best:
        lines.append(f"best: {flags(found.best.settings)}")
    return "\n".join(lines)


def flags(settings: Mapping[str, Value]) -> str:
    """Return settings as flags of `python -m train`."""
    shown = {f"--{name.replace('_', '-')}": value for name, value in settings.items()}
    switches = [name for name, value in shown.items() if value is True]
    # In full: rounded, they would be another trial's.
    pairs = [f"{n} {v}" for n, v in shown.items() if not isinstance(v, bool)]
    return " ".join([*pairs, *switches])


def _span(dimension: Mapping[str, Any]) -> str:
    if "values" in dimension:
        return ", ".join(map(str, dimension["values"]))
    how = " by factors" if dimension["log"] else ""
    step = f" in steps of {dimension['step']}" if dimension["step"] else ""
    return f"{dimension['low']:g} to {dimension['high']:g}{how}{step}"


def _row(trial: FrozenTrial) -> TrialRow:
    return TrialRow(
        number=trial.number,
        outcome=_STATES[trial.state],
        settings=dict(trial.params),
        dev_f1=tuple(trial.user_attrs.get(DEV_F1, ())),
        best_f1=trial.value if trial.state is TrialState.COMPLETE else None,
        training_s=trial.duration.total_seconds() if trial.duration else None,
        error=trial.user_attrs.get(ERROR, ""),
    )


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
