import tracemalloc
from itertools import product
from pathlib import Path

import pytest
from tokenizers.normalizers import BertNormalizer

from serve.encoding import Encoder
from serve.errors import DataError
from tests.conftest import tiny_encoder, tiny_tokenizer
from train.adaptation.config import AdaptConfig
from train.adaptation.lines import Lines, read_lines


def lines_of(folder: Path, content: str, **settings: object) -> Lines:
    path = folder / "raw.txt"
    path.write_text(content)
    return read_lines(AdaptConfig(texts=(path,), **settings), tiny_encoder())


def test_each_line_is_taken_once_whatever_its_case_and_blanks(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "replace pump\n\n  \nReplace  PUMP\nclean belt\nclean belt \n")
    assert (lines.num_read, lines.num_repeated, lines.num_left_out) == (4, 2, 0)
    assert len(lines.train) == len(lines.held_out) == 1


def test_a_line_is_taken_once_by_a_cased_tokenizer_too(tmp_path: Path) -> None:
    path = tmp_path / "raw.txt"
    path.write_text("Replace pump\nreplace  pump\nREPLACE PUMP\nclean belt\n")
    lines = read_lines(AdaptConfig(texts=(path,)), cased_encoder())
    assert (lines.num_read, lines.num_repeated) == (4, 2)


def cased_encoder() -> Encoder:
    tokenizer = tiny_tokenizer()
    tokenizer.normalizer = BertNormalizer(lowercase=False)
    return Encoder(tokenizer, max_tokens=64, pad_id=0)


@pytest.mark.parametrize(
    ("first", "is_raw"),
    [
        ('{"text": "replace pump", "spans": []}', False),
        ('{"pressure": 3}', True),
        ("{ replace pump", True),
    ],
)
def test_labelled_lines_are_not_read_as_text(tmp_path: Path, first: str, is_raw: bool) -> None:
    content = f"clean belt\n{first}\n"
    if is_raw:
        assert lines_of(tmp_path, content).num_read == 2
        return
    with pytest.raises(DataError, match=r"raw.txt:2: expected a line of text, got JSON with"):
        lines_of(tmp_path, content)


def test_lines_of_labelled_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text("Replace B-Activity\npump B-Item\n")
    (tmp_path / "test.jsonl").write_text('{"text": "clean belt", "spans": []}\n')
    files = (tmp_path / "dev.txt", tmp_path / "test.jsonl")
    content = "replace pump\nclean belt\nclean pump\nreplace belt\n"
    lines = lines_of(tmp_path, content, leave_out=files)
    assert lines.num_left_out == 2
    kept = {tuple(window.input_ids) for window in (*lines.train, *lines.held_out)}
    encoded = tiny_encoder().encode(["clean pump", "replace belt"])
    assert kept == {tuple(text.windows[0].input_ids) for text in encoded}


def test_of_lines_left_out_the_texts_count_and_no_overlap_of_their_spans(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    spans = '[{"start": 0, "end": 10, "label": "A"}, {"start": 6, "end": 10, "label": "B"}]'
    path.write_text(f'{{"text": "clean belt", "spans": {spans}}}\n')
    lines = lines_of(tmp_path, "clean belt\nclean pump\nreplace belt\n", leave_out=(path,))
    assert lines.num_left_out == 1


def test_the_seed_says_what_is_held_out(tmp_path: Path) -> None:
    content = "\n".join(f"replace {a} {b}" for a in "abcdefghij" for b in "abcdefghij")
    first, again, other = (
        lines_of(tmp_path, content, seed=seed, held_out_share=0.1) for seed in (1, 1, 2)
    )
    held = [[window.input_ids for window in lines.held_out] for lines in (first, again, other)]
    assert len(held[0]) == 10
    assert held[0] == held[1] != held[2]
    assert not {tuple(ids) for ids in held[0]} & {tuple(w.input_ids) for w in first.train}


def test_a_long_line_is_read_in_windows(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "replace pump\n" + "oil pump on engine . " * 40)
    windows = [*lines.train, *lines.held_out]
    assert max(len(window.input_ids) for window in windows) == 64
    assert len(windows) > 3


def test_a_line_over_the_cap_is_read_in_pieces_that_end_at_blanks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = " ".join(["replace oil-pump"] * 2500)
    lines = lines_of(tmp_path, f"clean belt\n{long}\n{'a' * 40_000}\n")
    assert lines.num_read == 1 + 3 + 2, "a word over the cap is cut, too"
    told = "raw.txt: 2 lines of more than 20000 characters cut into pieces"
    assert any(told in message for message in caplog.messages)
    kept, words = (
        {token for window in windows for token in window.input_ids}
        for windows in (
            (*lines.train, *lines.held_out),
            (text.windows[0] for text in tiny_encoder().encode(["clean belt replace oil-pump"])),
        )
    )
    assert kept == words | {tiny_tokenizer().token_to_id("[UNK]")}, "no word was cut but that one"


def test_lines_take_a_few_times_the_memory_of_their_text(tmp_path: Path) -> None:
    letters = product("abcdefghij", repeat=3)
    content = "".join(f"replace hydraulic hose on engine {' '.join(some)}\n" for some in letters)
    lines_of(tmp_path, content)  # what is loaded once is not the lines'
    tracemalloc.start()
    try:
        lines = lines_of(tmp_path, content)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(lines.train) + len(lines.held_out) == 1000
    assert held < 13 * len(content), "16 as lists, with tokens of few letters"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"raw\.txt: expected two different lines or more to train on, got 0; name more"),
        ("pump\nPump\n", r"expected two different lines or more to train on, got 1; name more"),
    ],
)
def test_lines_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        lines_of(tmp_path, content)


def test_all_lines_left_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text("pump B-Item\n")
    with pytest.raises(DataError, match="got 0, 1 left out; name more files"):
        lines_of(tmp_path, "pump\n", leave_out=(tmp_path / "dev.txt",))


def test_a_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw.txt"
    path.write_bytes(b"pump\npump \xff\n")
    with pytest.raises(DataError, match=r"raw\.txt:2: expected UTF-8"):
        read_lines(AdaptConfig(texts=(path,)), tiny_encoder())


def test_a_line_to_be_tested_on_is_left_out_in_any_case_of_a_cased_tokenizer(
    tmp_path: Path,
) -> None:
    raw, test = tmp_path / "raw.txt", tmp_path / "test.jsonl"
    raw.write_text("Replace  PUMP\nreplace pump\nclean belt\nclean pump\n")
    test.write_text('{"text": "replace pump", "spans": []}\n')
    lines = read_lines(AdaptConfig(texts=(raw,), leave_out=(test,)), cased_encoder())
    assert (lines.num_read, lines.num_left_out) == (4, 2)
