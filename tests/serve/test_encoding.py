"""Tests the way from text to token ids."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFC, NFKC, BertNormalizer, Normalizer, StripAccents
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

from serve.encoding import Encoder, bucket_of
from serve.errors import DataError
from serve.limits import MAX_CHARS
from serve.words import NO_WORD
from tests.serve.tiny import MANY_B, MAX_TOKENS, PANICS_AT_MANY_B, tiny_tokenizer
from train.formats.words import Words, read_offsets

ENCODER = Encoder(tiny_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)


def words_of(text: str) -> list[str]:
    (encoded,) = ENCODER.encode([text])
    return [text[start:end] for start, end in encoded.offsets]


def test_words_are_runs_of_letters_and_single_punctuation_marks() -> None:
    assert words_of("Fix pump#3, o-ring") == ["Fix", "pump", "#", "3", ",", "o", "-", "ring"]


def test_offsets_count_characters_of_the_text_as_it_came() -> None:
    assert words_of("🔧 fix E\u0301tat  Été") == ["🔧", "fix", "E\u0301tat", "Été"]


def encoder_with(normalizer: Normalizer) -> Encoder:
    """Return an encoder whose tokenizer is BERT's but for the normalizer."""
    tokenizer = tiny_tokenizer()
    tokenizer.normalizer = normalizer
    return Encoder(tokenizer, max_tokens=MAX_TOKENS, pad_id=0)


def words_through(normalizer: Normalizer, text: str) -> list[str]:
    (encoded,) = encoder_with(normalizer).encode([text])
    return [text[start:end] for start, end in encoded.offsets]


@pytest.mark.parametrize(
    "text", ["cafe\u0301 hose", "hose, cafe\u0301", "ที่ hose", "e\u0323\u0301, a\u0301-o\u0308"]
)
def test_combining_marks_belong_to_the_word_they_follow(text: str) -> None:
    assert "".join(words_of(text)) == text.replace(" ", "")
    assert words_of(text) == [text[a:b] for a, b in read_offsets(text, Words.PUNCTUATION)]


@pytest.mark.parametrize(
    "normalizer", [NFC(), NFKC(), NormalizerSequence([NFKC(), BertNormalizer()]), StripAccents()]
)
@pytest.mark.parametrize("text", ["서울에서 펌프", "কো hose", "hose கொ", "क्षत्रिय é"])
def test_what_normalization_composes_or_drops_belongs_to_its_letter(
    normalizer: Normalizer, text: str
) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert words_through(normalizer, decomposed) == decomposed.split()


def test_the_voicing_of_halfwidth_katakana_belongs_to_its_letter() -> None:
    assert words_through(NFKC(), "ﾎﾟﾝﾌﾟ ok") == ["ﾎﾟﾝﾌﾟ", "ok"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hose㈱ pump…", ["hose", "㈱", "pump", "…"]),
        ("㈱日立 … ok", ["㈱", "日立", "…", "ok"]),
        ("hose ﷺ", ["hose", "ﷺ"]),
    ],
)
def test_what_normalization_makes_of_one_character_is_one_word(text: str, words: list[str]) -> None:
    assert words_through(NFKC(), text) == words


def test_words_made_one_are_counted_once_and_read_at_the_first_token() -> None:
    (window,) = encoder_with(NFKC()).encode(["fix … hose"])[0].windows
    assert window.word_ids == [NO_WORD, 0, 1, 1, 1, 2, NO_WORD]
    assert window.first_tokens == [1, 2, 5]


def test_a_mark_after_a_blank_belongs_to_no_word() -> None:
    assert words_of("fix \u0301 hose") == ["fix", "hose"]


@pytest.mark.parametrize("text", ["fix <nl>  pump", " <nl> <nl>\t", "<nl>hose<nl> hose"])
def test_blanks_that_an_added_token_takes_in_are_no_part_of_its_word(text: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken("<nl>", lstrip=True, rstrip=True)])
    for texts in ([text], [text, "fix"]):
        encoded = Encoder(tokenizer, max_tokens=MAX_TOKENS, pad_id=0).encode(texts)[0]
        words = [text[start:end] for start, end in encoded.offsets]
        assert words == text.replace("<nl>", " <nl> ").split()


@pytest.mark.parametrize("text", ["件件 hose", "泵件泵", "a 件 件 b"])
@pytest.mark.parametrize("side", ["lstrip", "rstrip"])
def test_words_are_apart_where_an_added_token_takes_in_blanks_of_the_normalizer(
    text: str, side: str
) -> None:
    """It puts them about Chinese characters; each counts as the character."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken("件", **{side: True})])
    (encoded,) = Encoder(tokenizer, max_tokens=MAX_TOKENS, pad_id=0).encode([text])
    ends = [place for word in encoded.offsets for place in word]
    assert ends == sorted(ends)


def test_a_word_of_several_tokens_is_read_at_its_first() -> None:
    (encoded,) = ENCODER.encode(["fix hosing"])
    (window,) = encoded.windows
    assert window.word_ids == [NO_WORD, 0, 1, 1, 1, 1, 1, 1, NO_WORD][: len(window.word_ids)]
    assert window.first_tokens == [1, 2]


@pytest.mark.parametrize("text", ["", "   ", "\t\u00a0"])
def test_a_text_without_words_has_no_window(text: str) -> None:
    (encoded,) = ENCODER.encode([text])
    assert (encoded.windows, encoded.offsets) == ((), [])


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 30))
def test_windows_read_every_word_once_with_context(num_words: int, long_word: int) -> None:
    text = " ".join(["a"] * num_words + ["b" * long_word] + ["c"] * num_words)
    (encoded,) = ENCODER.encode([text])
    (whole,) = Encoder(tiny_tokenizer(), max_tokens=10_000, pad_id=0).encode([text])
    expected = [whole.windows[0].input_ids[token] for token in whole.windows[0].first_tokens]
    read: list[int] = []
    for window in encoded.windows:
        assert len(window.input_ids) <= MAX_TOKENS
        assert window.first_word == len(read)
        read += [window.input_ids[token] for token in window.first_tokens]
        assert [window.input_ids[0], window.input_ids[-1]] == [2, 3]
    assert read == expected
    assert encoded.offsets == whole.offsets


def test_a_word_of_a_long_text_has_context_on_both_sides() -> None:
    (encoded,) = ENCODER.encode([" ".join(["a"] * 300)])
    margin = (MAX_TOKENS - 2) // 4 // 2
    assert len(encoded.windows) > 10
    for window in encoded.windows[1:]:
        assert window.first_tokens[0] > margin
    for window in encoded.windows[:-1]:
        assert window.first_tokens[-1] < MAX_TOKENS - margin
    assert {len(window.input_ids) for window in encoded.windows} == {MAX_TOKENS}


def test_a_tokenizer_saved_with_truncation_and_padding_does_neither() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=20)
    texts = ["fix pump", "replace broken hose pump motor valve"]
    saved = Encoder(Tokenizer.from_str(tokenizer.to_str()), max_tokens=MAX_TOKENS, pad_id=0)
    for ours, plain in zip(saved.encode(texts), ENCODER.encode(texts), strict=True):
        assert ours.offsets == plain.offsets
        assert ours.windows[0].input_ids == plain.windows[0].input_ids


def test_a_text_over_the_cap_is_refused_by_its_index() -> None:
    ENCODER.encode(["a" * MAX_CHARS])
    message = f"text 1: expected at most {MAX_CHARS} characters, got {MAX_CHARS + 1}; cut it up"
    with pytest.raises(DataError, match=message):
        ENCODER.encode(["fine", "a" * (MAX_CHARS + 1)])


def test_a_lone_surrogate_is_refused() -> None:
    message = "text 0: expected valid Unicode, got a lone surrogate at 2"
    with pytest.raises(DataError, match=message):
        ENCODER.encode(["é \ud800"])


def test_sequences_are_padded_on_the_right_to_the_length_asked_for() -> None:
    (short,), (longer,) = (text.windows for text in ENCODER.encode(["fix", "fix pump now"]))
    batch = ENCODER.collate([short, longer], 8)
    assert batch.input_ids.tolist()[0] == [2, 5, 3, 0, 0, 0, 0, 0]
    assert batch.attention_mask.sum(axis=1).tolist() == [3, len(longer.input_ids)]
    assert (batch.input_ids.dtype, batch.attention_mask.dtype) == ("int64", "int64")


@pytest.mark.parametrize(
    ("num_tokens", "expected"), [(1, 1), (15, 15), (17, 18), (33, 36), (100, 104), (129, 144)]
)
def test_short_texts_are_not_padded_and_longer_ones_by_an_eighth(
    num_tokens: int, expected: int
) -> None:
    assert bucket_of(num_tokens, 512) == expected


def test_padding_is_bounded_and_so_is_the_number_of_lengths() -> None:
    buckets = [bucket_of(num_tokens, 500) for num_tokens in range(1, 501)]
    assert all(n <= bucket <= min(500, n * 9 / 8) for n, bucket in enumerate(buckets, start=1))
    assert buckets == sorted(buckets)
    assert len(set(buckets)) <= 56


def test_a_tokenizer_without_the_two_special_tokens_is_refused() -> None:
    bare = Tokenizer(WordPiece(vocab={"[UNK]": 0}, unk_token="[UNK]"))
    with pytest.raises(ValueError, match="expected a tokenizer adding 2 special tokens, got 0"):
        Encoder(bare, max_tokens=32, pad_id=0)
    with pytest.raises(ValueError, match="expected max_tokens of at least 8, got 7"):
        Encoder(tiny_tokenizer(), max_tokens=7, pad_id=0)


def test_special_tokens_elsewhere_than_on_either_side_are_refused() -> None:
    """Windows are cut between the two: a word would be in none of them."""
    left = tiny_tokenizer()
    left.post_processor = TemplateProcessing(
        single="[CLS] [SEP] $A", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    with pytest.raises(ValueError, match=r"special token on either side of a text, got"):
        Encoder(left, max_tokens=32, pad_id=0)


def test_a_vocabulary_without_the_token_of_the_unknown_is_refused() -> None:
    """Else a text with a character that it does not know would have no answer."""
    saved = json.loads(tiny_tokenizer().to_str())
    saved["model"]["vocab"].pop("[UNK]")
    lacking = Tokenizer.from_str(json.dumps(saved))
    with pytest.raises(ValueError, match=r"expected '\[UNK\]' in the vocabulary, which lacks it"):
        Encoder(lacking, max_tokens=32, pad_id=0)


def test_a_text_that_the_tokenizer_panics_at_is_refused_and_named() -> None:
    """A panic of its Rust code is no Exception, and would end whatever serves."""
    tokenizer = tiny_tokenizer()
    tokenizer.pre_tokenizer = Split(Regex(PANICS_AT_MANY_B), "isolated")
    encoder = Encoder(tokenizer, max_tokens=MAX_TOKENS, pad_id=0)
    message = (
        r"expected texts that the tokenizer takes, got .* at 'bbbbbbbbbbbbbbbbbbbbbbbb!'; train"
    )
    for texts in ([MANY_B], ["fix", MANY_B, "pump"]):
        with pytest.raises(DataError, match=message):
            encoder.encode(texts)
    assert len(encoder.encode(["fix", "pump"])) == 2
