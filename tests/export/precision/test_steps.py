"""Tests that weights' integers fit into sixteen bits by two, whatever activations they meet."""

from __future__ import annotations

import numpy as np
import pytest

from export.precision.steps import column_steps, step_limits
from tests.export.precision.pairs import largest_pair


@pytest.mark.parametrize(
    ("column", "step"),
    [
        ([0, 0, 0, 0], 1.0),
        ([0, -2.54, 0, 1.0], 2.54 / 127),  # its neighbour is 0
        ([1, -2.54, 0, 1.0], 2.54 / 127),  # its neighbour has the other sign
        ([1, 0, 0, 2.54], 2.54 / 127),
        ([0.5, 2.5, 0, 1.0], 3.0 / 128),
        ([0.5, 0.5, -1.5, -1.5], 3.0 / 128),
        ([0.5, 2.0, 2.0, 0.5], 2.5 / 128),  # the second and the third are no pair
        ([0.5, 1.0, 2.0], 2.0 / 127),  # the last has no neighbour
    ],
)
def test_a_step_suits_the_largest_number_and_the_largest_pair(
    column: list[float], step: float
) -> None:
    np.testing.assert_allclose(
        column_steps(np.array(column, dtype=np.float32)[:, None]), [step], rtol=1e-4
    )


def test_rounding_to_the_nearest_never_goes_beyond() -> None:
    draw = np.random.default_rng(3)
    for scale in (1e-30, 1.0, 1e30):
        weight = (draw.normal(size=(33, 20_000)) * scale).astype(np.float32)
        halves = np.tile(np.float32([[64.5], [63.5]]) * scale, (1, 5))
        weight[:2, :5] = halves.astype(np.float32)
        whole = np.rint(weight / column_steps(weight))
        assert np.abs(whole).max() == 127
        assert largest_pair(whole) == 128


@pytest.mark.parametrize(
    ("neighbour", "lowest", "highest"),
    [(0, -127, 127), (1, -127, 127), (5, -127, 123), (127, -127, 1), (-2, -126, 127)],
)
def test_limits_leave_room_for_the_neighbour(neighbour: int, lowest: int, highest: int) -> None:
    assert step_limits(np.float32([neighbour])) == (lowest, highest)
