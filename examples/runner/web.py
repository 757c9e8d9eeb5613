"""A local server that answers only its own page, for draw_digit.py and playground.py.

Any site open in the same browser could send requests to this server. Three rules prevent this:

1. The address that a request names (`Host`) must be this machine's. Otherwise an attacker could
   let a foreign name point to this machine (DNS rebinding).
2. A request that says where it comes from (`Origin`) must come from this server's own page.
3. If other machines may connect, every address contains a token that nobody can guess.

The page may run only its own script, and may talk only to this server.
"""

import argparse
import base64
import contextlib
import errno
import hashlib
import hmac
import ipaddress
import json
import os
import re
import secrets
import signal
import socket
import sys
import threading
import traceback
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

LOCAL = ("127.0.0.1", "localhost")


class RequestError(Exception):
    """An error in a request: a message for the page, and the HTTP status."""

    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status


def read_object(body):
    """Return the JSON object in the bytes of a request."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(
            f"expected a JSON object, got {len(body)} bytes that are not JSON"
        ) from None
    if not isinstance(content, dict):
        raise RequestError(f"expected a JSON object, got {type(content).__name__}")
    return content


def read_pixels(content, side):
    """Return the drawing in the object, uint8 of shape (side, side). Ink is 255."""
    pixels = content.get("pixels")
    expected = f"pixels: expected {side * side} whole numbers from 0 to 255"
    if not isinstance(pixels, list) or len(pixels) != side * side:
        got = len(pixels) if isinstance(pixels, list) else repr(pixels)
        raise RequestError(f"{expected}, got {got}")
    if not all(type(value) is int and 0 <= value <= 255 for value in pixels):
        raise RequestError(f"{expected}, got other values")
    return np.array(pixels, np.uint8).reshape(side, side)


def make_policy(page, may_ask="'self'"):
    """Return a page's content security policy: only its own scripts (by hash) and this server."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        f"connect-src {may_ask}; img-src data:; base-uri 'none'; form-action 'none'"
    )


class Handler(BaseHTTPRequestHandler):
    """Answers one request. The server holds the tables of what each path returns."""

    timeout = 30  # how many seconds a silent client may occupy a thread

    def do_GET(self):
        path = urlsplit(self.path).path
        if path in self.server.streams:
            self._respond(self._stream)
        else:
            self._respond(self._send_page)

    def do_POST(self):
        self._respond(self._answer)

    def _respond(self, respond):
        try:
            self._check_sender()
            respond(urlsplit(self.path).path)
        except RequestError as error:
            self._refuse(str(error), error.status)
        except (ConnectionError, TimeoutError):
            raise  # because the client disconnected
        except Exception as error:
            traceback.print_exc()
            self._refuse(f"the program failed: {type(error).__name__}: {error}", 500)

    def _refuse(self, message, status):
        self._send(json.dumps({"error": message}), "application/json", status)

    def _send_page(self, path):
        self._check_path(path, self.server.pages)
        self._send(self.server.pages[path], "text/html; charset=utf-8")

    def _answer(self, path):
        self._check_path(path, self.server.answers)
        answer = self.server.answers[path](read_object(self._read_body()))
        self._send(json.dumps(answer, allow_nan=False), "application/json")

    def _stream(self, path):
        """Send the parts of a stream as they are produced, until one side ends it."""
        with contextlib.closing(self.server.streams[path]()) as parts:
            self._send_head("text/event-stream")
            for part in parts:
                self.wfile.write(part.encode())

    def _check_path(self, path, known):
        if path not in known:
            expected = ", ".join(known)
            raise RequestError(f"expected one of {expected}, got {self.command} {path}", 404)

    def _check_sender(self):
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if not self.server.is_own_host(host):
            raise RequestError(f"expected an address of this machine, got {host!r}", 403)
        if origin is not None and origin.lower() != f"http://{host}".lower():
            raise RequestError(f"expected a request of this page, got one of {origin!r}", 403)
        given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        token = self.server.token
        if token and not hmac.compare_digest(given.encode(), token.encode()):
            raise RequestError("expected the token that the program printed with its address", 403)

    def _read_body(self):
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise RequestError(f"expected a Content-Length, got {length!r}", 411)
        largest = self.server.largest
        if len(length) > 9 or int(length) > largest:
            # A client does not listen while it is sending, so read some more before the answer.
            self.rfile.read(min(int(length[:9]), 16 * largest))
            raise RequestError(f"expected at most {largest} bytes, got {length}", 413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise RequestError(f"expected {length} bytes, got {len(body)}")
        return body

    def _send(self, text, kind, status=200):
        content = text.encode()
        self._send_head(kind, status, len(content))
        self.wfile.write(content)

    def _send_head(self, kind, status=200, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")  # because the address contains the token
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, *args):
        """Print nothing, because a line for each request would hide what matters."""


class LocalServer(ThreadingHTTPServer):
    """A server for one page on this machine. With a `host`, it also serves the local network.

    `pages` maps paths to HTML. `answers` maps paths to functions that take the JSON object of a
    request and return the JSON object of the answer. `streams` maps paths to functions that return
    the parts of an event stream. A request may have at most `largest` bytes. Each request has its
    own thread, because a browser opens connections that it does not use at once, and because a
    stream lasts as long as its page.
    """

    allow_reuse_address = os.name != "nt"  # on Windows two servers could share a port

    def __init__(self, pages, answers, streams, *, host=None, port=0, largest=16_384):
        self.pages, self.answers, self.streams = pages, answers, streams
        self.largest = largest
        self.policy = make_policy("".join(pages.values())) + "; frame-ancestors 'none'"
        self.is_open = host is not None
        self.token = secrets.token_urlsafe(12) if self.is_open else ""
        self.names = {*LOCAL}
        if self.is_open:
            mine = socket.gethostname().lower()
            self.names |= {host.lower(), mine, f"{mine}.local"}
        super().__init__((host or LOCAL[0], port), Handler)
        shown = find_own_address() if host == "0.0.0.0" else host or LOCAL[0]
        query = f"?token={self.token}" if self.token else ""
        self.url = f"http://{shown}:{self.server_address[1]}/{query}"

    def is_own_host(self, host):
        """Whether a request's `Host` is this machine. A foreign name cannot look like digits."""
        name = host.rsplit(":", 1)[0].lower()
        return name in self.names or (self.is_open and is_address(name))

    def handle_error(self, request, client_address):
        """Ignore clients that disconnected."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def is_address(name):
    """Whether a name is a numeric address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def find_own_address():
    """Return this machine's address in its network. This does not send anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return LOCAL[0]
        return probe.getsockname()[0]


# ---- A program that serves a page until Ctrl-C


def add_flags(parser):
    """Add the flags --port and --no-browser to a program's parser."""
    parser.add_argument(
        "--port",
        type=read_port,
        default=8000,
        help="the port of the server (default: 8000; 0: any free port)",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def read_port(text):
    """Return the number of a port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, got {text}")
    return int(text)


def refuse_port(parser, port, error):
    """End the program if the server could not start because of the port."""
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        parser.error(
            f"--port: expected a free one, got {port}: {error.strerror}; try --port {port + 1} or 0"
        )


def serve_until_stopped(server, name, *, opens_browser):
    """Print the server's address, open it in the browser, and serve it until Ctrl-C."""
    # A program that a shell starts in the background would otherwise ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with server:
        try:
            print(f"{name} at {server.url} (Ctrl-C ends it)", flush=True)
            if opens_browser:
                # In a thread, because a browser in the terminal does not return until it is closed.
                threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt:
            print()
