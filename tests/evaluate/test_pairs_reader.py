"""Pairs of one's own: any table is read, and what is wrong is named with file and entry."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cards import lines, read, write
from PIL import Image

from degla.errors import DataError
from degla.evaluate.benchmark import ChoiceSet, UnreadableImage
from degla.evaluate.features.contents import image_keys

ROWS = [
    {"key": "x", "file": "1.jpg", "true": "a", "false": "b", "kind": "colour"},
    {"key": "y", "file": "1.jpg", "true": "c", "false": "d", "kind": "number"},
]
OPTIONS = {"id": "key", "image": "file", "caption": "true", "negatives": ["false"], "subset": "kind"}


def as_csv(path: Path) -> Path:
    return write(path, "\n".join([",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)]) + "\n")


@pytest.mark.parametrize("name", ["p.jsonl", "list.json", "object.json", "p.csv"])
def test_pairs_are_read_from_any_table(name: str, tmp_path: Path) -> None:
    makers = {
        "p.jsonl": lambda path: lines(path, ROWS),
        "list.json": lambda path: write(path, ROWS),
        "object.json": lambda path: write(path, {row["key"]: row for row in ROWS}),
        "p.csv": as_csv,
    }
    benchmark = read("pairs", OPTIONS, annotations=makers[name](tmp_path / name), images=tmp_path)
    assert [(item.name, item.items[0].id, item.items[0].candidates) for item in benchmark.sets] == [
        ("colour", "x", ("a", "b")),
        ("number", "y", ("c", "d")),
    ]
    assert [average.path for average in benchmark.averages] == ["mean_of_sets/accuracy", "all_items/accuracy"]


def test_images_of_one_name_inside_a_file_are_told_apart_by_their_content(tmp_path: Path) -> None:
    def picture(shade: int) -> bytes:
        file = io.BytesIO()
        Image.new("L", (4, 4), shade).save(file, "png")
        return file.getvalue()

    rows = [
        {"image": {"bytes": picture(shade), "path": "image.png"}, "caption": f"a {n}", "negative": f"b {n}"}
        for n, shade in enumerate((9, 5, 9))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    for name, role in (("pairs", "annotations"), ("retrieval_photos", "captions")):
        (only,) = read(name, **{role: tmp_path / "p.parquet"}).sets
        assert [np.asarray(image.open())[0, 0, 0] for image in only.images] == [9, 5]
        assert [image.id for image in only.images] == ["image.png", "image.png#2"]
        positions = [item.image for item in only.items] if isinstance(only, ChoiceSet) else only.text_image.tolist()
        assert positions == [0, 1, 0]
    (only,) = read("retrieval_photos", {"max_images": 1}, captions=tmp_path / "p.parquet").sets
    assert (len(only.images), only.texts) == (1, ("a 0", "a 2"))


def test_pairs_may_have_several_negatives_groups_and_the_other_tie_rule(tmp_path: Path) -> None:
    rows = [{"image": "1.jpg", "caption": "a", "negative": ["b", "c"], "more": "d", "g": "one"}]
    options = {"negatives": ["negative", "more"], "group": "g", "ties": "right"}
    (only,) = read("pairs", options, annotations=write(tmp_path / "p.json", rows), images=tmp_path).sets
    assert isinstance(only, ChoiceSet)
    assert (only.name, only.ties_are_right) == ("p", True)
    assert only.items[0].candidates == ("a", "b", "c", "d")
    assert (only.items[0].group, only.items[0].id) == ("one", "1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"image": "1.jpg", "caption": "a"}], r"entry 1: the false captions \[\] are not all texts"),
        ([{"image": "1.jpg", "caption": "a", "negative": ["b", 3]}], "entry 1: 'negative' is 3, expected a text"),
        ([{"id": "z", "image": "1.jpg", "caption": "a", "negative": "b"}] * 2, "item 'z': its id is repeated"),
        (["text"], "expected JSON objects"),
        ("3", "no separator found"),
    ],
)
def test_wrong_pairs_are_named(rows: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read("pairs", annotations=write(tmp_path / "p.json", rows), images=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"image": "1.jpg", "caption": "caf\xe9", "negative": "b"}', "not utf-8|not UTF-8"),
        (b'{"image": "1.jpg", "caption": "a", "negative": "\\ud800"}', "are not all texts"),
        (b"[" * 100_000, "not JSON"),
        (b'{"image": "1.jpg", "caption": "a", "negative": ', "not JSON"),
        (b'{"image": "1.jpg", "caption": "a", "negative": "%s' % (b"x" * 9999), "not JSON"),
        (
            b'{"image": "1.jpg", "caption": "a", "negative": {"%s": 1}}' % (b"x" * 9999),
            r"'negative' is \{'x{70,80}\.\.\., expected a text",
        ),
        (None, "holds no captions and no images"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_files_that_are_no_such_text_are_named(content: bytes | None, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{suffix}"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if suffix == "jsonl" else b"[%s]" % content)
    with pytest.raises(DataError, match=message) as found:
        read("pairs", annotations=path, images=tmp_path)
    assert str(path) in str(found.value)
    assert len(str(found.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"image,caption\n1.jpg,a\n", r"line 2: the false captions \[\] are not all texts"),
        (b"image,caption,negative\n1.jpg,a\n", "line 2: 2 fields, the first row has 3"),
        (b"image,caption,negative\n1.jpg,\xff,b\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_tables_that_are_none_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as found:
        read("pairs", annotations=path, images=tmp_path)
    assert str(path) in str(found.value)


def test_a_folder_in_place_of_a_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(DataError, match=r"p\.csv holds no captions and no images"):
        read("pairs", annotations=tmp_path / "p.csv", images=tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,caption,negative\n1.jpg,a,b\n\n")
    items = read("pairs", annotations=path, images=tmp_path).sets[0].items
    assert [(item.id, item.candidates) for item in items] == [("1", ("a", "b"))]


@pytest.mark.parametrize("name", ["x" * 300, "a\x00b", "../../etc/hostname"])
def test_an_image_of_any_name_that_is_no_file_is_missing(name: str, tmp_path: Path) -> None:
    rows = [{"image": name, "caption": "a", "negative": "b"}]
    (only,) = read("pairs", annotations=write(tmp_path / "p.json", rows), images=tmp_path).sets
    (key,) = image_keys(only.images)
    assert isinstance(key, UnreadableImage)
    assert key.status == "missing"
