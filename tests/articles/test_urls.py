import contextlib
import dataclasses
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.articles.urls import (
    ArticleAddress,
    InvalidUrl,
    authority_of,
    canonical_origin,
    parse_article_url,
)

STORY = "https://news.example/2024/story"


def canonical(url: str) -> str:
    return parse_article_url(url).url


# fmt: off
# Pieces that have a meaning to some step, mixed with any text, find more than either alone.
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "/", "//", ".", "..", "%2e", "%2E.", "%2f", "amp", "/amp", "%61mp", "?", "&", "=", "+", ";",
                ":", "@", "%", "%zz", "%2", "%25", "%3d", "%CC%81", "%c3%A9", "%C3", "%FF",
                "e\u0301", "\u0301", "\u212a", "\u037e", "\u1fef", "\u2260", "\ud55c",
                "a", "A", "~", "%7e", "%20", "%0a", "utm_x=1", "amp=1",
                "amp;", "fbclid=", "[", "]", "|", "^", "`", "'", '"', "<", ">", "{", "}",
            ]
        ),
        st.text(max_size=3),
    ),
    max_size=12,
).map("".join)
HOSTS = st.sampled_from(
    [
        "news.example", "NEWS.example.", "b\u00fccher.example", "xn--bcher-kva.example:443",
        "localhost:5000", "a_b.example:80", "127.0.0.1", "[::1]:8080", "[2001:DB8::0:1]",
        "stra\u00dfe.example", "\uff4e\uff45\uff57\uff53\u3002example",
    ]
)
# fmt: on
URLS = st.builds(
    "{}://{}{}{}".format, st.sampled_from(["http", "HTTPS"]), HOSTS, st.sampled_from(["", "/", "?"]), PIECES
)


class TestParseArticleUrl:
    @pytest.mark.parametrize(
        "url",
        [
            pytest.param("HTTPS://news.example/2024/story", id="scheme case"),
            pytest.param("https://News.EXAMPLE/2024/story", id="host case"),
            pytest.param("https://news.example:443/2024/story", id="default port"),
            pytest.param("https://news.example:0443/2024/story", id="default port with a zero"),
            pytest.param("https://news.example:/2024/story", id="empty port"),
            pytest.param("https://news.example./2024/story", id="last dot of the host"),
            pytest.param("https://news.example/2024/story#comments", id="fragment"),
            pytest.param("https://news.example/2024/story#", id="empty fragment"),
            pytest.param("https://news.example/2024/story?", id="empty query"),
            pytest.param("https://news.example/2024/story?&&", id="query of nothing"),
            pytest.param("https://news.example/2024/story/", id="trailing slash"),
            pytest.param("https://news.example/2024/story//", id="trailing slashes"),
            pytest.param("https://news.example//2024/story", id="doubled slash at the beginning"),
            pytest.param("https://news.example/2024/story/amp", id="amp suffix"),
            pytest.param("https://news.example/2024/story/amp/", id="amp suffix with slash"),
            pytest.param("https://news.example/2024/story/%61mp", id="amp suffix encoded"),
            pytest.param("https://news.example/2024/story/amp/amp", id="amp suffix twice"),
            pytest.param("https://news.example/2024/story?amp", id="amp parameter"),
            pytest.param("https://news.example/2024/story?amp=1", id="amp parameter with value"),
            pytest.param("https://news.example/2024/story/amp/?amp=1&utm_source=x#top", id="several at once"),
            pytest.param("https://news.example/2024/./story", id="dot segment"),
            pytest.param("https://news.example/2023/../2024/story/.", id="two dots, and one at the end"),
            pytest.param("https://news.example/../../2024/story", id="dots above the root"),
            pytest.param("https://news.example/2023/%2E%2e/2024/story", id="dots encoded"),
            pytest.param("https://news.example/2024/story/x/..", id="dots at the end"),
            pytest.param("https://news.example/%32024/st%6Fry", id="unreserved characters encoded"),
        ],
    )
    def test_variants_lead_to_one_article(self, url: str) -> None:
        assert parse_article_url(url) == ArticleAddress("https", "news.example", "/2024/story")

    @pytest.mark.parametrize(
        "name",
        [
            "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id", "utm_anything",
            "UTM_Source", "utm%5Fsource", "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid",
            "msclkid", "twclid", "ttclid", "yclid", "li_fat_id", "igshid", "mc_cid", "mc_eid", "vero_id",
            "oly_enc_id", "oly_anon_id", "wt_mc", "WT.mc_id", "at_medium", "at_campaign", "at_custom1",
            "xtor", "_ga", "_gl", "mkt_tok", "_hsenc", "ScCid", "ref_src", "amp", "AMP", "amp_js_v", "usqp",
            "amp;utm_medium", "amp;amp",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "value", ["", "=", "=a%20b", "=a=b"], ids=["bare", "blank", "value", "equals sign"]
    )
    def test_tracking_parameter_is_dropped(self, name: str, value: str) -> None:
        assert canonical(f"{STORY}?id=7&{name}{value}&page=2") == f"{STORY}?id=7&page=2"

    @pytest.mark.parametrize(
        "parameter",
        [
            "ref=a", "source=a", "id=7", "cid=a", "campaign=a", "s=a", "t=1", "v=a", "p=7", "gl=us", "pk=5",
            "at=1", "utm=1", "xutm_source=a", "ampere=1", "fbclid2=a", "amp;id=7", "from=a", "q=utm_source",
            "q=amp",
        ],
    )  # fmt: skip
    def test_other_parameter_is_kept(self, parameter: str) -> None:
        assert canonical(f"{STORY}?{parameter}") == f"{STORY}?{parameter}"

    @pytest.mark.parametrize(
        ("path", "result"),
        [
            pytest.param("", "/", id="root without slash"),
            pytest.param("/", "/", id="root"),
            pytest.param("///", "/", id="slashes alone"),
            pytest.param("/.", "/", id="root as dot"),
            pytest.param("/amp", "/amp", id="amp as the whole path is a page of its own"),
            pytest.param("/amp/", "/amp", id="the same with slash"),
            pytest.param("//amp", "/amp", id="the same with two"),
            pytest.param("/amp/story", "/amp/story", id="amp in front"),
            pytest.param("/story/AMP", "/story/AMP", id="another case"),
            pytest.param("/story/amp.html", "/story/amp.html", id="amp with ending"),
            pytest.param("/stamp", "/stamp", id="amp in a word"),
            pytest.param("/Story", "/Story", id="case"),
            pytest.param("/a//b", "/a//b", id="doubled slash inside"),
            pytest.param("/a/..//evil.example", "/evil.example", id="never two slashes at the beginning"),
            pytest.param("/a;v=1,2/b:c@d!$&'()*+=", "/a;v=1,2/b:c@d!$&'()*+=", id="delimiters"),
            pytest.param("/a%2fb%3Fc%23d", "/a%2Fb%3Fc%23d", id="reserved stay encoded, in upper case"),
            pytest.param("/%7Euser/%2d%5f", "/~user/-_", id="unreserved are decoded"),
            pytest.param("/caf\u00e9", "/caf%C3%A9", id="non-ASCII"),
            pytest.param("/cafe\u0301", "/caf%C3%A9", id="non-ASCII composed"),
            pytest.param("/caf%65%cc%81", "/caf%C3%A9", id="composed after decoding"),
            pytest.param("/%3D\u0307", "/%3D%CC%87", id="a mark does not change the escape before it"),
            pytest.param("/\u212a\u037e\u1fef", "/K;%60", id="letters that compose to ASCII"),
            pytest.param("/%zz%", "/%25zz%25", id="stray percent signs"),
            pytest.param("/%2%35", "/%2525", id="no escape is made of what was none"),
            pytest.param("/%2541", "/%2541", id="decoded once only"),
            pytest.param("/%ff%C3", "/%FF%C3", id="bytes that are not UTF-8"),
            pytest.param("/%00%0A%20%5C", "/%00%0A%20%5C", id="controls stay encoded"),
            pytest.param('/a"<>^`{|}[]', "/a%22%3C%3E%5E%60%7B%7C%7D%5B%5D", id="unsafe are encoded"),
            pytest.param("/\U0001f600\u200b", "/%F0%9F%98%80%E2%80%8B", id="emoji and zero width"),
        ],
    )
    def test_path(self, path: str, result: str) -> None:
        assert parse_article_url(f"https://news.example{path}").path_and_query == result

    @pytest.mark.parametrize(
        ("query", "result"),
        [
            pytest.param("b=2&a=1", "?a=1&b=2", id="sorted"),
            pytest.param("b=2&a=9&b=1&a=3", "?a=9&a=3&b=2&b=1", id="order within a name stays"),
            pytest.param("a=&b", "?a=&b", id="blank values"),
            pytest.param("=1", "?=1", id="no name"),
            pytest.param("q=a+b", "?q=a%20b", id="plus is a space"),
            pytest.param("q=a%20b", "?q=a%20b", id="space"),
            pytest.param("q=a%2bb", "?q=a%2Bb", id="an encoded plus is none"),
            pytest.param("q=1+%CC%81", "?q=1%20%CC%81", id="a mark behind a plus"),
            pytest.param("q=a=b", "?q=a=b", id="second equals sign"),
            pytest.param("q%3D=1", "?q%3D=1", id="encoded equals sign in a name"),
            pytest.param("a%26b=1", "?a%26b=1", id="encoded ampersand"),
            pytest.param("q\u0338=1\u0338", "?q%CC%B8=1%CC%B8", id="marks beside the equals sign"),
            pytest.param("u=https://x.example/?y", "?u=https://x.example/?y", id="address in a value"),
            pytest.param("q=e\u0301%zz", "?q=%C3%A9%25zz", id="encoding as in the path"),
            pytest.param("%62=2&a=1", "?a=1&b=2", id="sorted by what the names are"),
            pytest.param("a=1;b=2", "?a=1;b=2", id="semicolons part nothing"),
        ],
    )
    def test_query(self, query: str, result: str) -> None:
        assert parse_article_url(f"https://news.example?{query}").path_and_query == "/" + result

    @pytest.mark.parametrize("scheme", ["ftp", "javascript", "data", "file", "ws", "httpss", "urn"])
    def test_other_scheme_is_refused(self, scheme: str) -> None:
        with pytest.raises(InvalidUrl, match="does not begin with http"):
            parse_article_url(f"{scheme}://news.example/")

    @pytest.mark.parametrize("url", ["", "news.example/story", "//news.example/", "/story", "://x", "null"])
    def test_no_scheme_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidUrl, match="does not begin with http"):
            parse_article_url(url)

    @pytest.mark.parametrize(
        "character", [chr(code) for code in [*range(0x21), *range(0x7F, 0xA1)]], ids=ascii
    )
    def test_control_or_space_is_refused_anywhere(self, character: str) -> None:
        for url in (f"{STORY}{character}", f"{character}{STORY}", STORY.replace("//", f"//{character}")):
            with pytest.raises(InvalidUrl, match="white space, a control character or a backslash"):
                parse_article_url(url)

    @pytest.mark.parametrize(
        "character", ["\\", "\u2028", "\u3000", "\u202e", chr(0xD800), chr(0xDFFF)], ids=ascii
    )
    def test_backslash_wide_space_override_and_surrogate_are_refused(self, character: str) -> None:
        with pytest.raises(InvalidUrl, match="white space, a control character or a backslash"):
            parse_article_url(f"https://news.example/{character}")

    def test_message_does_not_repeat_the_url(self) -> None:
        with pytest.raises(InvalidUrl) as caught:
            parse_article_url("https://reader:secret@news.example/")
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("path", ["/x?q=", "/"], ids=["query", "path"])
    def test_2000_characters_are_accepted_and_one_more_refused(self, path: str) -> None:
        longest = f"https://news.example{path}".ljust(2000, "a")
        assert canonical(longest) == longest
        with pytest.raises(InvalidUrl, match="has more than 2,000 characters"):
            parse_article_url(longest + "a")

    def test_canonical_form_over_2000_characters_is_refused(self) -> None:
        with pytest.raises(InvalidUrl, match="percent-encoded, has more than 2,000 characters"):
            parse_article_url("https://news.example/" + "\u00e9" * 400)

    def test_address_cannot_be_changed(self) -> None:
        address = parse_article_url(STORY)
        with pytest.raises(dataclasses.FrozenInstanceError):
            address.scheme = "http"  # type: ignore[misc]

    def test_origin_and_url_are_put_together(self) -> None:
        address = parse_article_url("http://news.example:8080/a/?b=1")
        assert (address.origin, address.url) == ("http://news.example:8080", "http://news.example:8080/a?b=1")

    @given(URLS)
    def test_canonical_form_is_its_own(self, url: str) -> None:
        try:
            address = parse_article_url(url)
        except InvalidUrl:
            return
        assert parse_article_url(address.url) == address
        assert address.url.isascii()
        assert address.path_and_query.startswith("/")
        assert not address.path_and_query.startswith("//")
        assert canonical_origin(address.origin) == address.origin
        assert authority_of(address.origin) == address.authority

    @given(
        st.text() | st.builds("https://{}".format, st.text()) | st.builds("https://xn--{}/".format, st.text())
    )
    def test_any_text_is_parsed_or_refused(self, url: str) -> None:
        with contextlib.suppress(InvalidUrl):
            assert parse_article_url(url).scheme in {"http", "https"}

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
    def test_quoting_a_segment_changes_nothing(self, text: str) -> None:
        quoted = "https://news.example/x" + quote(text, safe="")
        everything = "https://news.example/x" + "".join(f"%{byte:02x}" for byte in text.encode())
        assert canonical(quoted) == canonical(everything)

    @given(st.permutations(["a=1", "b=2", "c=", "d", "utm_source=x", "fbclid=y", "amp"]))
    def test_order_of_parameters_changes_nothing(self, parameters: list[str]) -> None:
        assert canonical(f"{STORY}?{'&'.join(parameters)}") == f"{STORY}?a=1&b=2&c=&d"


class TestCanonicalOrigin:
    @pytest.mark.parametrize(
        ("origin", "result"),
        [
            pytest.param("https://news.example", "https://news.example", id="as browsers write it"),
            pytest.param("https://News.Example:443", "https://news.example", id="case and default port"),
            pytest.param("HTTP://news.example:80", "http://news.example", id="http"),
            pytest.param("http://news.example:443", "http://news.example:443", id="the other scheme's port"),
            pytest.param("https://news.example/", "https://news.example", id="one slash at the end"),
            pytest.param("http://localhost:05000", "http://localhost:5000", id="port with a zero"),
            pytest.param("https://news.example.:8443", "https://news.example:8443", id="last dot"),
            pytest.param("https://b\u00fccher.example", "https://xn--bcher-kva.example", id="IDNA"),
            pytest.param(
                "https://B\u00dcCHER.example", "https://xn--bcher-kva.example", id="IDNA in upper case"
            ),
            pytest.param(
                "https://bu\u0308cher.example", "https://xn--bcher-kva.example", id="IDNA decomposed"
            ),
            pytest.param("https://XN--BCHER-KVA.example", "https://xn--bcher-kva.example", id="IDNA encoded"),
            pytest.param(
                "https://stra\u00dfe.example", "https://xn--strae-oqa.example", id="sharp s is a letter"
            ),
            pytest.param("https://news\u3002example", "https://news.example", id="ideographic full stop"),
            pytest.param("https://\uff4e\uff45\uff57\uff53.example", "https://news.example", id="full width"),
            pytest.param("https://ne\u00adws.example", "https://news.example", id="soft hyphen"),
            pytest.param("http://my_site.example", "http://my_site.example", id="underscore"),
            pytest.param(
                "http://r3---a.example", "http://r3---a.example", id="hyphens in third and fourth place"
            ),
            pytest.param("http://3com.example", "http://3com.example", id="digit first"),
            pytest.param("http://127.0.0.1:8000", "http://127.0.0.1:8000", id="IPv4"),
            pytest.param("http://\uff11\uff12\uff17.0.0.1", "http://127.0.0.1", id="IPv4 full width"),
            pytest.param("http://[::1]", "http://[::1]", id="IPv6"),
            pytest.param("http://[::1]:80", "http://[::1]", id="IPv6 with default port"),
            pytest.param("http://[2001:DB8:0:0::1]:8080", "http://[2001:db8::1]:8080", id="IPv6 at length"),
            pytest.param("http://[::ffff:1.2.3.4]", "http://[::ffff:102:304]", id="IPv4-mapped"),
        ],
    )  # fmt: skip
    def test_origin(self, origin: str, result: str) -> None:
        assert canonical_origin(origin) == result
        assert canonical_origin(result) == result

    @pytest.mark.parametrize("rest", ["/story", "//", "/?", "?", "?a=1", "#", "/#", "/#top", "/.", "/;a"])
    def test_anything_behind_the_port_is_refused(self, rest: str) -> None:
        with pytest.raises(InvalidUrl, match="without a path"):
            canonical_origin(f"https://news.example{rest}")

    @pytest.mark.parametrize(
        "origin",
        ["null", "", "*", "news.example", "//news.example", "ftp://news.example", "https:news.example"],
    )
    def test_what_is_not_http_is_refused(self, origin: str) -> None:
        with pytest.raises(InvalidUrl):
            canonical_origin(origin)

    @pytest.mark.parametrize(
        "user", ["reader@", "reader:secret@", "@", ":@", "a@b@", "%40@", "news.example:443@"]
    )
    def test_user_name_is_refused(self, user: str) -> None:
        with pytest.raises(InvalidUrl, match="has a user name"):
            canonical_origin(f"https://{user}other.example")

    @pytest.mark.parametrize("host", ["", ".", ":80", ".:80", "\u00ad", "\u3002"], ids=ascii)
    def test_no_host_is_refused(self, host: str) -> None:
        with pytest.raises(InvalidUrl, match="has no host"):
            canonical_origin(f"https://{host}")

    @pytest.mark.parametrize(
        "port", ["0", "65536", "99999", "123456", "-1", "+1", "8o", "\u0661", "80x", "0x50", "1_0"]
    )
    def test_bad_port_is_refused(self, port: str) -> None:
        with pytest.raises(InvalidUrl, match="port is not a number from 1 to 65535"):
            canonical_origin(f"https://news.example:{port}")

    @pytest.mark.parametrize("port", ["1", "65535"])
    def test_first_and_last_port_are_accepted(self, port: str) -> None:
        assert canonical_origin(f"https://news.example:{port}") == f"https://news.example:{port}"

    @pytest.mark.parametrize(
        "host",
        [
            pytest.param("a..example", id="empty label"),
            pytest.param(".example", id="empty first label"),
            pytest.param("news.example..", id="two dots at the end"),
            pytest.param("a" * 64 + ".example", id="label too long"),
            pytest.param(".".join(["a" * 60] * 5), id="name too long"),
            pytest.param("\u00fc" * 60 + ".example", id="label too long when encoded"),
            pytest.param("ne%77s.example", id="percent-encoded"),
            pytest.param("ne*s.example", id="asterisk"),
            pytest.param("a,b.example", id="comma"),
            pytest.param("a:b:80", id="two colons"),
            pytest.param("::1", id="IPv6 without brackets"),
            pytest.param("\U0001f600.example", id="emoji"),
            pytest.param("a\u2100b.example", id="a sign that stands for a/c"),
            pytest.param("xn--\u00fc.example", id="half encoded"),
            pytest.param("xn--a.example", id="wrong punycode"),
            pytest.param("xn--.example", id="empty punycode"),
            pytest.param("xn--a-\uffff.example", id="noncharacter"),
            pytest.param("\u0301a.example", id="mark at the beginning"),
            pytest.param("a\u05d0b.example", id="mixed directions"),
            pytest.param("127.1", id="short IPv4"),
            pytest.param("2130706433", id="IPv4 as one number"),
            pytest.param("0x7f000001", id="IPv4 in hex"),
            pytest.param("127.0.0.0x1", id="IPv4 with a part in hex"),
            pytest.param("0177.0.0.1", id="IPv4 in octal"),
            pytest.param("256.0.0.1", id="IPv4 out of range"),
            pytest.param("example.1", id="number as the last label"),
            pytest.param("[::1", id="bracket not closed"),
            pytest.param("::1]", id="bracket not opened"),
            pytest.param("[]", id="empty brackets"),
            pytest.param("[1.2.3.4]", id="IPv4 in brackets"),
            pytest.param("[v1.a]", id="address of a future version"),
            pytest.param("[::g]", id="IPv6 with a wrong digit"),
            pytest.param("[fe80::1%25eth0]", id="zone"),
            pytest.param("[::1]x", id="text behind the brackets"),
            pytest.param("x[::1]", id="text before the brackets"),
        ],
    )
    def test_bad_host_is_refused(self, host: str) -> None:
        with pytest.raises(InvalidUrl, match=r"host|zone|port"):
            canonical_origin(f"https://{host}")


class TestAuthorityOf:
    @pytest.mark.parametrize(
        ("origin", "authority"),
        [
            ("https://News.Example:443", "news.example"),
            ("https://news.example:8443/", "news.example:8443"),
            ("http://[::1]:80", "[::1]"),
            ("http://b\u00fccher.example:81", "xn--bcher-kva.example:81"),
        ],
    )
    def test_authority(self, origin: str, authority: str) -> None:
        assert authority_of(origin) == authority

    def test_address_with_a_path_is_refused(self) -> None:
        with pytest.raises(InvalidUrl, match="without a path"):
            authority_of(STORY)


class TestReadersAddress:
    @pytest.mark.parametrize(
        "query",
        [
            "email=ada@reader.example",
            "u=ada%40reader.example",
            "ada@reader.example",
            "ada%40reader.example=1",
            "x=%2540&m=a@b",
        ],
    )
    def test_in_a_link_of_a_newsletter_is_left_out(self, query: str) -> None:
        assert "@" not in unquote(parse_article_url(f"https://news.example/a?{query}").path_and_query)
