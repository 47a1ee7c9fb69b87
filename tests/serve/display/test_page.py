"""What a page is made of: no text or label becomes HTML, and nothing comes from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from matplotlib.figure import Figure

from serve.display.markup import Marker
from serve.display.page import bullets, page, picture, table
from serve.examples import Span
from tests.pages import outside_links

EVIL = "<script>alert(1)</script>&\x1b[31m"


class Reader(HTMLParser):
    """Collects tags and texts, and complains of tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_texts_and_labels_stay_texts() -> None:
    line = Marker([EVIL]).line(EVIL, [Span(0, 8, EVIL)])
    html = page(EVIL, [bullets([EVIL]), table([EVIL], [[EVIL]]), line])
    reader = Reader(html)
    assert "script" not in reader.tags
    assert reader.text.count("alert(1)") == 6
    assert "\x1b" not in line, "as on a terminal"


def test_spans_are_marked_with_their_label_and_one_colour_each() -> None:
    marker = Marker(["Item", "Activity"])
    line = marker.line("fix oil pump now", [Span(0, 3, "Activity"), Span(4, 12, "Item")])
    assert Reader(line).text == "fixActivity oil pumpItem now"
    colours = re.findall(r"background:([^\"]+)", line)
    assert len(set(colours)) == 2
    assert colours[1] in marker.line("pump", [Span(0, 4, "Item")])


def test_a_page_reaches_for_nothing_outside_and_a_picture_is_the_same_each_time() -> None:
    figure = Figure()
    figure.subplots().plot([1, 2], label="line")
    svg = picture(figure)
    assert svg == picture(figure)
    html = page("figures", [svg])
    assert outside_links(html) == []
    assert outside_links('<img src="a.png"><script>') == ["a.png", "<script"]


def test_a_name_that_is_no_text_is_escaped() -> None:
    assert "<title>\\udcff.jsonl</title>" in page("\udcff.jsonl", ["\udcff"])
    page("\udcff.jsonl", ["\udcff"]).encode()
