from pathlib import Path

import numpy as np
import pytest
import torch

from serve.encoding import Encoder
from serve.examples import Example, Span
from serve.labels import Tags
from train.model.base import find_base
from train.task.collate import (
    IGNORE_INDEX,
    align_tags,
    collate,
    group_by_length,
    label_windows,
)

TAGS = Tags.from_labels(["A", "B"])
O, B_A, I_A, B_B, _ = range(5)  # noqa: E741
REST = IGNORE_INDEX


@pytest.fixture(scope="module")
def encoder(tiny_base: Path) -> Encoder:
    return find_base(str(tiny_base)).encoder()


def tag_ids(encoder: Encoder, example: Example, *, label_all_tokens: bool = False) -> list[int]:
    (labelled,) = label_windows([example], encoder, TAGS, label_all_tokens=label_all_tokens)
    assert len(labelled.tag_ids) == len(labelled.window.input_ids)
    return labelled.tag_ids[1:-1]


def test_a_word_takes_the_tag_of_the_span_it_stands_in() -> None:
    offsets = [(0, 3), (4, 7), (8, 11), (12, 15)]
    example = Example("abc def ghi jkl", (Span(4, 11, "A"), Span(12, 15, "A")))
    assert align_tags(example, offsets) == ["O", "B-A", "I-A", "B-A"]


@pytest.mark.parametrize(
    ("span", "tags"),
    [
        (Span(1, 2, "A"), ["B-A", "O"]),  # as of "(pump)" where words end at blanks only
        (Span(0, 1, "A"), ["B-A", "O"]),
        (Span(2, 5, "A"), ["B-A", "I-A"]),
        (Span(0, 5, "A"), ["B-A", "I-A"]),
        (Span(3, 4, "A"), ["O", "O"]),  # the blank between
    ],
)
def test_a_span_that_cuts_words_is_trained_on_the_words_it_touches(
    span: Span, tags: list[str]
) -> None:
    assert align_tags(Example("abc def", (span,)), [(0, 3), (4, 7)]) == tags


def test_a_word_that_two_spans_touch_takes_the_first_and_the_second_begins_behind_it() -> None:
    example = Example("abc def", (Span(0, 1, "A"), Span(2, 7, "B")))
    assert align_tags(example, [(0, 3), (4, 7)]) == ["B-A", "B-B"]


def test_two_spans_of_one_label_side_by_side_both_begin() -> None:
    example = Example("ab", (Span(0, 1, "A"), Span(1, 2, "A")))
    assert align_tags(example, [(0, 1), (1, 2)]) == ["B-A", "B-A"]


def test_only_the_first_token_of_a_word_is_trained(encoder: Encoder) -> None:
    example = Example("rewelding pump", (Span(0, 9, "A"), Span(10, 14, "B")))
    assert tag_ids(encoder, example) == [B_A, REST, REST, B_B]


def test_all_tokens_of_a_word_are_trained_when_asked(encoder: Encoder) -> None:
    example = Example("rewelding pump rewelding", (Span(0, 14, "A"),))
    ids = tag_ids(encoder, example, label_all_tokens=True)
    assert ids == [B_A, I_A, I_A, I_A, O, O, O]


def test_special_tokens_are_never_trained(encoder: Encoder) -> None:
    example = Example("pump", (Span(0, 4, "A"),))
    for all_tokens in (False, True):
        (labelled,) = label_windows([example], encoder, TAGS, label_all_tokens=all_tokens)
        assert labelled.tag_ids == [REST, B_A, REST]


@pytest.mark.parametrize("label_all_tokens", [False, True])
def test_each_word_of_a_long_text_is_trained_once(encoder: Encoder, label_all_tokens: bool) -> None:
    text = " ".join(["pump", "rewelding"] * 60)
    spans = tuple(Span(i, i + 4, "A") for i in range(0, len(text), 15))
    labelled = label_windows(
        [Example(text, spans)], encoder, TAGS, label_all_tokens=label_all_tokens
    )
    assert len(labelled) > 1
    trained = [tag for window in labelled for tag in window.tag_ids if tag != REST]
    assert trained == ([B_A, O, O, O] if label_all_tokens else [B_A, O]) * 60


def test_texts_without_words_train_nothing(encoder: Encoder) -> None:
    examples = [Example("", ()), Example("  ", ())]
    assert label_windows(examples, encoder, TAGS, label_all_tokens=False) == []


def test_a_batch_is_padded_to_its_longest_and_padding_is_not_trained(encoder: Encoder) -> None:
    examples = [Example("pump", (Span(0, 4, "A"),)), Example("the pump is broken", ())]
    batch = collate(label_windows(examples, encoder, TAGS, label_all_tokens=False), encoder)
    assert batch.input_ids.shape == batch.targets.shape == (2, 6)
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    assert batch.targets.tolist() == [[REST, B_A, *[REST] * 4], [REST, O, O, O, O, REST]]


def test_grouping_uses_each_index_once_and_wastes_little_on_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, size=1000).tolist()
    batches = group_by_length(lengths, 32, torch.Generator().manual_seed(0))
    assert sorted(index for batch in batches for index in batch) == list(range(1000))
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert padded < 1.05 * sum(lengths)


def test_grouping_is_random_but_seeded() -> None:
    lengths = [5] * 100

    def batches(seed: int) -> list[list[int]]:
        return group_by_length(lengths, 10, torch.Generator().manual_seed(seed))

    assert batches(1) == batches(1)
    assert batches(1) != batches(2)
