"""Every format that is JSON: what it gives, and what is wrong named with file, entry and setting."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_files import negatives, pairs, read, written

from degla.errors import DataError
from degla.sources import json_entries
from degla.sources.json_entries import stream_json
from degla.sources.options import SourceOptions
from degla.sources.source import open_source, recognise

KARPATHY = {
    "images": [
        {
            "filepath": "train2014",
            "filename": "a.jpg",
            "split": "train",
            "cocoid": 1,
            "sentences": [{"raw": "A boy ."}, {"raw": "A dog ."}],
        },
        {"filepath": "val2014", "filename": "b.jpg", "split": "restval", "cocoid": 2, "sentences": [{"raw": "A pony ."}]},
        {"filename": "c.jpg", "split": "test", "sentences": [{"raw": "A fence ."}]},
    ],
    "dataset": "coco",
}
COCO = {
    "info": {"year": 2014},
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [{"id": 7, "image_id": 2, "caption": "A dog"}, {"id": 8, "image_id": 1, "caption": "A boy"}],
}


def name_of(path):
    return recognise(path).format.name


def test_karpathys_images_have_their_sentences_path_and_split(tmp_path):
    path = written(tmp_path / "dataset_coco.json", KARPATHY)
    assert name_of(path) == "karpathy"
    assert pairs(path)[:3] == [("train2014/a.jpg", "A boy ."), ("train2014/a.jpg", "A dog ."), ("val2014/b.jpg", "A pony .")]
    assert pairs(path, splits=["restval", "test"]) == [("val2014/b.jpg", "A pony ."), ("c.jpg", "A fence .")]
    with pytest.raises(DataError, match="no split 'trian'; there are: restval, test, train"):
        read(path, splits=["trian"])


def test_karpathys_image_without_sentences_is_named(tmp_path):
    broken = {"images": [KARPATHY["images"][0], {"filename": "b.jpg", "split": "test"}]}
    with pytest.raises(DataError, match=r"images\[1\]: filepath is '' and sentences None"):
        read(written(tmp_path / "dataset_coco.json", broken))


@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "info", "images")])
def test_cocos_captions_find_their_images_in_any_order(tmp_path, order):
    path = written(tmp_path / "captions.json", {name: COCO[name] for name in order})
    assert [(record.image, record.file, *record.captions) for record in read(path)] == [
        ("2", "b.jpg", "A dog"),
        ("1", "a.jpg", "A boy"),
    ]


def test_several_coco_files_are_one(tmp_path):
    first = written(tmp_path / "captions_train.json", COCO)
    more = {"images": [COCO["images"][0]], "annotations": [{"id": 9, "image_id": 1, "caption": "A cap"}]}
    second = written(tmp_path / "captions_more.json", more)
    assert pairs([first, second])[-1] == ("1", "A cap")
    third = written(tmp_path / "captions_other.json", {"images": [{"id": 1, "file_name": "z.jpg"}], "annotations": []})
    with pytest.raises(DataError, match=r"captions_other.json: images\[0\]: the id 1 comes twice: a.jpg and z.jpg"):
        pairs([first, third])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [*COCO["images"], {"id": 1, "file_name": "c.jpg"}]}, r"images\[2\]: the id 1 comes twice: a.jpg and c.jpg"),
        ({"images": [{"id": 1.0, "file_name": "a.jpg"}]}, "'id' is 1.0, expected a number or a name"),
        ({"images": [{"id": 3}]}, r"images\[0\]: file_name is missing"),
        (
            {"annotations": [{"id": 1, "image_id": 42, "caption": "A"}]},
            r"annotations\[0\] is of image 42, which `images` does not list",
        ),
        ({"annotations": [{"id": 1, "image_id": 1, "bbox": [1]}]}, "caption is missing, expected a text. Is it captions_"),
        ({"annotations": []}, "`annotations` is empty: this is a list of images"),
    ],
)
def test_a_fault_in_a_coco_file_is_named(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "captions.json", COCO | change))


def test_names_of_other_unicode_forms_are_one_image(tmp_path):
    path = written(
        tmp_path / "c.jsonl", "".join(json.dumps({"image": name, "text": "A café"}) + "\n" for name in ("é.jpg", "e\u0301.jpg"))
    )
    assert {record.image for record in read(path)} == {"é.jpg"}


def test_llavas_answers_are_captions_and_texts_without_image_are_left_out(tmp_path):
    turns = [
        {"from": "human", "value": "<image>\nDescribe"},
        {"from": "gpt", "value": "A boy."},
        {"from": "gpt", "value": "A dog."},
    ]
    source = open_source(
        written(tmp_path / "l.json", [{"id": "1", "image": "a.jpg", "conversations": turns}, {"id": "t", "conversations": turns}])
    )
    assert [(record.image, record.captions) for record in source] == [("a.jpg", ("A boy.", "A dog."))]
    assert [each.reason for each in source.skipped] == ["has no image, or several"]


def test_chat_messages_are_read_as_llavas(tmp_path):
    row = {"image": "a.jpg", "messages": [{"role": "user", "content": "Describe"}, {"role": "assistant", "content": "A boy."}]}
    assert pairs(written(tmp_path / "l.jsonl", json.dumps(row) + "\n" + json.dumps(row | {"image": "b.jpg"}))) == [
        ("a.jpg", "A boy."),
        ("b.jpg", "A boy."),
    ]


def test_visual_genomes_phrases_belong_to_their_image(tmp_path):
    path = written(
        tmp_path / "region_descriptions.json", [{"id": 61512, "regions": [{"phrase": "a clock"}, {"phrase": "a man"}]}]
    )
    assert [(record.image, record.file, record.captions) for record in read(path)] == [
        ("61512", "61512.jpg", ("a clock", "a man"))
    ]


@pytest.mark.parametrize("content", [{"a.jpg": ["A boy", "A dog"], "b.jpg": ["A cat"]}, {"a.jpg": "A boy", "b.jpg": "A cat"}])
def test_an_object_from_image_to_captions(tmp_path, content):
    path = written(tmp_path / "c.json", content)
    assert name_of(path) == "captions_by_image"
    assert dict(pairs(path))["b.jpg"] == "A cat"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"image": "val/a.jpg", "caption": ["A boy", "A dog"]}], [("val/a.jpg", "A boy"), ("val/a.jpg", "A dog")]),
        ([{"image_id": 42, "caption": "A boy"}], [("42", "A boy")]),
        ({"0": {"filename": "a.jpg", "caption": "A boy", "negative_caption": "A dog"}}, [("a.jpg", "A boy")]),
        ({"data": [{"image": "a.jpg", "caption": "A boy"}], "version": 2}, [("a.jpg", "A boy")]),
        ({"a.jpg": {"caption": "A boy", "split": "train"}}, [("a.jpg", "A boy")]),
        ([{"filename": "a.jpg", "sentences": [{"raw": "A boy"}, {"raw": "A dog"}]}], [("a.jpg", "A boy"), ("a.jpg", "A dog")]),
        ({"image": "a.jpg", "caption": "A boy"}, DataError),
    ],
)
def test_json_objects_of_many_forms(tmp_path, content, expected):
    path = written(tmp_path / "rows.json", content)
    if expected is DataError:
        with pytest.raises(DataError, match="expected JSON objects with an image and a caption"):
            read(path)
    else:
        assert pairs(path) == expected


def test_deglas_released_json_gives_its_negatives(tmp_path):
    path = written(tmp_path / "d.json", [{"image_id": 57870, "original": "A cup.", "enhanced": ["A mug.", "A table."]}])
    assert [(record.image, record.captions) for record in read(path)] == [("57870", ("A cup.",))]
    assert negatives(path) == [("A mug.", None), ("A table.", None)]


def test_json_lines_with_lists_structs_and_nulls(tmp_path):
    rows = [
        {"file_name": "a.jpg", "text": "A boy", "negatives": [{"text": "A dog", "type": "replace_nouns"}, {"text": "A cat"}]},
        {"file_name": "b.jpg", "text": None, "negatives": None},
    ]
    source = open_source(written(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, rows))))
    records = list(source)
    assert [(each.text, each.type) for each in records[0].negatives] == [("A dog", "replace_nouns"), ("A cat", None)]
    assert [each.reason for each in source.skipped] == ["empty caption"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('[{"image": "a.jpg", "caption": "A boy"}', "entry 2: is not JSON, or breaks off"),
        ('[{"image": "a.jpg", "caption": "A b', "entry 1: is not JSON, or breaks off"),
        ('[{"image": "a.jpg", "caption": 3}]', "entry 1: 'caption' is 3, expected a text"),
        ('[{"image": 1.5, "caption": "A"}]', "entry 1: 'image' is 1.5, expected an image's name or number"),
        ('[{"image": "a.jpg", "caption": "A\\u0000B"}]', "entry 1: a text holds a NUL"),
        ('[{"image": "a.jpg", "caption": "A"}] [', "follows the end of the JSON"),
        ("[1, 2]", "expected JSON objects with an image and a caption"),
        (b'[{"image": "a.jpg", "caption": "caf\xe9"}]', "not utf-8 .*; set encoding"),
    ],
)
def test_broken_json_is_named_by_its_entry(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "c.json", content))


def test_an_entry_beyond_the_limit_names_the_setting(tmp_path):
    path = written(tmp_path / "c.json", [{"image": "a.jpg", "caption": "x" * 3_000_000}])
    assert len(pairs(path)[0][1]) == 3_000_000
    with pytest.raises(DataError, match="max_text = 1,000 characters"):
        read(path, max_text=1000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.lists(JSON, max_size=4) | st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_streamed_json_is_the_json_wherever_the_pieces_end(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("json") / "c.json", " \n" + json.dumps(content, ensure_ascii=False, indent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_entries, "_PIECE", 3)
        entries = list(stream_json(path, "utf-8", 1000))
    if isinstance(content, list):
        assert [entry.value for entry in entries] == content
    else:
        found = {key: [] for key, value in content.items() if isinstance(value, list)}
        for entry in entries:
            if entry.number:
                found[entry.key].append(entry.value)
            else:
                found[entry.key] = entry.value
        assert found == content


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.txt"])
def test_json_lines_and_lists_are_told_apart_by_what_they_hold(tmp_path, name):
    rows = [{"image": f"{number}.jpg", "caption": f"A boy {'x' * 70_000}"} for number in range(2)]
    lines = written(tmp_path / name, "\n".join(map(json.dumps, rows)))
    assert len(pairs(lines, format="json_lines")) == 2
    for indent in (None, 1):
        for content in (rows, {"data": rows})[: 1 if name.endswith("l") and not indent else 2]:  # one line is an object of JSONL
            assert len(pairs(written(tmp_path / name, json.dumps(content, indent=indent)))) == 2


def test_a_list_of_lists_is_a_table_without_a_header(tmp_path: Path) -> None:
    rows = [
        ["https://x.org/a.jpg", "two dogs", "https://x.org/b.jpg", "a cat"],
        ["https://x.org/c.jpg", "a red ball", None, "a sky"],
    ]
    path = tmp_path / "cola.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match="which of column 2, column 4 has the captions"):
        recognise(path)
    records = list(open_source(path, SourceOptions(caption_column=(2, 4))))
    assert [(each.image, each.captions) for each in records] == [(row[0], (row[1], row[3])) for row in rows]
    assert records[0].fields == dict(enumerate(rows[0], 1))
    with pytest.raises(DataError, match="has 4 columns, no column 5"):
        recognise(path, SourceOptions(image_column=5, caption_column=2))
