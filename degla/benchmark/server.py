"""The page on which people check a benchmark, served on this machine. Standard library only.

    GET  /                    links for the reviewers
    GET  /?reviewer=NAME      the page
    GET  /items?reviewer=NAME what stands there, as JSON
    GET  /images/ID           the image of an item
    POST /decisions           one decision; answered when it is on disk

A page of another site cannot write here: a decision must be JSON, which browsers send to other sites only if these allow it.
"""

from __future__ import annotations

import html
import json
import mimetypes
import socket
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from degla.benchmark.decisions import Conflict, Decisions, State
from degla.benchmark.folder import IMAGES, BenchmarkFolder
from degla.errors import ConfigError, DataError, InputError, StorageError
from degla.text_files import parse_json, shown

_EVERYWHERE = ("", "0.0.0.0", "::")
_FIRST_PORT, _PORTS, _TRIES = 20_000, 20_000, 20
_MOST_BYTES = 100_000  # of a decision


class CheckServer(ThreadingHTTPServer):
    """Serves one benchmark to its reviewers.

    Args:
        folder: the benchmark.
        reviewers: who may decide.
        host: `127.0.0.1` for this machine only.
        port: 0 takes one by the benchmark's id, so that a page left open finds the server again.

    Raises:
        ConfigError: a reviewer's name is empty or comes twice, or the port is taken.
        DataError: the decisions in the folder are of another benchmark.
    """

    daemon_threads = True

    def __init__(self, folder: BenchmarkFolder, reviewers: Sequence[str], host: str = "127.0.0.1", port: int = 0) -> None:
        names = [" ".join(name.split()) for name in reviewers]
        if not all(names) or len(set(names)) < len(names):
            raise ConfigError(f"reviewers {', '.join(map(repr, reviewers))}: each needs a name of their own")
        self.folder, self.reviewers, self.decisions = folder, names, Decisions(folder)
        first = _FIRST_PORT + int(folder.id[:8], 16) % _PORTS
        ports = [port] if port else [first + number for number in range(_TRIES)]
        for each in ports:
            try:
                super().__init__((host, each), _Handler)
                return
            except OSError as error:
                problem = error
        raise ConfigError(f"no port of {host} is free ({ports[0]}: {problem.strerror}); set --port")

    def links(self) -> list[str]:
        """A link for each reviewer."""
        host, port = self.server_address[:2]
        place = _own_address() if host in _EVERYWHERE else host
        return [f"http://{place!s}:{port}/?reviewer={quote(name)}" for name in self.reviewers]


def _own_address() -> str:
    """The address by which others on the network reach this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of no one (RFC 5737); UDP sends nothing by this
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def serve(folder: BenchmarkFolder, reviewers: Sequence[str], host: str, port: int) -> None:
    """Serve until the process is interrupted."""
    with CheckServer(folder, reviewers, host, port) as server:
        for name, link in zip(server.reviewers, server.links(), strict=True):
            print(f"{name}: {link}", flush=True)
        if host not in ("127.0.0.1", "localhost"):
            print("everyone who can reach this address can decide in these names", flush=True)
        print("every decision is saved at once; stop with Ctrl-C, and start again to go on", flush=True)
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    server: CheckServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        reviewer = parse_qs(address.query).get("reviewer", [""])[0]
        self._answer(lambda: self._get(address.path, reviewer))

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are no news."""

    def _answer(self, respond: Any) -> None:
        try:
            respond()
        except Conflict as error:
            self._json({"error": str(error)}, HTTPStatus.CONFLICT)
        except StorageError as error:
            self._json({"error": str(error)}, HTTPStatus.INSUFFICIENT_STORAGE)
        except InputError as error:
            self._json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except ConnectionError:  # the page was closed
            return
        except OSError as error:
            self._json({"error": f"cannot save: {error}"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _get(self, path: str, reviewer: str) -> None:
        if path == "/" and not reviewer:
            self._send(_links_page(self.server.folder.name, self.server.reviewers).encode(), "text/html; charset=utf-8")
        elif path == "/" and self._knows(reviewer):
            self._send(_page(self.server.folder, reviewer).encode(), "text/html; charset=utf-8")
        elif path == "/items" and self._knows(reviewer):
            self._json([_shown(state, reviewer) for state in self.server.decisions.states()])
        elif path.startswith("/images/"):
            self._image(unquote(path.removeprefix("/images/")))
        elif path in ("/", "/items"):
            self._json({"error": self._unknown(reviewer)}, HTTPStatus.FORBIDDEN)
        else:
            self._json({"error": f"there is no {path}"}, HTTPStatus.NOT_FOUND)

    def _post(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.headers.get_content_type() != "application/json" or not 0 < size <= _MOST_BYTES:
            self.close_connection = True
            raise DataError(f"expected a decision as JSON of at most {_MOST_BYTES:,} bytes")
        asked = parse_json(self.rfile.read(size).decode("utf-8", "replace"), "the decision")
        if urlsplit(self.path).path != "/decisions" or not isinstance(asked, dict):
            raise DataError(f"expected a decision at /decisions, got {shown(asked)} at {self.path}")
        if asked.get("benchmark") != self.server.folder.id:
            raise DataError("this page is of another benchmark; load it again")
        reviewer = asked.get("reviewer")
        if not isinstance(reviewer, str) or not self._knows(reviewer):
            self._json({"error": self._unknown(reviewer)}, HTTPStatus.FORBIDDEN)
            return
        texts = _texts(asked, "texts") if asked.get("verdict") == "fix" else None
        state = self.server.decisions.add(
            str(asked.get("item")), reviewer, str(asked.get("verdict")), _texts(asked, "seen"), texts
        )
        self._json(_shown(state, reviewer))

    def _knows(self, reviewer: str) -> bool:
        return reviewer in self.server.reviewers

    def _unknown(self, reviewer: object) -> str:
        known = ", ".join(self.server.reviewers)
        return f"unknown reviewer {reviewer!r}; known are {known}. Start the check with --reviewer {known} NAME."

    def _image(self, item: str) -> None:
        names = {each.id: each.image for each in self.server.folder.items}
        path = self.server.folder.path / IMAGES / names.get(item, "")
        if item not in names or not path.is_file():
            self._json({"error": f"no image of item {item!r}"}, HTTPStatus.NOT_FOUND)
        else:
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._send(path.read_bytes(), kind, cache="max-age=3600")

    def _json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value, ensure_ascii=False).encode(), "application/json; charset=utf-8", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, cache: str = "no-store") -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))), ("Cache-Control", cache)):
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)


def _texts(asked: dict[str, Any], name: str) -> tuple[str, str]:
    texts = asked.get(name)
    if not isinstance(texts, list) or len(texts) != 2 or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{name} is {shown(texts)}, expected the caption and the negative")
    return texts[0], texts[1]


def _shown(state: State, reviewer: str) -> dict[str, Any]:
    """An item as the page gets it. What others said of it is told only after the reviewer has decided."""
    own = state.verdicts.get(reviewer)
    others = [each for name, each in state.verdicts.items() if name != reviewer]
    return {
        "id": state.item.id,
        "type": state.item.type,
        "caption": state.item.caption,
        "negative": state.item.negative,
        "own": own and {"verdict": own.verdict, "when": own.when},
        "others": [{"reviewer": each.reviewer, "verdict": each.verdict} for each in others] if own else [],
        "num_others": len(others),
    }


def _page(folder: BenchmarkFolder, reviewer: str) -> str:
    template = resources.files("degla.benchmark").joinpath("check.html").read_text(encoding="utf-8")
    about = json.dumps({"benchmark": folder.id, "name": folder.name, "reviewer": reviewer}).replace("<", "\\u003c")
    return template.replace("{{about}}", about).replace("{{name}}", html.escape(folder.name))


def _links_page(name: str, reviewers: Sequence[str]) -> str:
    links = "".join(f'<li><a href="/?reviewer={quote(each)}">{html.escape(each)}</a></li>' for each in reviewers)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += "<style>body { font: 20px sans-serif; margin: 2em }</style>"
    return f"<!doctype html><html lang=en>{head}<title>{html.escape(name)}</title><p>Who are you?<ul>{links}</ul>"
