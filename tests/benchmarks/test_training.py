import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.training import peaks
from benchmarks.training.__main__ import main, parse_args
from benchmarks.training.need import BYTES_PER_WEIGHT
from benchmarks.training.peaks import matrix_peak_flops, memory_bytes_per_s
from tests.conftest import tiny_config
from train.model.method import layers_of


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "_MIN_S", 0.0)


def num_matrix_weights() -> int:
    """Return the weights of the tiny tagger's matrix products, its word embeddings aside."""
    from transformers import BertForTokenClassification

    model = BertForTokenClassification(tiny_config())
    modules = [*(m for layer in layers_of(model) for m in layer.modules()), model.classifier]
    return sum(m.weight.numel() for m in modules if isinstance(m, nn.Linear))


def test_a_run_is_taken_apart_and_held_against_the_machine(
    tiny_base: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures" / "training.json"
    arguments = ["--data", str(tiny_data), "--model", str(tiny_base), "--epochs", "2"]
    assert main([*arguments, "--output", str(output)]) == 0
    out = capsys.readouterr().out
    speed = json.loads(out.splitlines()[-1])
    assert speed == json.loads(output.read_text())
    assert set(speed["parts_s"]) == {
        "backward and the rest", "batches", "forward", "optimizer", "dev F1",
    }  # fmt: skip
    assert all(seconds > 0 for seconds in speed["parts_s"].values())
    assert sum(speed["parts_s"].values()) == pytest.approx(speed["total_s"])
    assert "2 epochs of" in out
    need = speed["need"]
    assert need["num_steps"] == 7
    assert 0 < need["num_padding"] < 0.2 * need["num_tokens"]
    bytes_per_weight = BYTES_PER_WEIGHT[getattr(torch, speed["number_format"])]
    assert need["bytes_moved"] == bytes_per_weight * need["num_weights"] * 7
    flops, memory = max(speed["peak_flops"]), max(speed["memory_bytes_per_s"])
    epoch_s = need["flops"] / flops + need["bytes_moved"] / memory
    assert speed["bound_s"] == pytest.approx(2 * epoch_s)
    # Products are counted forward and twice back.
    of_weights = 6 * need["num_tokens"] * (num_matrix_weights() + 32 * 5)  # 7 tags, not 2
    assert of_weights <= need["flops"] < 1.5 * of_weights, "attention's own, if any, are the rest"


def test_the_peaks_are_rates_a_machine_can_have() -> None:
    threads = torch.get_num_threads()
    assert 1e9 < matrix_peak_flops(torch.float32) < threads * 1e13
    assert 1e8 < memory_bytes_per_s() < 1e13


def test_lines_that_are_not_there_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "training.json"
    assert main(["--data", str(tmp_path / "none"), "--output", str(output)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {tmp_path}/none: expected ")
    assert err.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--batch-size", "-3"], ["--output", "x.txt"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_args(["--data", "d", *arguments])
