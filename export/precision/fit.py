"""Owns the step before INT8 that fits weights to the activations they will meet: rounded ones.

A product of integers errs twice, by its activations and by its weights, about as much by each. What
it will read is known from calibration lines, so each weight becomes the one that gives most nearly,
in least squares, what the trained weight gives on exact activations, and is rounded so that its
errors make up for one another (`export.precision.gptq`). It costs nothing where the graph runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx

from export.precision.calibration import Range, run_activations
from export.precision.gptq import fitted
from export.precision.int8 import quantized_products
from export.precision.steps import Matrix
from export.precision.weights import Weights, without_weights
from serve.encoding import EncodedBatch

_DAMPING = 1.0
"""How much a weight holds on to what was trained, in the mean square of an input over all tokens.

With less the fit is nearer on the lines that it sees, and farther off on those of other domains."""
_GROUP_BYTES = 640 << 20  # of matrices over products' inputs; all of a BERT-base take 550 MB
_MERGED_TOKENS = 512  # sums of so many at a time: few additions of large matrices


class _Moments(NamedTuple):
    """Sums over all tokens, in an activation's steps: however large it is, these are not.

    Attributes:
        gram: Of each rounded activation with itself. Shape: (inputs, inputs)
        missing: Of a product's rounded activation with what rounding takes from the product, by
            its name. Shape: (inputs, columns)
    """

    gram: dict[str, Matrix]
    missing: dict[str, Matrix]


class Fitted(NamedTuple):
    """A graph whose weights are on steps.

    Attributes:
        model: The graph.
        steps: What a step of each column stands for, by the weight's name. Shape: (columns,)
    """

    model: onnx.ModelProto
    steps: dict[str, Matrix]


def fit(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    batches: Callable[[], Iterable[EncodedBatch]],
) -> Fitted:
    """Return a copy of a graph for `export.precision.int8.to_int8`, which rounds it no further.

    Args:
        model: The graph.
        ranges: What the activations will be rounded by, as in `to_int8`.
        batches: Returns calibration lines, without padding, each time anew.
    """
    copy, weights = without_weights(model), Weights(model)
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in quantized_products(copy):
        readers[node.input[0]].append(node)
    steps: dict[str, Matrix] = {}
    widths = {name: len(weights.array(nodes[0].input[1])) for name, nodes in readers.items()}
    for names in _groups(widths):
        some = {name: readers[name] for name in names}
        moments = _moments(some, ranges, weights, run_activations(model, names, batches()))
        for name, nodes in some.items():
            gram = _damped(moments.gram.pop(name))
            for node in nodes:
                trained = weights.array(node.input[1])
                rounded = fitted(trained, gram, moments.missing.pop(node.name))
                weights.replace(node, 1, rounded.weight)
                steps[node.input[1]] = rounded.steps
    weights.write(copy)
    return Fitted(copy, steps)


def _groups(widths: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield activations, as many at a time as their matrices leave room for."""
    names: list[str] = []
    for name in widths:
        if names and sum(4 * widths[other] ** 2 for other in [*names, name]) > _GROUP_BYTES:
            yield names
            names = []
        names.append(name)
    if names:
        yield names


def _moments(
    readers: Mapping[str, Sequence[onnx.NodeProto]],
    ranges: Mapping[str, Range],
    weights: Weights,
    activations: Iterable[Mapping[str, Matrix]],
) -> _Moments:
    moments = _Moments({}, {})
    for merged in _merged(activations):
        for name, values in merged.items():
            exact, rounded = values / ranges[name].scale, ranges[name].steps(values)
            _add(moments.gram, name, rounded.T @ rounded)
            lost: Matrix = exact - rounded
            for node in readers[name]:
                missing = lost @ weights.array(node.input[1])
                _add(moments.missing, node.name, rounded.T @ missing)
    return moments


def _merged(activations: Iterable[Mapping[str, Matrix]]) -> Iterator[dict[str, Matrix]]:
    """Yield the tokens of several batches at a time. Shape: (B, T, inputs) to (tokens, inputs)."""
    parts: dict[str, list[Matrix]] = defaultdict(list)
    num_tokens = 0
    for batch in activations:
        rows = {name: values.reshape(-1, values.shape[-1]) for name, values in batch.items()}
        for name, values in rows.items():
            parts[name].append(values)
        num_tokens += len(next(iter(rows.values())))
        if num_tokens >= _MERGED_TOKENS:
            yield {name: np.concatenate(parts.pop(name)) for name in list(parts)}
            num_tokens = 0
    if parts:
        yield {name: np.concatenate(parts.pop(name)) for name in list(parts)}


def _add(sums: dict[str, Matrix], name: str, values: Matrix) -> None:
    if name in sums:
        sums[name] += values
    else:
        sums[name] = values


def _damped(gram: Matrix) -> Matrix:
    mean = np.diag(gram).mean()
    gram[np.diag_indices_from(gram)] += _DAMPING * mean if mean else 1.0  # 1: only zeros came in
    return gram
