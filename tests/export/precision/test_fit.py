"""Weights fitted to rounded activations: nearer answers in INT8, from lines that were not seen."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.checkpoint import Checkpoint
from export.precision import fit as module
from export.precision import gptq
from export.precision.calibration import Range, activation_ranges, calibration_batches
from export.precision.fit import fit
from export.precision.gptq import fitted
from export.precision.int8 import quantized_inputs, quantized_products, to_int8
from export.precision.steps import column_steps, step_limits
from export.precision.weights import Weights
from serve.encoding import EncodedBatch
from serve.session import OrtBackend
from tests.conftest import tiny_lines
from tests.export.precision.pairs import largest_pair

Matrix = NDArray[np.float32]
SEEN = [line.text for line in tiny_lines(seed=5, num_lines=60)]
UNSEEN = [line.text for line in tiny_lines(seed=6, num_lines=60)]


@pytest.fixture(scope="module")
def ranges(checkpoint: Checkpoint, model: onnx.ModelProto) -> dict[str, Range]:
    """Return ranges so coarse that rounding costs something in a model so small."""
    names = quantized_inputs(model)
    measured = activation_ranges(model, names, batches(checkpoint, SEEN))
    return {name: Range(32 * r.low, 32 * r.high) for name, r in measured.items()}


def batches(checkpoint: Checkpoint, texts: list[str]) -> list[EncodedBatch]:
    return list(calibration_batches(checkpoint.encoder, texts))


def error(model: onnx.ModelProto, other: onnx.ModelProto, lines: list[EncodedBatch]) -> float:
    """Return the mean squared difference of two graphs' logits."""
    one, two = (OrtBackend(graph.SerializeToString()) for graph in (model, other))
    return float(np.mean([np.square(one.logits(b) - two.logits(b)).mean() for b in lines]))


def weights_of(model: onnx.ModelProto) -> dict[str, Matrix]:
    """Return the weight of each product that becomes one of integers, by the product's name."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        node.name: numpy_helper.to_array(tensors[node.input[1]])
        for node in quantized_products(model)
    }


def test_int8_is_nearer_to_fp32_on_lines_that_were_not_seen(
    checkpoint: Checkpoint, model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    after = fit(model, ranges, lambda: batches(checkpoint, SEEN))
    unseen = batches(checkpoint, UNSEEN)
    before = error(model, to_int8(model, ranges), unseen)
    fitted_graph = to_int8(after.model, ranges, steps=after.steps)
    assert error(model, fitted_graph, unseen) < before * 0.7


def test_what_is_rounded_already_is_rounded_no_further_and_no_pair_overflows(
    checkpoint: Checkpoint, model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    after = fit(model, ranges, lambda: batches(checkpoint, SEEN))
    assert list(weights_of(after.model)) == list(weights_of(model))
    quantized = to_int8(after.model, ranges, steps=after.steps)
    integers = {t.name: numpy_helper.to_array(t) for t in quantized.graph.initializer}
    for node in quantized_products(after.model):
        whole = integers[f"{node.input[1]}_int8"]
        weight = weights_of(after.model)[node.name]
        np.testing.assert_allclose(whole * after.steps[node.input[1]], weight, rtol=1e-5)
        assert 110 < largest_pair(whole) <= 128


def test_activations_that_go_in_groups_give_the_same(
    checkpoint: Checkpoint,
    model: onnx.ModelProto,
    ranges: dict[str, Range],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = weights_of(fit(model, ranges, lambda: batches(checkpoint, SEEN)).model)
    monkeypatch.setattr(module, "_GROUP_BYTES", 1)  # none beside another
    alone = weights_of(fit(model, ranges, lambda: batches(checkpoint, SEEN)).model)
    assert whole.keys() == alone.keys()
    assert all((alone[name] == weight).all() for name, weight in whole.items())


def test_the_graph_that_was_given_is_left_as_it_is(
    checkpoint: Checkpoint, model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    before = model.SerializeToString()
    fit(model, ranges, lambda: batches(checkpoint, SEEN))
    assert model.SerializeToString() == before


@pytest.mark.parametrize("num_inputs", [5, 300])  # within a block of rows, and beyond it
def test_a_weight_gives_on_rounded_inputs_what_it_gave_on_exact_ones(num_inputs: int) -> None:
    exact, weight = _together(num_inputs)
    rounded = np.round(exact * 2, 0) / 2
    gram = rounded.T @ rounded + np.eye(num_inputs, dtype=np.float32)
    result = fitted(weight, gram, rounded.T @ ((exact - rounded) @ weight)).weight
    nearest = np.rint(weight / column_steps(weight)) * column_steps(weight)
    wanted = exact @ weight
    assert np.square(rounded @ result - wanted).sum() < np.square(rounded @ nearest - wanted).sum()
    assert result.shape == weight.shape


def test_rounding_errors_make_up_for_one_another() -> None:
    inputs, weight = _together(300)
    gram = inputs.T @ inputs + np.eye(300, dtype=np.float32)
    nothing = np.zeros_like(weight)
    result = fitted(weight, gram, nothing).weight  # the inputs are exact
    nearest = np.rint(weight / column_steps(weight)) * column_steps(weight)
    lost = np.square(inputs @ (result - weight)).sum()
    assert lost < np.square(inputs @ (nearest - weight)).sum() / 2


@pytest.mark.parametrize("num_inputs", [20, 21])  # the last one has no neighbour
@pytest.mark.parametrize("beyond", [1.0, 1.02])  # others would go beyond it; errors are put on it
def test_pairs_are_rounded_the_largest_inputs_first_and_the_rest_makes_up_for_each(
    monkeypatch: pytest.MonkeyPatch, beyond: float, num_inputs: int
) -> None:
    """Held against the same by solving for all the rest after each row."""
    monkeypatch.setattr(gptq, "_BLOCK", 8)
    inputs, weight = _together(num_inputs)
    inputs += 4 * inputs[:, :1]  # so that much is put upon the rest
    weight = (np.sign(weight) * (1 - np.abs(weight) / 999)).astype(
        np.float32
    )  # all of them nearly the largest
    gram = inputs.T @ inputs + np.eye(num_inputs, dtype=np.float32)
    sizes = np.diag(gram)
    firsts = sorted(range(0, num_inputs - 1, 2), key=lambda i: -max(sizes[i], sizes[i + 1]))
    order = [row for first in firsts for row in (first, first + 1)]
    order += range(len(order), num_inputs)
    weight[order[-1]] *= beyond  # the row that is rounded last
    missing = inputs.T @ inputs[:, :7] / 99
    left = weight + np.linalg.solve(gram, missing).astype(np.float64)
    steps = column_steps(left.astype(np.float32))
    for place, row in enumerate(order):
        limits = step_limits((left[row - 1] if row % 2 else 0 * left[row]) / steps)
        rounded = np.clip(np.rint(left[row] / steps), *np.rint(limits)) * steps
        error = left[row] - rounded
        rest = order[place + 1 :]
        share = np.linalg.solve(gram[np.ix_(rest, rest)].astype(np.float64), gram[rest, row])
        left[row] -= error
        left[rest] += np.outer(share, error)
    result = fitted(weight, gram, missing)
    np.testing.assert_allclose(result.weight, left, rtol=1e-4)
    np.testing.assert_allclose(result.steps, steps, rtol=1e-4)
    assert largest_pair(np.rint(result.weight / result.steps)) == 128  # others would go beyond it


def test_inputs_that_are_always_zero_leave_the_weight_to_the_nearest_steps() -> None:
    weight = _together(8)[1]
    gram = module._damped(np.zeros((8, 8), dtype=np.float32))
    steps = column_steps(weight)
    result = fitted(weight, gram, np.zeros_like(weight))
    np.testing.assert_array_equal(result.steps, steps)
    np.testing.assert_allclose(result.weight, np.rint(weight / steps) * steps, rtol=1e-5)


def test_sums_are_over_the_rounded_activations_of_all_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MERGED_TOKENS", 150)  # of 400
    inputs, weight = _together(8)
    coarse = Range(-50.0, 50.0)
    parts = [{"x": inputs[None, first : first + 100]} for first in range(0, 400, 100)]
    moments = _moments_of(weight, coarse, parts)
    rounded = coarse.steps(inputs)
    lost = inputs / coarse.scale - rounded
    np.testing.assert_allclose(moments.gram["x"], rounded.T @ rounded, rtol=1e-5)
    np.testing.assert_allclose(
        moments.missing["product"], rounded.T @ lost @ weight, rtol=1e-3, atol=0.05
    )


@pytest.mark.parametrize(
    ("widths", "sizes"), [([4000] * 12, [10, 2]), ([20_000] * 2, [1, 1]), ([768] * 30, [30])]
)
def test_matrices_of_640_mb_at_most_are_held_at_once(widths: list[int], sizes: list[int]) -> None:
    named = {str(number): width for number, width in enumerate(widths)}
    groups = list(module._groups(named))
    assert [len(names) for names in groups] == sizes
    assert [name for names in groups for name in names] == list(named)


def test_sums_are_finite_however_far_an_activation_reaches() -> None:
    inputs, weight = _together(8)
    reach = Range(-1e26, 1e26)  # whose squares are beyond float32
    moments = _moments_of(weight, reach, [{"x": inputs[None] * np.float32(1e25)}])
    result = fitted(weight, module._damped(moments.gram["x"]), moments.missing["product"]).weight
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, weight, atol=0.1)


def _moments_of(
    weight: Matrix, reach: Range, activations: list[dict[str, Matrix]]
) -> module._Moments:
    """Return the sums for one product that reads `x`."""
    product = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    graph = helper.make_graph([product], "one", [], [], [numpy_helper.from_array(weight, "w")])
    weights = Weights(helper.make_model(graph))
    return module._moments({"x": [product]}, {"x": reach}, weights, activations)


def _together(num_inputs: int) -> tuple[Matrix, Matrix]:
    """Return inputs that go together, of 400 tokens, and a weight of seven columns."""
    draw = np.random.default_rng(7)
    mixed = draw.normal(size=(num_inputs, num_inputs)) @ np.diag(0.97 ** np.arange(num_inputs))
    inputs = draw.normal(size=(400, num_inputs)) @ mixed.T / np.sqrt(num_inputs)
    return inputs.astype(np.float32), draw.normal(size=(num_inputs, 7)).astype(np.float32)
