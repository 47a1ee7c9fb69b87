"""Owns the order of a search: read, open the study, try out, show."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

from serve.errors import TaggingError
from serve.files import write_durably
from train.config import TrainConfig, state_path
from train.corpus.data import Corpus, read_corpus
from train.flags.clash import clash
from train.loop.processes import check_one_process
from train.loop.state import Epoch, clear, holding
from train.model.base import find_base
from train.pipeline import fit_corpus
from train.record import settings_json, start_digest
from train.search.config import SearchConfig
from train.search.plot import plot
from train.search.space import Space, Value, read_space, space_json
from train.search.study import Report, opened, search
from train.search.trials import Outcome, outcome
from train.trained.lines import warn_of_known_lines

TABLE, PICTURE = "trials.json", "importance.png"
_NEVER_S = math.inf  # a trial that is cut short begins again; its state would only cost time


def run_search(config: SearchConfig) -> Outcome:
    """Search, or go on, and write the trials and the picture beside the study.

    Raises:
        DataError: If a data file or the space is not as expected.
        CheckpointError: If the base model or the study cannot be used.
        TaggingError: If this is one of several processes, or every trial failed.
    """
    check_one_process("a search's trials are small")
    space = read_space(config.space)
    corpus = replace(read_corpus(config.training), test=None)
    warn_of_known_lines(find_base(config.training.model).folder, corpus)
    training = replace(
        config.training, output=config.search / "trial", resume=False, save_every_s=_NEVER_S
    )

    def try_out(settings: dict[str, Value], report: Report) -> float:
        tried = replace(training, **settings)  # type: ignore[arg-type]
        if message := clash(tried):
            raise TaggingError(message)
        return _best_f1(tried, corpus, report)

    run = _fingerprint(training, corpus, space)
    with opened(config.search, run, config.training.seed) as study:
        with holding(training.output):
            try:
                search(study, space, config.trials, try_out)
            finally:
                clear(state_path(training.output))
        found = outcome(study, space)
        if found.best is None and found.trials:
            first = next((trial.error for trial in found.trials if trial.error), "all pruned")
            raise TaggingError(
                f"expected a trial that ends, got none of {len(found.trials)}: {first}; "
                "choose another --space, and another --search folder for it"
            )
        write_durably(config.search / TABLE, (json.dumps(asdict(found), indent=2) + "\n").encode())
        plot(found, config.search / PICTURE)
    return found


def _best_f1(config: TrainConfig, corpus: Corpus, report: Report) -> float:
    best = 0.0

    def on_epoch(epoch: Epoch, share: float) -> None:
        nonlocal best
        best = max(best, epoch.score)
        report(share, epoch.score)

    fit_corpus(config, corpus, on_epoch=on_epoch)
    return best


def _fingerprint(config: TrainConfig, corpus: Corpus, space: Space) -> str:
    """Return what identifies a study: all that a trial's result depends on but what is searched."""
    settings = {k: v for k, v in settings_json(config).items() if k not in space}
    return start_digest([settings, space_json(space)], corpus, find_base(config.model))
