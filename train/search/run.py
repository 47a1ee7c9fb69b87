"""Owns the order of a search: read, open the study, try out, show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace

from serve.errors import TaggingError
from serve.files import write_durably
from train.config import TrainConfig
from train.corpus.data import Corpus, read_corpus
from train.loop.state import Epoch, state_path
from train.pipeline import fit_corpus
from train.record import settings_json
from train.search.config import SearchConfig
from train.search.plot import plot
from train.search.space import Space, Value, read_space, space_json
from train.search.study import opened, search
from train.search.trials import Outcome, outcome

TABLE, PICTURE = "trials.json", "importance.png"
_NEVER_S = 1e9  # a trial that is cut short begins again; its state would only cost time


def run_search(config: SearchConfig) -> Outcome:
    """Search, or go on, and write the trials and the picture beside the study.

    Raises:
        DataError: If a data file or the space is not as expected.
        CheckpointError: If the base model or the study cannot be used.
        TaggingError: If every trial failed.
    """
    space = read_space(config.space)
    corpus = replace(read_corpus(config.training), test=None)
    training = replace(
        config.training, output=config.search / "trial", resume=False, save_every_s=_NEVER_S
    )

    def try_out(settings: dict[str, Value], report: Callable[[int, float], None]) -> float:
        return _best_f1(replace(training, **settings), corpus, report)  # type: ignore[arg-type]

    run = _fingerprint(training, corpus, space)
    with opened(config.search, run, config.training.seed) as study:
        try:
            search(study, space, config.trials, try_out)
        finally:
            state_path(training.output).unlink(missing_ok=True)
        found = outcome(study, space)
        if found.best is None and found.trials:
            first = next((trial.error for trial in found.trials if trial.error), "all pruned")
            raise TaggingError(f"expected a trial that ends, got none of {config.trials}: {first}")
        write_durably(config.search / TABLE, (json.dumps(asdict(found), indent=2) + "\n").encode())
        plot(found, config.search / PICTURE)
    return found


def _best_f1(config: TrainConfig, corpus: Corpus, report: Callable[[int, float], None]) -> float:
    best = 0.0

    def on_epoch(epoch: Epoch) -> None:
        nonlocal best
        best = max(best, epoch.score)
        report(epoch.number, epoch.score)

    fit_corpus(config, corpus, on_epoch=on_epoch)
    return best


def _fingerprint(config: TrainConfig, corpus: Corpus, space: Space) -> str:
    """Return what identifies a study: all that a trial's result depends on but what is searched."""
    settings = {k: v for k, v in settings_json(config).items() if k not in space}
    digest = hashlib.sha256(json.dumps([settings, space_json(space)], sort_keys=True).encode())
    digest.update(repr((corpus.train.examples, corpus.dev.examples)).encode())
    return digest.hexdigest()
