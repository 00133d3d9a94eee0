"""The listing: images with all their captions, in order of appearance, from any source, read in any range."""

import random
from collections import defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import jpeg, tar, written

from degla.errors import DataError
from degla.sources import listing
from degla.sources.folders import ImageFolders
from degla.sources.listing import Listing, write_listing
from degla.sources.source import open_source


def listed(path, tmp_path, folders=None):
    write_listing(open_source(path), folders and ImageFolders(folders), tmp_path / "listing.arrow")
    return Listing(tmp_path / "listing.arrow")


def test_captions_are_grouped_by_image_in_the_order_of_the_file(tmp_path, monkeypatch):
    """Against a dictionary; batches are small, so that images lie across their bounds."""
    monkeypatch.setattr(listing, "_BATCH", 7)
    rng = random.Random(0)
    rows = [(f"{rng.randrange(40)}.jpg", f"a dog {number}") for number in range(300)]
    expected = defaultdict(list)
    for image, caption in rows:
        expected[image].append(caption)
    path = written(tmp_path / "c.tsv", "image\tcaption\n" + "".join(f"{image}\t{caption}\n" for image, caption in rows))
    found = listed(path, tmp_path)
    assert [(each.image, each.captions) for each in found.read(0, len(found))] == list(expected.items())
    assert [each.image for each in found.read(11, 13)] == list(expected)[11:13]
    assert sorted(path.name for path in tmp_path.iterdir() if "listing" in path.name) == ["listing.arrow"]


def test_images_are_found_in_folders_and_missing_ones_say_why(tmp_path):
    written(tmp_path / "images" / "a.jpg", jpeg(5))
    path = written(tmp_path / "c.csv", "image,caption\na.jpg,A dog\nb.jpg,A cat\n")
    first, second = listed(path, tmp_path, [tmp_path / "images"]).read(0, 2)
    assert (first.bytes.read(), first.problem) == (jpeg(5), "")
    assert (second.bytes, second.problem) == (None, "no such file")


def test_images_in_tars_and_parquet_are_reached_from_the_listing(tmp_path):
    members = {name: data for number in range(3) for name, data in [(f"{number}.jpg", jpeg(number)), (f"{number}.txt", "A dog")]}
    found = listed(tar(tmp_path / "0.tar", members), tmp_path)
    assert [each.bytes.read() for each in found.read(1, 3)] == [jpeg(1), jpeg(2)]
    rows = {
        "image": [{"bytes": jpeg(1), "path": "1.jpg"}] * 2 + [{"bytes": jpeg(2), "path": "2.jpg"}],
        "text": ["A dog", "A cat", "A cow"],
    }
    pq.write_table(pa.table(rows), tmp_path / "p.parquet")
    found = listed(tmp_path / "p.parquet", tmp_path)
    assert [(each.captions, each.bytes.read()) for each in found.read(0, 9)] == [
        (["A dog", "A cat"], jpeg(1)),
        (["A cow"], jpeg(2)),
    ]


def test_an_id_of_two_images_is_refused(tmp_path):
    members = {"0.jpg": jpeg(), "0.txt": "A dog"}
    paths = [tar(tmp_path / folder / "0.tar", members) for folder in "ab"]
    with pytest.raises(DataError, match=r"image '0.tar/0.jpg' is in two places: .*a/0.tar, byte 512 and .*b/0.tar, byte 512"):
        listed(paths, tmp_path)


def test_images_of_one_name_in_a_parquet_file_are_refused_unless_they_are_one(tmp_path):
    """As a dataset pushed with every image called `image.jpg`."""
    rows = {"image": [{"bytes": jpeg(seed), "path": "image.jpg"} for seed in (1, 1, 2)], "text": ["A dog", "A cat", "A cow"]}
    pq.write_table(pa.table(rows), tmp_path / "p.parquet", row_group_size=2)
    with pytest.raises(DataError, match=r"image 'image.jpg' is in two places: .*p.parquet, row 1 and .*p.parquet, row 3"):
        listed(tmp_path / "p.parquet", tmp_path)


def test_captions_that_repeat_are_counted(tmp_path):
    path = written(tmp_path / "c.csv", "image,caption\na.jpg,A dog\na.jpg,A dog\nb.jpg,A dog\n")
    assert write_listing(open_source(path), None, tmp_path / "l.arrow") == 1


def test_a_source_without_captions_is_refused(tmp_path):
    with pytest.raises(DataError, match="no caption is left"):
        listed(written(tmp_path / "c.csv", "image,caption\na.jpg,\n"), tmp_path)
    assert not list(tmp_path.glob("listing*"))


def test_captions_without_images_are_numbered(tmp_path):
    found = listed(written(tmp_path / "c.csv", "caption,language\nA dog runs,en\nA cat sits,en\n"), tmp_path)
    assert [(each.image, each.captions) for each in found.read(0, 2)] == [("0", ["A dog runs"]), ("1", ["A cat sits"])]
