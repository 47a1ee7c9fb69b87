from itertools import pairwise

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from serve.encoding import Encoder
from serve.errors import CheckpointError
from tests.conftest import tiny_encoder, tiny_tokenizer
from train.adaptation.blocks import TokenSequence, pack, sequence_of
from train.adaptation.masking import MaskedBatch, Masker

LINES = ["replace hydraulic hose on engine", "pump leaking", "rewelding", "clean oil pump # 12"]
MASK = tiny_tokenizer().token_to_id("[MASK]")


@pytest.fixture
def encoder() -> Encoder:
    return tiny_encoder()


def windows_of(encoder: Encoder, texts: list[str]) -> list[TokenSequence]:
    return [sequence_of(window) for text in encoder.encode(texts) for window in text.windows]


def masker(share: float = 0.3) -> Masker:
    return Masker(tiny_tokenizer(), pad_id=0, share=share)


def batch_of(blocks: list[list[TokenSequence]], share: float = 0.3, seed: int = 0) -> MaskedBatch:
    return masker(share).collate(blocks, torch.Generator().manual_seed(seed))


def original_of(batch: MaskedBatch) -> list[list[int]]:
    ids = batch.input_ids.clone()
    ids.view(-1)[batch.targets] = batch.target_ids
    return ids.tolist()


def test_what_was_there_is_what_is_to_be_guessed(encoder: Encoder) -> None:
    windows = windows_of(encoder, LINES)
    ids = original_of(batch_of([windows[:2], windows[2:]]))
    for row, block in zip(ids, (windows[:2], windows[2:]), strict=True):
        tokens = [token for window in block for token in window.input_ids]
        assert row[: len(tokens)] == tokens
        assert set(row[len(tokens) :]) <= {0}


def test_words_are_hidden_whole_and_special_tokens_never(encoder: Encoder) -> None:
    windows = windows_of(encoder, LINES * 30)
    batch = batch_of([[window] for window in windows])
    width = batch.input_ids.shape[1]
    hidden: set[tuple[int, int]] = {divmod(i, width) for i in batch.targets.tolist()}
    for row, window in enumerate(windows):
        assert (row, 0) not in hidden
        assert (row, len(window.input_ids) - 1) not in hidden
        for token, (word, next_word) in enumerate(pairwise(window.word_ids)):
            if word == next_word:
                assert ((row, token) in hidden) == ((row, token + 1) in hidden)
    pieces = sum(a == b for window in windows for a, b in pairwise(window.word_ids))
    assert pieces > 50, "there are words of several tokens"


def test_the_share_asked_for_is_hidden_by_mask_other_tokens_and_not_at_all(
    encoder: Encoder,
) -> None:
    windows = windows_of(encoder, ["pump on belt at engine for hose near oil"] * 300)
    batch = batch_of([[window] for window in windows], share=0.3)
    num_words = 9 * 300
    assert batch.num_trained == round(0.3 * num_words)
    now = batch.input_ids.flatten()[batch.targets]
    masked = (now == MASK).float().mean().item()
    same = (now == batch.target_ids).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.05)
    assert same == pytest.approx(0.1, abs=0.04)  # and now and then another token is the same one


def test_masks_are_drawn_anew_each_time_and_repeat_with_their_seed(encoder: Encoder) -> None:
    blocks = [[window] for window in windows_of(encoder, LINES * 5)]
    first, again, other = (batch_of(blocks, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.targets, other.targets)
    torch.manual_seed(1)
    without = [masker().collate(blocks) for _ in range(2)]
    assert not torch.equal(without[0].targets, without[1].targets)


def test_at_least_one_word_is_to_be_guessed(encoder: Encoder) -> None:
    assert batch_of([windows_of(encoder, ["pump"])], share=0.01).num_trained == 1


def test_a_packed_line_counts_from_its_beginning_and_sees_itself_only(encoder: Encoder) -> None:
    windows = windows_of(encoder, LINES)
    (block,) = pack(windows, 64)
    batch = batch_of([block])
    start = 0
    for window in block:
        here = slice(start, start := start + len(window.input_ids))
        assert batch.position_ids[0, here].tolist() == list(range(len(window.input_ids)))
        seen = batch.attention_mask[0, 0, here]
        assert seen[:, here].all()
        assert seen.sum() == len(window.input_ids) ** 2


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"\[MASK\] or <mask> to hide words with, got nei"):
        Masker(Tokenizer(WordPiece({"a": 0}, unk_token="a")), pad_id=0, share=0.15)
