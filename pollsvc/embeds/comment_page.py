"""The page of an article's comments without scripts: the thread, the forms, and what became of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Response, make_response, redirect, render_template
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.service import read_address
from pollsvc.comments import threads
from pollsvc.comments.acts import rules
from pollsvc.comments.own import OwnComment, own_comments, read_own
from pollsvc.comments.threads import Asked, Order, ShownComment, ThreadPage
from pollsvc.comments.writers import Writer, writer_of_identity
from pollsvc.embeds.comment_entries import Addresses, Entry, entry_of, is_unseen, own_entry
from pollsvc.embeds.identity import FIELD, Reader, remember
from pollsvc.embeds.plain_forms import PlainForm
from pollsvc.embeds.receipts import issue_receipt, read_receipt
from pollsvc.errors import PollsvcError
from pollsvc.web.errors import problem_of
from pollsvc.web.forms import issue_form_token
from pollsvc.web.state import keys, now

ORDERS = {Order.NEWEST: "Newest", Order.OLDEST: "Oldest", Order.MOST_REPLIED: "Most replied"}
REASONS = {
    "spam": "Advertising or spam",
    "abuse": "Insult or abuse",
    "off_topic": "Not about the article",
    "wrong_fact": "A fact is wrong",
    "illegal": "Against the law",
}
RULES = {
    "premoderated": "Comments on this article are read before they are shown.",
    "closed": "Comments on this article are closed.",
}
#: How an article takes comments.
TAKING = ("open", "premoderated")
#: What a receipt tells.
DONE = {
    "published": "Your comment is published.",
    "held": "Your comment is waiting: the newsroom reads it before it is shown.",
    "edited published": "Your comment was changed.",
    "edited held": "Your comment was changed, and is waiting: the newsroom reads it before it is shown again.",
    "decided": "You sent this comment before, and the newsroom decided not to show it: it says why below.",
    "removed": "Your comment is taken back.",
    "reported": "Thank you. Your report has arrived, and the newsroom will look at the comment.",
}
#: The fields that have a control, and their errors a place beside it.
_CONTROLS = ("name", "email", "body", "reason", "note")
_PER_PAGE = 20
_MOST_OWN = 100


@dataclass(frozen=True)
class CommentPage:
    """The discussion of one article, before one reader.

    :param article_url: the canonical address.
    """

    session: Session
    site: Site
    article_url: str
    reader: Reader

    @property
    def to(self) -> Addresses:
        """Where things are."""
        return Addresses(self.article_url)

    @property
    def writer(self) -> Writer:
        """The reader, as one who comments."""
        return writer_of_identity(keys(), self.reader.voter.identity)

    @property
    def is_off(self) -> bool:
        """Whether the article has no comments (any more)."""
        return self._read(Order.NEWEST, None, None, limit=1).comments == "off"

    @cached_property
    def own(self) -> Mapping[uuid.UUID, OwnComment]:
        """The reader's own comments on the article, the newest first."""
        if self.reader.is_new:
            return {}
        rows = own_comments(self.writer, self.article_url)
        found, _ = read_own(self.session, rows, before=None, limit=_MOST_OWN, rules=rules(), now=now())
        return {each.id: each for each in found}

    def thread(
        self,
        *,
        order: Order = Order.NEWEST,
        cursor: str | None = None,
        below: uuid.UUID | None = None,
        linked: uuid.UUID | None = None,
        filled: PlainForm | None = None,
        refusal: PollsvcError | None = None,
        done: str = "",
    ) -> Response:
        """The thread with the form above it.

        :param below: the comment whose replies are wanted, instead of those at the top.
        :param linked: the comment that a link led to: it is shown below all that it hangs below.
        :param refusal: why what was sent was not taken.
        """
        above = self._above(below or linked)
        if (below or linked) and not above:
            below, linked, done = None, None, "The comment that the link leads to is not here (any more)."
        page = self._read(Order.OLDEST if below else order, cursor, below)
        following = {"order": str(order), "below": str(below) if below else None, "cursor": page.next_cursor}
        listed = {each.id for each in (*page.items, *above)}
        unseen = [
            each
            for each in self.own.values()
            if is_unseen(each) and each.id not in listed and below in (None, each.parent_id)
        ]
        return self._page(
            "off" if page.comments == "off" else "thread",
            page,
            filled,
            refusal,
            above=self._entries(above, page.comments),
            is_linked=linked is not None,
            items=[] if linked else self._entries(page.items, page.comments),
            hidden_own=[own_entry(each) for each in unseen] if not (cursor or linked) else [],
            orders=ORDERS if page.items and not above else None,
            order=order,
            next=self.to.thread(**{name: value for name, value in following.items() if value})
            if page.next_cursor and not linked
            else None,
            done=done,
        )

    def reply(
        self, parent_id: uuid.UUID, filled: PlainForm | None = None, refusal: PollsvcError | None = None
    ) -> Response:
        """The form of a reply, below what it answers; the thread where that is gone."""
        above = self._above(parent_id)[-1:]
        page = self._read(Order.NEWEST, None, None, limit=1)
        if not above or page.comments == "off":
            return self.thread(filled=filled, refusal=refusal)
        return self._page(
            "reply",
            page,
            filled,
            refusal,
            above=self._entries(above, page.comments),
            parent_id=parent_id,
            label="Reply",
            button="Send reply",
        )

    def confirm(self, filled: PlainForm) -> Response:
        """The form as it was filled in on a page that we do not know, to be sent by one more press."""
        page = self._read(Order.NEWEST, None, None, limit=1)
        return self._page(
            "confirm", page, filled, None, is_foreign=True, parent_id=filled.sent.get("parent_id")
        )

    def one(
        self,
        state: str,
        entry: Entry,
        filled: PlainForm | None = None,
        *,
        values: Mapping[str, Any] | None = None,
        hidden: Mapping[str, Any] | None = None,
        refusal: PollsvcError | None = None,
        is_foreign: bool = False,
    ) -> Response:
        """What is done to one comment: its page, with one button.

        :param state: ``edit``, ``withdrawal`` or ``report``.
        :param values: what the form holds before it is filled in.
        """
        errors = filled.errors if filled and not is_foreign else {}
        return self._render(
            state,
            _code(errors, refusal),
            is_foreign=is_foreign,
            entry=entry,
            action=self.to.act(entry.id, state),
            hidden={FIELD: self.reader.token, **(hidden or {})},
            values=filled.sent if filled else values or {},
            errors=errors,
            status=_sentence(errors, refusal),
            reasons=REASONS,
        )

    def redirect(self, done: str, comment_id: uuid.UUID | None = None) -> Response:
        """Send the browser to the thread, so that a reload sends nothing again.

        :param done: what the thread is to tell, a key of :data:`DONE`.
        :param comment_id: the comment to show, where there is one to see.
        """
        receipt = issue_receipt(keys(), now(), self.article_url, {"done": done})
        facts = {"comment": str(comment_id)} if comment_id else {}
        anchor = {"_anchor": f"pollsvc-comment-{comment_id}"} if comment_id else {}
        address = self.to.thread(receipt=receipt, **facts, **anchor)
        return remember(make_response(redirect(address, 303)), self.reader)

    def read_receipt(self, receipt: str | None) -> str:
        """What a receipt tells; nothing where it is none of this article's."""
        facts = read_receipt(keys(), now(), self.article_url, receipt)
        return DONE.get(facts["done"], "") if facts else ""

    def _above(self, comment_id: uuid.UUID | None) -> Sequence[ShownComment]:
        """A comment in this thread below what it hangs below, from the top; empty where there is none."""
        if comment_id is None:
            return []
        return threads.read_place_of(self.session.connection(), self.article_url, comment_id)

    def _read(
        self, order: Order, cursor: str | None, below: uuid.UUID | None, limit: int = _PER_PAGE
    ) -> ThreadPage:
        after = threads.read_place(keys(), threads.purpose_of(order), cursor)
        asked = Asked(read_address(self.article_url), below, order, after, limit)
        page = threads.read_page(self.session.connection(), keys(), asked, now())
        assert page is not None, "its site was found before"
        return page

    def _entries(self, found: Sequence[ShownComment], mode: str) -> list[Entry]:
        is_open, depth = mode in TAKING, rules().depth
        return [entry_of(each, self.own.get(each.id), is_open=is_open, depth=depth) for each in found]

    def _page(
        self,
        state: str,
        page: ThreadPage,
        filled: PlainForm | None,
        refusal: PollsvcError | None,
        *,
        is_foreign: bool = False,
        parent_id: object = None,
        **context: Any,
    ) -> Response:
        """A page with the form of a new comment, if the article takes any."""
        errors = filled.errors if filled and not is_foreign else {}
        hidden = {"form_token": filled.form_token if filled else issue_form_token(keys(), now())}
        if parent_id:
            hidden["parent_id"] = str(parent_id)
        latest = next(iter(self.own.values()), None)
        return self._render(
            state,
            _code(errors, refusal),
            is_foreign=is_foreign,
            total=page.total,
            is_open=page.comments in TAKING,
            rule=RULES.get(page.comments),
            action=self.to.write(),
            hidden={FIELD: self.reader.token, **hidden},
            values=filled.sent if filled else {"name": latest.name if latest else ""},
            errors=errors,
            status=_sentence(errors, refusal),
            **context,
        )

    def _render(self, state: str, code: int, *, is_foreign: bool, **context: Any) -> Response:
        html = render_template(
            "embeds/comments.html",
            state=state,
            article_url=self.article_url,
            to=self.to,
            is_foreign=is_foreign,
            **context,
        )
        response = make_response(html, code)
        # Asked by a foreign page, the browser may have left our cookie out: a new one would take the reader's place.
        return response if is_foreign else remember(response, self.reader)


def _code(errors: Mapping[str, str], refusal: PollsvcError | None) -> int:
    return problem_of(refusal).status if refusal else 422 if errors else 200


def _sentence(errors: Mapping[str, str], refusal: PollsvcError | None) -> str:
    """What cannot be said beside a control."""
    others = [sentence for name, sentence in errors.items() if name not in _CONTROLS]
    return " ".join([refusal.detail] if refusal else others)
