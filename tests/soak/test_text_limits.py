"""Tests texts at the cap, over it and far over it, of every kind that tokenizers stumble over.

Over the cap they are refused within 5 ms, as promised, and no tokenizer sees them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from benchmarks.triton import TritonServer
from serve.client import Policy, TritonTagger
from serve.encoding import Encoder
from serve.errors import DataError
from serve.limits import MAX_CHARS, decode_text
from serve.tagger import Tagger
from tests.serve.tiny import MAX_TOKENS, tiny_tokenizer

KINDS = {
    "words": "replace leaking hose on pump ",
    "one word": "x",
    "punctuation": "?!,.-#/",
    "CJK": "油圧ポンプ交換",
    "emoji": "🔧👩‍🔧🇫🇷",
    "combining": "e\u0301a\u0300\u0323o\u0308",
    "control": "a\x00\x07\u200b\u202e \x1f",
}
OVER = {"cap + 1": MAX_CHARS + 1, "1 MB": 1_000_000, "10 MB": 10_000_000}
REFUSED_WITHIN_S = 0.005
POLICY = Policy(deadline_s=60.0)  # these tests are not about an answer's time


def text_of(kind: str, num_chars: int) -> str:
    """Return a text of a kind, of so many characters."""
    return (KINDS[kind] * (num_chars // len(KINDS[kind]) + 1))[:num_chars]


class Watched:
    """A tokenizer that fails the test when it is asked about a text over the cap."""

    def __init__(self) -> None:
        self._tokenizer = tiny_tokenizer()

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> object:
        assert len(text) <= MAX_CHARS, "tokenized"
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens)

    def encode_batch(self, texts: list[str]) -> object:
        assert max(map(len, texts)) <= MAX_CHARS, "tokenized"
        return self._tokenizer.encode_batch(texts)


def seconds_until_refused(refuse: Callable[[], object], number: int = 0) -> float:
    """Return the time until a text is refused, the best of three: a machine stumbles now and then.

    Args:
        refuse: What refuses it.
        number: Its place among the texts, by which it is named.
    """
    reason = f"text {number}: expected at most {MAX_CHARS} characters"
    times_s = []
    for _ in range(3):
        began = time.perf_counter()
        with pytest.raises(DataError, match=reason):
            refuse()
        times_s.append(time.perf_counter() - began)
    return min(times_s)


@pytest.mark.parametrize("size", OVER)
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_over_the_cap_is_refused_within_5_ms_everywhere_and_never_tokenized(
    kind: str, size: str
) -> None:
    text = text_of(kind, OVER[size])
    content = text.encode()
    encoder = Encoder(Watched(), max_tokens=MAX_TOKENS, pad_id=0)
    with TritonTagger("127.0.0.1:1", policy=POLICY) as nowhere:  # sent, it would not be a DataError
        for refuse in (
            lambda: nowhere.tag([text]),
            lambda: encoder.encode([text]),
            lambda: decode_text(content, 0),
        ):
            assert seconds_until_refused(refuse) <= REFUSED_WITHIN_S
        for refuse in (
            lambda: nowhere.tag(["fine", text]),
            lambda: encoder.encode(["fine", text]),
            lambda: decode_text(content, 1),
        ):
            assert seconds_until_refused(refuse, number=1) <= REFUSED_WITHIN_S


def test_the_tokenizer_that_is_watched_sees_texts_by_themselves_and_in_lists() -> None:
    encoder = Encoder(Watched(), max_tokens=MAX_TOKENS, pad_id=0)
    assert len(encoder.encode(["fine"])) == 1  # plain words, which are looked up first
    assert len(encoder.encode(["é"])) == 1
    assert len(encoder.encode(["é", "è, too"])) == 2
    with pytest.raises(AssertionError, match="tokenized"):
        Watched().encode("x" * (MAX_CHARS + 1))
    with pytest.raises(AssertionError, match="tokenized"):
        Watched().encode_batch(["fine", "x" * (MAX_CHARS + 1)])


def test_a_check_that_reads_the_text_first_is_too_slow() -> None:
    text = text_of("emoji", 10_000_000)

    def reads_first() -> None:
        text.encode()
        raise DataError(f"text 0: expected at most {MAX_CHARS} characters")

    assert seconds_until_refused(reads_first) > REFUSED_WITHIN_S


@pytest.mark.triton
def test_at_the_cap_every_kind_is_answered_and_offsets_slice_the_text_exactly(
    server: TritonServer, embedded: Tagger
) -> None:
    num_entities = 0
    with TritonTagger(server.url, policy=POLICY) as client:
        for kind in KINDS:
            text = text_of(kind, MAX_CHARS)
            (answer,) = client.ask([text])
            assert [(e.label, e.start, e.end) for e in answer.entities] == [
                (e.label, e.start, e.end) for e in embedded.tag([text])[0]
            ]
            for entity in answer.entities:
                assert entity.text == text[entity.start : entity.end] != ""
                assert entity.text == entity.text.strip()
            num_entities += len(answer.entities)
    assert num_entities > 0, "otherwise nothing was sliced"
