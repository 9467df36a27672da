"""The HTML that a publisher pastes: an element, and inside it a form that works without scripts.

There is no token in it, for the HTML of an article may be cached for a year.
"""

from __future__ import annotations

from typing import Any

from flask import render_template

from pollsvc.web.state import settings


def embed_html(poll: dict[str, Any]) -> str:
    """The snippet of a poll, with absolute addresses.

    :param poll: as the API shows it to readers, and ``is_for_accounts``.
    """
    return poll_html(poll, base=settings().public_url)


def poll_html(poll: dict[str, Any], *, base: str) -> str:
    """The same for an address of ours; an empty one stands for the page's own host."""
    html = render_template(
        "embeds/_poll_snippet.html",
        poll=poll,
        base=base,
        action=f"{base}/embed/polls/{poll['id']}",
        hidden={"article_url": poll["article_urls"][0]},
    )
    return html.strip()


def comments_html(article_url: str, *, base: str) -> str:
    """The snippet of an article's comments."""
    html = render_template(
        "embeds/_comments_snippet.html",
        base=base,
        action=f"{base}/embed/comments",
        article_url=article_url,
    )
    return html.strip()


def correction_html(article_url: str, *, base: str) -> str:
    """The snippet of a correction form for an article."""
    html = render_template(
        "embeds/_correction_snippet.html",
        base=base,
        action=f"{base}/embed/corrections",
        article_url=article_url,
    )
    return html.strip()
