import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from serve.errors import CheckpointError
from serve.examples import read_jsonl
from serve.labels import Tags
from train.distillation.teachers import load_teacher, onto_words, teach
from train.model.base import find_base

TAGS = Tags.from_labels(["Activity", "Item", "Observation"])
TEXTS = ["replace hose", "pump is leaking .", "", "check the AIR-CON unit"]


@pytest.fixture
def other(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """Return a teacher whose tags stand in another order, and whose head is another one."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "other"))
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    order = [0, 5, 6, 1, 2, 3, 4]
    names = [config["id2label"][str(row)] for row in order]
    config["id2label"] = dict(enumerate(names))
    config["label2id"] = {name: row for row, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config))
    for part in ("weight", "bias"):
        weights[f"classifier.{part}"] = 0.5 * weights[f"classifier.{part}"][order]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def alone(folder: Path, texts: list[str]) -> list[np.ndarray]:
    """Return one teacher's probabilities, computed text by text without the code under test."""
    teacher = load_teacher(folder, TAGS)
    columns = [teacher.tags.names.index(name) for name in TAGS.names]
    answers = []
    for text in teacher.encoder.encode(texts):
        if not text.windows:
            answers.append(np.zeros((0, len(TAGS)), np.float32))
            continue
        (window,) = text.windows
        with torch.inference_mode():
            logits = teacher.model(input_ids=torch.tensor([window.input_ids])).logits[0]
        answers.append(logits[window.first_tokens].softmax(dim=-1).numpy()[:, columns])
    return answers


def test_several_teachers_give_the_mean_of_their_probabilities_tag_by_tag(
    tiny_checkpoint: Path, other: Path
) -> None:
    encoded = find_base(str(tiny_checkpoint)).encoder().encode(TEXTS)
    means = teach([tiny_checkpoint, other], TEXTS, encoded, TAGS)
    pairs = zip(alone(tiny_checkpoint, TEXTS), alone(other, TEXTS), strict=True)
    for mean, text, (first, second) in zip(means, encoded, pairs, strict=True):
        assert mean.shape == (len(text.offsets), len(TAGS))
        assert mean == pytest.approx((first + second) / 2, abs=0.02)  # matrix products in BF16
        assert np.abs(first - second).max(initial=0.1) > 0.05
        assert mean.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_a_teacher_is_right_where_it_was_trained_to_be(tiny_checkpoint: Path) -> None:
    examples = read_jsonl(tiny_checkpoint / "dev.jsonl")
    texts = [example.text for example in examples]
    encoded = find_base(str(tiny_checkpoint)).encoder().encode(texts)
    (first, *_) = teach([tiny_checkpoint], texts, encoded, TAGS)
    assert first.max(axis=1).min() > 0.5


def test_words_of_the_same_offsets_are_taken_as_they_are() -> None:
    chances = np.eye(7, dtype=np.float32)[:2]
    offsets = [(0, 3), (4, 7)]
    assert onto_words(chances, offsets, list(offsets), TAGS) is chances


def test_a_second_word_inside_a_teachers_word_goes_on_with_its_entity() -> None:
    begins = TAGS.id_of("B-Item")
    chances = np.full((1, 7), 0.05, dtype=np.float32)
    chances[0, begins] = 0.7
    out = onto_words(chances, [(0, 7)], [(0, 3), (3, 4), (4, 7)], TAGS)
    assert out[0].tolist() == chances[0].tolist()
    for row in out[1:]:
        assert row[begins] == 0.0
        assert row[TAGS.id_of("I-Item")] == pytest.approx(0.75)
        assert row.sum() == pytest.approx(1.0)


def test_a_word_of_several_of_the_teachers_takes_the_first_ones_answer() -> None:
    chances = np.eye(7, dtype=np.float32)[[1, 2, 0]]
    out = onto_words(chances, [(0, 3), (3, 4), (5, 9)], [(0, 4), (5, 9)], TAGS)
    assert out.tolist() == chances[[0, 2]].tolist()


def test_words_that_a_teacher_does_not_see_are_outside() -> None:
    out = onto_words(np.zeros((0, 7), np.float32), [], [(0, 1), (2, 3)], TAGS)
    assert out.argmax(axis=1).tolist() == [0, 0]
    assert out.sum(axis=1).tolist() == [1.0, 1.0]


def test_a_word_that_a_teacher_drops_is_outside_and_the_next_one_begins_its_entity() -> None:
    chances = np.full((1, 7), 0.05, dtype=np.float32)
    chances[0, TAGS.id_of("B-Item")] = 0.7
    taught, outside = chances[0].tolist(), np.eye(1, 7)[0].tolist()
    after = onto_words(chances, [(0, 4)], [(0, 4), (5, 6), (7, 8)], TAGS)
    assert after.tolist() == [taught, outside, outside]
    before = onto_words(chances, [(2, 6)], [(0, 1), (2, 6)], TAGS)
    assert before.tolist() == [outside, taught]
    part = onto_words(chances, [(1, 5)], [(0, 5)], TAGS)
    assert part.tolist() == [taught], "a word of which it drops the first character"


def test_a_teacher_of_other_labels_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="got one without State and with Observation besides"):
        load_teacher(tiny_checkpoint, Tags.from_labels(["Activity", "Item", "State"]))


def test_a_crf_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "crf"))
    zeros = [0.0] * 7
    chain = {"transitions": [zeros] * 7, "start": zeros, "end": zeros}
    (folder / "decoding.json").write_text(
        json.dumps({"temperature": 1.0, "constrained": False} | chain)
    )
    with pytest.raises(CheckpointError, match="crf: expected a teacher that scores each word by"):
        load_teacher(folder, TAGS)
