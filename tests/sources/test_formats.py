"""Parquet, tars, folders and what else is no text: what they give, and what is wrong named with file and setting."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from source_files import jpeg, negatives, pairs, read, tar, written

from degla.errors import ConfigError, DataError, MissingInputError
from degla.sources.source import find_files, open_source


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


def arrow(path, columns, writer=pa.ipc.new_stream):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    with writer(path, table.schema) as file:
        for row in range(len(table)):  # a batch each
            file.write_table(table.slice(row, 1))
    return path


@pytest.mark.parametrize("writer", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_files_and_streams_give_what_parquet_gives(tmp_path, writer):
    images = [{"bytes": jpeg(shade), "path": name} for shade, name in ((1, "a.jpg"), (2, "b.jpg"))] + [None]
    columns = {"image": images, "caption": ["A boy", "A man", "A dog"], "neg": [["A cat"], [], ["A cow"]]}
    arrow(tmp_path / "set" / "test" / "data-00000-of-00001.arrow", columns, writer)
    arrow(tmp_path / "set" / "test" / "cache-0123.arrow", {"caption": ["made of the others"]}, writer)
    found, expected = read(tmp_path / "set"), read(parquet(tmp_path / "p.parquet", columns))
    assert [each.split for each in found] == ["test"] * 3
    assert [each.captions for each in found] == [each.captions for each in expected]
    assert [each.negatives for each in found] == [each.negatives for each in expected]
    assert [each.inside.read() for each in found] == [jpeg(1), jpeg(2), b""] == [each.inside.read() for each in expected]


def test_an_arrow_stream_that_was_cut_between_two_batches_is_refused(tmp_path):
    path = arrow(tmp_path / "a.arrow", {"caption": ["A boy", "A man"]})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="without its end: the file was cut"):
        read(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="a.arrow"):
        read(path)


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
        read([first, written(tmp_path / "b.json", [{"image": "a.jpg", "caption": "A boy"}])])
    with pytest.raises(DataError, match=r"c.csv has the columns \['caption', 'image'\]"):
        read([first, written(tmp_path / "c.csv", "caption,image\nA boy,x.jpg\n")])


def test_what_is_of_no_format_says_how_it_begins(tmp_path):
    with pytest.raises(DataError, match=r"no format recognised; it begins with b'\\x89PNG"):
        read(written(tmp_path / "x.csv", b"\x89PNG\0\0\0\rIHDR"))
    with pytest.raises(ConfigError, match="format: formats has no 'karpaty'; did you mean 'karpathy'"):
        read(written(tmp_path / "x.json", {"images": []}), format="karpaty")


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
