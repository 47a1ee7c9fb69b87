"""Owns the way from unlabelled lines to those to label next, with the tagger's own labels on them.

What is written is what annotation tools read:

    label_studio.json   tasks with predictions, to import
    label_studio.xml    the labelling interface the tasks go by, to paste into the project
    doccano.jsonl       texts with labels, to import
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.entities import Entity
from serve.errors import DataError
from serve.examples import Example, Span, read_jsonl
from serve.files import replacing
from train.corpus.data import read_split
from train.distillation.unlabelled import Unlabelled, read_unlabelled
from train.flags.new_folder import check_new
from train.formats.flat import Reading
from train.formats.json_spans import write_doccano
from train.formats.label_studio import labelling_interface, prediction_task, write_tasks
from train.formats.words import Writing
from train.model.checkpoint import DEV, TEST, TRAIN_LINES
from train.selection.choose import choose
from train.selection.embedding import embed
from train.trained.model import load_trained

LABEL_STUDIO, INTERFACE, DOCCANO = "label_studio.json", "label_studio.xml", "doccano.jsonl"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A line to label, with what the tagger makes of it.

    Attributes:
        text: The line.
        entities: The tagger's entities.
        uncertainty: How unsure it is of them, in nats a word.
        distance: To the nearest line labelled or suggested before, in [0, 2].
    """

    text: str
    entities: tuple[Entity, ...]
    uncertainty: float
    distance: float

    @property
    def example(self) -> Example:
        """The line with the entities as spans."""
        return Example(self.text, tuple(Span(e.start, e.end, e.label) for e in self.entities))


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Lines to label, and the labels to do it with.

    Attributes:
        labels: All of the tagger's, for what it missed has to be marked too.
        lines: The lines, the most useful first.
    """

    labels: tuple[str, ...]
    lines: tuple[Suggestion, ...]


def suggest(
    checkpoint: Path, pool: Sequence[Path], labelled: Sequence[Path], num: int, reading: Reading
) -> Suggestions:
    """Return the lines of text files to label next; none that the checkpoint's folder has labelled.

    Args:
        checkpoint: Folder of the tagger.
        pool: Files of text, one line each.
        labelled: Files of further lines that are labelled already, in any format.
        num: How many to return.
        reading: How the labelled files are read.

    Raises:
        CheckpointError: If the tagger cannot be loaded.
        DataError: If a file is not as expected, or there is nothing to choose from.
    """
    named = [e.text for path in labelled for e in read_split(path, reading).examples]
    known = [*_texts(checkpoint, TRAIN_LINES), *named]
    held = [*_texts(checkpoint, DEV), *_texts(checkpoint, TEST)]
    lines = read_unlabelled(pool, held=held, known=known)
    if not lines.texts:
        raise DataError(
            f"{pool[0]}: expected lines that are not labelled yet, got none; {_left_out(lines)}, "
            "name other files with --pool"
        )
    logger.info("%d lines to choose from; %s", len(lines.texts), _left_out(lines))
    trained = load_trained(checkpoint)
    tagger = trained.tagger()
    vectors = embed(trained.model, trained.encoder, [*lines.texts, *known])
    num_lines = len(lines.texts)
    chosen = choose(tagger, lines.texts, vectors[:num_lines], vectors[num_lines:], num)
    texts = [lines.texts[choice.row] for choice in chosen]
    suggestions = (
        Suggestion(text, tuple(entities), choice.uncertainty, choice.distance)
        for text, entities, choice in zip(texts, tagger.tag(texts), chosen, strict=True)
    )
    return Suggestions(trained.tags.labels, tuple(suggestions))


def _texts(checkpoint: Path, name: str) -> list[str]:
    """Return the texts of a checkpoint's labelled lines, if its folder has such."""
    path = checkpoint / name
    return [example.text for example in read_jsonl(path)] if path.is_file() else []


def _left_out(lines: Unlabelled) -> str:
    return (
        f"left out are {lines.num_known} that train has, were labelled since or came twice, "
        f"and {lines.num_held} that dev or test has"
    )


def write_suggestions(folder: Path, suggestions: Suggestions, name: str) -> None:
    """Write suggestions for annotation tools into a new folder, whole or not at all.

    Args:
        folder: The folder.
        suggestions: What to write.
        name: Of the tagger, as Label Studio is to show it.

    Raises:
        DataError: If there is something in the folder.
    """
    check_new(folder)
    lines, interface = suggestions.lines, labelling_interface(suggestions.labels)
    with replacing(folder) as staging:
        write_tasks(
            staging / LABEL_STUDIO,
            (prediction_task(s.example, model=name, score=_score(s)) for s in lines),
        )
        (staging / INTERFACE).write_text(interface, encoding="utf-8")
        write_doccano(staging / DOCCANO, (s.example for s in lines), Writing())


def _score(suggestion: Suggestion) -> float:
    """Return the geometric mean of the probabilities of a line's tags, in [0, 1]."""
    return math.exp(-suggestion.uncertainty)
