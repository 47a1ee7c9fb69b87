"""Owns one run: `python -m train` in a process of its own, and the row that is kept of it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy.corpora import domain_text, write_corpus
from benchmarks.accuracy.plan import Experiment, draw_of, teacher_seeds
from benchmarks.machine import Machine
from serve.bootstrap import Interval, f1_intervals, labels_of, text_counts
from serve.examples import Span, read_jsonl
from serve.files import write_durably
from serve.rows import append_line, whole_lines
from train.config import TrainConfig

BUILD = Path("build/accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Entity F1 on one split.

    Attributes:
        f1: Micro, strict, in [0, 1].
        interval: Between which values the true one lies, with 95 % confidence (bootstrap by text);
            None where the lines cannot tell.
        num_lines: Lines it was measured on.
    """

    f1: float
    interval: Interval | None
    num_lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        name: The experiment's.
        corpus: What it was trained on.
        num_lines: Train lines; None for all.
        seed: Of the draw and of training.
        command: As it was run.
        dev: Score on dev.
        test: Score on test; None where test was not looked at.
        epochs: Loss and dev F1 of each.
        settings: As the checkpoint records them.
        wall_s: Seconds of the whole command.
        cpu_s: Seconds of processor time it took.
        training_s: Seconds of training alone, dev F1 of each epoch included.
        peak_memory_bytes: Most memory the process held.
        machine: Where, and of which commit.
    """

    name: str
    corpus: str
    num_lines: int | None
    seed: int
    command: str
    dev: Score
    test: Score | None
    epochs: list[dict[str, Any]]
    settings: dict[str, Any]
    wall_s: float
    cpu_s: float
    training_s: float
    peak_memory_bytes: int
    machine: Machine


def checkpoint_of(name: str, seed: int) -> Path:
    """Return where the checkpoint of a run lies."""
    return BUILD / f"{name.replace(' ', '-').replace('/', '-')}-{seed}"


def execute(
    experiment: Experiment, source: TrainConfig, seed: int, machine: Machine, *, test: bool
) -> Row:
    """Train on a source's lines, score and return the row; the checkpoint stays.

    Raises:
        subprocess.CalledProcessError: If train fails; it has said why.
    """
    output = checkpoint_of(experiment.name, seed)
    data = output.with_name(f"{output.name}.data")
    write_corpus(data, source, experiment.num_lines, draw_of(seed), test=test)
    arguments = _arguments(experiment, seed, data, output)
    started, before = time.monotonic(), _children_s()
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, *arguments, "--json"],
        stdout=subprocess.DEVNULL,
        check=True,
        env=environment,
    )
    wall_s, cpu_s = time.monotonic() - started, _children_s() - before
    record = json.loads((output / "train.json").read_text(encoding="utf-8"))
    scores = {
        split: _score(output, data / f"{split}.jsonl")
        for split in ("dev", "test")
        if (data / f"{split}.jsonl").is_file()
    }
    shutil.rmtree(data)
    return Row(
        name=experiment.name,
        corpus=experiment.corpus,
        num_lines=experiment.num_lines,
        seed=seed,
        command=" ".join(["python", *arguments]),
        dev=scores["dev"],
        test=scores.get("test"),
        epochs=record["epochs"],
        settings=record["settings"],
        wall_s=round(wall_s, 1),
        cpu_s=round(cpu_s, 1),
        training_s=record["cost"]["training_s"],
        peak_memory_bytes=record["cost"]["peak_memory_bytes"],
        machine=machine,
    )


def with_test_score(row: dict[str, Any], source: TrainConfig) -> dict[str, Any]:
    """Return the row of a run that has not looked at test with the score of its checkpoint there.

    Raises:
        CheckpointError: If the checkpoint is no longer there.
    """
    output = checkpoint_of(row["name"], row["seed"])
    data = output.with_name(f"{output.name}.data")
    write_corpus(data, source, None, 0, test=True)
    score = _score(output, data / "test.jsonl")
    shutil.rmtree(data)
    return {**row, "test": asdict(score)}


def put(path: Path, row: dict[str, Any]) -> None:
    """Put a row in place of that of the same run, in a file of JSON lines."""
    key = (row["name"], row["seed"])
    rows = [row if (r["name"], r["seed"]) == key else r for r in read_rows(path)]
    write_durably(path, "".join(json.dumps(r) + "\n" for r in rows).encode())


def append(path: Path, row: Row) -> None:
    """Add a row to a file of JSON lines."""
    append_line(path, json.dumps(asdict(row)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file; none where there is none."""
    return [json.loads(line) for line in whole_lines(path)]


def _arguments(experiment: Experiment, seed: int, data: Path, output: Path) -> list[str]:
    verb = ["-m", "train"]
    if name := experiment.teachers:
        seeds = teacher_seeds(experiment, seed)
        verb += ["distil", "--teachers", *(str(checkpoint_of(name, s)) for s in seeds)]
        texts = [str(domain_text(stem)) for stem in experiment.unlabelled]
        verb += ["--unlabelled", *texts] if texts else []
    start = experiment.start and str(checkpoint_of(experiment.start, draw_of(seed)))
    flags = [*experiment.flags, *(["--model", start] if start else [])]
    return [*verb, "--data", str(data), "--seed", str(seed), *flags, "--output", str(output)]


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _score(checkpoint: Path, lines: Path) -> Score:
    from train.trained.model import load_trained  # PyTorch: not before the run it would slow down

    examples = read_jsonl(lines)
    texts = [example.text for example in examples]
    answers = load_trained(checkpoint).tagger().tag(texts)
    predicted = [[Span(e.start, e.end, e.label) for e in entities] for entities in answers]
    gold = [example.spans for example in examples]
    counts = text_counts(gold, predicted, labels_of(gold, predicted), texts)
    interval = f1_intervals(counts)[0]
    correct, found, support = counts[:, 0].sum(axis=0).tolist()
    return Score(f1=2 * correct / (found + support), interval=interval, num_lines=len(gold))
