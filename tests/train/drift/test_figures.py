"""The figures of single lines, counted by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from serve.tagger import Tagger
from tests.serve.tiny import TAGS, noisy_lines, tiny_tokenizer, write_bundle
from train.drift.figures import figures, known_of, layout_of
from train.drift.measures import Column


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    return Tagger.load(write_bundle(tmp_path_factory.mktemp("drift") / "bundle"))


def test_words_and_tokens_are_held_against_what_the_train_lines_have_shown(tagger: Tagger) -> None:
    unknown = tiny_tokenizer().token_to_id("[UNK]")
    known = known_of(tagger.encoder, ["Fix pump", "fix it"], unknown)
    texts = ["FIX fix hose", "pump 設", ""]
    layout = layout_of(tagger, texts)
    rows = figures(tagger, texts, known, layout)
    columns = list(Column)
    seen = (Column.WORDS, Column.UNSEEN_WORDS, Column.TOKENS, Column.UNKNOWN_TOKENS)
    found = [[int(row[columns.index(column)]) for column in seen] for row in rows]
    assert found == [[3, 1, 3, 0], [2, 1, 2, 1], [0, 0, 0, 0]]
    assert layout.words == ("fix", "hose", "pump", "設", "")
    assert rows[:, layout.word_columns].tolist() == [[2, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0] * 5]


def test_words_that_are_not_counted_by_themselves_are_counted_together(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.drift.figures.MAX_WORDS", 1)
    texts = ["fix fix hose", "pump"]
    layout = layout_of(tagger, texts)
    rows = figures(tagger, texts, known_of(tagger.encoder, texts, None), layout)
    assert rows[:, layout.word_columns].tolist() == [[2, 1], [0, 1]]


def test_entities_are_counted_by_label_and_in_all(tagger: Tagger) -> None:
    texts = noisy_lines(40)
    layout = layout_of(tagger, texts)
    rows = figures(tagger, texts, known_of(tagger.encoder, [], None), layout)
    entities = [Counter(e.label for e in row) for row in tagger.tag(texts)]
    expected = [[counts[label] for label in TAGS.labels] for counts in entities]
    assert rows[:, layout.label_columns].tolist() == expected
    assert rows[:, list(Column).index(Column.ENTITIES)].tolist() == [sum(row) for row in expected]
    assert rows[:, layout.label_columns].sum(axis=0).min() > 0, "each label is among them"
