"""The check page's server: known reviewers decide, others and other sites do not."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
from benchmark_items import ITEMS

from degla.benchmark.decisions import LOG
from degla.benchmark.server import CheckServer
from degla.errors import ConfigError


@pytest.fixture
def server(folder):
    with CheckServer(folder, ["Ann", "Ben <b>"]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path, body=None, kind="application/json"):
    """Status and content."""
    headers = {"Content-Type": kind} if body is not None else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_address[1]}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def decision(server, **changes):
    seen = [ITEMS[0].caption, ITEMS[0].negative]
    return {"benchmark": server.folder.id, "reviewer": "Ann", "item": "1", "verdict": "keep", "seen": seen} | changes


def test_a_decision_is_on_disk_when_it_is_answered(server, folder):
    status, content = ask(server, "/decisions", decision(server))
    assert (status, json.loads(content)["own"]["verdict"]) == (200, "keep")
    assert '"reviewer": "Ann"' in (folder.path / LOG).read_text()


def test_others_are_told_of_only_after_ones_own_decision(server):
    ask(server, "/decisions", decision(server, verdict="drop"))
    mine = lambda: json.loads(ask(server, f"/items?reviewer={quote('Ben <b>')}")[1])[0]  # noqa: E731
    assert (mine()["own"], mine()["others"], mine()["num_others"]) == (None, [], 1)
    ask(server, "/decisions", decision(server, reviewer="Ben <b>"))
    assert mine()["others"] == [{"reviewer": "Ann", "verdict": "drop"}]


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"reviewer": "Eve"}, 403, "unknown reviewer 'Eve'"),
        ({"reviewer": 3}, 403, "unknown reviewer 3"),
        ({"benchmark": "f" * 16}, 400, "of another benchmark"),
        ({"item": "77"}, 400, "no item '77'"),
        ({"seen": ["x"]}, 400, "seen is"),
        ({"seen": ["A wolf", "A cat"]}, 409, "was changed in the meantime"),
        ({"verdict": "fix", "texts": ["A dog", ""]}, 400, "the negative is empty"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(server, folder, changes, status, said):
    found, content = ask(server, "/decisions", decision(server, **changes))
    assert (found, said in json.loads(content)["error"]) == (status, True)
    assert not (folder.path / LOG).exists()


def test_a_page_of_another_site_cannot_write(server, folder):
    assert ask(server, "/decisions", decision(server), kind="text/plain")[0] == 400
    assert not (folder.path / LOG).exists()


def test_pages_and_images_are_served_and_nothing_else(server):
    assert b"Ben &lt;b&gt;" in ask(server, "/")[1]
    assert b'"reviewer": "Ann"' in ask(server, "/?reviewer=Ann")[1]
    assert ask(server, "/?reviewer=Eve")[0] == 403
    assert ask(server, "/images/1")[1].startswith(b"\x89PNG")
    for path in ("/images/../items.jsonl", "/images/dog.png", "/images/", "/items.jsonl"):
        assert ask(server, path)[0] == 404


def test_a_second_server_takes_another_port_and_a_name_comes_once(server, folder):
    with CheckServer(folder, ["Ann"]) as second:
        assert second.server_address[1] != server.server_address[1]
    for names in (["Ann", "Ann "], [" "]):
        with pytest.raises(ConfigError, match="a name of their own"):
            CheckServer(folder, names)
    with pytest.raises(ConfigError, match="set --port"):
        CheckServer(folder, ["Ann"], port=server.server_address[1])
