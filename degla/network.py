"""Whether a server can be reached, asked before work that would wait for it in vain."""

from __future__ import annotations

import socket
import time
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_PORTS = {"http": 80, "https": 443}
_SECONDS = 10


def unreachable(url: str) -> str:
    """Why the host of a URL cannot be reached; empty if it can, or if only a proxy knows."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return ""
    try:
        socket.create_connection((host, parts.port or _PORTS.get(parts.scheme, 443)), _SECONDS).close()
    except OSError as error:
        return f"{parts.netloc}: {error.strerror or error}"
    return ""


@cache
def hub_unreachable(url: str) -> str:
    """As `unreachable`, tried twice and asked once a process: a hub's client tries five times, for 23 s and every file."""
    if unreachable(url):
        time.sleep(1)
    return unreachable(url)
