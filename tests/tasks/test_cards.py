"""The order of a run's cards, with a server of a few lines that draws ids at random and may fail."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest

from tasks import cards

RUN = "0194e1c0-0000-7000-8000-000000000000"


class Server:
    """What `tasks.cards` asks of Prefect's client."""

    def __init__(self, seed: int) -> None:
        self.random, self.artifacts, self.created, self.fails = random.Random(seed), {}, 0, False

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def request(self, method: str, path: str, json: dict[str, Any], path_params: dict[str, Any] | None = None) -> Any:
        if method == "POST":
            card = UUID(int=self.random.getrandbits(128))
            self.artifacts[card], self.created = {"id": card, **json}, self.created + 1
            return SimpleNamespace(json=lambda: {"id": str(card)})
        assert path_params
        self.artifacts[path_params["id"]] |= json
        return None

    def delete_artifact(self, card: UUID) -> None:
        if self.fails:
            raise httpx.ReadTimeout("database is locked")
        del self.artifacts[card]

    def read_artifacts(self, artifact_filter: Any, **_: object) -> list[Any]:
        wanted = artifact_filter.key.any_
        found = [SimpleNamespace(**each) for each in self.artifacts.values() if each["key"] in wanted]
        return sorted(found, key=lambda each: each.id.int, reverse=True)  # as Prefect's server does by itself


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Server:
    made = Server(getattr(request, "param", 0))
    monkeypatch.setattr(cards, "get_client", lambda sync_client: made)
    monkeypatch.setattr(cards, "runtime", SimpleNamespace(flow_run=SimpleNamespace(id=RUN), task_run=SimpleNamespace(id=None)))
    return made


def keys(server: Server) -> list[str]:
    return [str(card.key) for card in server.read_artifacts(SimpleNamespace(key=SimpleNamespace(any_=[*cards.ORDER])))]


@pytest.mark.parametrize("server", range(20), indirect=True)
def test_the_cards_of_a_run_are_listed_in_the_order_of_its_stages(server: Server) -> None:
    for key in cards.ORDER:
        cards.put(key, "runs")
        cards.put(key, "made", "text")
    assert keys(server) == list(cards.ORDER)
    assert {each["data"] for each in server.artifacts.values()} == {"text"}
    assert server.created < 120  # 32 on average


def test_one_that_is_put_late_takes_its_place(server: Server) -> None:
    for key in ("report", "overview", "train"):
        cards.put(key, "runs")
    assert keys(server) == ["overview", "train", "report"]


@pytest.mark.parametrize("server", [1], indirect=True)  # its first id is no overview's
def test_cards_that_a_failing_server_left_are_gone_at_the_next_time(server: Server) -> None:
    server.fails = True
    with pytest.raises(httpx.ReadTimeout):
        cards.put("overview", "runs")
    assert len(server.artifacts) > 1
    server.fails = False
    cards.put("overview", "runs")
    assert keys(server) == ["overview"]
