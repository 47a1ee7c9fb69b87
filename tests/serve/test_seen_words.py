"""Tests that words which are remembered have the tokens that the tokenizer gives them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel, WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import RobertaProcessing, TemplateProcessing

from serve import seen_words as module
from serve.encoding import EncodedText, Encoder
from serve.seen_words import SeenWords
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


def encoder_of(tokenizer: Tokenizer, *, remembers: bool = True) -> Encoder:
    """Return an encoder of short windows; it remembers words if it can."""
    encoder = Encoder(tokenizer, max_tokens=MAX_TOKENS, pad_id=0)
    if not remembers:
        encoder._seen_words._tokenizer = None
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
@example(["x" * 101, "hose"], "-")  # longer than WordPiece takes
def test_every_text_has_the_tokens_of_the_tokenizer(parts: list[str], between: str) -> None:
    text = between.join(parts).encode(errors="ignore").decode()
    expected = fields(FORGETTING.encode([text, "hose"]))
    assert fields(REMEMBERING.encode([text, "hose"])) == expected
    assert fields(REMEMBERING.encode([text, "hose"])) == expected  # of words that are known now
    assert fields(REMEMBERING.encode([text])) == expected[:1]


class CountingTokenizer:
    """A tokenizer that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text: str, *, add_special_tokens: bool) -> object:
        """Return the tokens."""
        self.asked.append(text)
        return tiny_tokenizer().encode(text, add_special_tokens=add_special_tokens)


def test_only_new_words_reach_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    words, counting = SeenWords(tiny_tokenizer()), CountingTokenizer()
    monkeypatch.setattr(words, "_tokenizer", counting)
    for text in ("fix o-ring", "fix o-ring", "ring - o", "o-ring leak, fix leak", "", "  "):
        assert words.tokens(text) == SeenWords(tiny_tokenizer()).tokens(text)
    assert counting.asked == ["fix o - ring", "leak ,"]


def test_what_callers_do_to_tokens_is_not_remembered() -> None:
    encoder = encoder_of(tiny_tokenizer())
    for _ in range(3):
        (text,) = encoder.encode(["fix hosing"])
        assert fields([text]) == fields(FORGETTING.encode(["fix hosing"]))
        text.windows[0].input_ids.clear()
        text.offsets.clear()


@pytest.mark.parametrize("token", ["[PUMP]", "o[ring"])
def test_tokens_that_were_added_are_found_among_known_words(token: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(token)])
    encoder, forgetting = encoder_of(tokenizer), encoder_of(tokenizer, remembers=False)
    for line in ("fix o ring [ pump ]", f"fix {token}s", "fix o[ring"):
        assert fields(encoder.encode([line])) == fields(forgetting.encode([line]))


def other_model(tokenizer: Tokenizer) -> None:
    tokenizer.model = WordLevel({"[UNK]": 0, "[CLS]": 2, "[SEP]": 3}, unk_token="[UNK]")


def no_prefix(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.get_vocab()
    tokenizer.model = WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix="")


def other_normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = Lowercase()


def other_pre_tokenizer(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = Whitespace()


def other_processor(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))


def text_twice(tokenizer: Tokenizer) -> None:
    special = [("[CLS]", 2), ("[SEP]", 3)]
    twice = TemplateProcessing(single="[CLS] $A $A [SEP]", special_tokens=special)
    tokenizer.post_processor = twice


def words_added(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens(["o-ring"])


@pytest.mark.parametrize(
    "change",
    [
        other_model,
        no_prefix,
        other_normalizer,
        other_pre_tokenizer,
        other_processor,
        text_twice,
        words_added,
    ],
)
def test_other_tokenizers_see_every_text(change: Callable[[Tokenizer], None]) -> None:
    tokenizer = tiny_tokenizer()
    assert SeenWords(tokenizer).tokens("hose") is not None
    change(tokenizer)
    assert SeenWords(tokenizer).tokens("hose") is None
    encoder, fresh = encoder_of(tokenizer), encoder_of(tokenizer)
    encoder.encode(["fix o - ring"])  # whose words are other ones where no prefix tells tokens
    assert fields(encoder.encode(["fix o-ring"])) == fields(fresh.encode(["fix o-ring"]))


def test_no_more_and_no_longer_words_are_remembered_than_the_caps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WORDS", 10)
    encoder = encoder_of(tiny_tokenizer())
    many = " ".join(f"x{number}" for number in range(20))
    for line in (*(f"fix pump{n} hose{n}" for n in range(100)), many, *noisy_lines(50)):
        assert fields(encoder.encode([line])) == fields(FORGETTING.encode([line]))
        assert len(encoder._seen_words._known) <= 10
    words = SeenWords(tiny_tokenizer())
    assert words.tokens("x" * module.MAX_WORD_CHARS + " " + "y" * (module.MAX_WORD_CHARS + 1))
    assert list(words._known) == ["x" * module.MAX_WORD_CHARS]
