"""Which INT8 graphs are tried where none passes, and that they hold beyond calibration."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from export.checkpoint import Checkpoint
from export.judge import Candidate, Judge, Trial
from export.precision.calibration import calibration_batches
from export.precision.choose_int8 import choose_int8
from export.precision.smooth import channel_reach
from export.precision.split import splittable
from export.source import Source
from serve.encoding import EncodedBatch
from serve.session import OrtBackend
from tests.conftest import tiny_lines
from tests.exported import changed

TEXTS = [line.text for line in tiny_lines(seed=5, num_lines=40)]
CHANNEL = 3


def reach_of(model: onnx.ModelProto, batch: EncodedBatch) -> float:
    """Return how far a line takes the channel."""
    name = splittable(model)[0]
    return float(channel_reach(model, [name], [batch])[name][CHANNEL])


def with_channel(model: onnx.ModelProto, times: float, plus: float) -> onnx.ModelProto:
    """Return the model where what GELU gets in the channel is multiplied and shifted."""
    made_by = {node.output[0]: node for node in model.graph.node}
    add = made_by[made_by[splittable(model)[0]].input[0]]
    place = np.s_[..., CHANNEL]
    multiplied = changed(model, made_by[add.input[0]].input[1], place, times=times)
    return changed(multiplied, add.input[1], place, times=times, plus=plus)


@pytest.fixture(scope="module")
def lines(checkpoint: Checkpoint, model: onnx.ModelProto) -> list[EncodedBatch]:
    """Return lines from the one on which that channel reaches least to the one on which it most."""
    raised = with_channel(model, 1, 9)  # where GELU gives what it gets
    batches = calibration_batches(checkpoint.encoder, TEXTS)
    return sorted(batches, key=lambda batch: reach_of(raised, batch))


@pytest.fixture(scope="module")
def spiky(model: onnx.ModelProto, lines: list[EncodedBatch]) -> onnx.ModelProto:
    """Return the model whose channel reaches 6 on the first of the lines and 60 on the last."""
    raised = with_channel(model, 1, 9)
    least, most = (reach_of(raised, batch) - 9 for batch in (lines[0], lines[-1]))
    times = 54 / (most - least)
    return with_channel(model, times, 6 - times * least)


@pytest.fixture(scope="module")
def candidates(spiky: onnx.ModelProto, lines: list[EncodedBatch]) -> list[Candidate]:
    """Return all that is tried where nothing passes, calibrated on the lines of little reach."""
    tried: list[Candidate] = []
    calm = lines[:1]

    def batches(num_lines: int | None = None) -> Iterator[EncodedBatch]:
        yield from calm[:num_lines]

    source = SimpleNamespace(cpu=spiky, batches=batches)
    judge = SimpleNamespace(
        passed=lambda candidate, reasons=None: tried.append(candidate),
        best_trial=lambda: Trial(tried[0].method, (), 0.5, "refused"),
    )
    assert choose_int8(cast("Source", source), cast("Judge", judge)) is None
    return tried


def logits(model: onnx.ModelProto, batch: EncodedBatch) -> NDArray[np.float32]:
    return OrtBackend(model.SerializeToString()).logits(batch)


def test_dynamic_scales_are_as_wide_as_a_line_beyond_the_calibration_needs(
    spiky: onnx.ModelProto, lines: list[EncodedBatch], candidates: list[Candidate]
) -> None:
    last = candidates[-1]
    assert (last.method, last.alone) == ("dynamic scales", True)
    expected = logits(spiky, lines[-1])
    fixed = np.abs(logits(candidates[0].model, lines[-1]) - expected).max()
    dynamic = np.abs(logits(last.model, lines[-1]) - expected).max()
    assert dynamic < fixed / 4
    assert not [node.name for node in last.model.graph.node if node.op_type == "Clip"]


def test_a_product_in_fp32_reads_all_of_its_activation(
    spiky: onnx.ModelProto, lines: list[EncodedBatch], candidates: list[Candidate]
) -> None:
    (reader,) = [n.name for n in spiky.graph.node if n.input[0] == splittable(spiky)[0]]
    expected = logits(spiky, lines[-1])
    fixed = np.abs(logits(candidates[0].model, lines[-1]) - expected).max()
    without = [c for c in candidates if reader in c.fp32_nodes]
    assert without, "the product that reads the outlier is among those that harm most"
    for candidate in without:
        assert np.abs(logits(candidate.model, lines[-1]) - expected).max() < fixed / 4
        assert not [node.name for node in candidate.model.graph.node if node.op_type == "Clip"]
