"""Tests that words which are remembered have the tokens that the tokenizer gives them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from serve import plain_lines as memory
from serve.encoding import EncodedText, Encoder
from serve.plain_lines import PlainLines, Tokens
from serve.words import NO_WORD
from tests.serve.tiny import MAX_TOKENS, noisy_lines, tiny_tokenizer

WORDS = [
    "Hose",
    "hose",
    "o-ring",
    "hosing",
    "x_y",
    "3.5kg",
    "[MASK]",
    "[",
    "\u00e9",
    "e\u0301",
    "#",
]


class NoMemory(PlainLines):
    """What has every text tokenized."""

    def learn(self, text: str, tokens: object) -> None:
        """Forget at once."""


def encoder_of(tokenizer: Tokenizer, *, remembers: bool = True) -> Encoder:
    """Return an encoder of short windows; it remembers words if it can."""
    encoder = Encoder(tokenizer, max_tokens=MAX_TOKENS, pad_id=0)
    if not remembers:
        encoder._plain_lines = NoMemory(tokenizer)
    return encoder


def fields(texts: list[EncodedText]) -> list[object]:
    """Return all that there is of encoded texts, to compare."""
    return [
        (t.offsets, [(w.input_ids, w.word_ids, w.first_word, w.first_tokens) for w in t.windows])
        for t in texts
    ]


REMEMBERING = encoder_of(tiny_tokenizer())
FORGETTING = encoder_of(tiny_tokenizer(), remembers=False)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), max_size=40),
    st.sampled_from(["", " ", "  ", "\t", "\x00"]),
)
@example(["hose"] * 100, " ")  # several windows
def test_every_text_has_the_tokens_of_the_tokenizer(parts: list[str], between: str) -> None:
    text = between.join(parts).encode(errors="ignore").decode()
    expected = fields(FORGETTING.encode([text, "hose"]))
    assert fields(REMEMBERING.encode([text, "hose"])) == expected
    assert fields(REMEMBERING.encode([text, "hose"])) == expected  # of words that are known now
    assert fields(REMEMBERING.encode([text])) == expected[:1]


def test_a_line_of_known_words_never_reaches_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in noisy_lines(200) if line.isascii()]
    encoder = encoder_of(tiny_tokenizer())
    expected = fields(encoder.encode(lines))
    monkeypatch.setattr("serve.encoding._encodings", None)
    assert fields(encoder.encode(lines[::-1])) == expected[::-1]
    with pytest.raises(TypeError):
        encoder.encode(["quite another word"])


def test_what_callers_do_to_tokens_is_not_remembered() -> None:
    encoder = encoder_of(tiny_tokenizer())
    encoder.encode(["fix hosing"])
    (first,) = encoder.encode(["fix hosing"])
    first.windows[0].input_ids.clear()
    first.offsets.clear()
    assert fields(encoder.encode(["fix hosing"])) == fields(FORGETTING.encode(["fix hosing"]))


@pytest.mark.parametrize("token", ["o-ring", "ring", "[PUMP]"])
def test_tokens_that_were_added_are_found_in_lines_of_known_words(token: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(token)])
    encoder = encoder_of(tokenizer)
    for line in ("fix o ring - [ pump ]", f"fix {token}s", "fix o-ring"):
        assert fields(encoder.encode([line])) == fields(
            encoder_of(tokenizer, remembers=False).encode([line])
        )


def other_model(tokenizer: Tokenizer) -> None:
    tokenizer.model = WordLevel({"[UNK]": 0, "[CLS]": 2, "[SEP]": 3}, unk_token="[UNK]")


def other_normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = Lowercase()


def other_pre_tokenizer(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = Whitespace()


def words_added(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens(["o-ring"])


@pytest.mark.parametrize(
    "change", [other_model, other_normalizer, other_pre_tokenizer, words_added]
)
def test_other_tokenizers_see_every_text(change: Callable[[Tokenizer], None]) -> None:
    tokens = Tokens([2, 8, 3], [NO_WORD, 0, NO_WORD], [1], [(0, 4)])
    tokenizer = tiny_tokenizer()
    for learns in (True, False):
        lines = PlainLines(tokenizer)
        lines.learn("hose", tokens)
        assert (lines.recall("hose") == tokens) == learns
        change(tokenizer)


def test_a_line_whose_words_the_tokenizer_parts_otherwise_is_not_learnt() -> None:
    lines = PlainLines(tiny_tokenizer())
    (encoded,) = FORGETTING.encode(["fix hose"])
    window = encoded.windows[0]
    tokens = Tokens(window.input_ids, window.word_ids, [1], [(0, 8)])
    lines.learn("fix hose", tokens)
    assert lines.recall("fix hose") is None


def test_no_more_words_are_remembered_than_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_WORDS", 10)
    encoder = encoder_of(tiny_tokenizer())
    for number in range(100):
        line = f"fix pump{number} hose{number}"
        assert fields(encoder.encode([line])) == fields(FORGETTING.encode([line]))
        assert 0 < len(encoder._plain_lines._known) <= 10
