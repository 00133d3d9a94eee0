"""The page of pictures: what it shows, that nothing from the data gets out of its place, and how it works in a browser."""

from __future__ import annotations

import base64
import io
import re
import socketserver
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import browser_page
from PIL import Image
from report_tables import REWRITE, Tables, picture_row, prepared, report, tables

from degla.filter.report.gallery import marked
from degla.negative_types import NEGATIVE_TYPES

pytestmark = pytest.mark.slow

HOSTILE = (
    """</h2><script>window.hacked = 1</script><img src="http://127.0.0.1:9/x" onerror="window.hacked = 2"> '&quot; $title {0}"""
)


class Page(HTMLParser):
    """Elements by tag with their attributes, and the text of captions, negatives and verdicts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"h2": [], "li": [], "figcaption": [], "header": []}
        self._inside: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.texts:
            self._inside.append(tag)
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def one_caption(caption: str, kept: list[tuple[str, str]], rejected: list[tuple[str, str, str]], image: str = "one") -> Tables:
    """A caption with kept (type, text) and rejected (type, text, rule)."""
    negatives = [{"type": kind, "text": text, "generator": "rules"} for kind, text in kept]
    rows = [
        {**REWRITE, "caption_id": 0, "type": kind, "text": text, "rule": rule, "generator": "rules", "attempt": k}
        for k, (kind, text, rule) in enumerate(rejected)
    ]
    return Tables([{"caption_id": 0, "image_id": image, "caption": caption, "negatives": negatives}], rows)


def test_the_page_shows_each_caption_with_its_negatives_and_the_rejected_ones_with_their_rule(tmp_path: Path) -> None:
    drawn = one_caption(
        "A man rides a big horse",
        [("swap_nouns", "A horse rides a big man"), ("replace_nouns", "A man rides a big zebra")],
        [("replace_nouns", "A woman rides a big horse", "noun_not_in_image")],
    )
    page = Page(report(tmp_path, drawn) / "gallery.html")
    assert page.texts["h2"] == ["A man rides a big horse"]
    assert page.texts["li"][:2] == ["swap nouns A horse rides a big man", "replace nouns A man rides a big zebra"]
    assert page.texts["li"][2].startswith("replace nouns A woman rides a big horse noun_not_in_image: a caption")
    lines = [(row["data-type"], row["data-verdict"]) for row in page.all("li")]
    assert lines == [("swap_nouns", "kept"), ("replace_nouns", "kept"), ("replace_nouns", "rejected")]
    assert len(page.all("details")) == 1
    assert "open" not in page.all("details")[0]
    assert [row["value"] for row in page.all("input") if row["type"] == "checkbox"] == list(NEGATIVE_TYPES)


@pytest.mark.parametrize("field", ["caption", "text", "rejected", "image", "dataset", "problem"])
def test_whatever_the_data_holds_stays_text(tmp_path: Path, field: str) -> None:
    said = {name: HOSTILE if name == field else "a man on a horse" for name in ("caption", "text", "rejected", "image")}
    drawn = one_caption(
        said["caption"], [("replace_nouns", said["text"])], [("reshuffle", said["rejected"], "same_words")], said["image"]
    )
    images = [picture_row("other"), {"image_id": said["image"], "source": "x", "status": "missing", "error": HOSTILE}]
    artifact = prepared(
        tmp_path / "prepare",
        images if field == "problem" else None,
        HOSTILE if field == "dataset" else "drawn",
    )
    folder = report(tmp_path, drawn, artifact)
    page = Page(folder / "gallery.html")
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert page.texts["h2"] == [said["caption"]]
    assert page.texts["li"][0] == f"replace nouns {said['text']}"
    assert page.texts["li"][1].startswith(f"reshuffle {said['rejected']}")
    assert page.all("article")[0]["data-id"] == said["image"]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    text = (folder / "report.md").read_text()
    assert "<script" not in text.replace("\\<", "")


def test_images_are_thumbnails_in_the_page_and_small_ones_keep_their_pixels(tmp_path: Path) -> None:
    drawn = tables(9, rejected=0)
    rows = [picture_row("image-00000"), picture_row("image-00001", side=900)]
    rows += [{"image_id": "image-00002", "source": "x.jpg", "status": "missing", "error": "no such file"}]
    page = Page(report(tmp_path, drawn, prepared(tmp_path / "prepare", rows)) / "gallery.html")
    sizes = {}
    for attributes in page.all("img"):
        data = attributes["src"].removeprefix("data:image/jpeg;base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            sizes[attributes["alt"]] = (image.size, attributes.get("class"))
            assert image.convert("RGB").getpixel((5, 5)) == pytest.approx((10, 120, 200), abs=4)
    assert sizes == {"image-00000": ((48, 48), "small"), "image-00001": ((320, 320), None)}
    assert "missing: no such file" in (tmp_path / "gallery.html").read_text()


def test_without_images_the_page_says_so_and_shows_the_captions(tmp_path: Path) -> None:
    for name, images in (("no-table", None), ("empty-table", [])):
        folder = tmp_path / name
        folder.mkdir()
        page = Page(report(folder, tables(30), prepared(folder / "prepare", images)) / "gallery.html")
        assert "prepare kept no images" in page.texts["header"][0]
        assert len(page.texts["h2"]) == 30
        assert page.all("img") == []
        assert "The gallery has no images" in (folder / "report.md").read_text()


def test_there_are_a_few_dozen_images_and_every_rule_is_among_them(tmp_path: Path) -> None:
    drawn = tables(3000, rejected=0)
    rare = ["finished", "length", "changed", "new_word"]
    drawn.rejected = [
        {**REWRITE, "caption_id": 700 * k, "type": "replace_nouns", "text": "x", "generator": "rules", "attempt": 1, "rule": rule}
        for k, rule in enumerate(rare)
    ]
    page = Page(report(tmp_path, drawn) / "gallery.html")
    assert len(page.all("article")) == 48 + 4
    assert sorted(re.findall(r"drawn to show (\w+)", " ".join(page.texts["figcaption"]))) == sorted(rare)
    said = [text.removeprefix("replace nouns x rules ") for text in page.texts["li"] if text.startswith("replace nouns x")]
    assert {text.partition(":")[0] for text in said} == set(rare)
    assert "48 of 1,000 images, drawn at random, and 4 more" in page.texts["header"][0]


def test_an_image_with_many_captions_and_a_caption_with_many_negatives_are_cut_and_say_so(tmp_path: Path) -> None:
    drawn = tables(400, rejected=0)
    for row in drawn.training:
        row["image_id"] = "one"
        row["negatives"] = [{"type": "reshuffle", "text": f"a b c {k}", "generator": "rules"} for k in range(50)]
    page = Page(report(tmp_path, drawn) / "gallery.html")
    assert page.texts["figcaption"] == ["one10 of 400 captions"]
    assert len(page.texts["li"]) == 10 * 20
    assert (tmp_path / "gallery.html").read_text().count("and 30 more that are not on this page") == 10


@pytest.mark.parametrize(
    ("caption", "text", "kind", "expected"),
    [
        ("A red cup on a wooden table.", "A wooden table on a red cup.", "reshuffle", "A [wooden table] on a [red cup]."),
        ("a man rides a horse", "a horse rides a man", "swap_nouns", "a [horse] rides a [man]"),
        ("a red ball and a blue car", "a blue ball and a red car", "swap_adjectives", "a [blue] ball and a [red] car"),
        ("A cup on an old table", "An apple on an old table", "replace_nouns", "An [cup>apple] on an old table"),
        ("a parking meter, wet", "a mailbox, wet", "replace_nouns", "a [parking meter>mailbox], wet"),
        ("a b c d e", "a d e b c", "reshuffle", "a [d e b c]"),
        ("a b c d e f", "a c e b d f", "reshuffle", "a [c e b d] f"),
        ("a dog & a cat", "a dog & a cow", "replace_nouns", "a dog &amp; a [cat>cow]"),
        ("a dog on a mat.", "a dog on a mat", "replace_nouns", "a dog on a mat"),
        ("a big dog", "a dog", "replace_nouns", "a dog"),
        ("one two three four five", "six seven eight nine", "replace_nouns", "[six seven eight nine]"),
        ("a dog", "", "reshuffle", ""),
    ],
)
def test_what_changed_is_marked(caption: str, text: str, kind: str, expected: str) -> None:
    html = re.sub(r'<mark data-was="([^"]*)">', r"[\1>", marked(caption, text, kind))
    assert html.replace("<mark>", "[").replace("</mark>", "]") == expected


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    """The gallery in a browser, and what the browser asked for since."""
    folder = tmp_path_factory.mktemp("gallery")
    drawn = Tables(
        [
            {"caption_id": 0, "image_id": "farm", "caption": "A man rides a big horse", "negatives": [
                {"type": "swap_nouns", "text": "A horse rides a big man", "generator": "rules"},
                {"type": "replace_nouns", "text": "A man rides a big zebra", "generator": "rules"},
            ]},
            {"caption_id": 1, "image_id": "sea", "caption": HOSTILE, "negatives": [
                {"type": "replace_adjectives", "text": HOSTILE + " blue", "generator": "rules"},
            ]},
            {"caption_id": 2, "image_id": "sea", "caption": "a lone boat", "negatives": []},
        ],
        [{**REWRITE, "caption_id": 0, "type": "reshuffle", "text": "Horse a brown", "generator": "rules", "attempt": 1,
          "rule": "same_words"}],
    )  # fmt: skip
    artifact = prepared(folder / "prepare", [picture_row("farm"), picture_row("sea", side=400)])
    report(folder, drawn, artifact)
    asked: list[str] = []
    with browser_page(folder / "chromium") as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(f"error: {error}"))
        page.goto((folder / "gallery.html").as_uri())
        yield page, asked


def visible(page: Any) -> tuple[list[str], str]:
    """What negatives one sees, in short, and the count."""
    lines = page.locator("li:visible").all_inner_texts()
    return [" ".join(line.split())[:40] for line in lines], page.inner_text("#found")


def test_in_a_browser_images_show_scripts_of_the_data_do_not_run_and_nothing_is_asked_for(opened: tuple[Any, list[str]]) -> None:
    page, asked = opened
    page.wait_for_function("[...document.images].every(image => image.complete)")  # they are loaded lazily
    assert sorted(page.evaluate("[...document.images].map(image => image.naturalWidth)")) == [48, 320]
    assert page.evaluate("getComputedStyle(document.querySelector('img.small')).imageRendering") == "pixelated"
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert HOSTILE in page.locator("h2").all_inner_texts()
    assert [url.rpartition("/")[2] for url in asked if not url.startswith("data:")] == ["gallery.html"]


def test_in_a_browser_the_page_allows_no_other_script_and_no_request(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    reached: list[Any] = []
    with socketserver.TCPServer(("127.0.0.1", 0), lambda *connection: reached.append(connection)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.hacked = 3'")
        page.evaluate("address => document.body.insertAdjacentHTML('beforeend', `<img src='${address}'>`)", address)
        assert page.evaluate("address => fetch(address).catch(error => 'refused')", address) == "refused"
        page.wait_for_timeout(300)
        server.shutdown()
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert reached == []
    page.reload()


def test_in_a_browser_words_are_searched_and_types_and_verdicts_chosen(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    swap, replaced = "swap nouns A horse rides a big man", "replace nouns A man rides a big zebra"
    first, found = visible(page)
    assert first[1:] == [swap, replaced]
    assert found == "2 of 2 images, 4 negatives"

    page.fill("#words", "ZEBRA")
    assert visible(page) == ([replaced], "1 of 2 images, 1 negatives")
    page.fill("#words", "same_words")
    assert visible(page) == (["reshuffle Horse a brown same_words: a re"], "1 of 2 images, 1 negatives")
    page.fill("#words", "lone boat")
    assert visible(page) == ([], "1 of 2 images, 0 negatives")
    assert page.locator("h2:visible").all_inner_texts() == ["a lone boat"]
    page.fill("#words", "nowhere")
    assert visible(page) == ([], "0 of 2 images, 0 negatives")

    page.fill("#words", "")
    page.select_option("#verdict", "rejected")
    assert visible(page) == (["reshuffle Horse a brown same_words: a re"], "1 of 2 images, 1 negatives")
    page.select_option("#verdict", "kept")
    page.get_by_label("swap nouns").uncheck()
    page.get_by_label("replace adjectives").uncheck()
    assert visible(page) == ([replaced], "1 of 2 images, 1 negatives")
    page.select_option("#verdict", "")
    page.get_by_label("swap nouns").check()
    page.get_by_label("replace adjectives").check()
    assert visible(page) == (first, found)


def test_in_a_browser_nothing_is_wider_than_a_phone(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
