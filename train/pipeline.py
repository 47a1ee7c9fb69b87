"""Owns the order of a training run: read, fit, evaluate, write.

`run` may be called many times in one process, one call after the other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from serve.decode.decoding import Decoding
from serve.encoding import Encoder
from serve.examples import Example
from serve.labels import Tags
from serve.tagger import Tagger
from train.config import TrainConfig, state_path
from train.corpus.borders import warn_of_lost_spans
from train.corpus.data import Corpus, read_corpus
from train.corpus.unknown import warn_of_unknown_tokens
from train.loop.curves import draw_curves
from train.loop.device import format_name, number_format, out_of_memory_told
from train.loop.fit import Fit, best_epoch
from train.loop.processes import Processes
from train.loop.progress import OnEpoch, Progress
from train.loop.state import Epoch, clear, holding
from train.model.base import Base, find_base
from train.model.card import CARD, CURVES, model_card
from train.model.checkpoint import Checkpoint, check_events, check_output, write_checkpoint
from train.model.method import merged, prepare
from train.record import cost_of, fingerprint, run_record
from train.scores.evaluate import Evaluation, TorchBackend, evaluate
from train.scores.report import evaluation_json
from train.task.material import MakeMaterial, gold_material
from train.task.objective import ChainLoss, Learner
from train.task.tagging import tagging_plan, tagging_task
from train.task.temperature import fit_temperature
from train.trained.lines import warn_of_known_lines

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A model fitted to a corpus, and how it came about.

    Attributes:
        model: With the weights of its best epoch.
        base: What it started from.
        encoder: Turns texts into its windows.
        tags: The tags of its logits.
        decoding: How its logits are read.
        history: All epochs.
        record: How it came about, as JSON.
    """

    model: PreTrainedModel
    base: Base
    encoder: Encoder
    tags: Tags
    decoding: Decoding
    history: tuple[Epoch, ...]
    record: dict[str, Any]

    def tagger(self) -> Tagger:
        """Return the tagger that the model makes."""
        backend = TorchBackend(self.model)
        return Tagger(self.encoder, self.tags, backend, decoding=self.decoding)


@out_of_memory_told()
def run(
    config: TrainConfig,
    *,
    on_epoch: OnEpoch | None = None,
    material: MakeMaterial = gold_material,
) -> dict[str, Evaluation]:
    """Train, evaluate and write a checkpoint.

    Args:
        config: The settings.
        on_epoch: Called after each epoch; what it raises ends the run, and nothing is written.
        material: Says what is trained on.

    Returns:
        The evaluation on dev, and on test where there is one; none in a process beside the first.

    Raises:
        DataError: If a data file is not as expected.
        CheckpointError: If the base model cannot be used or the output not be written, or another
            run is about to.
        TaggingError: If the device's memory is too small, or the loss no longer finite.
    """
    check_output(config.output)
    check_events(config.output, config.tensorboard)
    with holding(config.output):
        corpus = read_corpus(config)
        warn_of_known_lines(find_base(config.model).folder, corpus)
        fitted = fit_corpus(config, corpus, on_epoch=on_epoch, material=material)
        if fitted is None:
            return {}
        figures = write_fitted(config.output, fitted, corpus, corpus.train.examples)
        clear(state_path(config.output))
    return figures


def write_fitted(
    output: Path, fitted: Fitted, corpus: Corpus, train_lines: Sequence[Example]
) -> dict[str, Evaluation]:
    """Evaluate what was fitted, and write it as a checkpoint.

    Args:
        output: The checkpoint.
        fitted: Its model is moved to the CPU.
        corpus: Its dev and test lines are reported on.
        train_lines: The train lines that the checkpoint keeps.

    Returns:
        The evaluation on dev, and on test where there is one.

    Raises:
        CheckpointError: If it cannot be written.
    """
    tagger, dev, test = fitted.tagger(), corpus.dev.examples, corpus.test
    figures = {"dev": evaluate(tagger, dev)}
    if test:
        figures["test"] = evaluate(tagger, test.examples)
    evaluation = {name: evaluation_json(e) for name, e in figures.items()}
    card = model_card(fitted.record, evaluation, corpus.train.examples)
    checkpoint = Checkpoint(
        model=fitted.model.cpu(),
        base=fitted.base,
        decoding=fitted.decoding,
        train_lines=train_lines,
        dev=dev,
        test=test.examples if test else (),
        evaluation=evaluation,
        train=fitted.record,
        for_people={
            # A file's name may hold bytes that are no text.
            CARD: card.encode(errors="backslashreplace"),
            CURVES: draw_curves(fitted.history),
        },
    )
    write_checkpoint(output, checkpoint)
    return figures


@out_of_memory_told()
def fit_corpus(
    config: TrainConfig,
    corpus: Corpus,
    *,
    on_epoch: OnEpoch | None = None,
    material: MakeMaterial = gold_material,
) -> Fitted | None:
    """Fit the base model to a corpus, its test lines unseen; write nothing but the run's state.

    Args:
        config: The settings; of the data, the corpus counts.
        corpus: The lines.
        on_epoch: Called after each epoch; what it raises ends the run.
        material: Says what is trained on.

    Returns:
        The model; None in a process beside the first.

    Raises:
        DataError: If no train line has a word.
        CheckpointError: If the base model cannot be used or the state not be written.
        TaggingError: If the device's memory is too small, or the loss no longer finite.
    """
    base = find_base(config.model)
    encoder = base.encoder()
    made = material(config, corpus, encoder)
    torch.manual_seed(config.seed)  # the new head's weights
    model = base.load_model(corpus.tags)
    if isinstance(made.objective, ChainLoss):
        made.objective.keep(*base.chain(corpus.tags))
    run_id = fingerprint(config, corpus, Learner(model, made.objective), made.digest)
    plan = tagging_plan(config, len(made.windows), run_id)
    learner = Learner(prepare(model, config), made.objective)
    processes = Processes()
    learner.to(processes.device)
    _say(config, corpus, processes)
    warn_of_unknown_tokens([row.window for row in made.windows], base, corpus.train.path)
    splits = filter(None, (corpus.dev, corpus.train, corpus.test))
    num_lost_in_dev, *_ = [warn_of_lost_spans(split, encoder) for split in splits]
    progress = Progress(
        "dev F1", events=config.tensorboard, on_epoch=on_epoch, is_shown=processes.is_first
    )
    task = tagging_task(config, corpus, made, base, learner)
    started = time.monotonic()
    history = Fit(task, plan, processes, progress).run()
    cost = cost_of(config, processes, time.monotonic() - started)
    if not processes.is_first:
        return None
    _warn_of_nothing_found(history, num_lost_in_dev == corpus.dev.labels.total())
    model, decoding = merged(learner.model), made.objective.decoding()
    record = run_record(config, corpus, base, history, cost) | made.record
    fitted = Fitted(model, base, encoder, corpus.tags, decoding, history, record)
    temperature = fit_temperature(fitted.tagger(), corpus.dev.examples)
    return replace(fitted, decoding=replace(decoding, temperature=temperature))


def _say(config: TrainConfig, corpus: Corpus, processes: Processes) -> None:
    dtype = number_format(config.arithmetic, processes.device)
    logger.info(
        "training %s on %d lines and %d labels; dev %d lines; %s, %s%s",
        config.model, len(corpus.train.examples), len(corpus.tags.labels),
        len(corpus.dev.examples), processes.device.type, format_name(dtype),
        f", {processes.num} processes" if processes.num > 1 else "",
    )  # fmt: skip
    num_spans = corpus.train.labels
    counts = ", ".join(f"{label} ({num_spans[label]})" for label in corpus.tags.labels)
    logger.info("labels and their spans in train: %s", counts)


def _warn_of_nothing_found(history: tuple[Epoch, ...], are_all_lost: bool) -> None:
    if best_epoch(history).score == 0:
        remedy = "give more lines, or raise --epochs or --learning-rate"
        logger.warning(
            "warning: after %d epochs the model finds no entity of the dev lines (F1 0); %s",
            len(history), "their spans are none of words, see above" if are_all_lost else remedy,
        )  # fmt: skip
