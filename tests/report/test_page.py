"""The page: its verdict, its figures, that nothing from the data gets out of its place, and how it works in a browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from browser import browser_page
from PIL import Image

from degla.evaluate import EvaluateConfig, run
from degla.outcomes import intervals
from degla.outcomes.intervals import Estimate
from degla.outcomes.outcome import outcomes_of
from degla.report.__main__ import main
from degla.report.page import sections
from degla.report.page.page import make_page
from degla.report.page.verdict import FamilyChange, verdict

HOSTILE = (
    "a cat</script><script>window.hacked = 1</script>"
    """<img src="http://127.0.0.1:9/x" onerror="window.hacked = 2"> '&quot; {{ 7*7 }}"""
)
ITEMS, PHOTOS = 300, 40
RIGHT = {"first": lambda n: n % 3 != 0, "second": lambda n: n % 4 != 0, "third": lambda n: True}


def change(name: str, value: float, half: float, **benchmarks: tuple[float, float]) -> FamilyChange:
    of_each = [(title, Estimate(each, each - wide, each + wide)) for title, (each, wide) in benchmarks.items()]
    return FamilyChange(name, Estimate(value, value - half, value + half), of_each)


def test_the_verdict_names_what_rose_then_what_fell_then_what_may_be_chance() -> None:
    said = verdict([change("zero-shot", -0.063, 0.014), change("retrieval", 0.002, 0.01), change("composition", 0.146, 0.007)])
    assert said == (
        "Composition rose by 14.6 points (13.9 to 15.3); zero-shot fell by 6.3 points (4.9 to 7.7); retrieval shows no sure"
        " change (+0.2 points, -0.8 to +1.2)."
    )


def test_a_family_whose_benchmarks_moved_apart_is_mixed_whatever_its_mean() -> None:
    apart = change("composition", 0.035, 0.01, sugarcrepe=(0.105, 0.013), bivlc=(-0.035, 0.014))
    said = "Composition is mixed: sugarcrepe rose by 10.5 points (9.2 to 11.8), bivlc fell by 3.5 points (2.1 to 4.9)."
    assert verdict([apart]) == said
    together = change("composition", 0.035, 0.01, sugarcrepe=(0.105, 0.013), bivlc=(-0.035, 0.04))
    assert verdict([together]) == "Composition rose by 3.5 points (2.5 to 4.5)."


def test_models_that_share_nothing_have_no_verdict() -> None:
    assert verdict([]) == "These two models share no benchmark."


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on 300 choices of two subsets, the first with photos, and on 20 matches without."""
    folder = tmp_path_factory.mktemp("outcomes")
    (folder / "photos").mkdir()
    for number in range(PHOTOS):
        pixels = np.random.default_rng(number).integers(0, 256, (120, 200, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.jpg")
    with (folder / "own.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["subset", "item", "image", "caption", "negative", *RIGHT])
        for n in range(ITEMS):
            caption = HOSTILE if n == 0 else f"a cat with {n} dogs"
            rows.writerow(
                [
                    "swap" if n % 2 else "replace",
                    n,
                    f"{n}.jpg",
                    caption,
                    f"a dog with {n} cats",
                    *(int(r(n)) for r in RIGHT.values()),
                ]
            )
    with (folder / "match.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["subset", "item", "caption", "negative", *RIGHT])
        rows.writerows(["all", n, f"left {n}", f"right {n}", *(int(r(n)) for r in RIGHT.values())] for n in range(20))
    shared: dict[str, Any] = {"models": list(RIGHT)}
    own = {
        "path": str(folder / "own.csv"),
        "benchmark": "own",
        "right": {"choice": ["{model}"]},
        "images": str(folder / "photos"),
    }
    match = {"path": str(folder / "match.csv"), "benchmark": "pairs", "right": {"text": ["{model}"], "group": ["{model}"]}}
    config = EvaluateConfig(trained=False, benchmarks=[], outcomes=[own | shared | {"candidates": 2}, match | shared])
    return run(config, {}, folder / "evaluate" / "0123456789abcdef").path


@pytest.fixture(scope="module")
def page(evaluated: Path) -> Path:
    out = evaluated.parent / "page.html"
    assert main(["page", str(evaluated), "--pair", "first", "second", "--title", "<b>Two</b> & more", "--out", str(out)]) == 0
    return out


def inside(page: Path, name: str) -> Any:
    """The JSON of a script element."""
    text = page.read_text(encoding="utf-8")
    return json.loads(text.partition(f'<script type="application/json" id="{name}">')[2].partition("</script>")[0])


def test_changes_are_those_of_the_items_and_turn_round_with_the_pair(page: Path) -> None:
    facts = inside(page, "facts")
    assert (facts["models"], facts["pair"]) == (list(RIGHT), [0, 1])
    number = next(i for i, metric in enumerate(facts["metrics"]) if metric["path"] == "own/swap/accuracy")
    old, new = (np.array([RIGHT[model](n) for n in range(1, ITEMS, 2)]) for model in ("first", "second"))
    expected = intervals.difference([old], [new])
    assert facts["pairs"]["0-1"]["change"][number] == pytest.approx([expected.value, expected.low, expected.high], abs=1e-5)
    assert facts["scores"][0][number][0] == pytest.approx(old.mean(), abs=1e-5)
    assert facts["scores"][0][number][3:] == [150, 0]
    assert "rose" in facts["pairs"]["0-2"]["verdict"]
    assert "fell" in facts["pairs"]["0-2"]["back"]
    assert [facts["metrics"][row]["path"] for row in facts["rows"]] == ["own/mean_of_sets/accuracy", "pairs/all/group_accuracy"]


def test_every_item_has_its_texts_and_each_models_answer(page: Path) -> None:
    items = inside(page, "items")
    assert len(items["of"]) == ITEMS + 2 * 20
    for number, (of, item, entry) in enumerate(zip(items["of"], items["item"], items["entry"], strict=True)):
        texts, right, pictures = items["entries"][entry]
        benchmark, _, _ = items["groups"][of]
        assert [model["right"][number] for model in items["models"]] == ["01"[r(int(item))] for r in RIGHT.values()]
        if benchmark == "own":
            assert (texts[1], right) == (f"a dog with {item} cats", 1)
            assert len(pictures) == (int(item) < PHOTOS)
        else:
            assert (texts, right, pictures) == ([f"left {item}", f"right {item}"], 2, [])


def test_foreign_texts_stay_texts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("</script>") == 4
    assert HOSTILE in [entry[0][0] for entry in inside(page, "items")["entries"]]
    assert "<title>&lt;b&gt;Two&lt;/b&gt; &amp; more</title>" in text
    assert not re.search(r"<(img|link|iframe|object)\b", text)


def test_pictures_fill_what_the_limit_leaves_and_the_page_says_how_many(evaluated: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.html"
    main(["page", str(evaluated), "--out", str(whole)])
    every = inside(whole, "pictures")
    first = Image.open(io.BytesIO(base64.b64decode(every[0])))
    assert (len(every), first.format, first.size) == (PHOTOS, "WEBP", (160, 96))
    assert "Each item with an image has its picture." in whole.read_text(encoding="utf-8")
    small, limit = tmp_path / "small.html", (whole.stat().st_size - sum(map(len, every)) // 2) / 1e6
    main(["page", str(evaluated), "--out", str(small), "--megabytes", str(limit)])
    assert small.stat().st_size <= 1e6 * limit
    assert 0 < len(inside(small, "pictures")) < PHOTOS
    said = re.search(r"(\d+) of (\d+) items with an image have a picture", small.read_text(encoding="utf-8"))
    entries = [entry[2] for entry in inside(small, "items")["entries"] if entry[2]]
    assert said
    assert (int(said[1]), int(said[2])) == (sum(max(each) >= 0 for each in entries), len(entries))


def test_without_room_for_all_items_those_that_models_differ_in_stay(evaluated: Path, tmp_path: Path) -> None:
    base = tmp_path / "whole.html"
    main(["page", str(evaluated), "--out", str(base)])
    items = inside(base, "items")
    room = base.stat().st_size - len(json.dumps(items)) - sum(map(len, inside(base, "pictures")))
    out = tmp_path / "few.html"
    main(["page", str(evaluated), "--out", str(out), "--megabytes", str((room + 20_000) / 1e6)])
    few = inside(out, "items")
    assert 0 < len(few["of"]) < len(items["of"])
    assert f"{len(few['of'])} of 340 scored items" in out.read_text(encoding="utf-8")
    own = [number for number, of in enumerate(few["of"]) if few["groups"][of][0] == "own"]
    assert all(len({model["right"][number] for model in few["models"]}) == 2 for number in own)


def test_a_file_in_the_documented_form_is_enough(tmp_path: Path) -> None:
    rows = [
        "benchmark,subset,item,model,right,caption",
        "own,all,1,a,1,one",
        "own,all,1,b,0,one",
        "own,all,2,a,1,two",
        "own,all,2,b,1,two",
    ]
    (tmp_path / "own.csv").write_text("\n".join(rows))
    out = tmp_path / "page.html"
    assert main(["page", str(tmp_path / "own.csv"), "--out", str(out)]) == 0
    assert sorted(entry[0] for entry in inside(out, "items")["entries"]) == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pair", "first", "secnd"], "did you mean 'second'"),
        (["--models", "first"], "a page compares two models or more; there is first"),
    ],
)
def test_what_cannot_be_shown_is_refused(evaluated: Path, arguments: list[str], said: str, capsys: Any, tmp_path: Path) -> None:
    assert main(["page", str(evaluated), *arguments, "--out", str(tmp_path / "page.html")]) != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.fixture(scope="module")
def opened(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser_page(tmp_path_factory.mktemp("profile")) as browser:
        browser.seen = []
        browser.on("request", lambda request: browser.seen.append(request.url))
        browser.on("pageerror", lambda error: browser.seen.append(str(error)))
        browser.on("console", lambda message: browser.seen.append(message.text))
        browser.goto(page.as_uri())
        browser.wait_for_selector("#cards .card")
        yield browser


@pytest.mark.slow
def test_in_a_browser_the_page_works_alone(opened: Any, page: Path) -> None:
    def found() -> str:
        return opened.inner_text("#found")

    def states() -> list[str]:
        return [re.sub(r"^\S+ ", "", button.inner_text()) for button in opened.query_selector_all("#states button")]

    right = {model: [r(n) for n in range(ITEMS)] + [r(n) for n in range(20)] for model, r in RIGHT.items()}
    pairs = list(zip(right["first"], right["second"], strict=True))
    counts = [pairs.count(each) for each in ((True, False), (False, False), (False, True), (True, True))]
    names = ("broken", "still wrong", "fixed", "right in both")
    assert states() == [f"{name} {count}" for name, count in zip(names, counts, strict=True)]
    assert found() == f"{sum(counts[:3])} of 320 items"
    assert opened.eval_on_selector("#cards img", "image => image.decode().then(() => image.naturalWidth)") == 160
    assert opened.inner_text("#cards .card .state").endswith(("broken", "still wrong"))

    opened.fill("#words", "window.hacked")
    assert found() == "1 of 320 items"
    assert HOSTILE in opened.inner_text("#cards")
    assert opened.evaluate("window.hacked") is None
    opened.fill("#words", "")
    opened.select_option("#benchmark", "own")
    opened.select_option("#subset", "swap\nchoice")
    assert found().endswith("of 150 items")
    opened.select_option("#subset", "")
    opened.click("#states button[value=broken]")
    opened.click("#states button[value=wrong]")
    assert found() == f"{sum(pairs[:ITEMS].count(each) for each in [(False, True)])} of 300 items"
    opened.select_option("#second", "2")
    assert opened.inner_text("#sentence").startswith("Composition rose by")
    assert states()[0] == "broken 0"
    opened.click("#swap")
    assert opened.inner_text("#sentence").startswith("Composition fell by")

    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    before = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.click("#theme")
    opened.click("#theme")
    assert opened.inner_text("#theme") == "theme: dark"
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert [each for each in opened.seen if not each.startswith("data:")] == [page.as_uri()], "no request, error or message"


@pytest.mark.slow
def test_curves_are_drawn_at_the_width_of_the_screen(opened: Any, evaluated: Path, tmp_path: Path, monkeypatch: Any) -> None:
    lines = [{"step": step, "train/loss/total": 1 / step, "train/loss/igc": step} for step in range(1, 500)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    trained: Any = SimpleNamespace(file=lambda name: tmp_path / name)
    names = ("composition", "composition_change", "retention", "retention_change")
    points = [
        {"run": "r", "candidate": f"at {alpha}", "alpha": alpha, "chosen": alpha == 0.5}
        | {name: {"value": alpha, "low": alpha - 0.1, "high": alpha + 0.1} for name in names}
        for alpha in (0.0, 0.5, 1.0)
    ]
    monkeypatch.setattr(sections, "trade_off", lambda evaluated: points)
    (tmp_path / "page.html").write_text(make_page("curves", outcomes_of(evaluated), [], 15, inputs={"train": trained}))
    for width in (390, 1400):
        opened.set_viewport_size({"width": width, "height": 900})
        opened.goto((tmp_path / "page.html").as_uri())
        opened.wait_for_selector("#tradeoff-plot circle.ring")
        assert len(opened.query_selector_all("#tradeoff-plot circle.point")) == 3
        assert len(opened.query_selector_all("#loss-plots polyline.dark")) == 2
        drawn = opened.eval_on_selector("#tradeoff-plot svg", "svg => svg.viewBox.baseVal.width / svg.clientWidth")
        assert drawn == pytest.approx(1, abs=0.01), "text is as large as elsewhere"
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
