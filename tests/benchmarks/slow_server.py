"""A server that answers every request after a fixed time, however many there are at once.

Run it as: python tests/benchmarks/slow_server.py MILLISECONDS; it prints its base URL and
ends when its standard input does. With 0 milliseconds it answers at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from email.utils import formatdate

CONTENT = {
    "id": "5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c",
    "request": "3f0c2a9e-6f55-4f0c-8a51-0d8f2f6f1a11",
    "device": "c7a1d2e3-4b5f-4c6d-8e7f-9a0b1c2d3e4f",
    "state": "Command Success",
    "reason": "by phone",
    "created_at": "2026-11-23T15:04:05.000000Z",
    "updated_at": "2026-11-23T15:04:06.000000Z",
    "command_meta": None,
}
ANSWER = json.dumps({"code": 200, "message": "Command status updated.", "content": CONTENT})


class Answering(asyncio.Protocol):
    """One connection; requests come one after the other on it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._data = b""
        head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
        self._answer = (head + ANSWER).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            if self._seconds:
                # The event loop rounds its waits up to whole milliseconds: half of one on average.
                asyncio.get_running_loop().call_later(self._seconds - 0.0005, self._send)
            else:
                self._send()

    def _send(self) -> None:
        self._transport.write(self._answer)


async def serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(seconds), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
