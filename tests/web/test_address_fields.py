"""Addresses of pages and of people: tables of what is taken and what is not."""

import pytest

from pollsvc.web.fields import Email, WebUrl
from tests.web.refusals import refusal


class TestWebUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "https://news.example",
            "http://news.example/harbour?id=1&x=%20#top",
            "HTTPS://News.Example/A",
            "https://news.example:8443/",
            "https://[2001:db8::1]/",
            "https://b\u00fccher.example/\u00fc",
            "https://news.example/a@b|c{d}",
            "https://news.example/" + "x" * 1_979,
        ],
        ids=lambda url: url[:40],
    )
    def test_is_taken_as_it_is(self, url: str) -> None:
        assert WebUrl().deserialize(url) == url

    def test_is_trimmed_and_composed(self) -> None:
        assert WebUrl().deserialize("\n https://news.example/e\u0301 ") == "https://news.example/\u00e9"

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "news.example",
            "//news.example/",
            "/path",
            "ftp://news.example/",
            "javascript:alert(1)",
            "JAVASCRIPT://news.example/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https:",
            "https://",
            "https:///path",
            "https://:443/",
            "https://?x",
            "https:news.example",
            "https://news.example:99999/",
            "https://news.example:0/",
            "https://news.example:x/",
            "https://reader@news.example/",
            "https://reader:secret@news.example/",
            "https://@news.example/",
            "https://news.example\\@other.example/",
            "https://news.example\\other/",
            "https://a<b>.example/",
            'https://a"b.example/',
            "https://[::1/",
            "https://news.example/a b",
            "https://news example/",
            "https://news.example/a\u00a0b",
            "https://news.example/a\nb",
            "https://news.example/\x00",
            "https://news.example/\u202e",
            "https://news.example/\ud800",
            "https://news.example/" + "x" * 1_980,
            "https://news.example/" + "x" * 100_000,
        ],
        ids=lambda url: ascii(url[:40]),
    )
    def test_is_refused(self, url: str) -> None:
        assert refusal(WebUrl(), url) == "Must be an http or https address of at most 2000 characters."

    @pytest.mark.parametrize("value", [1, None, [], {}, True], ids=repr)
    def test_what_is_no_text_is_refused(self, value: object) -> None:
        assert refusal(WebUrl(), value)

    def test_what_grows_past_its_length_is_refused(self) -> None:
        # U+0958 is three times as long in bytes and twice in characters when composed.
        assert (
            refusal(WebUrl(), "https://news.example/" + "\u0958" * 1_979)
            == "Longer than maximum length 2000."
        )


class TestEmail:
    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            ("ada@reader.example", "ada@reader.example"),
            ("  ada@reader.example\n", "ada@reader.example"),
            ("Ada.Reader+news@READER.example", "Ada.Reader+news@reader.example"),
            ("j\u00f6rg@b\u00fccher.example", "j\u00f6rg@b\u00fccher.example"),
            ("ada@xn--bcher-kva.example", "ada@b\u00fccher.example"),
            ("e\u0301@reader.example", "\u00e9@reader.example"),
            ("o'neil@reader.example", "o'neil@reader.example"),
        ],
    )
    def test_is_taken(self, given: str, taken: str) -> None:
        assert Email().deserialize(given) == taken

    @pytest.mark.parametrize(
        "value",
        [
            "",
            " ",
            "ada",
            "ada@",
            "@reader.example",
            "ada@reader",
            "ada@@reader.example",
            "ada@reader..example",
            ".ada@reader.example",
            "ada.@reader.example",
            "ada reader@reader.example",
            "Ada <ada@reader.example>",
            "ada@reader.example, eve@reader.example",
            "ada@reader.example\nBcc: eve@reader.example",
            "ada@reader.example\x00",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada@localhost",
            '"ada"@reader.example',
            "ada@-reader.example",
            "ada\u202e@reader.example",
            "ada\ud800@reader.example",
            "a" * 65 + "@reader.example",
            "ada@" + "x" * 64 + ".example",
            "ada@" + ".".join(["x" * 60] * 5) + ".example",
            "a" * 321,
        ],
        ids=lambda value: ascii(value[:40]),
    )
    def test_is_refused(self, value: str) -> None:
        assert refusal(Email(), value).startswith("Must be an e-mail address")

    @pytest.mark.parametrize("value", [1, None, ["ada@reader.example"], True], ids=repr)
    def test_what_is_no_text_is_refused(self, value: object) -> None:
        assert refusal(Email(), value)

    def test_no_question_goes_to_dns(self) -> None:
        assert (
            Email().deserialize("ada@no-such-domain-anywhere.example")
            == "ada@no-such-domain-anywhere.example"
        )
