"""The system's Chromium for the tests, and what a page wrote to its console."""

import os
import re
import shutil
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, WebError

# Without these Chromium looks for updates and components on the network, and needs a sandbox that containers forbid.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing beyond loopback: a page that asks for a third party finds out.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
)

#: The first is Debian's build of the same engine without windows: a page takes a third of the processor.
PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)


def is_required() -> bool:
    """Say whether a skipped test is a failure: it is in CI, where everything can be installed."""
    return os.environ.get("POLLSVC_REQUIRE_BROWSER") == "1"


def program() -> str | None:
    """Find the installed Chromium."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium, or skip the test where there is none and none is required."""
    path = program()
    if path is None:
        reason = "no Chromium is installed (Debian: apt-get install chromium)"
        if is_required():
            pytest.fail(reason)
        pytest.skip(reason)
    return playwright.chromium.launch(executable_path=path, args=list(FLAGS))


@dataclass
class Watcher:
    """Opens pages and remembers what they complained about."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def context(self, **options: object) -> BrowserContext:
        """Open a profile of its own: no cookies or storage of another. Takes what `Browser.new_context` takes."""
        context = self.browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        context.on("console", self._console)
        context.on("weberror", self._page_error)
        self.contexts.append(context)
        return context

    def page(self, **options: object) -> Page:
        """Open a page in a profile of its own."""
        return self.context(**options).new_page()

    def close(self) -> None:
        """Close every profile that was opened."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()

    def unexpected(self, allowed: str | None) -> list[str]:
        """Give the complaints that the pattern does not match."""
        return [each for each in self.complaints if not (allowed and re.search(allowed, each))]

    def _console(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"console.{message.type}: {message.text} ({message.location.get('url', '')})")

    def _page_error(self, error: WebError) -> None:
        self.complaints.append(f"page error: {error.error}")
