"""`sniff`: what it prints of each kind of file, and that its settings read the file as it said."""

import pytest
import yaml
from source_files import jpeg, tar, written

from degla.sources.options import SourceOptions
from degla.sources.sniff import sniff
from degla.sources.source import open_source


def settings(report):
    return yaml.safe_load(report.split("to use it:\n")[1].split("\nor, recognised")[0])["prepare"]


def test_a_table_with_a_bar_and_a_folder_of_photos(tmp_path):
    path = written(tmp_path / "captions.csv", "photo|sentence\na.jpg|A red chair\nb.jpg|A dog\nb.jpg|A brown dog\n")
    written(tmp_path / "images" / "a.jpg", jpeg())
    assert sniff(str(path)).splitlines()[:9] == [
        "format:    delimited (text with a separator: CSV, TSV and their kin)",
        "           the separator is '|'",
        "           the first row has the names of the columns",
        "           image: 'photo'; captions: 'sentence'",
        "holds:     3 captions of 2 images",
        f"images:    1 of 2 found in {tmp_path}/images; missing: b.jpg",
        "rows:      a.jpg | A red chair",
        "           b.jpg | A dog",
        "           b.jpg | A brown dog",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.tsv", 'image\tcaption\na.jpg\t"A ""red"" chair"\nb.jpg\tA dog\n'),
        ("c.txt", "A red chair\ta.jpg\nA dog runs\tb.jpg\n"),
        ("c.csv", "image,caption,neg_1,neg_2,split\na.jpg,A red chair,A blue chair,A red bed,train\n"),
        ("c.tsv", "filepath\ttitle\tneg_caption\na.jpg\tA dog\t['A cat', 'A cow']\n"),
        ("c.json", {"a.jpg": ["A red chair"], "b.jpg": ["A dog"]}),
        ("c.json", [{"image": "a.jpg", "caption": "A dog", "negatives": [{"text": "A cat", "type": "replace_nouns"}]}]),
        ("c.csv", "image,caption\na.jpg,A café\n".encode("utf-16")),
    ],
)
def test_its_settings_read_the_file_without_a_guess(tmp_path, name, content):
    path = written(tmp_path / name, content)
    given = settings(sniff(str(path)))
    again = open_source(given["captions"], SourceOptions(**given["options"]))
    assert not {"separator", "quoting", "header", "image_column", "caption_column"} & again.recognised.guessed
    assert list(again) == list(open_source(path))


def test_what_is_left_out_is_counted_with_its_first_place(tmp_path):
    path = written(tmp_path / "c.csv", "image,caption\na.jpg,A dog\nb.jpg,\nimage,caption\nc.jpg,\n")
    lines = sniff(str(path)).splitlines()
    assert f"left out:  2: empty caption (first: {path}, line 3)" in lines
    assert f"left out:  1: repeats the header (first: {path}, line 4)" in lines


def test_splits_and_negatives_are_counted(tmp_path):
    path = written(tmp_path / "c.csv", "image,caption,negative,split\na.jpg,A dog,A cat,train\nb.jpg,A cow,,test\n")
    lines = sniff(str(path)).splitlines()
    assert "holds:     2 captions of 2 images, 1 negatives (1 more are empty)" in lines
    assert "splits:    test 1, train 1; choose with splits" in lines


def test_images_in_a_tar_need_no_folder(tmp_path):
    path = tar(tmp_path / "0.tar", {"0.jpg": jpeg(), "0.txt": "A dog"})
    assert "images:    in the files themselves, read in place" in sniff(str(path))
    assert "images" not in settings(sniff(str(path)))


def test_urls_are_captions_only(tmp_path):
    report = sniff(str(written(tmp_path / "c.tsv", "a boy throws\thttp://x.invalid/1.jpg\n")))
    assert "images:    URLs. Download them (img2dataset)" in report
    assert settings(report)["images"] == "none"


def test_several_folders_of_images(tmp_path):
    for name in ("VG_100K/1.jpg", "VG_100K_2/2.jpg"):
        written(tmp_path / name, jpeg())
    path = written(tmp_path / "region_descriptions.json", [{"id": number, "regions": [{"phrase": "a dog"}]} for number in (1, 2)])
    assert settings(sniff(str(path)))["images"] == [f"{tmp_path}/VG_100K", f"{tmp_path}/VG_100K_2"]
    report = sniff(str(path), images=[str(tmp_path / "VG_100K")])
    assert f"images:    1 of 2 found in {tmp_path}/VG_100K; missing: 2.jpg" in report
