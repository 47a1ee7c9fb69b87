import pytest

from train.formats.schemes import Scheme, SchemeDetector, WordSpan, tags_of, violations, word_spans


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
        (["I-A E-A I-A O I-B", "I-A"], Scheme.IOE1),
        (["I-A E-A I-A O", "I-A E-A"], Scheme.IOE2),
        (["I-A E-A E-B", "E-B"], Scheme.IOE2),
        (["E-A O", "O"], Scheme.IOE2),
        (["S-A O B-B M-B E-B"], Scheme.BMES),
        (["W-A O B-B M-B E-B"], Scheme.BMEWO),
        (["B-A E-A W-A"], Scheme.BMEWO),
    ],
)
def test_a_scheme_is_told_from_its_tags(sentences: list[str], scheme: Scheme) -> None:
    assert detect(*sentences).scheme == scheme


def test_i_tags_at_a_start_among_b_tags_are_counted_as_ill_formed() -> None:
    detector = detect("B-A I-A O I-A", "B-B I-A")
    assert detector.scheme == Scheme.IOB2
    assert detector.num_ill_formed == 2


@pytest.mark.parametrize(
    ("tags", "num"),
    [("I-A O I-A", 0), ("I-A B-A", 0), ("I-A E-A I-A", 0), ("E-A O I-A E-B", 0), ("E-A S-A", 1)],
)
def test_a_start_of_the_schemes_own_is_not_ill_formed(tags: str, num: int) -> None:
    assert detect(tags).num_ill_formed == num


@pytest.mark.parametrize("tag", ["", "B", "B-", "X-A", "b-A", "BA", "0", "I-\t", "o"])
def test_a_string_that_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=r"expected a tag O or B-, I-"):
        SchemeDetector().see(tag, "O")


def test_a_tag_that_could_steer_the_terminal_is_refused() -> None:
    message = r"expected a tag of printable characters, got 'B-A\\x1b\[2J'"
    with pytest.raises(ValueError, match=message):
        SchemeDetector().see("B-A\x1b[2J", "O")


@pytest.mark.parametrize("tags", ["S-A U-A", "B-A L-A E-A", "U-A O O E-A", "M-A I-A", "S-A W-A"])
def test_tags_of_two_schemes_in_one_file_are_refused(tags: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected tags of one scheme \(IO, .*, BMEWO\), got '.-A'"
    ):
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
        ("I-A E-A I-A I-B O E-B", [(0, 2, "A"), (2, 3, "A"), (3, 4, "B"), (5, 6, "B")]),
        ("B-A M-A E-A S-A W-A M-B", [(0, 3, "A"), (3, 4, "A"), (4, 5, "A"), (5, 6, "B")]),
    ],
)
def test_tags_of_every_scheme_become_spans(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert word_spans(tags.split()) == [WordSpan(*span) for span in spans]


def test_no_words_make_no_spans() -> None:
    assert word_spans([]) == []


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        (Scheme.IO, "I-A I-A I-B I-B O I-A I-A"),
        (Scheme.IOB1, "I-A B-A I-B I-B O I-A I-A"),
        (Scheme.IOB2, "B-A B-A B-B I-B O B-A I-A"),
        (Scheme.IOE1, "E-A I-A I-B I-B O I-A I-A"),
        (Scheme.IOE2, "E-A E-A I-B E-B O I-A E-A"),
        (Scheme.BIOES, "S-A S-A B-B E-B O B-A E-A"),
        (Scheme.BILOU, "U-A U-A B-B L-B O B-A L-A"),
        (Scheme.BMES, "S-A S-A B-B E-B O B-A E-A"),
        (Scheme.BMEWO, "W-A W-A B-B E-B O B-A E-A"),
    ],
)
def test_spans_become_tags_of_every_scheme(scheme: Scheme, tags: str) -> None:
    spans = [WordSpan(0, 1, "A"), WordSpan(1, 2, "A"), WordSpan(2, 4, "B"), WordSpan(5, 7, "A")]
    assert tags_of(7, spans, scheme) == tags.split()


def test_the_last_word_parts_an_entity_of_several_words_from_the_next() -> None:
    spans = [WordSpan(0, 2, "A"), WordSpan(2, 4, "A")]
    assert tags_of(4, spans, Scheme.IOE1) == ["I-A", "E-A", "I-A", "I-A"]
    assert tags_of(4, spans, Scheme.IOB1) == ["I-A", "I-A", "B-A", "I-A"]


@pytest.mark.parametrize(
    ("scheme", "tags", "words"),
    [
        (Scheme.IO, "I-A I-B O I-A", []),
        (Scheme.IOB1, "I-A B-A O I-A", []),
        (Scheme.IOB2, "I-A O B-A I-B I-B", [0, 3]),
        (Scheme.BIOES, "B-A O B-A I-A S-B", [0, 3]),
        (Scheme.BIOES, "E-A S-A I-A E-A B-B", [0, 2, 4]),
        (Scheme.BILOU, "B-A L-A U-A L-A", [3]),
        (Scheme.BIOES, "B-A I-A E-A S-B O", []),
        (Scheme.IOE1, "I-A E-A I-A O I-B", []),
        (Scheme.IOE2, "I-A E-A E-A O I-B I-A", [4, 5]),
        (Scheme.BMES, "B-A M-A E-A S-B O B-A M-A O M-B E-B", [6, 8]),
        (Scheme.BMEWO, "B-A M-A E-A W-B O B-A", [5]),
    ],
)
def test_tags_that_break_their_scheme_are_told(scheme: Scheme, tags: str, words: list[int]) -> None:
    assert [word for word, _ in violations(tags.split(), scheme)] == words


def test_a_violation_is_told_in_words() -> None:
    assert list(violations(["B-A", "I-B"], Scheme.IOB2)) == [
        (1, "I-B continues nothing, B-A stands before it")
    ]
    assert list(violations(["B-A", "O"], Scheme.BILOU)) == [
        (0, "B-A is the last of its entity, expected L- or U-")
    ]
    assert list(violations(["I-A"], Scheme.IOE2)) == [
        (0, "I-A is the last of its entity, expected E-")
    ]
