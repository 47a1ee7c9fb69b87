"""Owns the order of an evaluation: lines, taggers, answers, figures."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from serve.labels import Tags
from train.corpus.borders import warn_of_lost_spans
from train.corpus.data import Split, check_labels, read_split
from train.corpus.label_map import warn_of_label_map
from train.corpus.leaks import warn_of_leaks
from train.evaluation.ask import ask
from train.evaluation.assess import Assessment, assess
from train.evaluation.config import EvaluateConfig
from train.record import data_sha256
from train.trained.lines import train_lines_of
from train.trained.tagger import Loaded, load_tagger

logger = logging.getLogger(__name__)


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
    split = read_lines(config, loaded.tagger.tags)
    warn_of_lost_spans(split, loaded.tagger.encoder)
    train = _train_lines(config)
    if train:
        warn_of_leaks(train, [split])
    other = load_tagger(config.against) if config.against else None
    if other:
        _warn_of_lacking(other, split)
    assessment = assess(
        ask(loaded.tagger, split),
        temperature=loaded.tagger.decoding.temperature,
        train=train.examples if train else None,
        other=ask(other.tagger, split) if other else None,
    )
    subject = {
        "tagger": str(config.tagger),
        "runs": loaded.runs,
        "data": str(config.data),
        "data_sha256": data_sha256(config.data),
        "other": str(config.against) if config.against else None,
        "other_runs": other.runs if other else None,
    }
    return Inquiry(_title(config, loaded, other), subject, assessment)


def read_lines(config: EvaluateConfig, tags: Tags) -> Split:
    """Read labelled lines for a tagger, their labels mapped.

    Raises:
        DataError: Naming file and line, if they cannot be read or have a label it does not know.
    """
    split = read_split(config.data, config.reading)
    warn_of_label_map(dict(config.reading.label_map), split.read_labels)
    check_labels([split], tags.labels, "the tagger")
    return split


def _warn_of_lacking(other: Loaded, split: Split) -> None:
    """Warn of labels that the other tagger cannot find, whose names may just differ."""
    if lacking := sorted(split.labels.keys() - set(other.tagger.tags.labels)):
        logger.warning(
            "warning: %s: expected the labels of %s, got none of %s; their entities count as "
            "missed with it, so the difference says nothing of those", other.folder, split.path,
            ", ".join(lacking),
        )  # fmt: skip


def _train_lines(config: EvaluateConfig) -> Split | None:
    """Return the train lines named, read and mapped as the data is, else the checkpoint's own."""
    if config.train:
        return read_split(config.train, config.reading)
    return train_lines_of(config.tagger)


def _title(config: EvaluateConfig, loaded: Loaded, other: Loaded | None) -> str:
    compared = f", against {other.folder} ({other.runs})" if other else ""
    return f"{config.tagger} ({loaded.runs}) on {config.data}{compared}"
