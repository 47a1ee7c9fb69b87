import itertools
import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve.decode.decoding import Decoding
from serve.errors import CheckpointError
from serve.labels import Tags
from train.model.base import find_base
from train.task.objective import ChainLoss


@pytest.fixture
def tagger(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """Return a trained tagger of Activity, Item and Observation."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "tagger"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def names(folder: Path) -> list[str]:
    id2label = json.loads((folder / "config.json").read_text())["id2label"]
    return [id2label[str(row)] for row in range(len(id2label))]


def test_the_rows_of_labels_that_agree_are_kept_wherever_they_stand(
    tagger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tags = Tags.from_labels(["Aim", "Bay", "Item"])
    with caplog.at_level(logging.INFO, logger="train"):
        layer = find_base(str(tagger)).load_model(tags).classifier
    old, old_names = load_file(tagger / "model.safetensors"), names(tagger)
    for name in ("O", "B-Item", "I-Item"):
        row = old_names.index(name)
        assert tags.id_of(name) != row or name == "O"
        assert layer.weight[tags.id_of(name)].equal(old["classifier.weight"][row])
        assert layer.bias[tags.id_of(name)].equal(old["classifier.bias"][row])
    assert layer.weight[tags.id_of("B-Aim")].std().item() == pytest.approx(0.02, rel=0.5)
    assert layer.bias[tags.id_of("I-Bay")].item() == 0
    assert "its head for 1 of 3 labels (Item)" in caplog.text


def test_the_encoder_is_the_taggers(tagger: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="train"):
        model = find_base(str(tagger)).load_model(Tags.from_labels(["Zone"]))
    assert "its encoder stays, and none of its head, which knows other labels" in caplog.text
    old = load_file(tagger / "model.safetensors")
    encoder = {
        name: tensor for name, tensor in model.state_dict().items() if "classifier" not in name
    }
    assert encoder
    assert all(tensor.equal(old[name]) for name, tensor in encoder.items())


def test_the_same_labels_keep_the_whole_head(tagger: Path) -> None:
    labels = ["Activity", "Item", "Observation"]
    model = find_base(str(tagger)).load_model(Tags.from_labels(labels))
    old = load_file(tagger / "model.safetensors")
    assert model.classifier.weight.equal(old["classifier.weight"])


def chain_of(num_tags: int) -> Decoding:
    """Return one whose every weight is another."""
    rows = [tuple(range(row * 9, row * 9 + num_tags)) for row in range(num_tags + 2)]
    start, end, *transitions = rows
    return Decoding(constrained=True, transitions=tuple(transitions), start=start, end=end)


def test_a_chain_keeps_the_weights_between_tags_that_agree(tagger: Path) -> None:
    old, old_names = chain_of(7), names(tagger)
    (tagger / "decoding.json").write_text(old.to_json())
    tags = Tags.from_labels(["Aim", "Item"])
    objective = ChainLoss(tags)
    objective.keep(*find_base(str(tagger)).chain(tags))
    new = objective.decoding()
    kept = {tags.id_of(name): old_names.index(name) for name in ("O", "B-Item", "I-Item")}
    for a in range(5):
        both = a in kept
        assert new.start[a] == (old.start[kept[a]] if both else 0)
        assert new.end[a] == (old.end[kept[a]] if both else 0)
        for b in range(5):
            expected = old.transitions[kept[a]][kept[b]] if both and b in kept else 0
            assert new.transitions[a][b] == expected


def test_a_chain_begins_at_0_after_a_tagger_without_one_or_without_labels_in_common(
    tagger: Path,
) -> None:
    for decoding, label in [(Decoding(constrained=True), "Item"), (chain_of(7), "Zone")]:
        (tagger / "decoding.json").write_text(decoding.to_json())
        tags = Tags.from_labels([label])
        objective = ChainLoss(tags)
        objective.keep(*find_base(str(tagger)).chain(tags))
        assert not any(itertools.chain(*objective.decoding().transitions))


@pytest.mark.parametrize(
    "known",
    [
        ["O", "B-X", "I-X", "B-Y", "I-Y", "B-Z", "I-Z"],  # O alone means other things
        ["O", "I-Item", "I-X", "I-Y", "I-Z", "I-V", "I-W"],  # an IO scheme's I is no I of ours
    ],
)
def test_without_a_whole_label_in_common_the_head_is_new(tagger: Path, known: list[str]) -> None:
    edit_config(
        tagger, id2label=dict(enumerate(known)), label2id={n: i for i, n in enumerate(known)}
    )
    tags = Tags.from_labels(["Item"])
    layer = find_base(str(tagger)).load_model(tags).classifier
    assert layer.bias.count_nonzero() == 0
    assert layer.weight.abs().max() < 0.2


def test_an_encoder_without_a_head_says_nothing_of_one(
    tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="train"):
        find_base(str(tiny_base)).load_model(Tags.from_labels(["Item"]))
    assert "its head" not in caplog.text


def test_the_head_of_a_model_in_parts_is_found(tagger: Path) -> None:
    weights = load_file(tagger / "model.safetensors")
    (tagger / "model.safetensors").unlink()
    head = {name: tensor for name, tensor in weights.items() if name.startswith("classifier.")}
    rest = {name: tensor for name, tensor in weights.items() if name not in head}
    parts = {"model-00001-of-00002.safetensors": rest, "model-00002-of-00002.safetensors": head}
    for file, tensors in parts.items():
        save_file(tensors, tagger / file, metadata={"format": "pt"})
    weight_map = {name: file for file, tensors in parts.items() for name in tensors}
    index = {"metadata": {}, "weight_map": weight_map}
    (tagger / "model.safetensors.index.json").write_text(json.dumps(index))
    layer = find_base(str(tagger)).load_model(Tags.from_labels(["Item"])).classifier
    assert layer.weight[1].equal(weights["classifier.weight"][names(tagger).index("B-Item")])


def test_a_head_that_does_not_fit_its_tags_is_refused(tagger: Path) -> None:
    path = tagger / "model.safetensors"
    weights = load_file(path)
    weights["classifier.weight"] = torch.zeros(5, 32)
    save_file(weights, path, metadata={"format": "pt"})
    message = r"expected a classifier\.weight of shape \(7, 32\), .* got \(5, 32\); take both"
    with pytest.raises(CheckpointError, match=message):
        find_base(str(tagger)).load_model(Tags.from_labels(["Item"]))
