"""HTTP on one connection of the sandbox: requests in, each reply out in a single write."""

from __future__ import annotations

import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cmdstat.sandbox.api import Request
from cmdstat.sandbox.replies import Refusal, Reply, envelope

if TYPE_CHECKING:
    from cmdstat.sandbox.server import Server

LONGEST_BODY = 1024 * 1024
_LONGEST_DISCARDED = 64 * 1024 * 1024
_LENGTH = re.compile(r"[0-9]{1,18}")
_LOOPBACK_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class Connection(BaseHTTPRequestHandler):
    """The requests of one client, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "cmdstat-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    server: Server
    path = "-"

    def setup(self) -> None:
        """Begin; from now on the server knows of this connection."""
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        """End."""
        try:
            super().finish()
        finally:
            self.server.closed(self.connection)

    def perform(self) -> None:
        """Answer one request. Whatever goes wrong in here is a 500 to the client."""
        started = perf_counter()
        try:
            reply = self.server.api.answer(self._request())
        except Refusal as refusal:
            reply = refusal.reply
        except OSError:
            self.close_connection = True
            raise
        except Exception as error:  # noqa: BLE001 - a client never meets a traceback
            self.server.log(f"{self.command} {self.path} {type(error).__name__}: {error}")
            reply = envelope(500, "Internal server error", {})
        if self.server.latency:
            self.server.stopping.wait(self.server.latency)
        self._send(reply, started)

    # Known methods reach the API, which allows three of them; an invented one is a 501.
    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = perform  # noqa: N815 - http.server's names
    do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = perform  # noqa: N815 - as above

    def _request(self) -> Request:
        body = self._body()
        target = _ABSOLUTE_FORM.sub("", self.path, count=1) if self.path[0] != "/" else self.path
        return Request(
            self.command, target, self.headers.get("Authorization"), body, self._link_base()
        )

    def _body(self) -> bytes:
        """The request's body, read whole, so that the next request begins where it ends.

        Raises `Refusal` for one that is too long or does not say how long it is.
        """
        lengths = {length.strip() for length in self.headers.get_all("Content-Length", ["0"])}
        text = lengths.pop()
        if "Transfer-Encoding" in self.headers:
            problem = envelope(411, "Give the body's length: chunks are not read here", {})
        elif lengths or not _LENGTH.fullmatch(text):
            problem = envelope(400, "Content-Length is not a number of bytes", {})
        elif int(text) > LONGEST_BODY:
            self._discard(int(text))
            raise Refusal(envelope(413, f"The body is longer than {LONGEST_BODY} bytes", {}))
        else:
            body = self.rfile.read(int(text))
            if len(body) < int(text):
                raise ConnectionResetError("the body was cut short")
            return body
        self.close_connection = True
        raise Refusal(problem)

    def _discard(self, length: int) -> None:
        """Read what will not be used: a client that is still sending would not see the answer."""
        if length > _LONGEST_DISCARDED:
            self.close_connection = True
        length = min(length, _LONGEST_DISCARDED)
        while length and (read := self.rfile.read(min(length, 65536))):
            length -= len(read)

    def _link_base(self) -> str:
        """Scheme, host and port for links: those that the client used, if they are loopback's."""
        host = self.headers.get("Host", "")
        return f"http://{host}" if _LOOPBACK_HOST.fullmatch(host) else self.server.base

    def _send(self, reply: Reply, started: float) -> None:
        if self.server.stopping.is_set():
            self.close_connection = True
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Server: {self.server_version}",
            f"Date: {self.date_time_string()}",
        ]
        if reply.status != HTTPStatus.NO_CONTENT:
            lines += [f"Content-Type: {reply.content_type}", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if self.close_connection:
            lines.append("Connection: close")
        elif self.request_version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        head = "\r\n".join(lines) + "\r\n\r\n"
        spent = (perf_counter() - started) * 1000
        self.server.log(f"{self.command or '-'} {self.path} {reply.status} {spent:.1f} ms")
        self.path = "-"
        self.wfile.write(head.encode("ascii") + (b"" if self.command == "HEAD" else reply.body))

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,
    ) -> None:
        """What the base class refuses before there is a request: in the envelope, and no more."""
        self.close_connection = True
        self._send(envelope(code, message or HTTPStatus(code).phrase, {}), perf_counter())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Nothing: the one line of each request is written when it is answered."""
