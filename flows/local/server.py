"""The local Prefect server of this checkout: found, or started on a free port of the loopback address.

A server is ours if its Prefect home is `.prefect` of this checkout; others are left alone. Does not import Prefect, which takes
seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Literal

from degla.errors import ConfigError, EngineStartError, InputError
from flows.local import processes

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
PORTS = range(4200, 4220)
START_SECONDS = 120
PORT = "PREFECT_SERVER_API_PORT"
SERVER = ("-m", "prefect", "server", "start")


class NoFreePortError(InputError):
    """Every port for the server is in use."""


class PortTakenError(EngineStartError):
    """Another program took the port between its choice and the server's start."""


@dataclass(frozen=True)
class Server:
    """A Prefect server on this machine."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        """The dashboard."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api"


def prefect_home() -> Path:
    """`.prefect` of this checkout, or DEGLA_PREFECT_HOME: database, results and logs of the local server."""
    return Path(os.environ.get("DEGLA_PREFECT_HOME") or ROOT / ".prefect").absolute()


def profile(home: Path) -> Path:
    """The file that gives later `prefect` commands in this checkout the server's address."""
    return home / "profiles.toml"


def ports() -> range:
    """4200 to 4219, or DEGLA_PORTS (`4300-4309`). Raises ConfigError if that holds none."""
    text = os.environ.get("DEGLA_PORTS", "")
    first, _, last = text.partition("-")
    if not text:
        return PORTS
    if first.isdecimal() and (last or first).isdecimal() and 0 < int(first) <= int(last or first) < 65536:
        return range(int(first), int(last or first) + 1)
    raise ConfigError(f"DEGLA_PORTS={text!r}: expected the first and the last port, such as 4300-4309")


def find_server(home: Path | None = None, among: Iterable[int] | None = None) -> Server | None:
    """Our server if it answers."""
    home = home or prefect_home()
    for port in among or ports():
        if state_of(port, home) == "ours":
            return Server(home, port)
    return None


def state_of(port: int, home: Path) -> Literal["free", "ours", "taken"]:
    """Whether a port is free, serves our server, or is taken."""
    if _can_listen(port):
        return "free"
    return "ours" if _home_of_server(port) == str(home) else "taken"


def begin_server(home: Path, say: Callable[[str], None], among: Iterable[int] | None = None) -> tuple[Server, Popen[bytes]]:
    """Start a server on the first free port; its output goes to `<home>/server.log`. See `wait_for_server`.

    Raises:
        NoFreePortError: no port is free.
    """
    among = list(among or ports())
    port = next((port for port in among if _can_listen(port)), None)
    if port is None:
        raise NoFreePortError(
            f"no free port for the Prefect server: {among[0]} to {among[-1]} on {LOOPBACK} are all taken. Free one, or set"
            " others: DEGLA_PORTS=4300-4309"
        )
    for taken in among[: among.index(port)]:
        say(f"port {taken} is taken by another program; trying the next")
    server = Server(home, port)
    command = [sys.executable, *SERVER, "--host", LOOPBACK, "--port", str(port)]
    return server, processes.start(home, command, environment(server), home / "server.log", ROOT)


def wait_for_server(server: Server, process: Popen[bytes] | None = None) -> None:
    """Wait until the server answers.

    Raises:
        PortTakenError: its process ended because another program took the port before it could.
        EngineStartError: its process ended, or two minutes have passed.
    """
    deadline = time.monotonic() + START_SECONDS
    while (state := state_of(server.port, server.home)) != "ours":
        ended = process is not None and process.poll() is not None
        if ended and state == "taken":
            raise PortTakenError(f"port {server.port} was taken by another program just now")
        if ended or time.monotonic() > deadline:
            log = server.home / "server.log"
            raise EngineStartError(f"the Prefect server did not start; the end of {log}:\n{tail(log)}")
        time.sleep(0.2)


def environment(server: Server) -> dict[str, str]:
    """The environment of the server and its clients, without PREFECT_ variables of other installations."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    return own | {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(server.home),
        "PREFECT_PROFILES_PATH": str(profile(server.home)),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(server.home / "storage"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(server.home / "memo_store.toml"),
        "PREFECT_API_URL": server.api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        PORT: str(server.port),
    }


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, nothing if there is none: it is asked for where something else is told."""
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _home_of_server(port: int) -> str | None:
    """The Prefect home that a server reports; None if no healthy Prefect server answers."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/admin/settings", timeout=10) as answer:
            settings = json.load(answer)
    except (OSError, ValueError):
        return None
    return settings.get("home") if isinstance(settings, dict) else None
