"""A web server on 127.0.0.1 that misbehaves on request: what a download meets in the wild."""
from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler", bytes, int], None]  # the request, the file's bytes, the first byte asked for


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        range_ = self.headers.get("Range")
        self.server.requests.append((self.path, range_))
        answer = self.server.script.pop(0) if self.server.script else whole
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
        else:
            answer(self, body, int(re.fullmatch(r"bytes=(\d+)-", range_)[1]) if range_ else 0)

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """files: {path: bytes}; script: how to answer the next requests, then well; requests: the (path, Range) that came."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.script, self.requests = files, list[Answer](), list[tuple[str, str | None]]()
        self.url = f"http://127.0.0.1:{self.server_port}/"


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Server]:
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def whole(request: Handler, body: bytes, start: int) -> None:
    cut_after(len(body))(request, body, start)


def no_range(request: Handler, body: bytes, start: int) -> None:
    request.reply(200, body, Content_Length=str(len(body)))


def cut_after(sent: int) -> Answer:
    def answer(request: Handler, body: bytes, start: int) -> None:
        promised = str(len(body) - start)
        if start:
            request.reply(206, body[start:start + sent], Content_Length=promised,
                          Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.reply(200, body[:sent], Content_Length=promised)
    return answer


def wrong_bytes(request: Handler, body: bytes, start: int) -> None:
    whole(request, bytes(255 - b for b in body), start)


def wrong_range(request: Handler, body: bytes, start: int) -> None:
    request.reply(206, body, Content_Length=str(len(body)), Content_Range=f"bytes 0-{len(body) - 1}/{len(body)}")


def other_length(request: Handler, body: bytes, start: int) -> None:
    request.reply(200, b"a log-in page", Content_Length="13")


def endless(request: Handler, body: bytes, start: int) -> None:
    request.reply(200, body + body)  # no Content-Length: the end is where the connection ends


def status(code: int) -> Answer:
    return lambda request, body, start: request.reply(code, b"", Content_Length="0")
