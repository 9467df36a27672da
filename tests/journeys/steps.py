"""What a reader does to join a newsletter and to leave it, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import Article
from tests.journeys.mailbox import Mail, Mailbox

EMAIL = "ada@reader.example"
ARRIVED = "Your vote was counted. Your email address has arrived: thank you."
SIGNED_UP = "You signed up. Untick to take it back."
TAKEN_BACK = "Your sign-up is taken back."


@dataclass
class Steps:
    """What a reader has to do, counted as it is done."""

    page: Page
    clicks: int = 0
    fields: int = 0
    pages: int = 0

    def click(self, control: Locator) -> None:
        """Press a button, or tick or untick a box."""
        self.clicks += 1
        control.click()

    def fill(self, control: Locator, text: str) -> None:
        """Fill in a field."""
        self.fields += 1
        control.fill(text)

    def open(self, url: str) -> None:
        """Follow a link of a mail."""
        self.pages += 1
        self.page.goto(url)

    def are_no_more_than(self, other: Steps) -> bool:
        """Tell whether there are no more steps of any kind, and no more in all."""
        return (
            self.clicks <= other.clicks
            and self.fields <= other.fields
            and self.pages <= other.pages
            and self.clicks + self.fields + self.pages <= other.clicks + other.fields + other.pages
        )


@dataclass
class Reader:
    """Somebody in front of the demo article, with a mailbox."""

    page: Page
    demo: Article
    mailbox: Mailbox
    joining: Steps = field(init=False)

    def __post_init__(self) -> None:
        self.joining = Steps(self.page)

    def signs_up(self) -> Locator:
        """Vote with the box ticked; the vote itself is no step of joining."""
        poll = self.demo.opened(self.page)
        self.ticks_and_votes(poll)
        expect(poll.get_by_role("status")).to_have_text(ARRIVED)
        return poll

    def ticks_and_votes(self, poll: Locator) -> None:
        """The same at a poll that is open already."""
        poll.get_by_role("radio", name="Yes").check()
        self.joining.click(poll.get_by_role("checkbox"))
        self.joining.fill(poll.get_by_label("Email"), EMAIL)
        poll.get_by_role("button", name="Vote").click()

    def confirms(self) -> Mail:
        """Open the mail's link, and press its button."""
        mail = self.mailbox.wait()
        self.joining.open(mail.link("/consent/"))
        self.joining.click(self.page.get_by_role("button"))
        expect(self.page.get_by_role("status")).to_contain_text("your sign-up is confirmed")
        return mail

    def state(self) -> str:
        """How the newsroom sees the reader's consent."""
        return str(self.consent()["state"])

    def consent(self) -> dict[str, Any]:
        """The newsroom's view of the only consent."""
        found = self.demo.newsroom.call("POST", "/v1/consents/search", {"email": EMAIL})["items"]
        assert len(found) == 1
        return dict(found[0])
