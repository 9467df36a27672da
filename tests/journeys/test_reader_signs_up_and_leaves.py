"""A reader signs up beside a vote, confirms in a real mail, and leaves: by the same box, by the mail's page, by one click.

Leaving takes no more steps than joining, whichever way (GDPR Art. 7(3)): they are counted here.
"""

from __future__ import annotations

import urllib.parse
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Article
from tests.journeys.mailbox import Mailbox
from tests.journeys.steps import ARRIVED, EMAIL, SIGNED_UP, TAKEN_BACK, Reader, Steps


@pytest.fixture
def reader(demo: Article, page: Page) -> Reader:
    """A reader with scripts."""
    return Reader(page, demo, Mailbox(demo.mails, EMAIL))


class TestJourney:
    def test_joins_and_leaves_by_the_same_box(self, reader: Reader) -> None:
        poll = reader.signs_up()
        box = poll.get_by_role("checkbox", name=SIGNED_UP)
        expect(box).to_be_checked()
        expect(poll.get_by_label("Email")).to_be_hidden()
        reader.confirms()
        assert reader.state() == "active"

        # It stays so after the confirmation, and on a reload.
        poll = reader.demo.opened(reader.page)
        expect(box).to_be_checked()
        leaving = Steps(reader.page)
        leaving.click(box)
        expect(poll.get_by_role("status")).to_contain_text(TAKEN_BACK)

        assert reader.state() == "withdrawn"
        assert leaving.are_no_more_than(reader.joining)
        poll = reader.demo.opened(reader.page)
        expect(poll.get_by_role("checkbox")).not_to_be_checked()
        expect(poll.get_by_label("Email")).to_be_hidden()

        # Ticking again asks for the address again.
        poll.get_by_role("checkbox").check()
        expect(poll.get_by_label("Email")).to_have_value("")
        poll.get_by_label("Email").fill(EMAIL)
        poll.get_by_role("button", name="Sign up").click()
        expect(poll.get_by_role("status")).to_have_text(ARRIVED)
        expect(poll.get_by_role("checkbox", name=SIGNED_UP)).to_be_focused()
        # And that is a fresh request, whose mail waits its quarter of an hour.
        assert reader.state() == "withdrawn"

    def test_leaves_by_the_box_before_anything_was_confirmed(self, reader: Reader) -> None:
        poll = reader.signs_up()
        only_asked = Steps(reader.page, reader.joining.clicks, reader.joining.fields)
        leaving = Steps(reader.page)

        leaving.click(poll.get_by_role("checkbox"))
        expect(poll.get_by_role("status")).to_contain_text(TAKEN_BACK)

        assert leaving.are_no_more_than(only_asked)
        items = reader.demo.newsroom.call("POST", "/v1/consents/search", {"email": EMAIL})["items"]
        assert [each["state"] for each in items] in ([], ["withdrawn"])

    def test_leaves_by_the_mail_s_page(self, reader: Reader) -> None:
        reader.signs_up()
        mail = reader.confirms()
        leaving = Steps(reader.page)

        leaving.open(mail.link("/unsubscribe/"))
        leaving.click(reader.page.get_by_role("button"))
        expect(reader.page.get_by_role("status")).to_contain_text("you have left")

        assert reader.state() == "withdrawn"
        assert leaving.are_no_more_than(reader.joining)
        # A double click, a reload or a lost answer worries nobody.
        reader.page.reload()
        expect(reader.page.get_by_role("status")).to_contain_text("you have left")

    @pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "multipart/form-data"])
    def test_leaves_by_the_mail_program_s_own_button(self, reader: Reader, encoding: str) -> None:
        reader.signs_up()
        mail = reader.confirms()
        assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        url = str(mail.message["List-Unsubscribe"]).strip("<>")
        assert url == mail.link("/unsubscribe/")

        with one_click(url, encoding) as answer:
            assert (answer.status, answer.geturl(), answer.headers["Set-Cookie"]) == (200, url, None)
        assert reader.state() == "withdrawn"
        assert Steps(reader.page, clicks=1).are_no_more_than(reader.joining)

    def test_joins_and_leaves_without_scripts(self, demo: Article, watcher: Watcher) -> None:
        page = watcher.page(java_script_enabled=False)
        reader = Reader(page, demo, Mailbox(demo.mails, EMAIL))
        page.goto(demo.url)
        page.get_by_role("radio", name="Yes").check()
        reader.joining.click(page.get_by_role("checkbox"))
        reader.joining.fill(page.locator("pollsvc-poll").get_by_label("Email"), EMAIL)
        page.get_by_role("button", name="Vote").click()
        expect(page.get_by_role("status")).to_have_text(ARRIVED)
        reader.mailbox.wait()
        leaving = Steps(page)

        leaving.click(page.get_by_role("button", name="Take the sign-up back"))
        expect(page.get_by_role("status")).to_contain_text(TAKEN_BACK)

        assert leaving.are_no_more_than(reader.joining)
        assert reader.state() == "withdrawn"
        assert demo.voters() == 643
        # The mail came before: its link confirms nothing any more, and leaving by it works as ever.
        reader.confirms()
        assert reader.state() == "withdrawn"

    def test_of_a_person_is_not_taken_for_a_program_s(self, reader: Reader) -> None:
        poll = reader.demo.opened(reader.page)
        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("checkbox").check()
        # As fast as a person types.
        poll.get_by_label("Email").press_sequentially(EMAIL, delay=150)
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text(ARRIVED)

        assert reader.consent()["is_suspect"] is False


def one_click(url: str, encoding: str) -> Any:
    """Post to a link as a mail provider does (RFC 8058): no cookie, no origin, no redirect followed."""
    if encoding == "multipart/form-data":
        body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
        encoding += "; boundary=b"
    else:
        body = urllib.parse.urlencode({"List-Unsubscribe": "One-Click"}).encode()

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object, **__: object) -> None:
            """Follow none."""

    request = urllib.request.Request(url, data=body, headers={"Content-Type": encoding}, method="POST")
    return urllib.request.build_opener(Stay).open(request, timeout=10)
