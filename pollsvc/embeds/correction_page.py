"""The page of a correction without scripts: form, the same form to be pressed once more, thanks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, make_response, redirect, render_template, url_for

from pollsvc.articles.models import Site
from pollsvc.corrections.routes import THANKS
from pollsvc.embeds.plain_forms import PlainForm
from pollsvc.embeds.receipts import issue_receipt, read_receipt
from pollsvc.web.forms import issue_form_token
from pollsvc.web.state import keys, now


@dataclass(frozen=True)
class CorrectionPage:
    """The form for one article.

    :param article_url: the canonical address.
    """

    site: Site
    article_url: str

    def form(self, filled: PlainForm | None = None, *, is_foreign: bool = False) -> Response:
        """The form, empty or as it was filled in; with errors beside their fields it is a 422.

        :param is_foreign: whether it came from a page that we do not know, and is to be pressed once more.
        """
        errors = filled.errors if filled and not is_foreign else {}
        token = filled.form_token if filled else issue_form_token(keys(), now())
        return self._page(
            "confirm" if is_foreign else "form",
            422 if errors else 200,
            action=url_for("embeds.show_correction"),
            hidden={"form_token": token},
            values=filled.sent if filled else {},
            errors=errors,
            # What is wrong with a field that the page has no control for.
            status=" ".join(errors[name] for name in errors if name not in ("name", "email", "message")),
        )

    def sent(self, receipt: str | None) -> Response | None:
        """The thanks that a receipt stands for, or None where it stands for none."""
        facts = read_receipt(keys(), now(), self.article_url, receipt)
        if facts is None:
            return None
        links = {"message": THANKS, "standards_url": self.site.standards_url}
        return self._page("sent", 200, reference=facts["reference"], **links)

    def redirect_to_sent(self, reference: str) -> Response:
        """Send the browser to the thanks, so that a reload sends nothing again."""
        receipt = issue_receipt(keys(), now(), self.article_url, {"reference": reference})
        address = url_for("embeds.show_correction", article_url=self.article_url, receipt=receipt)
        return make_response(redirect(address, 303))

    def _page(self, state: str, code: int, **context: Any) -> Response:
        html = render_template("embeds/correction.html", state=state, article_url=self.article_url, **context)
        return make_response(html, code)
