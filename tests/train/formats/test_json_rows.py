import json
from pathlib import Path

import pytest

from serve.errors import DataError
from train.formats import json_rows as module
from train.formats.json_rows import json_rows


def rows(tmp_path: Path, content: str) -> list[object]:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    return [value for _, value in json_rows(path)]


@pytest.mark.parametrize(
    "content",
    [
        '[{"a": 1}, 2, "x"]',
        '\ufeff \n[ {"a":1} ,\n2\n,\t"x" ]\n\n',
        '{"a": 1}\n2\n"x"\n',
        '{"a": 1}\r\n\r\n2\r\n"x"',
    ],
)
def test_an_array_and_lines_give_the_same_values(tmp_path: Path, content: str) -> None:
    assert rows(tmp_path, content) == [{"a": 1}, 2, "x"]


@pytest.mark.parametrize("content", ["", " \n", "[]", "[ ]\n"])
def test_nothing_gives_no_rows(tmp_path: Path, content: str) -> None:
    assert rows(tmp_path, content) == []


def test_elements_longer_than_what_is_read_at_once_come_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_CHARS", 3)
    values = [{"text": "x" * n, "n": [n, 12345]} for n in range(30)] + [1234567, "ü]", None]
    assert rows(tmp_path, json.dumps(values)) == values
    assert rows(tmp_path, json.dumps(values, indent=3, ensure_ascii=False)) == values


def raise_first_error(path: Path) -> None:
    for _, value in json_rows(path):
        if isinstance(value, DataError):
            raise value


@pytest.mark.parametrize("content", ["{ROW}", "[1, {ROW}]"])
def test_a_name_that_comes_twice_in_an_object_is_refused(tmp_path: Path, content: str) -> None:
    row = '{"text": "fix hose", "label": [[4, 8, "Item"]], "label": []}'
    path = tmp_path / "a.json"
    path.write_text(content.replace("{ROW}", row))
    with pytest.raises(DataError, match="expected each name once in an object, got 'label' twice"):
        raise_first_error(path)


@pytest.mark.parametrize("whole", ["{}\n{}\n{}", "[{},\n{},\n{}]"])
def test_rows_after_one_with_a_name_twice_are_read(tmp_path: Path, whole: str) -> None:
    first, second, third = rows(tmp_path, whole.format(1, '{"id": 1, "id": 2}', 3))
    assert (first, third) == (1, 3)
    assert isinstance(second, DataError)


def test_places_are_lines_or_indices(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n1\n\n2")
    assert [place for place, _ in json_rows(path)] == [f"{path}:2", f"{path}:4"]
    path.write_text("[1,\n2]")
    assert [place for place, _ in json_rows(path)] == [f"{path}:$[0]", f"{path}:$[1]"]


def test_a_broken_line_comes_as_an_error_and_the_next_ones_are_read(tmp_path: Path) -> None:
    first, second, third = rows(tmp_path, '1\n{"a" 2}\n3')
    assert (first, third) == (1, 3)
    assert isinstance(second, DataError)
    assert "a.json:2: expected a JSON object on each line, got: Expecting ':'" in str(second)


def test_a_line_that_is_cut_or_nested_too_deeply_is_told(tmp_path: Path) -> None:
    deep, cut = rows(tmp_path, '{"a": ' + "[" * 200_000 + '\n{"a": "b')
    assert "a.json:2: " in str(cut)
    assert "got: Unterminated string starting at character 6; " in str(cut)
    assert str(deep).endswith(
        "a.json:1: expected a few levels of lists and objects, got too many; flatten it"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", r"a\.json:\$\[1\]: expected a comma or \] after it, got the end of the file"),
        ("[1 2]", r"a\.json:\$\[0\]: expected a comma or \] after it, got '2'"),
        ("[1, ]", r"a\.json:\$\[1\]: expected a JSON value, got: Expecting value at its character"),
        ('[1, {"a": }]', r"a\.json:\$\[1\]: expected a JSON value, got: Expecting value .* 6"),
        ("[", r"a\.json:\$\[0\]: expected a JSON value"),
        ("[1] 2", r"a\.json: expected nothing after the array, got '2'"),
        ("[" * 200_000, r"a\.json:\$\[0\]: expected a few levels of lists"),
        ('["a', r"a\.json:\$\[0\]: .*, got: Unterminated string starting at its character 0"),
        ("[" + "1" * 5000 + "]", r"a\.json:\$\[0\]: Exceeds the limit"),
    ],
)
def test_an_array_that_breaks_off_is_refused_by_index(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path, content)


def test_bytes_that_are_not_utf8_are_told_by_element(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'["a", "b\xff"]')
    with pytest.raises(DataError, match=r"\$\[1\]: expected UTF-8, got character 2 of the element"):
        list(json_rows(path))


def test_an_element_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_CHARS", 10)
    monkeypatch.setattr(module, "MAX_ELEMENT_CHARS", 100)
    assert rows(tmp_path, json.dumps(["x" * 90, 1])) == ["x" * 90, 1]
    with pytest.raises(DataError, match="expected an element of at most 100 characters, got a lon"):
        rows(tmp_path, '["' + "x" * 400)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: expected a readable file, got No such file"):
        list(json_rows(tmp_path / "none.json"))
