"""From what a reader typed to what is shown: plain text with links and simple Markdown.

Two libraries stand one behind the other: markdown-it renders with HTML switched off, and nh3 lets nothing through but the
few tags named here, whatever the first one made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import nh3
from linkify_it import LinkifyIt
from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.rules_block import StateBlock, fence, list_block
from markdown_it.token import Token

from pollsvc.articles.urls import host_of

#: What a comment may look like. No headings, pictures, tables or HTML: a comment must not pass for a part of the page.
TAGS = {"p", "br", "em", "strong", "code", "pre", "blockquote", "ul", "ol", "li", "a"}
# A link from a comment is no recommendation of the paper's, and the page it leads to learns nothing of the reader.
_REL = "nofollow ugc noopener noreferrer"
_BLOCKS = ["blockquote", "list", "fence"]
# Not `entity`: `&#8238;` would turn the order of what follows, although the character itself is refused.
_PLAIN = ["escape", "backticks"]
# Signs that pair up cost the square of their number. So many of them are no writing, and stay as they were typed.
_PAIRING = "[*_"
_MOST_PAIRING = 200
# Looking for addresses costs what each of them costs; a text with more is shown without links, which are counted all the same.
_MOST_ADDRESSES = 50
_ADDRESS = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
#: Signs behind an address that are not looked at for where it ends.
_MOST_BEHIND = 4
# What stands deeper than this in quotes and lists markdown-it drops; such a text stays as it was typed.
_DEEPEST = 20
_ANOTHER_NUMBER = re.compile(r"(?!0*1[.)])[0-9]{1,9}[.)]")
# Possessive: a run of signs is one, however it goes on; taking less of it each time would cost the square of its length.
_SENTENCE_AFTER_FENCE = re.compile(r"(`{3,}+|~{3,}+)[ \t]*+[^ \t\n]++[ \t]++[^ \t\n]")


@dataclass(frozen=True)
class MarkedUp:
    """A comment's text as it is shown.

    :param html: of :data:`TAGS` alone, with no attributes but those of links.
    :param text: what of it can be read: the letters without the marks, each line by itself.
    :param links: where they lead, in their order; http and https only.
    :param typed: each as it stands in what was typed, where it does.
    """

    html: str
    text: str
    links: Sequence[str]
    typed: Sequence[str]


def _parser(*rules: str, has_links: bool = True) -> MarkdownIt:
    # `zero` knows nothing but text; each rule is let in by name.
    parser = MarkdownIt("zero", {"html": False, "linkify": True, "breaks": True, "maxNesting": _DEEPEST})
    # `newline` with `breaks`: a line that somebody ended by hand ends there.
    parser.enable([*rules, "newline", *(["linkify"] if has_links else [])])
    parser.block.ruler.at("list", _list_from_one, {"alt": ["paragraph", "reference", "blockquote"]})
    parser.block.ruler.at("fence", _fence_of_code, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    # A link that names no host would lead into the paper's own pages, or to whatever stands behind two slashes.
    parser.validateLink = _is_web  # type: ignore[assignment, method-assign]
    parser.normalizeLink = _led_to  # type: ignore[assignment, method-assign]
    # As it was typed: decoded, `%E2%80%AE` would turn the order of what follows, and hide listed words from the checks.
    parser.normalizeLinkText = str  # type: ignore[assignment, method-assign]
    # Without a scheme `readme.md` and `Nov.it` would be links, and addresses of mail are nobody's to collect.
    linkify = LinkifyIt(options={"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    for schema in ("ftp:", "mailto:", "//"):
        linkify.add(schema, None)
    parser.linkify = linkify
    return parser


def _list_from_one(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """The rule of lists, but for those that begin with another number than one: "1986. What a year!" keeps its year."""
    if not silent and _ANOTHER_NUMBER.match(state.src, _begin_of(state, start_line)):
        return False
    return list_block(state, start_line, end_line, silent)


def _fence_of_code(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """The rule of fences, which swallows the line that opens one: more than a language's name there is somebody's words."""
    if _SENTENCE_AFTER_FENCE.match(state.src, _begin_of(state, start_line)):
        return False
    return fence(state, start_line, end_line, silent)


def _begin_of(state: StateBlock, line: int) -> int:
    return state.bMarks[line] + state.tShift[line]


def _led_to(address: str) -> str:
    """An address with the host that browsers are led to, whatever letters it is written in; what is no address stays as it is."""
    try:
        parts = urlsplit(address)
        host = host_of(address)
        if host and host != parts.hostname:
            user, at, place = parts.netloc.rpartition("@")
            port = place[place.rfind(":") :] if parts.port is not None else ""
            address = parts._replace(netloc=f"{user}{at}{host}{port}").geturl()
    except ValueError:
        pass
    return normalizeLink(address)


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


# By whether there may be an address: looking for one costs a third of all the rest.
_MARKDOWN, _TEXT = (
    {has_links: _parser(*_BLOCKS, *_PLAIN, *rules, has_links=has_links) for has_links in (True, False)}
    for rules in (("emphasis", "link"), ())
)
_AS_TYPED = _parser(has_links=False)
_CLEANER = nh3.Cleaner(
    tags=TAGS,
    # `*`: by itself nh3 lets `title` and `lang` through on everything.
    attributes={"a": {"href"}, "*": set()},
    url_schemes={"http", "https"},
    link_rel=_REL,
)


def mark_up(body: str) -> MarkedUp:
    """Render a comment.

    :param body: normalised text (:func:`pollsvc.text.normalise`).
    """
    addresses = body.count("://")
    parser = (_TEXT if sum(map(body.count, _PAIRING)) > _MOST_PAIRING else _MARKDOWN)[addresses > 0]
    if addresses > _MOST_ADDRESSES:
        parser = _AS_TYPED
    tokens = parser.parse(body)
    if any(token.nesting == 1 and token.level >= _DEEPEST - 1 for token in tokens):
        parser = _AS_TYPED
        tokens = parser.parse(body)
    html = _CLEANER.clean(parser.renderer.render(tokens, parser.options, {}))
    links = list(_ADDRESS.findall(body)) if parser is _AS_TYPED else list(_addresses(tokens))
    return MarkedUp(html.strip(), "".join(_texts(tokens)), links, _as_typed(body, links))


def _as_typed(body: str, links: Sequence[str]) -> Sequence[str]:
    if all(link in body for link in links):
        return links
    typed: dict[str, str] = {}
    for found in _ADDRESS.findall(body):
        # What ends an address is the parser's matter; it is one of the last few signs.
        for end in range(len(found), max(len(found) - _MOST_BEHIND, 0), -1):
            typed.setdefault(_led_to(found[:end]), found[:end])
    return [typed.get(link, link) for link in links]


def _texts(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.children is not None:
            yield from _texts(token.children)
            yield "\n"
        elif token.type in ("text", "text_special", "code_inline", "fence"):
            yield token.content
        elif token.type in ("softbreak", "hardbreak"):
            yield "\n"


def _addresses(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "link_open":
            yield str(token.attrGet("href"))
        if token.children:
            yield from _addresses(token.children)
