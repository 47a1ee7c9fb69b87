import pytest

from train.task.tagging import default_epochs


@pytest.mark.parametrize(
    ("steps_per_epoch", "num_epochs"), [(1, 40), (12, 34), (57, 8), (92, 5), (101, 4), (9999, 4)]
)
def test_a_small_corpus_is_read_more_often(steps_per_epoch: int, num_epochs: int) -> None:
    assert default_epochs(steps_per_epoch) == num_epochs
