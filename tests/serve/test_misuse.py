"""Tests what a tagger says of arguments that are none of those it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from serve.tagger import Tagger
from tests.serve.tiny import noisy_lines


@pytest.mark.parametrize("num_threads", [0, -1, 1.5, 100_000])
def test_a_number_of_threads_that_no_machine_has_a_use_for_is_refused(
    bundle: Path, num_threads: float
) -> None:
    message = f"expected 1 to 256 threads, got num_threads={num_threads}"
    with pytest.raises(ValueError, match=message):
        Tagger.load(bundle, num_threads=num_threads)


@pytest.mark.parametrize("arguments", [{"precision": ""}, {"provider": ""}])
def test_an_empty_name_is_not_taken_for_none(bundle: Path, arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        Tagger.load(bundle, **arguments)


@pytest.mark.parametrize("kind", [iter, tuple, dict.fromkeys, np.array])
def test_texts_of_any_iterable_are_tagged(
    bundle: Path, kind: Callable[[list[str]], Iterable[str]]
) -> None:
    tagger = Tagger.load(bundle)
    texts = list(dict.fromkeys(noisy_lines(20)))
    expected = tagger.tag(texts)
    assert any(expected)
    assert tagger.tag(kind(texts)) == expected
    assert tagger.word_tags(kind(texts)) == tagger.word_tags(texts)


@pytest.mark.parametrize("texts", ["hose", ["hose", 1], [None], iter([b"hose"])])
def test_what_is_no_list_of_strings_is_refused(bundle: Path, texts: object) -> None:
    tagger = Tagger.load(bundle)
    for ask in (tagger.tag, tagger.word_tags):
        with pytest.raises(TypeError, match="expected a list of strings"):
            ask(texts if isinstance(texts, str | list) else iter([b"hose"]))
