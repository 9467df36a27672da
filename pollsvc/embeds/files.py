"""Scripts, styles and the demo: the same for every reader."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import NotFound

from pollsvc.db import db
from pollsvc.embeds.demo import find_demo_poll
from pollsvc.embeds.snippets import comments_html, correction_html, poll_html
from pollsvc.polls.models import Poll
from pollsvc.polls.reading import read_poll
from pollsvc.polls.schemas import PollSchema
from pollsvc.web.admission import at_any_time
from pollsvc.web.guards import public
from pollsvc.web.headers import public_read, static_file
from pollsvc.web.state import now

blueprint = Blueprint("files", __name__)

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
_HERE = Path(__file__).parent


def _version(body: bytes) -> str:
    return sha256(body).hexdigest()[:16]


def _read(path: Path) -> bytes:
    """A file that tells its own version, where it asks for it: what a reader's browser ran may be older than this release."""
    body = path.read_bytes()
    return body.replace(b"@VERSION@", _version(body).encode())


#: Read once: a release's files do not change under it, and no path is made of what was asked for.
_FILES = {
    path.name: (_read(path), _KINDS[path.suffix])
    for path in (_HERE / "static").iterdir()
    if path.suffix in _KINDS
}
_versions = {name: _version(body) for name, (body, _) in _FILES.items()}
#: Which template wrote a consent line of our own pages, as consent.js names itself in the elements.
CONSENT_LINE = f"_parts.html {_version((_HERE / 'templates' / 'embeds' / '_parts.html').read_bytes())}"


@blueprint.app_template_global()
def file_url(name: str) -> str:
    """Where one of our own pages finds a file: an address that changes with its content, so that it may be kept for ever."""
    return f"/embed/{name}?v={_versions[name]}"


@blueprint.get("/embed.js")
@at_any_time
@public
def show_script() -> Response:
    """The script of the elements."""
    return show_file("embed.js")


@blueprint.get("/embed/<name>")
@at_any_time
@public
def show_file(name: str) -> Response:
    """A script, a style sheet or a picture."""
    if name not in _FILES:
        raise NotFound
    body, kind = _FILES[name]
    static_file(is_forever=request.args.get("v") == _versions[name])
    response = Response(body, content_type=kind)
    response.set_etag(sha256(body).hexdigest()[:32])
    response.make_conditional(request)
    return response


@blueprint.get("/")
@public
def show_article() -> str:
    """The demo article, with a poll, a correction form and comments pasted in as a publisher would."""
    poll = _demo_poll()
    shown = PollSchema().dump(read_poll(db.session, poll.id, now()))
    article_url = shown["article_urls"][0]
    # Addresses without a host, so that the demo works at localhost and through a forwarded port as well.
    poll_embed = "" if poll.withdrawn_at else poll_html(shown, base="")
    return _page(
        "article.html",
        article_url=article_url,
        poll_embed=poll_embed,
        correction_embed=correction_html(article_url, base=""),
        comments_embed=comments_html(article_url, base=""),
    )


@blueprint.get("/demo/<any(privacy, terms, standards):page>")
@public
def show_page(page: str) -> str:
    """What the demo's links lead to."""
    _demo_poll()
    return _page("page.html", page=page)


def _demo_poll() -> Poll:
    # Without one this is somebody's installation, where a made-up paper has no place.
    poll = find_demo_poll(db.session)
    if poll is None:
        raise NotFound
    return poll


def _page(template: str, **context: object) -> str:
    html = render_template(f"embeds/{template}", **context)
    public_read(html)
    return html
