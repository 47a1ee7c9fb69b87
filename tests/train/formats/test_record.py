import pytest

from train.formats.record import shown


@pytest.mark.parametrize("value", ["Türöffner", "泵漏油", "насос"])
def test_letters_of_any_script_are_shown_as_they_are(value: str) -> None:
    assert shown(value) == f"'{value}'"


@pytest.mark.parametrize("char", ["\x1b", "\x9b", "\u202e", "\u200b", "\x85", "\ud800", "\n"])
def test_what_could_steer_a_terminal_is_escaped(char: str) -> None:
    assert shown(f"a{char}b").isprintable()
    assert shown({char: [char]}).isprintable()


def test_a_long_value_is_cut() -> None:
    assert shown("ä" * 100) == "'" + "ä" * 76 + "..."
