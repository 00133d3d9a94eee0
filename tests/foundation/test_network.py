"""A host that cannot be reached is known at once, before work that would wait for it."""

import socket

import pytest

from degla import network


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setattr(network, "getproxies", dict)


def test_a_port_where_nobody_listens_is_unreachable_and_one_with_a_server_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        assert network.unreachable(f"http://{place}/v1") == ""
    assert network.unreachable(f"http://{place}/v1") == f"{place}: Connection refused"
    assert network.unreachable("https://nowhere.invalid").startswith("nowhere.invalid: ")


def test_only_a_proxy_knows_what_it_reaches(monkeypatch):
    monkeypatch.setattr(network, "getproxies", lambda: {"https": "http://proxy:3128"})
    assert network.unreachable("https://nowhere.invalid") == ""
    assert network.unreachable("http://nowhere.invalid")


def test_the_hub_is_asked_twice_and_then_no_more(monkeypatch):
    asked = []
    monkeypatch.setattr(network, "unreachable", lambda url: asked.append(url) or "no network")
    monkeypatch.setattr(network.time, "sleep", lambda seconds: None)
    network.hub_unreachable.cache_clear()
    assert [network.hub_unreachable("https://hub") for _ in range(3)] == ["no network"] * 3
    assert asked == ["https://hub"] * 2
    network.hub_unreachable.cache_clear()
