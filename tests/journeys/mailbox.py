"""A reader's mailbox: the folder that a service without SMTP writes its mails to."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from pathlib import Path

PATIENCE = 20.0
_URL = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True)
class Mail:
    """A mail as it arrived."""

    message: EmailMessage

    def link(self, path: str) -> str:
        """The link that leads to this path, such as `/consent/`; it must be the same in text and HTML."""
        (found,) = {url for url in self.links() if path in url}
        return found

    def links(self) -> set[str]:
        """Every address in the text, the HTML and the headers."""
        headers = str(self.message["List-Unsubscribe"] or "")
        parts = [self._part("plain"), unescape(self._part("html")), headers]
        return {url.rstrip(".,)") for part in parts for url in _URL.findall(part)}

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part else ""


@dataclass(frozen=True)
class Mailbox:
    """The mails to one address."""

    folder: Path
    address: str

    def mails(self) -> list[Mail]:
        """Every mail that arrived."""
        read = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in self._files()]
        return [Mail(mail) for mail in read if self.address in str(mail["To"])]

    def wait(self, count: int = 1) -> Mail:
        """Wait for this many mails, and give the last."""
        deadline = time.monotonic() + PATIENCE
        while len(found := self.mails()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} mails arrived"
            time.sleep(0.05)
        return found[-1]

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
