"""Owns the order of a training run: read, fit, evaluate, write.

`run` may be called many times in one process, one call after the other.
"""

from __future__ import annotations

import logging
import time

import torch

from serve.errors import DataError
from serve.tagger import Tagger
from train.base import find_base
from train.borders import warn_of_lost_spans
from train.checkpoint import Checkpoint, check_output, write_checkpoint
from train.collate import label_windows
from train.config import TrainConfig
from train.data import Corpus, read_corpus
from train.device import number_format, out_of_memory_told
from train.evaluate import Evaluation, TorchBackend, evaluate
from train.fit import Fit, best_epoch
from train.learner import Learner
from train.method import merged, prepare
from train.objective import Objective, make_objective
from train.processes import Processes
from train.progress import OnEpoch, Progress
from train.record import Cost, fingerprint, peak_memory_bytes, run_record
from train.report import evaluation_json
from train.state import Epoch
from train.tagging import tagging_plan, tagging_task

logger = logging.getLogger(__name__)


@out_of_memory_told()
def run(
    config: TrainConfig, *, on_epoch: OnEpoch | None = None, objective: Objective | None = None
) -> dict[str, Evaluation]:
    """Train, evaluate and write a checkpoint.

    Args:
        config: The settings.
        on_epoch: Called after each epoch; what it raises ends the run, and nothing is written.
        objective: Trained for instead of the one that the settings ask for.

    Returns:
        The evaluation on dev, and on test where there is one; none in a process beside the first.

    Raises:
        DataError: If a data file is not as expected.
        CheckpointError: If the base model cannot be used or the output not be written.
        TaggingError: If the device's memory is too small, or the loss no longer finite.
    """
    check_output(config.output)
    corpus = read_corpus(config)
    base = find_base(config.model)
    encoder = base.encoder()
    windows = label_windows(
        corpus.train.examples, encoder, corpus.tags, label_all_tokens=config.label_all_tokens
    )
    if not windows:
        raise DataError(f"{corpus.train.path}: expected lines with words, got none")
    torch.manual_seed(config.seed)  # the new head's weights
    model = base.load_model(corpus.tags)
    plan = tagging_plan(config, len(windows), fingerprint(config, corpus, model))
    objective = objective or make_objective(config, corpus.tags, windows)
    learner = Learner(prepare(model, config), objective)
    processes = Processes()
    learner.to(processes.device)
    _say(config, corpus, processes)
    for split in filter(None, (corpus.train, corpus.dev, corpus.test)):
        warn_of_lost_spans(split, encoder)
    progress = Progress(
        "dev F1", events=config.tensorboard, on_epoch=on_epoch, is_shown=processes.is_first
    )
    task = tagging_task(config, corpus, windows, encoder, learner)
    started = time.monotonic()
    history = Fit(task, plan, processes, progress).run()
    cost = _cost(config, processes, time.monotonic() - started)
    if not processes.is_first:
        return {}
    _warn_of_nothing_found(history)
    model = merged(learner.model)
    decoding = objective.decoding()
    tagger = Tagger(encoder, corpus.tags, TorchBackend(model), decoding=decoding)
    splits = {"dev": corpus.dev, "test": corpus.test}
    figures = {k: evaluate(tagger, encoder, s.examples) for k, s in splits.items() if s}
    checkpoint = Checkpoint(
        model=model.cpu(),
        base=base,
        decoding=decoding,
        train_lines=corpus.train.examples,
        dev=corpus.dev.examples,
        test=corpus.test.examples if corpus.test else (),
        evaluation={k: evaluation_json(e) for k, e in figures.items()},
        train=run_record(config, corpus, base, history, cost),
    )
    write_checkpoint(config.output, checkpoint)
    plan.state.unlink(missing_ok=True)
    return figures


def _say(config: TrainConfig, corpus: Corpus, processes: Processes) -> None:
    dtype = number_format(config.arithmetic, processes.device)
    logger.info(
        "training %s on %d lines and %d labels; dev %d lines; %s, %s%s",
        config.model, len(corpus.train.examples), len(corpus.tags.labels),
        len(corpus.dev.examples), processes.device.type, str(dtype).removeprefix("torch."),
        f", {processes.num} processes" if processes.num > 1 else "",
    )  # fmt: skip
    num_spans = corpus.train.labels
    counts = ", ".join(f"{label} ({num_spans[label]})" for label in corpus.tags.labels)
    logger.info("labels and their spans in train: %s", counts)


def _warn_of_nothing_found(history: tuple[Epoch, ...]) -> None:
    if best_epoch(history).score == 0:
        logger.warning(
            "warning: after %d epochs the model finds no entity of the dev lines (F1 0); "
            "give more lines, or raise --epochs or --learning-rate",
            len(history),
        )


def _cost(config: TrainConfig, processes: Processes, training_s: float) -> Cost:
    return Cost(
        device=processes.device.type,
        number_format=str(number_format(config.arithmetic, processes.device)),
        num_processes=processes.num,
        training_s=round(training_s, 3),
        peak_memory_bytes=peak_memory_bytes(processes.device),
    )
