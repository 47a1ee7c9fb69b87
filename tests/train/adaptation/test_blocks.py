import random
from array import array

import pytest

from train.adaptation.blocks import TokenSequence, pack


def window(num_tokens: int) -> TokenSequence:
    return TokenSequence(array("i", [7] * num_tokens), array("i", [0] * num_tokens))


def num_tokens(block: list[TokenSequence]) -> int:
    return sum(len(window.input_ids) for window in block)


@pytest.mark.parametrize("seed", range(5))
def test_every_line_is_in_one_block_and_hardly_a_block_has_room(seed: int) -> None:
    choose = random.Random(seed)
    windows = [window(choose.randint(3, 30)) for _ in range(400)]
    blocks = pack(windows, 64)
    packed = [id(window) for block in blocks for window in block]
    assert sorted(packed) == sorted(map(id, windows))
    assert max(map(num_tokens, blocks)) <= 64
    assert sum(map(num_tokens, blocks)) > 0.95 * 64 * len(blocks)


def test_a_line_as_long_as_a_block_has_its_own() -> None:
    blocks = pack([window(8), window(3), window(8), window(5)], 8)
    assert [[len(w.input_ids) for w in block] for block in blocks] == [[8], [3, 5], [8]]


def test_nothing_is_no_block() -> None:
    assert pack([], 8) == []
