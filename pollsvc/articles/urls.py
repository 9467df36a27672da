"""One article, one address: what is left of a URL when all that does not tell articles apart is taken away.

The canonical form is a working URL too, so it keeps what might select content, and unknown parameters above
all: two rows for one article can be mended, two articles in one row cannot.
"""

import re
import socket
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, quote, unquote, urlsplit

import idna

MAX_CHARACTERS = 2_000

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Each tells how the reader came, never what the page shows: what advertisers, newsletters and analytics
# append, as on the strip lists of browsers and content blockers. Names that a site might use for itself
# (`ref`, `source`, `cid`, `s`, `campaign`) are not here. Compared in lower case.
# fmt: off
_TRACKING = frozenset({
    # Google
    "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "gad_source", "gad_campaignid", "srsltid", "_ga", "_gl",
    "_gac",
    # Meta
    "fbclid", "fb_action_ids", "fb_action_types", "fb_ref", "fb_source", "mibextid", "igsh", "igshid",
    # Microsoft, X, TikTok, LinkedIn, Reddit, Pinterest, Snapchat
    "msclkid", "twclid", "ref_src", "__twitter_impression", "ttclid", "li_fat_id", "rdt_cid", "epik",
    "sccid",
    # Yandex, Yahoo
    "yclid", "ysclid", "_openstat", "guccounter", "guce_referrer", "guce_referrer_sig",
    # newsletters
    "mc_cid", "mc_eid", "vero_id", "vero_conv", "mkt_tok", "_hsenc", "_hsmi", "__hssc", "__hstc", "__hsfp",
    "hsctatracking", "_kx", "__s", "ml_subscriber", "ml_subscriber_hash", "wickedid",
    # advertising
    "s_kwcid", "s_cid", "ef_id", "irclickid", "rb_clickid", "dicbo", "tblci",
    # our own links to one comment
    "pollsvc_comment",
    # Mapp, formerly Webtrekk, and Webtrends
    "wt_mc", "wt.mc", "wt_zmc", "wt.mc_id", "wt.mc_ev", "wt.tsrc",
    # Piano, formerly AT Internet
    "xtor", "at_medium", "at_campaign", "at_campaign_type", "at_creation", "at_variant", "at_network",
    "at_term", "at_channel", "at_format", "at_general_placement", "at_detail_placement", "at_recipient_id",
    "at_recipient_list", "at_bbc_team", "at_link_id", "at_link_type", "at_link_origin", "at_ptr_name",
    "at_platform", "at_emailtype", "at_send_date", "at_type",
    # Matomo, and links inside a site
    "pk_campaign", "pk_kwd", "pk_keyword", "pk_source", "pk_medium", "pk_content", "pk_cid", "itm_source",
    "itm_medium", "itm_campaign", "itm_content", "itm_term",
})
# fmt: on
_TRACKING_PREFIXES = ("utm_", "oly_", "mtm_", "hsa_", "at_custom")
# `amp` asks for the AMP page of the same article; the others are added by AMP caches.
_AMP = frozenset({"amp", "amp_js_v", "amp_gsa", "amp_ct", "amp_tf", "usqp"})

# Refused before parsing, for parsers differ about them: a browser reads \ as /, urllib drops tabs.
_REFUSED = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
_PORT = re.compile(r"[0-9]{1,5}")
# Wider than the registries' rule: underscores and hyphens anywhere occur in host names that work.
_ASCII_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})?")
_KEPT_ESCAPE = re.compile(r"(%[0-9A-F]{2})")
_SAFE_IN_PATH = "!$&'()*+,;=:@"
_SAFE_IN_QUERY = "!$'()*,;=:@/?"


class InvalidUrl(ValueError):
    """The text is not an address that an article or a site can have; the message says why."""


@dataclass(frozen=True, slots=True)
class ArticleAddress:
    """An article's canonical address. Two URLs of one article have equal ones; all parts are ASCII.

    `authority` is the host with `:port` where that is not the scheme's default. `path_and_query` begins with
    exactly one slash.
    """

    scheme: str
    authority: str
    path_and_query: str

    @property
    def origin(self) -> str:
        """The origin, equal to what `canonical_origin` makes of it."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The whole address, at most 2,000 characters, which parses to an equal one."""
        return self.origin + self.path_and_query


def parse_article_url(url: str) -> ArticleAddress:
    """Return the canonical address of the article at `url`.

    Dropped: fragment, default port, a host's last dot, tracking and AMP parameters, a last `amp` segment of
    the path unless it is the only one, trailing slashes (the root stays `/`), doubled slashes at the
    beginning, dot segments. Made one: host (lower case, IDNA), percent-encoding (RFC 3986 section 6.2.2;
    non-ASCII as UTF-8 of the NFC form; a stray `%` as `%25`), `+` and `%20` in the query, the order of its
    parameters by name. Kept: the case of the path, slashes inside it, blank values, the order of parameters
    of one name.

    Raises InvalidUrl where the scheme is not http or https, the host is missing or wrong, the port is wrong,
    there is a user name, white space, a control character, a direction override or a backslash, or where the
    URL or its canonical form has more than 2,000 characters.
    """
    split = _split(url)
    path_and_query = _canonical_path(split.path) + _canonical_query(split.query)
    address = ArticleAddress(split.scheme, _canonical_authority(split), path_and_query)
    if len(address.url) > MAX_CHARACTERS:
        raise InvalidUrl(f"The URL, percent-encoded, has more than {MAX_CHARACTERS:,} characters.")
    return address


def canonical_origin(origin: str) -> str:
    """Return `origin` as browsers write it: `https://News.Example:443` becomes `https://news.example`.

    One slash at the end is let pass. Raises InvalidUrl on anything else behind the port, and on whatever is
    wrong with scheme, host and port as in `parse_article_url`; so on the `null` that a sandboxed page sends.
    """
    split = _split(origin)
    # The text is looked at, for urlsplit cannot tell an empty query or fragment from none.
    if origin[len(split.scheme) + len("://") + len(split.netloc) :] not in {"", "/"}:
        raise InvalidUrl("An origin is a scheme, a host and perhaps a port, without a path.")
    return f"{split.scheme}://{_canonical_authority(split)}"


def authority_of(origin: str) -> str:
    """Return the canonical host of `origin`, with `:port` where that is not the scheme's default.

    Raises InvalidUrl as `canonical_origin` does.
    """
    return canonical_origin(origin).partition("://")[2]


def host_of(address: str) -> str:
    """The canonical host that browsers are led to by an address, whatever else is in it; empty where it has none."""
    try:
        host = unquote(urlsplit(address).hostname or "")
        if ":" in host:
            return _canonical_ipv6(host)
        host = idna.uts46_remap(host, std3_rules=False).removesuffix(".")
        if _NUMBER_LABEL.fullmatch(host.rpartition(".")[2]):
            # 3405803781, 0xcb007105 and 203.113.0x5 are addresses to a browser, as they are to C.
            return socket.inet_ntoa(socket.inet_aton(host))
        return _canonical_host(host)
    except (ValueError, OSError):
        return ""


def _split(url: str) -> SplitResult:
    if len(url) > MAX_CHARACTERS:
        raise InvalidUrl(f"The URL has more than {MAX_CHARACTERS:,} characters.")
    if _REFUSED.search(url):
        raise InvalidUrl("The URL has white space, a control character or a backslash in it.")
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise InvalidUrl("The URL's host is not valid.") from error
    if split.scheme not in _DEFAULT_PORTS:
        raise InvalidUrl("The URL does not begin with http:// or https://.")
    return split


def _canonical_authority(split: SplitResult) -> str:
    if "@" in split.netloc:
        raise InvalidUrl("The URL has a user name in it.")
    # A colon inside the brackets of an IPv6 address begins no port.
    host, colon, port = split.netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = split.netloc, ""
    elif port and not (_PORT.fullmatch(port) and 0 < int(port) < 65_536):
        raise InvalidUrl("The URL's port is not a number from 1 to 65535.")
    host = (
        _canonical_ipv6(host[1:-1]) if host.startswith("[") and host.endswith("]") else _canonical_host(host)
    )
    if not port or int(port) == _DEFAULT_PORTS[split.scheme]:
        return host
    return f"{host}:{int(port)}"


def _canonical_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise InvalidUrl("The URL's host is not a valid IPv6 address.") from error
    if address.scope_id is not None:
        raise InvalidUrl("The URL's IPv6 address has a zone, which means nothing elsewhere.")
    if address.ipv4_mapped is not None:
        # Python writes this one in two ways, depending on its version; browsers in this one.
        low = int(address) & 0xFFFF_FFFF
        return f"[::ffff:{low >> 16:x}:{low & 0xFFFF:x}]"
    return f"[{address}]"


def _canonical_host(host: str) -> str:
    try:
        labels = idna.uts46_remap(host, std3_rules=False).removesuffix(".").split(".")
        labels = [_canonical_label(label) for label in labels]
    except UnicodeError as error:
        raise InvalidUrl("The URL's host is not a valid domain name.") from error
    name = ".".join(labels)
    if not name:
        raise InvalidUrl("The URL has no host.")
    if not all(labels) or len(name) > 253:
        raise InvalidUrl("The URL's host is not a valid domain name.")
    if _NUMBER_LABEL.fullmatch(labels[-1]):
        return _canonical_ipv4(name)
    return name


def _canonical_label(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        if label and not _ASCII_LABEL.fullmatch(label):
            raise InvalidUrl("The URL's host is not a valid domain name.")
        return label
    return idna.alabel(label).decode("ascii")


def _canonical_ipv4(text: str) -> str:
    # Browsers read 127.1 and 0x7f000001 as 127.0.0.1: one host by many names, so only the usual one is taken.
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        raise InvalidUrl("The URL's host is not a valid IPv4 address.") from error


def _canonical_path(path: str) -> str:
    segments: list[str] = []
    # Encoding first: %2e%2e is a dot segment to every browser, and `%61mp` is `amp`.
    for segment in (_normalised(raw, _SAFE_IN_PATH) for raw in path.split("/")):
        if segment == "..":
            del segments[-1:]
        # A path that begins with two slashes is a host to whoever joins it to a base.
        elif segment != "." and (segment or segments):
            segments.append(segment)
    while segments and (not segments[-1] or (segments[-1] == "amp" and len(segments) > 1)):
        segments.pop()
    return "/" + "/".join(segments)


def _canonical_query(query: str) -> str:
    parameters = []
    for parameter in filter(None, query.replace("+", "%20").split("&")):
        # Name and value apart, so that no composition reaches over the sign between them.
        name, equals, value = parameter.partition("=")
        name = _normalised(name, _SAFE_IN_QUERY)
        # Links in newsletters carry their reader's address, which no article needs and nothing here may keep.
        if not _is_dropped(name.lower()) and "@" not in unquote(parameter):
            parameters.append((name, equals + _normalised(value, _SAFE_IN_QUERY)))
    # By name only: the order of values of one name can mean something.
    parameters.sort(key=lambda parameter: parameter[0])
    return "?" + "&".join(name + rest for name, rest in parameters) if parameters else ""


def _is_dropped(name: str) -> bool:
    # Newsletters and feeds that escape twice send &amp;utm_medium=… .
    name = name.removeprefix("amp;")
    return name in _TRACKING or name in _AMP or name.startswith(_TRACKING_PREFIXES)


def _normalised(text: str, safe: str) -> str:
    """Percent-encode all but unreserved characters and `safe`; an escape of a reserved one stays."""
    decoded = _PERCENT.sub(_decode, text.encode()).decode("utf-8", "surrogateescape")
    # Between the escapes only, lest a mark behind one is composed with its last digit.
    pieces = _KEPT_ESCAPE.split(decoded)
    pieces[::2] = [
        quote(unicodedata.normalize("NFC", piece), safe=safe, errors="surrogateescape")
        for piece in pieces[::2]
    ]
    return "".join(pieces)


def _decode(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        return b"%25"
    byte = int(escape[1], 16)
    return bytes([byte]) if byte in _UNRESERVED or byte >= 0x80 else b"%%%02X" % byte
