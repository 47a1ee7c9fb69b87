"""Owns the order of an evaluation: lines, taggers, answers, figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from serve.bundle import sha256
from serve.errors import DataError
from serve.examples import Example
from serve.labels import Tags
from train.checkpoint import TRAIN_LINES
from train.commands.evaluate import EvaluateConfig
from train.data import Split, read_split
from train.evaluation.ask import ask
from train.evaluation.assess import Assessment, assess
from train.label_map import map_labels
from train.trained.tagger import Loaded, load_tagger


@dataclass(frozen=True, slots=True, eq=False)
class Inquiry:
    """What was asked of whom, and what came of it.

    Attributes:
        title: What was asked of whom, for a reader.
        subject: The same, for JSON.
        assessment: The figures.
    """

    title: str
    subject: dict[str, str | None]
    assessment: Assessment


def inquire(config: EvaluateConfig) -> Inquiry:
    """Evaluate as a config says.

    Raises:
        TaggingError: If the lines or a tagger cannot be used.
    """
    loaded = load_tagger(config.tagger, config.precision)
    split = read_lines(config.data, config.label_map, loaded.tagger.tags)
    other = load_tagger(config.against) if config.against else None
    assessment = assess(
        ask(loaded.tagger, split),
        temperature=loaded.tagger.decoding.temperature,
        train=_train_lines(config),
        other=ask(other.tagger, split) if other else None,
    )
    subject = {
        "tagger": str(config.tagger),
        "runs": loaded.runs,
        "data": str(config.data),
        "data_sha256": sha256(config.data.read_bytes()),
        "other": str(config.against) if config.against else None,
        "other_runs": other.runs if other else None,
    }
    return Inquiry(_title(config, loaded, other), subject, assessment)


def read_lines(path: Path, label_map: tuple[tuple[str, str], ...], tags: Tags) -> Split:
    """Read labelled lines for a tagger.

    Raises:
        DataError: Naming file and line, if they cannot be read or have a label it does not know.
    """
    split = read_split(path)
    examples = tuple(map_labels(example, dict(label_map)) for example in split.examples)
    for number, example in zip(split.numbers, examples, strict=True):
        for span in example.spans:
            if span.label not in tags.labels:
                raise DataError(
                    f"{path}:{number}: expected a label of the tagger "
                    f"({', '.join(tags.labels)}), got {span.label!r}; map or drop it with "
                    f"--label-map {span.label}=New or {span.label}="
                )
    return replace(split, examples=examples)


def _train_lines(config: EvaluateConfig) -> tuple[Example, ...] | None:
    path = config.train or config.tagger / TRAIN_LINES
    return read_split(path).examples if config.train or path.is_file() else None


def _title(config: EvaluateConfig, loaded: Loaded, other: Loaded | None) -> str:
    compared = f", against {other.folder} ({other.runs})" if other else ""
    return f"{config.tagger} ({loaded.runs}) on {config.data}{compared}"
