"""A server and a serving process as a user starts them, with a home, ports and artifacts of their own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

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
            self.command(*arguments), cwd=ROOT, env=self.environment | variables, capture_output=True, text=True, timeout=400
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.local", *arguments]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data, headers = json.dumps(body or {}).encode(), {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api{path}", data, headers)) as answer:
            return json.load(answer)


def tasks_of(client: SyncPrefectClient, run: UUID) -> list[str]:
    """Names of the states of a run's tasks."""
    found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    return sorted(task.state_name for task in found)


@contextmanager
def launched(folder: Path, *arguments: str, **variables: str) -> Iterator[Served]:
    """What `python -m flows.local <arguments>` starts, below this folder; stopped at the end."""
    first = random.randrange(20_000, 30_000, 10)  # the kernel gives none of these to others: its own begin at 32768
    home, ports = folder / "prefect", f"{first}-{first + 9}"
    own = {"DEGLA_PREFECT_HOME": str(home), "DEGLA_HOME": str(folder / "artifacts"), "DEGLA_PORTS": ports}
    served = Served(home, {**os.environ, **own, **variables}, url="")
    result = served.launch(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    served.first_output = result.stdout
    served.url = tomllib.loads(profile(home).read_text())["profiles"]["degla"]["PREFECT_API_URL"].removesuffix("/api")
    yield served
    result = served.launch("down")
    assert "server       stopped" in result.stdout
    assert processes.find(served.home) == []
    assert not profile(served.home).exists()
