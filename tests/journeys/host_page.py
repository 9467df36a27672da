"""A publisher's site on an origin of its own, as strict as a publisher's security team can be."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

#: What the documentation tells a host to allow, and nothing else.
POLICY = "default-src 'none'; script-src {service}; connect-src {service}; form-action {service}; frame-src {service}"
ARTICLE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The harbour</title>{head}
<body><main><h1>The harbour</h1><p id="before">Before the poll.</p>
{embed}
<p id="after">After the poll.</p></main></body></html>"""


class HostPage:
    """Serves one article at `url`, with whatever `embed` is pasted into it.

    :param host: `localhost` is another site to the browser than the service's 127.0.0.1.
    """

    def __init__(self, host: str = "localhost") -> None:
        self.embed = ""
        self.head = ""
        self.policy = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.origin = f"http://{host}:{self._server.server_address[1]}"
        self.url = f"{self.origin}/harbour"

    def paste(self, embed: str, *, service: str, head: str = "", policy: str = POLICY) -> None:
        """Put an embed into the article, and allow what it needs of the service."""
        self.embed, self.head, self.policy = embed, head, policy.format(service=service)

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = ARTICLE.format(embed=page.embed, head=page.head).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", page.policy)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
