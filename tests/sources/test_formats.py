"""Every format but delimited text: what it gives, and what is wrong named with file, entry and setting."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from source_files import jpeg, negatives, pairs, read, tar, written

from degla.errors import ConfigError, DataError, MissingInputError
from degla.sources import json_entries
from degla.sources.json_entries import stream_json
from degla.sources.source import find_files, open_source, recognise

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


@settings(deadline=None)
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


def parquet(path, columns, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_laions_tables_give_texts_and_leave_nulls_out(tmp_path):
    source = open_source(
        parquet(tmp_path / "p.parquet", {"URL": ["http://a/1", "http://a/2"], "TEXT": ["A boy", None], "similarity": [0.1, 0.2]})
    )
    assert [record.captions for record in source] == [("A boy",), ()]
    assert len(source.skipped) == 1


def test_img2datasets_tables_name_the_files_beside_them(tmp_path):
    columns = {
        "url": ["u1", "u2"],
        "key": ["000000001", "000000002"],
        "status": ["success", "failed_to_download"],
        "caption": ["A", "B"],
    }
    source = open_source(parquet(tmp_path / "00000.parquet", columns))
    assert [(record.image, record.captions) for record in source] == [("00000/000000001", ("A",))]
    assert [each.reason for each in source.skipped] == ["was not downloaded"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_every_arrow_type(tmp_path, kind):
    columns = {
        name: pa.array([value], pa.string()).cast(kind)
        for name, value in [("image", "a.jpg"), ("caption", "A boy"), ("negative", "A dog")]
    }
    path = parquet(tmp_path / "c.parquet", columns)
    assert pairs(path) == [("a.jpg", "A boy")]
    assert negatives(path) == [("A dog", None)]


def test_lists_and_structs_of_negatives_in_parquet(tmp_path):
    structs = [[{"text": "A dog", "type": "swap_nouns", "generator": "rules"}], []]
    path = parquet(tmp_path / "training.parquet", {"image_id": ["1", "2"], "caption": ["A boy", "A man"], "negatives": structs})
    assert negatives(path) == [("A dog", "swap_nouns")]
    assert read(tmp_path)[0].negatives[0].generator == "rules"
    lists = parquet(tmp_path / "l.parquet", {"image": ["1"], "captions": [["A boy", "A dog"]], "neg": [["A cat", "A cow"]]})
    assert pairs(lists) == [("1", "A boy"), ("1", "A dog")]
    assert negatives(lists) == [("A cat", None), ("A cow", None)]


def test_lists_in_texts_of_a_column_that_is_set(tmp_path):
    path = parquet(tmp_path / "d.parquet", {"image": ["a.jpg"], "caption": ["A boy"], "generation": ['["A \\"dog\\""]']})
    assert negatives(path) == []
    assert negatives(path, negative_column="generation") == [('A "dog"', None)]
    assert negatives(path, negative_column="generation", list_column=[]) == [('["A \\"dog\\""]', None)]


def test_images_in_parquet_are_read_in_place(tmp_path):
    images = [{"bytes": jpeg(number), "path": f"{number}.jpg"} for number in range(5)]
    path = parquet(
        tmp_path / "data" / "train-0.parquet",
        {"image": images, "text": [f"shade {number}" for number in range(5)]},
        row_group_size=2,
    )
    records = read(tmp_path)
    assert [record.image for record in records] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert [record.inside.read() for record in records] == [jpeg(number) for number in range(5)]
    bare = parquet(tmp_path / "bare.parquet", {"image": [jpeg(7)], "text": ["A boy"]})
    assert [(record.image, record.inside.read()) for record in read(bare)] == [("bare.parquet/0", jpeg(7))]
    assert path.exists()


def test_the_names_of_parts_tell_their_split(tmp_path):
    for split in ("train", "test"):
        parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet", {"image": [f"{split}.jpg"], "caption": ["A boy"]})
        tar(tmp_path / "tars" / f"{split}-000.tar", {f"{split}.jpg": jpeg(), f"{split}.txt": "A boy"})
    assert [record.split for record in read(tmp_path / "data")] == ["test", "train"]
    assert [image for image, _ in pairs(tmp_path / "data", splits=["train"])] == ["train.jpg"]
    assert [record.split for record in read(tmp_path / "tars")] == ["test", "train"]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.txt"])
def test_json_lines_and_lists_are_told_apart_by_what_they_hold(tmp_path, name):
    rows = [{"image": f"{number}.jpg", "caption": f"A boy {'x' * 70_000}"} for number in range(2)]
    lines = written(tmp_path / name, "\n".join(map(json.dumps, rows)))
    assert len(pairs(lines, format="json_lines")) == 2
    for indent in (None, 1):
        for content in (rows, {"data": rows})[: 1 if name.endswith("l") and not indent else 2]:  # one line is an object of JSONL
            assert len(pairs(written(tmp_path / name, json.dumps(content, indent=indent)))) == 2


def test_metadata_in_folders_below_is_named(tmp_path):
    for split in ("train", "test"):
        written(tmp_path / split / "metadata.jsonl", '{"file_name": "a.jpg", "text": "A boy"}\n')
        written(tmp_path / split / "a.jpg", jpeg())
    with pytest.raises(
        DataError, match=r"holds 2 images and no captions .*such as .*/test/metadata.jsonl, .*/train/metadata.jsonl"
    ):
        read(tmp_path)


def test_a_damaged_parquet_file_is_named(tmp_path):
    path = parquet(tmp_path / "c.parquet", {"image": ["a"], "caption": ["A"]})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="c.parquet: not a readable Parquet file"):
        read(path)


def test_samples_of_tars_are_read_in_place(tmp_path):
    one = tar(
        tmp_path / "00000.tar",
        {"0.jpg": jpeg(1), "0.txt": "A boy", "0.json": '{"caption": "x"}', "1.jpg": jpeg(2), "2.txt": "A dog"},
    )
    source = open_source(one)
    records = list(source)
    assert [(record.image, record.captions, record.inside.read()) for record in records] == [
        ("00000.tar/0.jpg", ("A boy",), jpeg(1))
    ]
    assert sorted(each.reason for each in source.skipped) == ["no caption", "no image"]


def test_a_folder_or_pattern_of_tars_with_captions_in_json(tmp_path):
    for number in range(3):
        members = {
            f"x/{number}.png": jpeg(number),
            f"x/{number}.json": json.dumps({"captions": ["A boy", "A dog"], "negative": "A cat"}),
        }
        tar(tmp_path / f"{number:05d}.tar", members)
    assert len(pairs(tmp_path)) == 6
    assert len(negatives(tmp_path / "{00000..00001}.tar")) == 2
    assert pairs(tmp_path / "0000[12].tar")[0] == ("00001.tar/x/1.png", "A boy")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"0.jpg": b"", "0.png": b"", "0.txt": "A"}, "the sample 0 has two images, 0.jpg too"),
        ({"0.jpg": b""}, "holds images without captions: no .txt, .caption or .json"),
        ({"0.jpg": b"", "0.txt": b"caf\xe9"}, "0.txt: not utf-8 .*set encoding"),
    ],
)
def test_a_fault_in_a_tar_is_named(tmp_path, members, message):
    with pytest.raises(DataError, match=message):
        read(tar(tmp_path / "t.tar", members))


def test_a_compressed_or_cut_tar_is_named(tmp_path):
    import gzip

    whole = tar(tmp_path / "t.tar", {"0.jpg": jpeg(), "0.txt": "A"})
    with pytest.raises(DataError, match="not a readable tar: .*It is compressed, and images are read in place: gunzip it"):
        read(written(tmp_path / "t.tar.gz", gzip.compress(whole.read_bytes())))


def test_images_with_texts_beside_them(tmp_path):
    for name, text in [("b/1", "A boy\nA dog\n"), ("a", "A cat")]:
        written(tmp_path / f"{name}.jpg", jpeg())
        written(tmp_path / f"{name}.txt", text)
    written(tmp_path / "c.jpg", jpeg())
    source = open_source(tmp_path)
    assert [(record.image, record.captions) for record in source] == [("a.jpg", ("A cat",)), ("b/1.jpg", ("A boy", "A dog"))]
    assert [each.reason for each in source.skipped] == ["no captions beside it (.txt or .caption)"]


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.TIFF", "a.webp", "a.bmp"])
def test_images_of_other_formats_are_seen(tmp_path, name):
    Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    written(tmp_path / "a.txt", "A red square")
    assert [record.image for record in open_source(tmp_path)] == [name]


def test_a_folder_gives_its_metadata_or_its_only_table(tmp_path):
    written(tmp_path / "one" / "metadata.csv", "file_name,text\na.jpg,A boy\n")
    written(tmp_path / "one" / "a.jpg", jpeg())
    assert pairs(tmp_path / "one") == [("a.jpg", "A boy")]
    written(tmp_path / "two" / "captions.tsv", "image\tcaption\na.jpg\tA boy\n")
    written(tmp_path / "two" / "README.txt", "Photos of mine\n")
    assert pairs(tmp_path / "two") == [("a.jpg", "A boy")]
    written(tmp_path / "two" / "other.tsv", "image\tcaption\na.jpg\tA dog\n")
    with pytest.raises(DataError, match="several files that may have captions: captions.tsv, other.tsv. Name the one to read"):
        read(tmp_path / "two")
    written(tmp_path / "three" / "a.jpg", jpeg())
    with pytest.raises(DataError, match="1 images and no captions beside them"):
        read(tmp_path / "three")


def test_paths_patterns_and_braces(tmp_path):
    for name in ("a-1.csv", "a-2.csv", "b-1.csv"):
        written(tmp_path / name, "image,caption\nx.jpg,A boy\n")
    assert [path.name for path in find_files(f"{tmp_path}/{{a,b}}-1.csv")] == ["a-1.csv", "b-1.csv"]
    assert [path.name for path in find_files(f"{tmp_path}/a-*.csv")] == ["a-1.csv", "a-2.csv"]
    odd = written(tmp_path / "a{1,2}.csv", "image,caption\nx.jpg,A boy\n")
    assert find_files(odd) == [odd]
    with pytest.raises(MissingInputError, match="no file matches"):
        find_files(f"{tmp_path}/z-*.csv")
    with pytest.raises(MissingInputError, match="does not exist"):
        find_files(tmp_path / "z.csv")


def test_files_of_two_formats_or_headers_are_not_one(tmp_path):
    first = written(tmp_path / "a.csv", "image,caption\nx.jpg,A boy\n")
    with pytest.raises(DataError, match="b.json is not of the format delimited"):
        read([first, written(tmp_path / "b.json", COCO)])
    with pytest.raises(DataError, match=r"c.csv has the columns \['caption', 'image'\]"):
        read([first, written(tmp_path / "c.csv", "caption,image\nA boy,x.jpg\n")])


def test_what_is_of_no_format_says_how_it_begins(tmp_path):
    with pytest.raises(DataError, match=r"no format recognised; it begins with b'\\x89PNG"):
        read(written(tmp_path / "x.csv", b"\x89PNG\0\0\0\rIHDR"))
    with pytest.raises(ConfigError, match="format: formats has no 'karpaty'; did you mean 'karpathy'"):
        read(written(tmp_path / "x.json", KARPATHY), format="karpaty")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\x1f\x8b\x08\0\0", "is compressed: unpack it .gunzip"),
        (b"PK\x03\x04\0\0", "is a zip archive or an Excel file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS"),
    ],
)
def test_what_is_packed_says_so(tmp_path, start, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "captions.csv", start))


@pytest.mark.parametrize("value", [None, float("nan"), "nan", "None", " ", "a \ud800 dog"])
def test_what_stands_for_no_caption_is_left_out_and_counted(tmp_path, value):
    rows = [{"image": "a.jpg", "caption": value}, {"image": "b.jpg", "caption": "A dog"}]
    source = open_source(written(tmp_path / "c.json", rows))
    assert [record.captions for record in source] == [(), ("A dog",)]
    assert len(source.skipped) == 1


def test_rows_are_chosen_by_value(tmp_path):
    path = written(tmp_path / "c.csv", "image,caption,language\na.jpg,A boy,en\nb.jpg,Un chien,fr\n")
    assert pairs(path, where={"language": "en"}) == [("a.jpg", "A boy")]
    with pytest.raises(DataError, match="has no 'lang'; did you mean 'language'"):
        read(path, where={"lang": "en"})
