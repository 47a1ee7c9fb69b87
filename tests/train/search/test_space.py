from pathlib import Path

import pytest

from serve.errors import DataError
from train.config import Decoder, TrainConfig
from train.search.space import DEFAULT_SPACE, Choice, Range, read_space, searchable, space_json


def read(tmp_path: Path, text: str) -> dict[str, Choice | Range]:
    path = tmp_path / "space.toml"
    path.write_text(text)
    return dict(read_space(path))


def test_the_default_space_can_be_read_and_holds_the_defaults() -> None:
    for name, dimension in read_space(DEFAULT_SPACE).items():
        default = getattr(TrainConfig(), name)
        if isinstance(dimension, Range):
            assert dimension.low <= default <= dimension.high
        else:
            assert default in dimension.values


def test_every_form_is_read_in_its_settings_type(tmp_path: Path) -> None:
    text = """
    learning_rate = { low = 1e-5, high = 1, log = true }
    epochs = { low = 2, high = 8, step = 2 }
    dropout = { low = 0, high = 0.5 }
    batch_size = [16, 32]
    decoder = ["plain", "constrained"]
    label_all_tokens = [false, true]
    """
    space = read(tmp_path, text)
    assert space == {
        "learning_rate": Range(1e-5, 1.0, log=True),
        "epochs": Range(2, 8, step=2, whole=True),
        "dropout": Range(0.0, 0.5),
        "batch_size": Choice((16, 32)),
        "decoder": Choice((Decoder.PLAIN, Decoder.CONSTRAINED)),
        "label_all_tokens": Choice((False, True)),
    }
    assert space_json(space)["epochs"] == {
        "low": 2,
        "high": 8,
        "log": False,
        "step": 2,
        "whole": True,
    }


def test_numbers_switches_and_choices_can_be_searched_but_no_place_or_seed() -> None:
    names = searchable()
    assert names["learning_rate"] is float
    assert names["freeze_layers"] is int
    assert not {"data", "output", "model", "label_map", "seed", "resume", "json"} & names.keys()
    assert not {"overlaps", "label_level"} & names.keys(), "all trials have their lines in common"
    assert "save_every_s" not in names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a setting to search, got none; see"),
        ("x = ", "expected TOML, got"),
        ("seed = [1, 2]", "seed: expected one of the settings .*, learning_rate, "),
        ("learning_rat = [1e-3]", "learning_rat: expected one of the settings"),
        ("batch_size = []", r"batch_size: expected a list of values or a range .*, got \[\]"),
        ("batch_size = 32", "batch_size: expected a list of values or a range .*, got 32"),
        ("batch_size = [1.5]", "batch_size: expected values of type int, got 1.5"),
        ("batch_size = [true]", "batch_size: expected values of type int, got True"),
        ("label_all_tokens = [1]", "label_all_tokens: expected values of type bool, got 1"),
        ("decoder = ['beam']", "decoder: 'beam' is not a valid Decoder"),
        ("decoder = { low = 1, high = 2 }", "decoder: expected a list of values, got the range"),
        ("dropout = { low = 0.5, high = 0.5 }", "expected low below high, got 0.5 and 0.5"),
        ("dropout = { low = nan, high = 1 }", "expected values of type float, got nan"),
        ("dropout = { low = 0, high = 1, log = true }", "expected low above 0 and no step"),
        ("dropout = { low = 0, high = 0.1, step = 0 }", "expected a step above 0 and at most 0.1"),
        ("dropout = { low = 0, high = 0.1, log = 1 }", "expected log = true or false, got 1"),
        ("dropout = { low = 0, high = 0.1, base = 2 }", "expected a list of values or a range"),
        ("dropout = { low = 0, high = 1.5 }", "expected a number from 0 to 0.9, got 1.5"),
        ("batch_size = [0, 8]", "batch_size: argument --batch-size: expected .* at least 1, got 0"),
    ],
)
def test_a_space_that_does_not_do_is_refused_by_name(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=rf"space\.toml: {message}" if ":" in message else message):
        read(tmp_path, text)


def test_a_missing_space_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml: expected a readable file"):
        read_space(tmp_path / "none.toml")
