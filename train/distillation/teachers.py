"""Owns what teachers say: the mean of their probabilities for each tag of each word.

A teacher answers through its own tokenizer, so it may be of another family or size. Where its words
are not the student's, a word takes what the teacher says of the first word it has a character of,
as gold spans are read: a second word inside one of the teacher's goes on with what that begins. A
word of which it has nothing, as its normalizer drops it, is outside.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from serve.encoding import EncodedText
from serve.errors import CheckpointError
from serve.labels import Tags
from serve.lines import CHUNK_LINES
from train.config import Arithmetic
from train.loop.device import autocast, number_format
from train.trained.model import Trained, load_trained

Probabilities = NDArray[np.float32]


def load_teacher(folder: Path, tags: Tags) -> Trained:
    """Load a teacher of the same tags, in whatever order.

    Raises:
        CheckpointError: If it is no checkpoint, knows other labels, or is read as a CRF.
    """
    teacher = load_trained(folder)
    missing = sorted(set(tags.labels) - set(teacher.tags.labels))
    surplus = sorted(set(teacher.tags.labels) - set(tags.labels))
    if missing or surplus:
        raise CheckpointError(
            f"{folder}: expected a teacher of the train lines' labels, got one without "
            f"{', '.join(missing) or 'none'} and with {', '.join(surplus) or 'none'} besides; "
            "train it with the same labels and --label-map"
        )
    if teacher.decoding.is_crf:
        raise CheckpointError(
            f"{folder}: expected a teacher that scores each word by itself, got a CRF; "
            "train it with another --decoder"
        )
    return teacher


def teach(
    teachers: Sequence[Path], texts: Sequence[str], encoded: Sequence[EncodedText], tags: Tags
) -> list[Probabilities]:
    """Return the teachers' mean probabilities of the student's words of each text.

    Args:
        teachers: Folders of checkpoints, at least one; loaded one after the other.
        texts: The texts.
        encoded: The same, as the student's words.
        tags: The student's tags.

    Returns:
        One array for each text. Shape: (W, L), rows sum to 1.

    Raises:
        CheckpointError: If a teacher cannot be used.
    """
    means = [np.zeros((len(text.offsets), len(tags)), dtype=np.float32) for text in encoded]
    for folder in teachers:
        teacher = load_teacher(folder, tags)
        answers = _answers(teacher, texts, encoded, tags)
        progress = tqdm(answers, folder.name, total=len(texts), unit="line", disable=None)
        for mean, answer in zip(means, progress, strict=True):
            mean += answer / np.float32(len(teachers))
    return means


def onto_words(
    probabilities: Probabilities,
    theirs: Sequence[tuple[int, int]],
    ours: Sequence[tuple[int, int]],
    tags: Tags,
) -> Probabilities:
    """Return probabilities of one tokenizer's words for another's.

    Args:
        probabilities: Shape: (W, L)
        theirs: Character offsets of the words they are of, in order. Shape: (W, 2)
        ours: Character offsets of the words asked for, in order. Shape: (V, 2)
        tags: The tags of the columns.

    Returns:
        Shape: (V, L)
    """
    if list(theirs) == list(ours):
        return probabilities
    starts = np.array([start for start, _ in theirs] + [0])
    ends = [end for _, end in theirs]
    words = np.array([bisect_right(ends, start) for start, _ in ours], dtype=int)
    words[starts[words] >= [end for _, end in ours]] = len(theirs)
    outside = np.eye(1, len(tags), dtype=np.float32)  # `O`, the first, where they have no word
    out: Probabilities = np.concatenate([probabilities, outside])[words]
    goes_on = np.flatnonzero(words[1:] == words[:-1]) + 1
    for label in tags.labels:
        begins, inside = tags.id_of(f"B-{label}"), tags.id_of(f"I-{label}")
        out[goes_on, inside] += out[goes_on, begins]
        out[goes_on, begins] = 0.0
    return out


def _answers(
    teacher: Trained, texts: Sequence[str], encoded: Sequence[EncodedText], tags: Tags
) -> Iterator[Probabilities]:
    tagger, device = teacher.tagger(), teacher.model.device
    columns = [teacher.tags.id_of(name) for name in tags.names]
    for first in range(0, len(texts), CHUNK_LINES):
        asked = teacher.encoder.encode(texts[first : first + CHUNK_LINES])
        with autocast(device, number_format(Arithmetic.AUTO, device)):
            logits = tagger.word_logits(asked)
        chances = softmax(logits / teacher.decoding.temperature, axis=1)[:, columns]
        row = 0
        for theirs, ours in zip(asked, encoded[first : first + CHUNK_LINES], strict=True):
            words = chances[row : (row := row + len(theirs.offsets))]
            yield onto_words(words, theirs.offsets, ours.offsets, tags)
