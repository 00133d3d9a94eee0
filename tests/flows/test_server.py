"""Which server is ours, which port is taken, and what is refused before anything starts."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from degla.errors import ConfigError
from flows.local import launch as launcher
from flows.local import processes
from flows.local.server import NoFreePortError, Server, begin_server, environment, find_server, ports, profile, state_of
from flows.local.serving import names

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def prefect_like(home: str) -> Iterator[int]:
    """Something that answers as a Prefect server with this home does; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.endswith("/admin/settings") else 500)
            self.end_headers()
            self.wfile.write(json.dumps({"home": home}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "prefect"
    home.mkdir()
    monkeypatch.setenv("DEGLA_PREFECT_HOME", str(home))
    return home


def launch(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.local", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60)


def test_a_server_with_another_home_is_not_ours(tmp_path: Path) -> None:
    with prefect_like(str(tmp_path / "other")) as other, prefect_like(str(tmp_path)) as ours:
        assert state_of(other, tmp_path) == "taken"
        assert state_of(ours, tmp_path) == "ours"
        assert find_server(tmp_path, [other, ours]).port == ours
        assert find_server(tmp_path, [other]) is None


def test_a_port_is_free_or_taken(free_port: int, tmp_path: Path) -> None:
    assert state_of(free_port, tmp_path) == "free"


def test_the_next_free_port_is_taken_and_said(own_home: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(processes, "start", lambda home, command, *_: started.append(command))
    said: list[str] = []
    with prefect_like("another checkout") as taken:
        server, _ = begin_server(own_home, said.append, [taken, free_port])
    assert server.port == free_port
    assert str(free_port) in started[0]
    assert [str(taken) in line for line in said] == [True]


def test_a_port_that_is_taken_between_choice_and_start_is_left_for_another(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with prefect_like("another checkout") as taken, prefect_like(str(own_home)) as ours:
        chosen = iter([Server(own_home, taken), Server(own_home, ours)])
        monkeypatch.setattr(launcher, "begin_server", lambda *_: (next(chosen), ended))
        monkeypatch.setattr(launcher, "begin_serving", lambda server: server.port)
        server, serving = launcher._start_at_a_free_port(own_home)
    assert (server.port, serving) == (ours, ours)
    assert f"port {taken} was taken by another program just now; starting again" in capsys.readouterr().out


def test_a_server_that_goes_away_is_said_in_a_sentence_with_its_last_lines(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def go_away(serve: bool = True) -> Server:
        (own_home / "server.log").write_text("disk I/O error\n")
        raise httpx.ConnectError("[Errno 111] Connection refused")

    monkeypatch.setattr(launcher, "prefect_home", lambda: own_home)
    monkeypatch.setattr(launcher, "_start", go_away)
    assert launcher.main(["up"]) == 75  # try again
    assert "`make up`, starts it again" in (text := capsys.readouterr().err)
    assert text.endswith("disk I/O error\n")


def test_without_a_free_port_nothing_starts(own_home: Path) -> None:
    with prefect_like("another checkout") as taken, pytest.raises(NoFreePortError, match="DEGLA_PORTS"):
        begin_server(own_home, print, [taken])
    assert processes.find(own_home) == []


@pytest.mark.parametrize("text", ["abc", "5-3", "-5", "0-70000"])
def test_ports_that_are_none_are_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DEGLA_PORTS", text)
    with pytest.raises(ConfigError, match=f"DEGLA_PORTS='{text}': expected the first and the last port, such as 4300-4309"):
        ports()


def test_no_free_port_ends_the_command_with_a_sentence(own_home: Path) -> None:
    with prefect_like("another checkout") as taken:
        result = launch("up", DEGLA_PORTS=str(taken))
    assert result.returncode == 2
    assert "no free port" in result.stderr
    assert "Traceback" not in result.stderr
    assert processes.find(own_home) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "pipeline/demo", "-o", "train.lrr=1"], ["'train.lrr'", "did you mean 'train.lr'"]),
        (["run", "pipeline/demoo"], ["'demoo'", "demo"]),
        (["run", "trian/demo"], ["'trian'", "train"]),
        (["run", "train/demo"], ["train needs the artifact of prepare", "prefect deployment run 'prepare/demo'"]),
        (["run", "exemplars/select"], ["prefect deployment run exemplars/select", "Resume", "degla.generate.exemplars"]),
        (["run", "compare/default"], ["prefect deployment run compare/default", "degla.report compare demo"]),
    ],
)
def test_what_cannot_be_run_is_named_and_nothing_starts(own_home: Path, arguments: list[str], words: list[str]) -> None:
    result = launch(*arguments)
    assert result.returncode == 2
    assert all(word in result.stderr for word in words), result.stderr
    assert processes.find(own_home) == []
    assert not (own_home / "server.log").exists()


def test_an_artifact_root_that_cannot_be_written_is_named_and_nothing_starts(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = launch("demo", DEGLA_HOME=str(tmp_path / "file" / "artifacts"))
    assert result.returncode == 2
    assert "cannot write to" in result.stderr
    assert "DEGLA_HOME" in result.stderr
    assert processes.find(own_home) == []


def test_down_leaves_alone_what_is_not_ours(own_home: Path, tmp_path: Path) -> None:
    foreign = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, processes.MARK: str(tmp_path / "other"), "PREFECT_HOME": str(own_home)}
    )
    ours = processes.start(own_home, ["sleep", "60"], os.environ, own_home / "log", ROOT)
    result = launch("down")
    assert result.returncode == 0
    assert ours.wait(5) != 0
    assert foreign.poll() is None
    foreign.kill()
    foreign.wait()


def test_down_stops_everything_also_where_the_server_answers_errors(own_home: Path) -> None:
    ours = processes.start(own_home, ["sleep", "60"], os.environ, own_home / "log", ROOT)
    with prefect_like(str(own_home)) as broken:
        result = launch("down", DEGLA_PORTS=str(broken))
    assert result.returncode == 0, result.stderr
    assert "cannot be cancelled" in result.stdout
    assert ours.wait(5) != 0


def test_the_server_listens_on_the_loopback_address_and_reports_nothing_home(own_home: Path) -> None:
    with prefect_like(str(own_home)) as port:
        found = environment(find_server(own_home, [port]))
    assert found["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert found["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize("words", [["flows.pipeline", "demo"], ["flows.local", "run", "pipeline/demo"]])
def test_a_dry_run_from_the_console_needs_no_server(own_home: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", *words, "--dry-run", "-o", "train.seed=77"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "seed: 77" in result.stdout
    assert [line.split()[1] for line in result.stdout.splitlines()[-6:]] == ["run"] * 6
    assert list(own_home.iterdir()) == []


def test_a_misspelt_key_on_the_console_is_named(own_home: Path) -> None:
    command = [sys.executable, "-m", "flows.pipeline", "demo", "-o", "filter.min_token=2"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "did you mean 'filter.min_tokens'" in result.stderr


@pytest.mark.slow
def test_a_server_that_was_killed_is_forgotten_and_a_temporary_one_records_the_run(
    own_home: Path, free_port: int, fake_stages: Callable[..., None]
) -> None:
    killed = Server(own_home, free_port)
    profile(own_home).write_text(f'active = "degla"\n\n[profiles.degla]\nPREFECT_API_URL = "{killed.api_url}"\n')
    variables = {key: value for key, value in environment(killed).items() if key != "PREFECT_API_URL"}
    command = [sys.executable, "-m", "flows.pipeline", "demo", "--stages", "prepare"]
    result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=200)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "Starting temporary server" in output
    assert "Error logging to API" not in output
    assert not profile(own_home).exists()
    with sqlite3.connect(own_home / "prefect.db") as database:
        logged = database.execute("select count(*) from log where message like 'prepare: made%'").fetchone()[0]
    assert logged == 1


def test_prefect_yaml_deploys_what_is_served() -> None:
    from flows.prefect_yaml import prefect_yaml

    assert (ROOT / "prefect.yaml").read_text() == prefect_yaml(), "write it anew: python -m flows.prefect_yaml > prefect.yaml"
    listed = yaml.safe_load(prefect_yaml())["deployments"]
    flows = {item["entrypoint"]: load_flow_from_entrypoint(item["entrypoint"]) for item in listed}
    assert {f"{flows[item['entrypoint']].name}/{item['name']}" for item in listed} == set(names())
