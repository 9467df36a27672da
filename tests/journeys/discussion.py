"""An article with comments on a publisher's own origin, its readers and its desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Locator, Page

from tests.consent.logins import SECRET
from tests.journeys.conftest import Published

ELEMENT = '<pollsvc-comments></pollsvc-comments><script async src="{service}/embed.js"></script>'


@dataclass
class Discussion:
    """What stands below an article."""

    article: Published

    def paste(self, embed: str = ELEMENT, **options: str) -> None:
        """Put the element into the article."""
        service = self.article.service
        self.article.host.paste(embed.format(service=service), service=service, **options)

    def opened(self, page: Page, address: str = "") -> Locator:
        """Open the article, and wait until its comments are there."""
        page.goto(self.article.url + address)
        element = page.locator("pollsvc-comments")
        element.locator(".box").wait_for()
        return element

    def write(self, name: str, body: str, *, parent: str | None = None, is_approved: bool = True) -> str:
        """Have another reader comment, and by default be let through; give the comment's id."""
        call = self.article.newsroom.call
        sent = {
            "article_url": self.article.url,
            "parent_id": parent,
            "name": name,
            "email": "somebody@reader.example",
            "body": body,
            "voter_token": call("POST", "/v1/voters", {})["voter_token"],
        }
        comment_id = str(call("POST", "/v1/comments", sent)["id"])
        if is_approved:
            self.decide(comment_id, "approve")
        return comment_id

    def held(self, body: str) -> str:
        """Give the id of the held comment that says this."""
        queue = self.article.newsroom.call("GET", "/v1/moderation/queue?limit=100")["items"]
        (found,) = (each["id"] for each in queue if each["body"] == body)
        return str(found)

    def decide(self, comment_id: str, action: str, **reason: str) -> None:
        """Decide about a comment as it stands."""
        path = f"/v1/moderation/comments/{comment_id}"
        version = self.article.newsroom.call("GET", path)["version"]
        decision: dict[str, Any] = {"action": action, "version": version, **reason}
        self.article.newsroom.call("POST", f"{path}/decisions", decision)

    def reports(self) -> list[str]:
        """Give the ids of the comments that readers reported."""
        reported = self.article.newsroom.call("GET", "/v1/moderation/queue?state=reported&limit=100")["items"]
        return [each["id"] for each in reported]

    def let_accounts_in(self) -> None:
        """Tell the service how the publisher's login signs its tokens."""
        sites = self.article.newsroom.call("GET", "/v1/sites?limit=100")["items"]
        (site,) = (each["id"] for each in sites if self.article.host.origin in each["origins"])
        self.article.newsroom.call("PATCH", f"/v1/sites/{site}", {"login_key": SECRET})

    def set_mode(self, mode: str) -> None:
        """Open, close or switch off the article's comments."""
        path = f"/v1/articles?article_url={quote(self.article.url, safe='')}"
        self.article.newsroom.call("PATCH", path, {"comments": mode})
