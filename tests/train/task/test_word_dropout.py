from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from serve.encoding import Window
from serve.errors import CheckpointError
from serve.words import NO_WORD
from train.model.base import find_base
from train.task.word_dropout import word_dropout

TEXT = " ".join(["rewelding hose", "pump"] * 15)  # "rewelding" is several tokens


@pytest.fixture
def window(tiny_base: Path) -> Window:
    (text,) = find_base(str(tiny_base)).encoder().encode([TEXT])
    return text.windows[0]


@pytest.fixture
def tokenizer(tiny_base: Path) -> Tokenizer:
    return find_base(str(tiny_base)).tokenizer


def test_whole_words_are_hidden_and_special_tokens_never(
    window: Window, tokenizer: Tokenizer
) -> None:
    mask, draws = tokenizer.token_to_id("[MASK]"), 200
    hide, num_hidden = word_dropout(0.3, tokenizer), 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(draws):
            ids = hide(window).input_ids
            by_word: dict[int, set[bool]] = {}
            for old, new, word in zip(window.input_ids, ids, window.word_ids, strict=True):
                assert new in (old, mask)
                by_word.setdefault(word, set()).add(new == mask)
            assert by_word.pop(NO_WORD) == {False}
            assert all(len(hidden) == 1 for hidden in by_word.values())
            num_hidden += sum(True in hidden for hidden in by_word.values())
    assert max(window.word_ids.count(word) for word in set(window.word_ids) - {NO_WORD}) > 1
    assert num_hidden / (draws * len(by_word)) == pytest.approx(0.3, abs=0.03)


def test_what_is_hidden_is_seeded_and_the_window_stays_as_it_was(
    window: Window, tokenizer: Tokenizer
) -> None:
    hide, before = word_dropout(0.5, tokenizer), list(window.input_ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first, second = hide(window), hide(window)
        torch.manual_seed(1)
        assert hide(window).input_ids == first.input_ids
    assert first.input_ids != second.input_ids
    assert window.input_ids == before
    assert first.first_tokens == window.first_tokens


def test_without_a_share_nothing_is_hidden_nor_drawn(window: Window, tokenizer: Tokenizer) -> None:
    with torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        assert word_dropout(0.0, tokenizer)(window) is window
        assert torch.get_rng_state().equal(state)


def test_a_tokenizer_without_a_mask_token_is_refused() -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(
        CheckpointError, match="got neither; choose another model, or train without"
    ):
        word_dropout(0.1, tokenizer)
    word_dropout(0.0, tokenizer)
