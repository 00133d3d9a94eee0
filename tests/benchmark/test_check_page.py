"""The check page in a real browser: by keyboard and on a phone, resumed after a closed tab, nothing lost without a server."""

from __future__ import annotations

import json
import threading

import pytest
from browser import browser_page

from degla.benchmark.decisions import LOG
from degla.benchmark.server import CheckServer

pytestmark = pytest.mark.slow

WAITING = "JSON.parse(localStorage[Object.keys(localStorage)[0]] || '[]').length"


@pytest.fixture
def server(folder):
    with CheckServer(folder, ["Ann", "Ben"]) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def decisions(folder):
    return [json.loads(line) for line in (folder.path / LOG).read_text().splitlines()[1:]]


def caption(page, text):
    page.wait_for_function("text => document.querySelector('#caption').innerText.trim() === text", arg=text)


def test_people_check_by_keyboard_and_touch_and_lose_nothing(server, folder, tmp_path):
    with browser_page(tmp_path / "profile") as page:
        page.goto(server.links()[0])
        caption(page, "A dog chases a cat")
        page.wait_for_function("document.querySelector('#picture').naturalWidth === 64")
        assert page.eval_on_selector_all("#negative mark", "all => all.map(each => each.innerText)")
        page.keyboard.press("k")
        caption(page, "A red cup on a table")
        page.keyboard.press("d")
        caption(page, "A cow in a field")
        page.wait_for_function(f"{WAITING} === 0")
        page.reload()  # the tab was closed
        caption(page, "A cow in a field")
        page.keyboard.press("f")
        page.fill("#negative-text", "A horse in a field")
        page.route("**/decisions", lambda route: route.abort())  # as if the server had been stopped
        page.keyboard.press("Enter")
        caption(page, "A small cow by a big tree")
        page.wait_for_selector("#trouble:not([hidden])")
        assert "keeps 1 and tries again" in page.inner_text("#trouble")
        context = page.context
        page.close()
        page = context.new_page()
        page.goto(server.links()[0])  # the same address, so that the browser has what it kept
        caption(page, "A small cow by a big tree")
        page.wait_for_function(f"{WAITING} === 0")
        assert not page.is_visible("#trouble")
        assert [(row["item"], row["verdict"], row["reviewer"]) for row in decisions(folder)] == [
            ("1", "keep", "Ann"),
            ("2", "drop", "Ann"),
            ("3", "fix", "Ann"),
        ]
        assert decisions(folder)[2]["negative"] == "A horse in a field"

        page.set_viewport_size({"width": 390, "height": 844})  # Ben, on a phone
        page.goto(server.links()[1])
        caption(page, "A small cow by a big tree")  # the one that nobody looked at
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for selector in ("#negative", "[data-verdict=keep]", "[data-verdict=drop]", "#edit"):
            box = page.locator(selector).bounding_box()
            assert box["y"] + box["height"] <= 844
        server.decisions.add(
            "4", "Ann", "fix", (server.folder.items[3].caption, server.folder.items[3].negative), ("A cow", "A cat")
        )
        page.click("[data-verdict=keep]")  # of texts that Ann has changed meanwhile
        page.wait_for_selector("#trouble:not([hidden])")
        assert "changed in the meantime by Ann" in page.inner_text("#trouble")
        caption(page, "A cow")
        page.click("[data-verdict=keep]")
        page.wait_for_function(f"{WAITING} === 0")
        page.wait_for_timeout(100)
        assert decisions(folder)[-1]["reviewer"] == "Ben"
