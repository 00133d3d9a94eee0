"""A server and a serving process as a user starts them, with a home, ports and artifacts of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.local import processes
from flows.local.server import profile

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Served:
    """A launcher with a home, ports and artifacts of its own."""

    home: Path
    environment: dict[str, str]
    url: str
    first_output: str = ""

    def launch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environment | variables, capture_output=True, text=True, timeout=200
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.local", *arguments]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data, headers = json.dumps(body or {}).encode(), {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api{path}", data, headers)) as answer:
            return json.load(answer)


@contextmanager
def launched(folder: Path, *arguments: str, **variables: str) -> Iterator[Served]:
    """What `python -m flows.local <arguments>` starts, below this folder; stopped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    own = {"DEGLA_PREFECT_HOME": str(folder / "prefect"), "DEGLA_HOME": str(folder / "artifacts"), "DEGLA_PORTS": str(port)}
    served = Served(folder / "prefect", {**os.environ, **own, **variables}, f"http://127.0.0.1:{port}")
    result = served.launch(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    served.first_output = result.stdout
    yield served
    result = served.launch("down")
    assert "server       stopped" in result.stdout
    assert processes.find(served.home) == []
    assert not profile(served.home).exists()
