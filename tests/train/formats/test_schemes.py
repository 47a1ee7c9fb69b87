import pytest

from train.formats.schemes import Scheme, SchemeDetector, WordSpan, word_spans


def detect(*sentences: str) -> SchemeDetector:
    detector = SchemeDetector()
    for sentence in sentences:
        previous = "O"
        for tag in sentence.split():
            detector.see(tag, previous)
            previous = tag
    return detector


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["I-A I-A O", "I-B"], Scheme.IO),
        (["I-A B-A I-A O I-B"], Scheme.IOB1),
        (["B-A I-A O B-B", "B-A"], Scheme.IOB2),
        (["B-A O", "O"], Scheme.IOB2),
        (["O O"], Scheme.IOB2),
        (["S-A O B-B I-B E-B"], Scheme.BIOES),
        (["B-A E-A"], Scheme.BIOES),
        (["U-A O B-B I-B L-B"], Scheme.BILOU),
    ],
)
def test_a_scheme_is_told_from_its_tags(sentences: list[str], scheme: Scheme) -> None:
    assert detect(*sentences).scheme == scheme


def test_i_tags_at_a_start_among_b_tags_are_counted_as_ill_formed() -> None:
    detector = detect("B-A I-A O I-A", "B-B I-A")
    assert detector.scheme == Scheme.IOB2
    assert detector.num_ill_formed == 2


@pytest.mark.parametrize("tag", ["", "B", "B-", "X-A", "b-A", "BA", "0", "I-\t", "o"])
def test_a_string_that_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=r"expected a tag O, B-X, I-X"):
        SchemeDetector().see(tag, "O")


def test_a_tag_that_could_steer_the_terminal_is_refused() -> None:
    message = r"expected a tag of printable characters, got 'B-A\\x1b\[2J'"
    with pytest.raises(ValueError, match=message):
        SchemeDetector().see("B-A\x1b[2J", "O")


@pytest.mark.parametrize("tags", ["S-A U-A", "B-A L-A E-A", "U-A O O E-A"])
def test_tags_of_two_schemes_in_one_file_are_refused(tags: str) -> None:
    with pytest.raises(ValueError, match="expected tags of one scheme, BIOES or BILOU, got"):
        detect(tags)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-A I-A O B-A", [(0, 2, "A"), (3, 4, "A")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-A I-B", [(0, 2, "A"), (2, 3, "B")]),
        ("I-A B-A O I-A", [(0, 1, "A"), (1, 2, "A"), (3, 4, "A")]),
        ("O I-A B-B I-A", [(1, 2, "A"), (2, 3, "B"), (3, 4, "A")]),
        ("S-A S-A B-A I-A E-A O", [(0, 1, "A"), (1, 2, "A"), (2, 5, "A")]),
        ("U-A B-B L-B L-B", [(0, 1, "A"), (1, 3, "B"), (3, 4, "B")]),
        ("S-A I-A E-B", [(0, 1, "A"), (1, 2, "A"), (2, 3, "B")]),
    ],
)
def test_tags_of_every_scheme_become_spans(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert word_spans(tags.split()) == [WordSpan(*span) for span in spans]


def test_no_words_make_no_spans() -> None:
    assert word_spans([]) == []
