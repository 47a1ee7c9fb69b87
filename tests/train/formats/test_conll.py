from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span
from train.formats.conll import Sentence, rows
from train.formats.flat import Reading
from train.formats.registry import read_examples

TWO = [
    (1, Example("change air filter", (Span(0, 6, "Act"), Span(7, 17, "Item")))),
    (5, Example("leak", (Span(0, 4, "Obs"),))),
]


def read(path: Path, content: bytes) -> list[tuple[int, Example]]:
    path = path / "train.conll"
    path.write_bytes(content)
    found = read_examples(path, Reading(format="conll"))
    return [(int(record.place.rpartition(":")[2]), example) for record, example in found]


@pytest.mark.parametrize(
    "content",
    [
        b"change B-Act\nair B-Item\nfilter I-Item\n\nleak B-Obs\n",
        b"change\tB-Act\nair\tB-Item\nfilter\tI-Item\n\nleak\tB-Obs",
        b"change B-Act\r\nair B-Item\r\nfilter I-Item\r\n\r\nleak B-Obs\r\n",
        b"\xef\xbb\xbfchange B-Act\nair B-Item\nfilter I-Item\n\nleak B-Obs\n\n\n\n",
        b"change NN B-Act\nair NN B-Item\nfilter NN I-Item\n \t\nleak NN B-Obs\n",
        b"change NN x B-Act\nair NN x B-Item\nfilter NN x I-Item\n\nleak NN x B-Obs\n",
        b"change  S-Act \nair  B-Item\nfilter \t E-Item\n\nleak S-Obs\n",
        b"change U-Act\nair B-Item\nfilter L-Item\n\nleak U-Obs\n",
        b"change I-Act\nair I-Item\nfilter I-Item\n\nleak I-Obs\n",
    ],
    ids=["blanks", "tabs", "crlf", "bom", "3 columns", "4 columns", "bioes", "bilou", "io"],
)
def test_column_files_of_every_kind_are_read_alike(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == TWO


@pytest.mark.parametrize(
    "content",
    [
        b"1\tSchartau\tB-PER\tO\n2\tsagte\tO\tO\n",
        b"1\tEU\tB-ORG\n2\trejects\tO\n\n1\tLondon\tB-LOC\n",
    ],
    ids=["4 columns", "3 columns"],
)
def test_a_column_that_counts_the_words_is_not_taken_for_them(
    tmp_path: Path, content: bytes
) -> None:
    message = r"train\.conll: expected words in the first column, got 1, 2, 3 … in every sentence"
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"1 CD B-Num\nhose NN B-Item\n\n1 CD B-Num\n2 CD B-Num\n", ["1 hose", "1 2"]),
        (b"1 CD B-Num\n\n1 CD B-Num\n", ["1", "1"]),
        (b"1 B-Num\n2 B-Num\n", ["1 2"]),
    ],
)
def test_numbers_are_words_where_they_do_not_count(
    tmp_path: Path, content: bytes, texts: list[str]
) -> None:
    assert [example.text for _, example in read(tmp_path, content)] == texts


def test_docstart_lines_part_sentences_and_are_no_words(tmp_path: Path) -> None:
    content = b"-DOCSTART- -X- O\n\na x B-A\n-DOCSTART- O\nb x O\n-DOCSTART-\n"
    assert [example.text for _, example in read(tmp_path, content)] == ["a", "b"]


def test_comments_before_a_sentence_are_no_words_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    before = b"# sent_id = 1\n# text = change air filter\n"
    content = before + b"change x B-Act\nair x B-Item\nfilter x I-Item\n\n# id 7\nleak x B-Obs\n"
    assert [example for _, example in read(tmp_path, content)] == [example for _, example in TWO]
    assert "train.conll: 3 comments" in caplog.text


@pytest.mark.parametrize("content", [b"# O\n12 B-A\n", b"#\tO\n12\tB-A\n", b"# 12 O\n12 x B-A\n"])
def test_a_number_sign_with_a_tag_is_a_word(tmp_path: Path, content: bytes) -> None:
    ((_, example),) = read(tmp_path, content)
    assert example.text == "# 12"


def test_b_parts_two_entities_in_iob1(tmp_path: Path) -> None:
    ((_, example),) = read(tmp_path, b"a I-A\nb B-A\nc I-A\n")
    assert example.spans == (Span(0, 1, "A"), Span(2, 5, "A"))


def test_an_ill_formed_i_starts_an_entity_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ((_, example),) = read(tmp_path, b"a B-A\nb O\nc I-A\n")
    assert example.spans == (Span(0, 1, "A"), Span(4, 5, "A"))
    assert "tags that continue nothing and so start an entity: 1" in caplog.text


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        (b"a I-A\n", "IO"),
        (b"a I-A\nb B-A\n", "IOB1"),
        (b"a S-A\n", "BIOES"),
        (b"a E-A\nb I-B\nc E-B\n", "IOE2"),
        (b"a I-A\nb E-A\nc I-A\n", "IOE1"),
        (b"a W-A\n", "BMEWO"),
    ],
)
def test_the_scheme_is_said_and_its_own_i_tags_are_not_called_ill_formed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, scheme: str
) -> None:
    caplog.set_level("INFO", "train")
    read(tmp_path, content)
    assert f"train.conll: scheme {scheme}" in caplog.text
    assert "continue nothing" not in caplog.text


def test_offsets_count_characters_of_words_with_blanks_and_beyond_ascii(tmp_path: Path) -> None:
    content = "🔧\tB-A\nnew  york\tB-B\ne\u0301te\u0301\tB-C\nx\u00a0y\tO\n".encode()
    ((_, example),) = read(tmp_path, content)
    assert [example.text[s.start : s.end] for s in example.spans] == [
        "🔧",
        "new  york",
        "e\u0301te\u0301",
    ]


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    ((_, example),) = read(tmp_path, "a\u2028b O\nc\x85 O\nd\x0c O\n".encode())
    assert example.text == "a\u2028b c\x85 d\x0c"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a B-A\nb\n", r"train\.conll:2: expected 2 to 4 columns, got 1; put a word and its tag"),
        (b"a b c d B-A\n", r"train\.conll:1: expected 2 to 4 columns, got 5"),
        (b"a O\n\nb x O\n", r"train\.conll:3: expected 2 columns as above, got 3"),
        (b"a O\nb FOO\n", r"train\.conll:2: expected a tag O or B-, I-, .* got 'FOO'"),
        (b"a O\n# b c\n", r"train\.conll:2: expected 2 columns as above, got 3"),
        (b"#\tFOO\na\tO\n", r"train\.conll:1: expected a tag .* got 'FOO'"),
        (b"a O\nb I-\n", r"train\.conll:2: expected a tag .* got 'I-'"),
        (b"a S-A\nb U-A\n", r"train\.conll:2: expected tags of one scheme .* got 'U-A' among S-"),
        (b"a O\n\xff O\n", r"train\.conll:2: expected UTF-8, got byte 0 of the line that is not"),
    ],
)
def test_a_broken_column_file_is_refused_by_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: expected a readable file, got No such file"):
        list(read_examples(tmp_path / "none.txt", Reading()))


def test_a_sentence_with_a_broken_line_is_not_read_without_it(tmp_path: Path) -> None:
    path = tmp_path / "lines.conll"
    path.write_text("old B-A\nx y z B-A\nhose I-A\n\nnew B-A\n\nseal\n\nlast O\n")
    sentences = [value.words for _, value in rows(path) if isinstance(value, Sentence)]
    assert sentences == [["new"], ["last"]]


def test_one_tag_of_another_scheme_does_not_condemn_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "lines.conll"
    path.write_text("a S-A\n\nb U-A\n\n" + "c B-A\nd E-A\n\n" * 5)
    errors = [place for place, value in rows(path) if isinstance(value, DataError)]
    assert errors == [f"{path}:3"]
