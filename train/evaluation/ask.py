"""Owns asking a tagger about labelled lines: one pass, from which every figure is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tqdm import tqdm

from serve.decode.decoder import Decoded, Decoder
from serve.encoding import EncodedText
from serve.entities import Entity, decode_entities
from serve.examples import Example
from serve.lines import CHUNK_LINES
from serve.tagger import Tagger
from train.corpus.data import Split
from train.evaluation.answers import Answer
from train.task.collate import align_tags


def ask(tagger: Tagger, split: Split) -> list[Answer]:
    """Return a tagger's answer to each line of a split."""
    lines = list(zip(split.places, split.examples, strict=True))
    answers: list[Answer] = []
    with tqdm(total=len(lines), unit="line", disable=None) as bar:
        for start in range(0, len(lines), CHUNK_LINES):
            answers += _answers(tagger, lines[start : start + CHUNK_LINES])
            bar.update(len(answers) - bar.n)
    return answers


def _answers(tagger: Tagger, lines: Sequence[tuple[str, Example]]) -> Iterator[Answer]:
    encoded = tagger.encoder.encode([example.text for _, example in lines])
    logits = tagger.word_logits(encoded)
    num_words = [len(text.offsets) for text in encoded]
    plain = replace(tagger.decoding, temperature=1.0)
    read = [Decoder(tagger.tags, d).decode(logits, num_words) for d in (tagger.decoding, plain)]
    row = 0
    for (place, example), text in zip(lines, encoded, strict=True):
        words = slice(row, row := row + len(text.offsets))
        served, at_one = (_words(tagger, decoded, words) for decoded in read)
        yield Answer(
            place=place,
            text=example.text,
            gold=example.spans,
            entities=_entities(*served, text),
            plain_entities=_entities(*at_one, text),
            offsets=tuple(text.offsets),
            gold_tags=tuple(align_tags(example, text.offsets)),
            tags=served[0],
            scores=served[1],
            plain_scores=at_one[1],
        )


def _words(
    tagger: Tagger, decoded: Decoded, words: slice
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    tags = tuple(tagger.tags.names[tag] for tag in decoded.tag_ids[words])
    return tags, tuple(decoded.scores[words])


def _entities(
    tags: Sequence[str], scores: Sequence[float], text: EncodedText
) -> tuple[Entity, ...]:
    return tuple(decode_entities(tags, scores, text.offsets))
