"""Owns the order of a run: open, compare, gate, measure; and that one fault stops nothing else.

A variant that cannot be opened, or whose answers are others, is not measured: a fast wrong answer
is no answer. The reason takes the place of its figures.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from tqdm import tqdm

from benchmarks.cuda.budget import Budget
from benchmarks.cuda.engine import Engine, NotMeasuredError
from benchmarks.cuda.parity import Yardstick
from benchmarks.cuda.record import Cell, SystemRecord
from benchmarks.cuda.sampling import Step, sample, warm_up
from benchmarks.cuda.subject import Subject
from benchmarks.cuda.tasks import Task
from benchmarks.cuda.variants import Source, Variant, open_engine, reference
from export.config import ExportConfig
from export.gate import Allowance, check_gate
from export.parity import Reference
from serve.bundle import Provider

_Row = TypeVar("_Row", SystemRecord, Cell)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave so far.

    Attributes:
        systems: What was opened, or why not.
        cells: What was measured, or why not.
    """

    systems: list[SystemRecord] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)


def measure(
    subjects: Sequence[Subject],
    tasks: Callable[[Subject, Source], Sequence[Task]],
    *,
    provider: Provider,
    budget: Budget,
    keep: Callable[[Outcome], None],
) -> Outcome:
    """Measure all subjects, in their order, as far as the budget goes.

    Args:
        subjects: The models and their variants.
        tasks: What to do with a model, the most important task first.
        provider: Where to run.
        budget: The time box.
        keep: Called with what there is whenever there is more, for a run may be ended.
    """
    outcome = Outcome()
    with tqdm(subjects, desc="gpu", disable=None) as bar:
        for subject in bar:
            bar.set_postfix_str(subject.name)
            for _ in _measured(subject, tasks, provider, budget, outcome):
                keep(outcome)
            _free_memory()
    return outcome


def _measured(
    subject: Subject,
    tasks: Callable[[Subject, Source], Sequence[Task]],
    provider: Provider,
    budget: Budget,
    outcome: Outcome,
) -> Iterator[None]:
    """Measure one model, and yield at every step; what it loads is let go of at the end."""
    try:
        budget.check()
        source = subject.load()
        judge = _Judge(subject, source, provider)
    except Exception as error:  # whatever it is, the other models are measured all the same
        rows = (SystemRecord(model=subject.name, variant=v) for v in subject.variants)
        outcome.systems.extend(_refused(row, error) for row in rows)
        yield
        return
    engines: dict[Variant, Engine] = {}
    for variant in subject.variants:
        record = SystemRecord(model=subject.name, variant=variant)
        try:
            budget.check()
            engine = open_engine(variant, source, provider)
            record = judge.judged(replace(record, facts=engine.facts), engine)
            record = replace(record, facts=engine.facts)  # by now it has recorded what it replays
            engines[variant] = engine
        except Exception as error:  # as above
            record = _refused(record, error)
        outcome.systems.append(record)
        yield
    for task in tasks(subject, source):
        outcome.cells.extend(_cells(task, subject.name, engines, source, budget))
        yield


class _Judge:
    """Holds every variant of a model against PyTorch, and against the gate where it has lines."""

    def __init__(self, subject: Subject, source: Source, provider: Provider) -> None:
        checkpoint = source.checkpoint
        self._source = source
        self._yardstick = Yardstick(
            reference(source, provider),
            max_tokens=min(384, checkpoint.encoder.max_tokens),
            vocabulary_size=checkpoint.model.config.vocab_size,
        )
        self._lines = Reference(checkpoint, subject.examples) if subject.examples else None

    def judged(self, record: SystemRecord, engine: Engine) -> SystemRecord:
        """Return a record with what the comparison gave.

        Raises:
            ParityError: If the engine's answers are others than may be.
        """
        precision = Variant(record.variant).precision
        parity = self._yardstick.compare(engine)
        parity.check(precision)
        if self._lines is None:
            return replace(record, parity=parity)
        mixed = record.variant == Variant.PACKED
        tagger = self._source.checkpoint.tagger(engine, mixed=mixed)
        report = self._lines.compare(tagger, engine)
        check_gate(report, precision, Allowance.of(ExportConfig(), precision))
        f1 = report.f1.overall
        return replace(record, parity=parity, f1=f1.after, f1_before=f1.before)


def _cells(
    task: Task, model: str, engines: Mapping[Variant, Engine], source: Source, budget: Budget
) -> Iterator[Cell]:
    """Measure one task on all engines it is for, side by side."""
    rows: list[Cell] = []
    steps: list[list[Step]] = []
    for variant, engine in engines.items():
        if variant not in task.variants:
            continue
        cell = Cell(
            model=model,
            variant=variant,
            task=task.name,
            provider=engine.facts.provider,
            num_lines=task.num_lines,
            shows_lines=task.shows_lines,
        )
        try:
            budget.check()
            of_engine = task.steps(variant, engine, source)
            warm_up(of_engine)
        except Exception as error:  # as above: the other engines are measured all the same
            yield _refused(cell, error)
        else:
            rows.append(cell)
            steps.append(of_engine)
    try:
        samples = sample(steps, task.limits)
    except Exception as error:  # as above
        yield from (_refused(cell, error) for cell in rows)
    else:
        yield from (replace(c, samples_s=s) for c, s in zip(rows, samples, strict=True))


def _refused(row: _Row, error: Exception) -> _Row:
    """Return a row with the reason why it holds no figures, in one line."""
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return replace(row, reason=reason, failed=not isinstance(error, NotMeasuredError))


def _free_memory() -> None:
    gc.collect()
    with suppress(AttributeError):
        torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
