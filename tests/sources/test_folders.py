"""Image folders: a name is found however it is written, and never in the wrong place."""

import unicodedata

import pytest
from source_files import written

from degla.errors import DataError
from degla.sources.folders import ImageFolders


def found(folder, name):
    path, _ = ImageFolders([folder]).find(name)
    return path and path.relative_to(folder).as_posix()


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "./a.jpg",
        "val2014/a.jpg",
        "coco/val2014/a.jpg",
        "a",
        "val2014\\a.jpg",
        "/elsewhere/coco/val2014/a.jpg",
        "sub/../a.jpg",
    ],
)
def test_a_name_is_found_below_its_folder(tmp_path, name):
    folder = tmp_path / "coco" / "val2014"
    written(folder / "a.jpg", b"")
    assert found(folder, name) == "a.jpg"
    assert found(folder, str(folder / "a.jpg")) == "a.jpg"


def test_a_name_of_another_folder_is_not_found_here(tmp_path):
    written(tmp_path / "train" / "001.jpg", b"")
    assert ImageFolders([tmp_path / "train"]).find("test/001.jpg") == (None, "no such file")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_unicode_forms_of_a_name_are_the_same_file(tmp_path, forms):
    on_disk, asked = (unicodedata.normalize(form, "é/café.jpg") for form in forms)
    written(tmp_path / on_disk, b"")
    path, problem = ImageFolders([tmp_path]).find(asked)
    assert path == tmp_path / on_disk, problem


def test_several_folders_are_looked_through_and_a_file_in_two_is_refused(tmp_path):
    for name in ("VG_100K/1.jpg", "VG_100K_2/2.jpg"):
        written(tmp_path / name, b"")
    folders = ImageFolders([tmp_path / "VG_100K", tmp_path / "VG_100K_2"])
    assert [folders.find(f"{number}.jpg")[0].parent.name for number in (1, 2)] == ["VG_100K", "VG_100K_2"]
    written(tmp_path / "VG_100K_2" / "1.jpg", b"")
    with pytest.raises(DataError, match=r"image '1.jpg' is two files: .*VG_100K/1.jpg and .*VG_100K_2/1.jpg"):
        folders.find("1.jpg")


@pytest.mark.parametrize("name", ["{outside}/a.jpg", "../outside/a.jpg"])
def test_a_file_outside_the_folder_is_refused_and_its_folder_named(tmp_path, name):
    written(tmp_path / "outside" / "a.jpg", b"")
    written(tmp_path / "images" / "b.jpg", b"")
    with pytest.raises(DataError, match=r"lies outside the image folder .*images=\{.*/images,.*/outside\}"):
        ImageFolders([tmp_path / "images"]).find(name.format(outside=tmp_path / "outside"))
    both = ImageFolders([tmp_path / "images", tmp_path / "outside"])
    assert both.find(name.format(outside=tmp_path / "outside"))[0] == tmp_path / "outside" / "a.jpg"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("http://x.invalid/a.jpg", "is a URL"),
        ("nothing.jpg", "no such file"),
        ("x" * 300, "no such file"),
        ("a\0b.jpg", "no such file"),
        ("sub", "no such"),
    ],
)
def test_what_is_not_there_says_why(tmp_path, name, problem):
    (tmp_path / "sub").mkdir()
    path, why = ImageFolders([tmp_path]).find(name)
    assert path is None
    assert problem in why
