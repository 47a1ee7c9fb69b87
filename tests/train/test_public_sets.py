"""Reads the public sets in full; the counts are those their source notes give."""

from pathlib import Path

import pytest

from train.config import TrainConfig
from train.corpus.data import read_corpus, read_split


def test_mwo2kg_is_read_with_its_stray_labels_merged(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    label_map = (("Observed_state", "Observation"), ("Event", ""))
    corpus = read_corpus(TrainConfig(data=shared_data / "mwo2kg", label_map=label_map))
    assert corpus.test is not None
    splits = (corpus.train, corpus.dev, corpus.test)
    assert [len(split.examples) for split in splits] == [2943, 383, 361]
    assert [split.labels.total() for split in splits] == [9665, 1270, 1180]
    assert len(corpus.tags.labels) == 10
    assert "hardly learnt" not in caplog.text


def test_mwo2kgs_stray_labels_are_said_to_be_rare(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_corpus(TrainConfig(data=shared_data / "mwo2kg"))
    assert "hardly learnt: Event (5), Observed_state (9); merge" in caplog.text


@pytest.mark.parametrize(
    ("file", "num_lines", "num_spans", "scheme"),
    [
        ("wikigold/wikigold.conll.txt", 1696, 3558, "IO"),
        ("wnut17/wnut17train.conll", 3394, 1975, "IOB2"),
        ("wnut17/emerging.dev.conll", 1009, 836, "IOB2"),
        ("wnut17/emerging.test.annotated", 1287, 1079, "IOB2"),
    ],
)
def test_a_public_set_is_read_to_its_last_entity(
    shared_data: Path,
    caplog: pytest.LogCaptureFixture,
    file: str,
    num_lines: int,
    num_spans: int,
    scheme: str,
) -> None:
    caplog.set_level("INFO", "train")
    split = read_split(shared_data / file)
    assert (len(split.examples), split.labels.total()) == (num_lines, num_spans)
    assert f"scheme {scheme}" in caplog.text
