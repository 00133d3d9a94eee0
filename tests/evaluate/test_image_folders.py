"""Class folders as people have them: any image format, files that are no images, WordNet ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torchvision
from PIL import Image

from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, ClassificationSet, LinearProbeSet
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.readers import read_benchmark
from degla.evaluate.readers.imagenet import class_names


def picture(path: Path, format: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (200, 30, 30)).save(path, format)


def read(folder: Path, card: str = "image_folder", **options: object) -> Benchmark:
    return read_benchmark(BenchmarkRef(name=card, paths={"images": str(folder)}, options=options).card())


def test_every_file_is_scored_or_counted(tmp_path: Path) -> None:
    formats = {
        "a.gif": "GIF",
        "b.tiff": "TIFF",
        "c.TIF": "TIFF",
        "d.jfif": "JPEG",
        "e": "PNG",
        "f.ppm": "PPM",
        "g.jpg_large": "JPEG",
    }
    for name, kind in formats.items():
        picture(tmp_path / "red" / name, kind)
    picture(tmp_path / "blue" / "deep" / "h.webp", "WEBP")
    for name in ("notes.txt", "Thumbs.db", "empty.jpg", ".DS_Store"):
        (tmp_path / "blue" / name).write_bytes(b"" if name == "empty.jpg" else b"no image")
    found = read(tmp_path)
    (data,) = found.sets
    ids = {image.id for image in data.images}
    assert ids == {*(f"red/{name}" for name in formats), "blue/deep/h.webp", "blue/empty.jpg"}
    assert found.notes == (f"2 files in {tmp_path} are no images and left out, such as blue/Thumbs.db",)
    for image in data.images:
        if image.id != "blue/empty.jpg":
            assert image.open().size == (8, 8)


def test_folders_named_by_wordnet_ids_have_the_names_of_imagenet(tmp_path: Path) -> None:
    for wnid in ("n01443537", "n01440764", "n02099601"):
        picture(tmp_path / wnid / "0.JPEG")
    found = read(tmp_path, class_names={"n01443537": "my fish"})
    (data,) = found.sets
    assert isinstance(data, ClassificationSet)
    assert data.class_names == ("tench", "my fish", "Golden Retriever")
    assert found.notes == ("2 folders are WordNet ids and take CLIP's names for ImageNet: n01440764 is 'tench'",)


def test_a_wordnet_id_of_unknown_name_is_refused_until_it_is_named(tmp_path: Path) -> None:
    for wnid in ("n00000001", "n01440764"):
        picture(tmp_path / wnid / "0.JPEG")
    with pytest.raises(DataError, match="1 folders are WordNet ids outside ImageNet's 1,000 classes, such as n00000001"):
        read(tmp_path)
    assert read(tmp_path, class_names={"n00000001": "thing"}).sets[0].class_names == ("thing", "tench")  # type: ignore[union-attr]


def test_an_unpacked_part_of_imagenet_needs_no_development_kit(tmp_path: Path) -> None:
    for number, wnid in enumerate(("n02099601", "n01440764", "n01443537")):
        for split in ("val", "train"):
            picture(tmp_path / "imagenet" / split / wnid / f"{number}.JPEG")
    found = read(tmp_path / "imagenet", "imagenet")
    (data,) = found.sets
    assert isinstance(data, ClassificationSet)
    assert [data.class_names[label] for label in data.labels] == ["tench", "goldfish", "Golden Retriever"]
    assert [image.id for image in data.images] == ["val/n01440764/1.JPEG", "val/n01443537/2.JPEG", "val/n02099601/0.JPEG"]
    assert len(data.class_names) == len(data.class_prompts) == 1000
    assert found.absent == {"classes": 49_997}
    (probe,) = read(tmp_path / "imagenet", "imagenet_probe").sets
    assert isinstance(probe, LinearProbeSet)
    assert (probe.training.sum(), probe.labels.tolist()) == (3, [0, 1, 207, 0, 1, 207])
    picture(tmp_path / "imagenet" / "val" / "goldfish" / "0.JPEG")
    with pytest.raises(DataError, match="goldfish is not the WordNet id"):
        read(tmp_path / "imagenet", "imagenet")


def test_the_ids_are_in_the_order_of_clips_names() -> None:
    """torchvision has the same classes in the same order, by names of its own."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES as theirs

    assert list(class_names()) == sorted(class_names())
    ours = [name.lower() for name in class_names().values()]
    assert len(ours) == len(theirs) == 1000
    agree = sum(bool(set(own.split()) & set(other.lower().split())) for own, other in zip(ours, theirs, strict=True))
    assert agree > 850, torchvision.__version__


# ImageNet's variants


def test_the_classes_of_a_variant_are_choices_whether_their_folders_are_there_or_not(tmp_path: Path) -> None:
    for wnid in ("n02099601", "n01443537"):  # golden retriever, goldfish: both are in R
        picture(tmp_path / wnid / "art_0.jpg")
    found = read(tmp_path, "imagenet_r")
    (data,) = found.sets
    assert isinstance(data, ClassificationSet)
    assert (len(data.class_names), len(data.class_prompts[0])) == (200, 80)
    assert [data.class_names[label] for label in data.labels] == ["goldfish", "Golden Retriever"]
    assert found.absent == {"classes": 29_998}
    with pytest.raises(DataError, match="n01443537 is not the WordNet id of one of the 200 classes"):
        read(tmp_path, "imagenet_a")  # A has the retriever and no goldfish
    sketch = read(tmp_path, "imagenet_sketch").sets[0]
    assert isinstance(sketch, ClassificationSet)
    assert (len(sketch.class_names), sketch.labels.tolist()) == (1000, [1, 207])


def test_v2s_folders_are_numbers_of_classes_and_not_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("0", "2", "10", "999"):
        picture(tmp_path / name / "x.jpeg")
    (data,) = read(tmp_path, "imagenet_v2").sets
    assert isinstance(data, ClassificationSet)
    assert sorted(data.labels.tolist()) == [0, 2, 10, 999]
    for image, label in zip(data.images, data.labels.tolist(), strict=True):
        assert Path(image.id).parent.name == str(label)
    picture(tmp_path / "1000" / "x.jpeg")
    with pytest.raises(DataError, match="1000 is not the number of one of the 1,000 classes, such as 0"):
        read(tmp_path, "imagenet_v2")


def test_objectnet_takes_the_classes_that_are_imagenets_too_by_its_own_labels(tmp_path: Path) -> None:
    for folder in ("air_freshener", "alarm_clock", "backpack"):
        picture(tmp_path / "images" / folder / "0.png")
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    labels = {"alarm_clock": "Alarm clock", "air_freshener": "Air freshener", "backpack": "Backpack", "umbrella": "Umbrella"}
    shared = {"Backpack": "backpack, back pack", "Alarm clock": "analog clock; digital clock", "Umbrella": "umbrella"}
    (mappings / "folder_to_objectnet_label.json").write_text(json.dumps(labels))
    (mappings / "objectnet_to_imagenet_1k.json").write_text(json.dumps(shared))

    def found() -> ClassificationSet:
        paths = {"images": str(tmp_path / "images"), "mappings": str(mappings)}
        (data,) = read_benchmark(BenchmarkRef(name="objectnet", paths=paths).card()).sets
        assert isinstance(data, ClassificationSet)
        return data

    assert found().class_names == ("alarm clock", "backpack", "umbrella")
    assert [image.id for image in found().images] == ["images/alarm_clock/0.png", "images/backpack/0.png"]
    assert found().labels.tolist() == [0, 1]
    (mappings / "objectnet_to_imagenet_1k.json").write_text(json.dumps(shared | {"Bench": "park bench"}))
    with pytest.raises(DataError, match="has 'Bench', which is the label of no folder"):
        found()


def test_the_subsets_are_those_that_timm_has() -> None:
    from importlib.resources import files

    from degla.config import read_yaml
    from degla.evaluate.readers.imagenet_variants import _SUBSETS

    for name, wnids in read_yaml(_SUBSETS).items():
        assert wnids == files("timm.data").joinpath("_info", f"{name}_synsets.txt").read_text().split()
        assert set(wnids) <= set(class_names())
