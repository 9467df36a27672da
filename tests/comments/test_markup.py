"""What a comment looks like: its text, its links, a little Markdown, and nothing else whatever was typed."""

import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from types import FrameType
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pollsvc.comments.markup import TAGS, mark_up
from pollsvc.comments.schemas import LONGEST_BODY
from pollsvc.text import UnfitText, is_blank, normalise

REL = "nofollow ugc noopener noreferrer"
EVIL = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href='javascript:alert(1)'>x</a>"),
    *(
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java&#115;cript:alert(1))",
        "javascript:alert(1)",
    ),
    *(
        "[x](data:text/html,hi)",
        "[x](vbscript:x)",
        "[x](//evil.example)",
        "[x](/logout)",
        "[x](logout)",
        "[x](#top)",
    ),
    *("[x](http:evil.example)", "[x](foo:bar)", "[x](mailto:a@b.example)", "a@b.example", "www.evil.example"),
    *(
        "![x](http://evil.example/x.png)",
        "# Heading",
        "Heading\n=====",
        "---",
        "| a | b |\n|---|---|",
        "<!-- -->",
    ),
    *(
        "&#8238;",
        "&lt;b&gt;",
        "&nbsp;",
        "]]>",
        "<![CDATA[",
        '[x](http://a.example "onmouseover=x")',
        "<svg/onload=x>",
    ),
    *(
        '[x](http://a.example/"onclick="x)',
        "`<b>`",
        "```<b>\n<i>\n```",
        "<http://a.example>",
        "<bdo dir=rtl>x</bdo>",
    ),
)


class Page(HTMLParser):
    """What a browser makes of a comment."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.others: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def seen(text: str) -> str:
    """Give a text without its white space, which HTML runs together."""
    return re.sub(r"\s", "", text)


def is_admitted(text: str) -> bool:
    """Tell whether the contract lets a text in."""
    try:
        return not is_blank(normalise(text, multiline=True)) and len(text) <= LONGEST_BODY
    except UnfitText:
        return False


#: Every character that the contract admits, bidirectional ones, marks and joiners among them.
ANYTHING = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), min_size=1, max_size=40
).filter(is_admitted)
#: What Markdown, HTML and addresses are made of, in any order.
PIECES = st.lists(
    st.sampled_from(
        [
            *EVIL,
            *(
                "*",
                "**",
                "_",
                "`",
                "```",
                "~~~",
                "\n",
                "\n\n",
                "> ",
                "- ",
                "1. ",
                "7) ",
                "    ",
                "\t",
                "\\",
                "[",
                "](",
                ")",
            ),
            *(
                "<",
                ">",
                "&",
                '"',
                "'",
                "http://a.example/",
                "https://[",
                "word",
                "Ünï",
                "\u2067",
                "\u2069",
                "\u200d",
                "שלום",
            ),
        ]
    ),
    max_size=25,
).map("".join)


class TestMarkUp:
    @pytest.mark.parametrize(
        ("body", "html"),
        [
            ("one\ntwo", "<p>one<br>\ntwo</p>"),
            ("one\n\ntwo", "<p>one</p>\n<p>two</p>"),
            ("*a* **b** _c_ __d__", "<p><em>a</em> <strong>b</strong> <em>c</em> <strong>d</strong></p>"),
            ("`x < y`", "<p><code>x &lt; y</code></p>"),
            ("```py\nx = 1\n```", "<pre><code>x = 1\n</code></pre>"),
            ("> said", "<blockquote>\n<p>said</p>\n</blockquote>"),
            ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
            ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>"),
            (r"\*not\*", "<p>*not*</p>"),
            ("at https://a.example/?y&z.", f'<p>at <a href="https://a.example/?y&amp;z" rel="{REL}">https://a.example/?y&amp;z</a>.</p>'),
            ("[the *report*](http://a.example)", f'<p><a href="http://a.example" rel="{REL}">the <em>report</em></a></p>'),
            ("1986. What a year!", "<p>1986. What a year!</p>"),
            ("In\n2. place", "<p>In<br>\n2. place</p>"),
            ("~~~ so it goes\non", "<p>~~~ so it goes<br>\non</p>"),
            ("# no heading", "<p># no heading</p>"),
            ("<b>&amp;</b>", "<p>&lt;b&gt;&amp;amp;&lt;/b&gt;</p>"),
            ("&#8238;abc", "<p>&amp;#8238;abc</p>"),
            ("a \u2067b\u2069 \u200fc", "<p>a \u2067b\u2069 \u200fc</p>"),
        ],
    )  # fmt: skip
    def test_a_little_markdown_is_shown_and_all_else_is_text(self, body: str, html: str) -> None:
        assert mark_up(body).html == html

    @pytest.mark.parametrize("body", EVIL)
    def test_nothing_but_known_tags_and_web_addresses_comes_out(self, body: str) -> None:
        assert_clean(body)

    @given(body=ANYTHING)
    @example(body="\ufffe\uffff\U000e0001x")
    @example(body="אב\u2067cd\u2069\u200f\u0301")
    @settings(max_examples=150, deadline=None)
    def test_every_text_that_is_admitted_comes_out_clean(self, body: str) -> None:
        assert_clean(normalise(body, multiline=True))

    @given(body=PIECES.filter(is_admitted))
    @settings(max_examples=250, deadline=None)
    def test_whatever_markdown_and_html_are_put_together_comes_out_clean(self, body: str) -> None:
        assert_clean(normalise(body, multiline=True))

    @given(body=ANYTHING.filter(lambda text: not re.search(r"[\\`~*_\[\]<>+\-:]|\d[.)]", text)))
    @settings(max_examples=100, deadline=None)
    def test_text_without_marks_is_shown_as_it_is(self, body: str) -> None:
        body = normalise(body, multiline=True).strip()

        assert seen(Page(mark_up(body).html).text) == seen(body)
        assert mark_up(body).links == []

    @given(
        marks=st.lists(
            st.sampled_from(["> ", "- ", "* ", "1. ", "7. ", "~~~ a b ", "*", "**", "_", "<i>", "# "])
        )
    )
    @settings(max_examples=150, deadline=None)
    def test_no_letter_is_lost_to_marks(self, marks: list[str]) -> None:
        body = "".join(f"{mark}w{place}x\n" for place, mark in enumerate(marks)) + "".join(marks) + " end"

        letters = re.sub(r"[^a-z]", "", body)
        assert re.sub(r"[^a-z]", "", Page(mark_up(body).html).text) == letters

    @pytest.mark.parametrize("mark", [">", "> ", "- ", "1. ", "> - "])
    def test_what_is_nested_too_deep_stands_as_it_was_typed(self, mark: str) -> None:
        found = mark_up(f"before\n\n{mark * 30}deep")

        assert seen(Page(found.html).text) == seen(f"before{mark * 30}deep")
        assert Page(found.html).tags == {"p"}

    @pytest.mark.parametrize("body", ["*", "-", "1.", "> ", "```\n```", "~~~\n\n~~~", "[](http://a.example)",
                                      "[\u200b](http://a.example)", ">\n>", "- \n- ", "`\u2060`"])  # fmt: skip
    def test_marks_alone_leave_nothing_to_be_read(self, body: str) -> None:
        assert is_blank(mark_up(body).text)
        assert is_blank(Page(mark_up(body).html).text)

    def test_a_long_fence_with_a_language_is_a_fence(self) -> None:
        assert mark_up("````` python\nx\n`````").html == "<pre><code>x\n</code></pre>"

    def test_each_line_is_read_by_itself(self) -> None:
        assert mark_up("The pen\nis *mine*.\n\n- So\n- there").text.split("\n")[:4] == [
            "The pen",
            "is mine.",
            "So",
            "there",
        ]

    def test_more_addresses_than_anybody_writes_are_counted_and_lead_nowhere(self) -> None:
        marked_up = mark_up("http://a.example/ " * 51)

        assert len(marked_up.links) == 51
        assert "<a" not in marked_up.html

    @pytest.mark.parametrize("address", ["http://a.example/%E2%80%AEx", "http://a.example/%62ad"])
    def test_an_address_is_shown_as_it_was_typed(self, address: str) -> None:
        marked_up = mark_up(address)

        assert marked_up.text == f"{address}\n"
        assert f">{address}</a>" in marked_up.html

    def test_links_are_told_in_their_order(self) -> None:
        found = mark_up(
            "[a](http://b.example/1) https://c.example\n\n> [d](HTTP://e.example) //f.example ftp://g.example"
        )

        assert found.links == ["http://b.example/1", "https://c.example", "HTTP://e.example"]


class TestWork:
    @pytest.mark.parametrize(
        "unit",
        [
            *(
                "*",
                "_",
                "[",
                "`",
                "~",
                ">",
                "> ",
                "- ",
                "1. ",
                "\\",
                "\n",
                "<",
                "&",
                "(",
                "a*",
                "_a",
                "*a ",
                "[a](",
                "[x](",
            ),
            *(
                "`a",
                "```\n",
                "~~~\n",
                "- a\n",
                "> a\n",
                "http:",
                "http://",
                "http://a",
                "https://a.",
                "![",
                "**a",
                "a\u0301",
            ),
            *("[a](http://b.example) ", "]", "]("),
        ],
    )
    def test_longest_text_costs_a_bounded_number_of_steps(self, unit: str) -> None:
        body = (unit * LONGEST_BODY)[:LONGEST_BODY]

        assert steps_of(lambda: mark_up(body)) < 60 * LONGEST_BODY


def assert_clean(body: str) -> None:
    found = mark_up(body)
    page = Page(found.html)
    assert page.tags <= TAGS
    assert page.others == []
    for tag, name, value in page.attributes:
        assert tag == "a"
        assert (name == "rel" and value == REL) or (name == "href" and value is not None)
        assert name == "rel" or urlsplit(str(value)).scheme in {"http", "https"}
    assert len([each for each in page.attributes if each[1] == "href"]) <= len(found.links)
    # The browser sees what the checks were told that it would.
    assert seen(page.text) == seen(found.text)


def steps_of(act: Callable[[], object]) -> int:
    """Count the calls of functions, Python's and C's, that something takes: time that is the same on each machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls
