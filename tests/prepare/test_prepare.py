"""Prepare on small files of each reader: what comes out, what is reported, what is refused, what survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from source_files import tar, written

from degla.errors import ConfigError, DataError, MissingInputError
from degla.images import read_images
from degla.prepare import PrepareConfig, run
from degla.prepare.readers import captions
from degla.schemas import CAPTIONS, SCENES, read_table


def encoded(width, height, kind="jpeg"):
    ramp = np.add.outer(np.arange(height), np.arange(width)) % 256
    pixels = np.stack([ramp, 255 - ramp, ramp // 2], axis=-1).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def table(path):
    return read_images(path) if path.suffix == ".arrow" else pq.read_table(path)


@pytest.fixture
def photos(tmp_path):
    """Three images with two captions each, as a TSV and a folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    rows = ["image\tcaption"]
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(encoded(40 + number, 30))
        rows += [f"{number}.jpg\tA red ball number {number} .", f'{number}.jpg\tTwo  dogs "run" fast']
    table = tmp_path / "captions.tsv"
    table.write_text("\n".join(rows) + "\n")
    return table, folder


def config(photos, **settings):
    table, folder = photos
    return PrepareConfig(dataset="photos", captions=str(table), images=str(folder), workers=1, **settings)


def test_captions_and_images_become_tables_of_their_schemas(photos, tmp_path):
    artifact = run(config(photos), {}, tmp_path / "out")
    captions = read_table(artifact.file("captions.parquet"), CAPTIONS).to_pylist()
    images = read_images(artifact.file("images.arrow")).to_pylist()
    assert [row["caption_id"] for row in captions] == list(range(6))
    assert [row["image_id"] for row in captions] == ["0.jpg", "0.jpg", "1.jpg", "1.jpg", "2.jpg", "2.jpg"]
    assert captions[1]["caption"] == 'Two dogs "run" fast'
    assert captions[0]["tokens"] == ["A", "red", "ball", "number", "0", "."]
    assert captions[0]["tags"][1:3] == ["AJ0", "NN1"]
    assert captions[1]["lemmas"][1] == "dog"
    assert [(row["status"], row["width"], row["height"]) for row in images] == [("ok", 40 + n, 30) for n in range(3)]
    assert images[0]["image"] == (photos[1] / "0.jpg").read_bytes(), "a small image keeps its bytes"
    captions_only = {"captions": 6, "captions_skipped": 0, "captions_beyond_clip": 0}
    assert artifact.counts == {**captions_only, "images": 3, "images_missing": 0, "images_undecodable": 0}
    assert not (tmp_path / "out" / "parts").exists()


def test_units_and_processes_do_not_change_a_byte(photos, tmp_path):
    one = run(config(photos), {}, tmp_path / "one")
    many = run(config(photos).model_copy(update={"unit_size": 1, "workers": 2}), {}, tmp_path / "many")
    assert one.fingerprint == many.fingerprint
    assert one.manifest.files == many.manifest.files


def test_an_image_that_does_not_decode_is_reported_and_counted(photos, tmp_path, caplog):
    (photos[1] / "1.jpg").write_bytes(encoded(40, 30)[:200])
    (photos[1] / "2.jpg").unlink()
    artifact = run(config(photos, max_bad_image_fraction=0.7), {}, tmp_path / "out")
    rows = read_images(artifact.file("images.arrow")).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "undecodable", "missing"]
    assert rows[1]["error"]
    assert rows[1]["image"] is None
    assert (artifact.counts["images_undecodable"], artifact.counts["images_missing"]) == (1, 1)
    assert "1.jpg: undecodable" in caplog.text
    assert artifact.counts["captions"] == 6, "their captions stay"


def test_too_many_bad_images_stop_the_stage_with_their_list(photos, tmp_path):
    (photos[1] / "1.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"(?s)1 of 3 images.*1\.jpg: undecodable.*max_bad_image_fraction"):
        run(config(photos), {}, tmp_path / "out")


def test_what_is_of_no_format_ends_with_the_command_that_says_more(tmp_path):
    path = written(tmp_path / "x.bin", b"\x00\x00\x00\x18ftypheic")
    for images in (None, "none"):
        config = PrepareConfig(dataset="photos", captions=str(path), images=images, workers=1)
        with pytest.raises(DataError, match=r"(?s)no format recognised.*\n`python -m degla.prepare sniff .*x.bin` shows"):
            run(config, {}, tmp_path / "out")


def test_an_image_of_too_many_pixels_names_the_setting(photos, tmp_path):
    with pytest.raises(DataError, match=r"40 x 30 pixels are more than 1,200; raise prepare.max_pixels|41 x 30 .* 1,200; raise"):
        run(config(photos, max_pixels=1200), {}, tmp_path / "out")
    assert run(config(photos, max_pixels=1260), {}, tmp_path / "more").counts["images_undecodable"] == 0


def test_images_in_tars_several_files_and_folders_are_one_dataset(photos, tmp_path):
    table, folder = photos
    more = tmp_path / "more"
    more.mkdir()
    (more / "9.jpg").write_bytes(encoded(50, 30))
    second = tmp_path / "second.tsv"
    second.write_text("image\tcaption\n9.jpg\tA dog\n0.jpg\tA ball\n")
    settings = PrepareConfig(dataset="photos", captions=[str(table), str(second)], images=[str(folder), str(more)], workers=1)
    artifact = run(settings, {}, tmp_path / "out")
    assert (artifact.counts["captions"], artifact.counts["images"], artifact.counts["images_missing"]) == (8, 4, 0)
    members = {
        name: data for number in range(2) for name, data in [(f"{number}.jpg", encoded(40, 30)), (f"{number}.txt", "A dog")]
    }
    packed = PrepareConfig(dataset="photos", captions=str(tar(tmp_path / "0.tar", members)), workers=1)
    artifact = run(packed, {}, tmp_path / "packed")
    assert [row["status"] for row in read_images(artifact.file("images.arrow"), ["status"]).to_pylist()] == ["ok", "ok"]


def test_karpathys_training_splits_are_read_and_the_test_split_never_by_itself(tmp_path, caplog):
    images = [
        {"filename": f"{split}.jpg", "split": split, "sentences": [{"raw": "A dog"}]} for split in ("train", "restval", "test")
    ]
    path = written(tmp_path / "dataset_flickr8k.json", {"images": images})
    settings = PrepareConfig(dataset="photos", captions=str(path), images="none", workers=1)
    caplog.set_level("INFO")
    rows = read_table(run(settings, {}, tmp_path / "out").file("captions.parquet"), CAPTIONS).to_pylist()
    assert [row["image_id"] for row in rows] == ["train.jpg", "restval.jpg"]
    assert "splits read: train 1, restval 1; left out: test 1" in caplog.text
    chosen = settings.model_copy(update={"options": {"splits": ["test"]}})
    assert run(chosen, {}, tmp_path / "test").counts["captions"] == 1


def test_an_image_outside_the_folder_is_refused_until_its_folder_counts(photos, tmp_path):
    table, folder = photos
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.jpg").write_bytes(encoded(40, 30))
    table.write_text(f"image\tcaption\n{outside}/a.jpg\tA dog\n")
    with pytest.raises(DataError, match=r"lies outside the image folder .*images=\{"):
        run(config(photos), {}, tmp_path / "out")
    both = config(photos).model_copy(update={"images": f"{{{folder},{outside}}}"})
    first = both.raw_inputs()
    assert run(both, {}, tmp_path / "both").counts["images_missing"] == 0
    (outside / "a.jpg").write_bytes(encoded(41, 30))
    assert both.raw_inputs() != first, "its content is part of the fingerprint"


def test_captions_longer_than_clip_reads_are_counted_beforehand(tmp_path, caplog):
    path = written(tmp_path / "c.tsv", f"image\tcaption\na.jpg\t{'a dog ' * 40}\nb.jpg\tA cat\n")
    made = run(PrepareConfig(dataset="photos", captions=str(path), images="none", workers=1), {}, tmp_path / "out")
    assert "1 of 2 captions are longer than the 77 tokens that CLIP reads" in caplog.text
    assert made.counts["captions_beyond_clip"] == 1


def test_a_killed_run_lists_its_source_once(photos, tmp_path, monkeypatch):
    listed = []
    written_before = captions.write_listing
    monkeypatch.setattr(captions, "write_listing", lambda *args: listed.append(1) or written_before(*args))
    for _ in range(2):
        captions.open_captions(config(photos), tmp_path / "parts")
    assert listed == [1]


def test_a_missing_image_folder_is_named_before_anything_is_written(photos, tmp_path):
    wrong = config(photos).model_copy(update={"images": str(tmp_path / "nowhere")})
    with pytest.raises(MissingInputError, match="images not found at .*nowhere"):
        run(wrong, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_line_is_named_by_its_number(photos, tmp_path):
    with photos[0].open("a") as file:
        file.write("3.jpg\nno tab\n")
    with pytest.raises(
        DataError, match=r"(?s)2 broken line\(s\): line 8: 1 fields, the first row has 2; line 9.*degla.prepare sniff"
    ):
        run(config(photos), {}, tmp_path / "out")
    assert run(config(photos, options={"broken_rows": "skip"}), {}, tmp_path / "skipped").counts["captions_skipped"] == 2


def test_a_row_without_an_image_is_named(photos, tmp_path):
    with photos[0].open("a") as file:
        file.write("\tno image\n")
    with pytest.raises(DataError, match="line 8: 'image' is empty, expected an image's name"):
        run(config(photos), {}, tmp_path / "out")


def test_a_line_that_is_not_utf8_is_named(photos, tmp_path):
    with photos[0].open("ab") as file:
        file.write(b"0.jpg\tcaf\xe9\n")
    with pytest.raises(DataError, match="line 8: byte 0xe9 is not UTF-8. Set encoding"):
        run(config(photos), {}, tmp_path / "out")


def test_a_missing_column_is_named_with_those_that_are_there(photos, tmp_path):
    with pytest.raises(DataError, match="has no 'text'; it has: image, caption"):
        run(config(photos, options={"caption_column": "text"}), {}, tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown key 'caption_colum'; did you mean 'caption_column'"):
        run(config(photos, options={"caption_colum": "text"}), {}, tmp_path / "out2")


def test_an_empty_caption_is_left_out_and_recorded(photos, tmp_path):
    with photos[0].open("a") as file:
        file.write("0.jpg\t   \n")
    artifact = run(config(photos), {}, tmp_path / "out")
    assert artifact.counts["captions"] == 6
    skipped = json.loads(artifact.file("skipped.json").read_text())
    assert skipped == [{"where": "captions.tsv, line 8", "image_id": "0.jpg", "reason": "empty caption"}]


def test_a_csv_may_quote_line_breaks_and_be_filtered_by_a_column(tmp_path):
    table = tmp_path / "captions.csv"
    table.write_text('file,split,title\na.jpg,train,"one, two\nthree"\nb.jpg,test,four five\n')
    options = {"image_column": "file", "caption_column": "title", "where": {"split": "train"}}
    settings = PrepareConfig(dataset="photos", captions=str(table), images="none", options=options, workers=1)
    artifact = run(settings, {}, tmp_path / "out")
    captions = read_table(artifact.file("captions.parquet"), CAPTIONS).to_pylist()
    assert [row["caption"] for row in captions] == ["one, two three"]
    assert artifact.counts["images"] == 0, "images=none prepares captions only"


def test_cocos_annotation_file_is_read_and_its_faults_are_named(tmp_path):
    path = tmp_path / "captions.json"
    good = {
        "images": [{"id": 9, "file_name": "9.jpg"}, {"id": 3, "file_name": "3.jpg"}],
        "annotations": [
            {"image_id": 9, "id": 1, "caption": "A dog."},
            {"image_id": 3, "id": 2, "caption": " A  cat. "},
            {"image_id": 9, "id": 3, "caption": "A brown dog."},
        ],
    }
    path.write_text(json.dumps(good))
    settings = PrepareConfig(dataset="coco_val2017", captions=str(path), images="none", workers=1)
    rows = read_table(run(settings, {}, tmp_path / "out").file("captions.parquet"), CAPTIONS).to_pylist()
    assert [(row["image_id"], row["caption"]) for row in rows] == [("9", "A dog."), ("9", "A brown dog."), ("3", "A cat.")]
    for number, (broken, message) in enumerate(
        [
            ({"images": []}, "no caption is left"),
            (good | {"annotations": [{"image_id": 5, "caption": "x"}]}, "of image 5, which `images` does not list"),
            (good | {"annotations": [{"image_id": 9}]}, r"annotations\[0\]: caption is missing"),
            (good | {"annotations": [{"image_id": 9, "caption": ["a dog"]}]}, r"annotations\[0\]: caption is \['a dog'\]"),
            (good | {"annotations": [{"image_id": None, "caption": "a dog"}]}, r"annotations\[0\]: 'image_id' is None"),
            (good | {"annotations": ["a dog"]}, r"annotations\[0\]: 'image_id' is None, .*: 'a dog'"),
            (good | {"annotations": {}}, r"annotations: 'image_id' is None"),
            (good | {"images": [{"id": 9}]}, r"images\[0\]: file_name is missing"),
        ]
    ):
        path.write_text(json.dumps(broken))
        with pytest.raises(DataError, match=message):
            run(settings, {}, tmp_path / f"broken-{number}")
    path.write_text(path.read_text()[:20])
    with pytest.raises(DataError, match="is not JSON, or breaks off"):
        run(settings, {}, tmp_path / "out3")


def test_an_annotation_without_words_is_left_out_and_recorded(tmp_path):
    path = tmp_path / "captions.json"
    annotations = [{"image_id": 9, "caption": text} for text in (None, " ", "a dog")]
    path.write_text(json.dumps({"images": [{"id": 9, "file_name": "9.jpg"}], "annotations": annotations}))
    artifact = run(PrepareConfig(dataset="coco_val2017", captions=str(path), images="none", workers=1), {}, tmp_path / "out")
    assert artifact.counts["captions"] == 1
    skipped = json.loads(artifact.file("skipped.json").read_text())
    assert [row["where"] for row in skipped] == ["captions.json: annotations[0]", "captions.json: annotations[1]"]


def test_a_table_that_is_none_is_named(tmp_path):
    cases = {
        "long.csv": (b'image,caption\n1.jpg,"%s' % (b"a dog " * 40_000), "line 2: a quote does not close"),
        "gzip.tsv": (b"\x1f\x8b\x08\x00image", "is compressed: unpack it"),
        "empty.csv": (b"", "is empty"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            run(PrepareConfig(dataset="photos", captions=str(path), images="none", workers=1), {}, tmp_path / f"out-{name}")
    (tmp_path / "folder.csv").mkdir()
    settings = PrepareConfig(dataset="photos", captions=str(tmp_path / "folder.csv"), images="none", workers=1)
    with pytest.raises(DataError, match="folder.csv holds no captions and no images"):
        run(settings, {}, tmp_path / "out")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,caption\n1.jpg,a dog\n")
    artifact = run(PrepareConfig(dataset="photos", captions=str(path), images="none", workers=1), {}, tmp_path / "out")
    assert artifact.counts["captions"] == 1


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "0.jpg/1.jpg"])
def test_an_image_of_any_name_that_is_no_file_is_a_problem_of_its_row(name, photos, tmp_path):
    with photos[0].open("a") as file:
        file.write(f"{name}\ta dog\n")
    settings = config(photos, max_bad_image_fraction=0.5)
    images = read_images(run(settings, {}, tmp_path / "out").file("images.arrow")).to_pylist()
    assert "no such file" in next(str(row) for row in images if row["image_id"] == name)


def test_the_mini_world_brings_its_scenes(tmp_path):
    settings = PrepareConfig(options={"num_scenes": 5, "captions_per_scene": 2, "seed": 3}, workers=1)
    artifact = run(settings, {}, tmp_path / "out")
    assert (artifact.counts["images"], artifact.counts["captions"]) == (5, 10)
    assert read_table(artifact.file("scenes.parquet"), SCENES).num_rows == 5
    image = read_images(artifact.file("images.arrow")).to_pylist()[0]
    assert (image["width"], image["height"]) == (48, 48)


def test_an_unknown_dataset_is_refused_with_the_nearest_name():
    with pytest.raises(MissingInputError, match="Did you mean 'miniworld'"):
        PrepareConfig(dataset="minworld").card()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_units_to_the_same_tables(tmp_path, own_artifact_root):
    options = ["-o", "prepare.options={num_scenes: 300}", "-o", "prepare.unit_size=10", "-o", "prepare.workers=2"]
    command = [sys.executable, "-m", "degla.prepare", "demo", *options]
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        count = len(list(own_artifact_root.glob("prepare/*/parts/captions-*")))
        while len(list(own_artifact_root.glob("prepare/*/parts/captions-*"))) < count + 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "were finished before" in finished.stdout
    folder = Path(finished.stdout.strip().splitlines()[-1])
    whole = run(PrepareConfig(options={"num_scenes": 300}, image_format="raw", workers=1), {}, tmp_path / "whole")
    for name in ("captions.parquet", "images.arrow", "scenes.parquet"):
        assert table(folder / name).equals(table(whole.file(name))), name


def test_real_coco_photos_become_tables(shared_data, tmp_path):
    folder = shared_data("coco_mini/val2017")
    table = tmp_path / "captions.csv"
    names = sorted(path.name for path in folder.glob("*.jpg"))[:12]
    table.write_text("image,caption\n" + "".join(f"{name},a photo\n" for name in names))
    settings = PrepareConfig(dataset="photos", captions=str(table), images=str(folder), short_side=128, workers=1)
    images = read_images(run(settings, {}, tmp_path / "out").file("images.arrow")).to_pylist()
    assert [row["source"] for row in images] == names
    assert all(min(row["width"], row["height"]) == 128 for row in images)
