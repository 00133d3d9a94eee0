"""The classification sets: torchvision's own layouts in small, the field's prompts, and the linear probe."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from degla.errors import DataError, MissingInputError
from degla.evaluate import linear_probe
from degla.evaluate.benchmark import Benchmark
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.readers import read_benchmark
from degla.evaluate.readers.zero_shot_sets import _prompts, _templates
from degla.outcomes.suites import ZERO_SHOT_METRICS


def read(name: str, folder: Path) -> Benchmark:
    return read_benchmark(BenchmarkRef(name=name, paths={"images": str(folder)}).card())


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def food(root: Path) -> None:
    splits = {"train": ["apple_pie/1", "apple_pie/2", "baby_back_ribs/1"], "test": ["apple_pie/3", "baby_back_ribs/2"]}
    for split, names in splits.items():
        classes = {name.split("/")[0]: [] for name in names}
        for name in names:
            classes[name.split("/")[0]].append(name)
            picture(root / "food-101" / "images" / f"{name}.jpg")
        text(root / "food-101" / "meta" / f"{split}.json", json.dumps(classes))


def pets(root: Path) -> None:
    for split, names in {
        "trainval": ["Abyssinian_1 1 1 1", "pug_1 2 2 1"],
        "test": ["Abyssinian_2 1 1 1", "pug_2 2 2 1"],
    }.items():
        text(root / "oxford-iiit-pet" / "annotations" / f"{split}.txt", "\n".join(names) + "\n")
        for name in names:
            picture(root / "oxford-iiit-pet" / "images" / f"{name.split()[0]}.jpg")


def dtd(root: Path) -> None:
    for split, names in {"train": ["banded/1.jpg", "dotted/1.jpg"], "test": ["banded/2.jpg", "dotted/2.jpg"]}.items():
        text(root / "dtd" / "dtd" / "labels" / f"{split}1.txt", "\n".join(names) + "\n")
        for name in names:
            picture(root / "dtd" / "dtd" / "images" / name)


def aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    text(data / "variants.txt", "707-320\nA380\n")
    for split, names in {"trainval": ["1 707-320", "2 A380"], "test": ["3 A380", "4 707-320"]}.items():
        text(data / f"images_variant_{split}.txt", "\n".join(names) + "\n")
        for name in names:
            picture(data / "images" / f"{name.split()[0]}.jpg")


def sun(root: Path) -> None:
    names = ("/a/abbey", "/a/apse/indoor")
    text(root / "SUN397" / "ClassName.txt", "\n".join(names) + "\n")
    for name in names:
        for number in range(5):
            picture(root / f"SUN397{name}/sun_{number}.jpg")


def caltech(root: Path) -> None:
    names = _prompts()["class_names"]["caltech101"]
    folder = root / "caltech101" / "101_ObjectCategories"
    for name in ("BACKGROUND_Google", *(f"class_{number:03d}" for number in range(len(names)))):
        for number in range(1, 3):
            picture(folder / name / f"image_{number:04d}.jpg")
    (root / "caltech101" / "Annotations").mkdir()


def cars(root: Path) -> None:
    from scipy.io import savemat

    folder = root / "stanford_cars"
    kind = [("fname", "O"), ("class", "i4")]
    for split, place in (("train", folder / "devkit/cars_train_annos.mat"), ("test", folder / "cars_test_annos_withlabels.mat")):
        place.parent.mkdir(parents=True, exist_ok=True)
        savemat(place, {"annotations": np.array([("1.jpg", 1), ("2.jpg", 2)], dtype=kind)})
        for number in (1, 2):
            picture(folder / f"cars_{split}" / f"{number}.jpg")
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array(["AM General Hummer", "Ram C/V"], dtype=object)})


def flowers(root: Path) -> None:
    from scipy.io import savemat

    folder = root / "flowers-102"
    folder.mkdir()
    savemat(folder / "setid.mat", {"trnid": [1, 2], "valid": [3], "tstid": [4, 5]})
    savemat(folder / "imagelabels.mat", {"labels": [1, 102, 1, 102, 1]})
    for number in range(1, 6):
        picture(folder / "jpg" / f"image_{number:05d}.jpg")


MAKERS: dict[str, tuple[Callable[[Path], None], str, list[str], list[int]]] = {
    "food101": (food, "food-101", ["apple pie", "baby back ribs"], [0, 1]),
    "oxford_pets": (pets, "oxford-iiit-pet", ["Abyssinian", "Pug"], [0, 1]),
    "dtd": (dtd, "dtd", ["banded", "dotted"], [0, 1]),
    "fgvc_aircraft": (aircraft, "fgvc-aircraft-2013b", ["707-320", "A380"], [1, 0]),
    "sun397": (sun, "SUN397", ["abbey", "apse indoor"], [0] * 5 + [1] * 5),
    "caltech101": (caltech, "caltech101", ["off-center face", "centered face"], sorted([*range(101)] * 2)),
    "stanford_cars": (cars, "stanford_cars", ["AM General Hummer", "Ram C V"], [0, 1]),
    "flowers102": (flowers, "flowers-102", ["pink primrose", "hard-leaved pocket orchid"], [101, 0]),
}


@pytest.fixture
def small_flowers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.Flowers102, "_check_integrity", lambda self: True)  # MD5 sums of the real files


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("food101", "meta/test.json"),
        ("oxford_pets", "annotations/test.txt"),
        ("fgvc_aircraft", "data/images_variant_test.txt"),
        ("stanford_cars", "cars_test_annos_withlabels.mat"),
        ("flowers102", "setid.mat"),
    ],
)
@pytest.mark.usefixtures("small_flowers")
def test_a_broken_list_of_a_set_is_named(name: str, broken: str, tmp_path: Path) -> None:
    if name in ("stanford_cars", "flowers102"):
        pytest.importorskip("scipy")
    make, folder, *_ = MAKERS[name]
    make(tmp_path)
    (tmp_path / folder / broken).write_text("{ this is no list")
    with pytest.raises(DataError, match=rf"{folder}: torchvision\.datasets\.\w+ cannot read its lists"):
        read(name, tmp_path / folder)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.usefixtures("small_flowers")
def test_a_set_is_read_as_torchvision_lays_it_out(name: str, tmp_path: Path) -> None:
    if name in ("stanford_cars", "flowers102"):
        pytest.importorskip("scipy")
    make, folder, names, labels = MAKERS[name]
    make(tmp_path)
    (only,) = read(name, tmp_path / folder).sets
    assert list(only.class_names[:2]) == names
    assert only.labels.tolist() == labels
    assert [image.open().size for image in only.images] == [(8, 8)] * len(labels)
    assert only.class_prompts[0] == tuple(template.format(names[0]) for template in _templates(name))
    (probe_set,) = read(f"{name}_probe", tmp_path / folder).sets
    assert probe_set.class_names == only.class_names
    scored = [probe_set.images[index].source for index in np.flatnonzero(~probe_set.training)]
    trained = [probe_set.images[index].source for index in np.flatnonzero(probe_set.training)]
    assert trained
    assert not set(scored) & set(trained)
    if name not in ("sun397", "caltech101"):
        assert scored == [image.source for image in only.images]


def test_sets_without_a_split_say_so_and_are_split_within_each_class(tmp_path: Path) -> None:
    sun(tmp_path)
    whole, probed = read("sun397", tmp_path / "SUN397"), read("sun397_probe", tmp_path / "SUN397")
    assert any("no official split" in note for note in whole.notes)
    assert any("no official split" in note for note in probed.notes)
    (only,) = probed.sets
    assert np.bincount(only.labels[only.training]).tolist() == [4, 4]
    (again,) = read("sun397_probe", tmp_path / "SUN397").sets
    assert (again.training == only.training).all()


def test_cifar_comes_as_arrays_in_torchvisions_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = torchvision.datasets.CIFAR10
    monkeypatch.setattr(data, "_check_integrity", lambda self: True)  # MD5 sums of the real files
    monkeypatch.setattr(data, "_load_meta", lambda self: setattr(self, "classes", ["airplane", "automobile"]))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3 * 32 * 32), dtype=np.uint8)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for file, _ in [*data.train_list, *data.test_list]:
        (folder / file).write_bytes(pickle.dumps({"data": pixels, "labels": [1, 0, 1]}))
    (only,) = read("cifar10", folder).sets
    assert only.labels.tolist() == [1, 0, 1]
    assert (np.asarray(only.images[1].open()) == pixels[1].reshape(3, 32, 32).transpose(1, 2, 0)).all()
    (probed,) = read("cifar10_probe", folder).sets
    assert probed.training.sum() == 15


def test_templates_are_as_many_as_clip_published() -> None:
    counts = {"cifar10": 18, "cifar100": 18, "food101": 1, "oxford_pets": 1, "flowers102": 1, "sun397": 2, "stanford_cars": 8}
    counts |= {"dtd": 8, "caltech101": 34, "fgvc_aircraft": 2, "imagenet": 80}
    assert {name: len(_templates(name)) for name in ZERO_SHOT_METRICS} == counts
    assert all(template.count("{}") == 1 for name in counts for template in _templates(name))
    assert [len(_prompts()["class_names"][name]) for name in ("flowers102", "caltech101")] == [102, 101]


def test_an_incomplete_folder_says_what_belongs_there(tmp_path: Path) -> None:
    (tmp_path / "food-101").mkdir()
    with pytest.raises(MissingInputError, match=r"food-101 is not complete: .*torchvision\.datasets\.Food101"):
        read("food101", tmp_path / "food-101")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DataError, match="looks for a folder named food-101"):
        read("food101", tmp_path / "elsewhere")
    with pytest.raises(MissingInputError, match="food101: images not found"):
        read("food101", tmp_path / "nowhere")


def clusters(count: int, seed: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    rows = np.eye(3, 12)[labels] + spread * rng.normal(size=(count, 12))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), labels


def test_the_probe_finds_what_a_nearest_mean_finds() -> None:
    pytest.importorskip("sklearn")
    (train, train_labels), (test, labels) = clusters(120, 0, 0.15), clusters(60, 1, 0.15)
    means = np.stack([train[train_labels == label].mean(axis=0) for label in range(3)])
    nearest = np.argmin(((test[:, None] - means[None]) ** 2).sum(axis=2), axis=1)
    predicted = linear_probe.predict(train, train_labels, test)
    assert (predicted == labels).mean() > 0.95
    assert (predicted == nearest).mean() > 0.95
    assert (predicted == linear_probe.predict(train, train_labels, test)).all()


def test_the_probes_strength_is_the_best_of_a_slow_sweep() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    train, labels = clusters(60, 2, 0.6)
    held = linear_probe._held_out(labels)
    assert [int(held[labels == label].sum()) for label in range(3)] == [4, 4, 4]
    scores = {}
    for strength in linear_probe.STRENGTHS:
        model = sklearn.LogisticRegression(C=strength, max_iter=1000).fit(train[~held], labels[~held])
        scores[strength] = np.mean(
            [model.predict(row[None])[0] == label for row, label in zip(train[held], labels[held], strict=True)]
        )
    best = max(scores.values())
    assert linear_probe._chosen(train, labels) == min(strength for strength, score in scores.items() if score == best)
