"""Owns the order of an adaptation: read, hold out, guess words, write the base model."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch

from serve.artefacts.families import first_position
from serve.encoding import Encoder
from train.adaptation.config import AdaptConfig
from train.adaptation.lines import Lines, read_lines
from train.adaptation.masking import Masker
from train.adaptation.model import Guesser
from train.adaptation.task import guessing_task
from train.adaptation.write import check_adapted, write_adapted
from train.config import state_path
from train.loop.device import format_name, number_format, out_of_memory_told
from train.loop.fit import Fit, best_epoch
from train.loop.plan import Plan
from train.loop.processes import Processes
from train.loop.progress import Progress
from train.loop.state import Epoch, clear, holding
from train.model.base import Base, find_base
from train.model.checkpoint import check_events
from train.model.method import recompute
from train.record import base_json, cost_of, data_sha256, run_digest, settings_json, versions

logger = logging.getLogger(__name__)


@out_of_memory_told()
def adapt(config: AdaptConfig) -> dict[str, Any]:
    """Continue a base model's training on raw lines, and write it.

    Returns:
        The record of the run, as JSON; empty in a process beside the first.

    Raises:
        DataError: If a file is not as expected, or too few lines are left.
        CheckpointError: If the base model cannot be used or the output not be written.
        TaggingError: If the device's memory is too small, or the loss no longer finite.
    """
    check_adapted(config.output)
    check_events(config.output, config.tensorboard)
    with holding(config.output):
        return _adapt(config)


def _adapt(config: AdaptConfig) -> dict[str, Any]:
    base = find_base(config.model)
    masker = Masker(base.tokenizer, pad_id=base.pad_id, share=config.mask_share)
    lines = read_lines(config, _encoder(base, config.block_tokens))
    torch.manual_seed(config.seed)  # a new head's weights
    model, has_new_head = base.load_masked()
    trained, held_out = ((s.input_ids for s in part) for part in (lines.train, lines.held_out))
    content = chain(trained, ["held out"], held_out)
    plan = Plan(
        config=config,
        num_epochs=config.epochs + has_new_head,
        state=state_path(config.output),
        run=run_digest(config, content, model),
    )
    if config.checkpoint_gradients:
        recompute(model)
    processes = Processes()
    guesser = Guesser(model, first_position=first_position(model.config.to_dict()))
    guesser.to(processes.device)
    _say(config, lines, processes, has_new_head=has_new_head)
    task = guessing_task(config, lines, masker, guesser, has_new_head=has_new_head)
    before = None if has_new_head else task.score()
    progress = Progress(
        "held-out perplexity",
        events=config.tensorboard,
        show=_perplexity,
        is_shown=processes.is_first,
    )
    started = time.monotonic()
    history = Fit(task, plan, processes, progress).run()
    cost = cost_of(config, processes, time.monotonic() - started)
    if not processes.is_first:
        return {}
    if before is None:  # the encoder as it was, with a head that has learnt to read it
        before = history[0].score
    record = _record(config, lines, base, history, before, cost)
    write_adapted(config.output, model.cpu(), base, record)
    clear(plan.state)
    return record


def _encoder(base: Base, block_tokens: int) -> Encoder:
    """Return an encoder that cuts lines longer than a block into windows."""
    max_tokens = min(base.max_tokens, block_tokens)
    return Encoder(base.tokenizer, max_tokens=max_tokens, pad_id=base.pad_id)


def _say(config: AdaptConfig, lines: Lines, processes: Processes, *, has_new_head: bool) -> None:
    dtype = number_format(config.arithmetic, processes.device)
    logger.info(
        "adapting %s to %d lines, %d held out, %d left out, %d repeated; %s, %s%s",
        config.model, len(lines.train), len(lines.held_out), lines.num_left_out,
        lines.num_repeated, processes.device.type, format_name(dtype),
        f", {processes.num} processes" if processes.num > 1 else "",
    )  # fmt: skip
    if has_new_head:
        logger.info(
            "%s has no head that guesses words: a new one, tied to the word embeddings, is trained "
            "alone in epoch 1; its perplexity is that of the encoder before",
            config.model,
        )


def _record(
    config: AdaptConfig,
    lines: Lines,
    base: Base,
    history: Sequence[Epoch],
    before: float,
    cost: dict[str, Any],
) -> dict[str, Any]:
    """Return how an adapted model came about, as JSON."""
    best = best_epoch(history, -math.inf)
    return {
        "settings": settings_json(config),
        "base": base_json(base),
        "texts": [{"file": p.name, "sha256": data_sha256(p)} for p in config.texts],
        "left_out": [{"file": p.name, "sha256": data_sha256(p)} for p in config.leave_out],
        "num_lines_read": lines.num_read,
        "num_lines_left_out": lines.num_left_out,
        "num_lines_repeated": lines.num_repeated,
        "num_sequences_trained": len(lines.train),
        "num_sequences_held_out": len(lines.held_out),
        "perplexity_before": _perplexity(before),
        "perplexity_after": _perplexity(best.score),
        "epochs": [
            {"number": e.number, "loss": e.loss, "perplexity": _perplexity(e.score)}
            for e in history
        ],
        "best_epoch": best.number,
        "cost": cost,
        "versions": versions(),
    }


def _perplexity(score: float) -> float:
    """Return the perplexity of a score, which is a negative loss in nats."""
    return math.exp(min(-score, 700.0))  # beyond, no float holds it
