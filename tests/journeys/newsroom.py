"""The newsroom, at the API of a real server."""

import json
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from tests.live_server import LiveServer


@dataclass
class Newsroom:
    """An administrator who calls the API."""

    server: LiveServer
    token: str
    #: Of the sites that it made.
    origins: set[str] = field(default_factory=set)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the API and give the answer's JSON."""
        request = urllib.request.Request(
            self.server.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
