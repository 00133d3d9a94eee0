"""`python -m degla.benchmark make`: real stages on captions of drawn scenes; what cannot become a benchmark is said before."""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter

import pytest
from PIL import Image

from degla.benchmark.__main__ import main
from degla.benchmark.folder import FACTS, IMAGES, BenchmarkFolder
from degla.benchmark.make import MakeOptions, make
from degla.errors import ConfigError, DataError, MissingInputError
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.readers import read_benchmark

ANIMALS, THINGS = ("dog", "cat", "horse", "cow", "sheep"), ("bench", "table", "truck", "bed", "fence")
COLOURS, SIZES = ("red", "white", "black", "brown"), ("big", "small")


def write_source(folder, num_images=30):
    """Two captions an image, and the images beside them: one is missing, one has another format."""
    draw = random.Random(0)
    (folder / "images").mkdir(parents=True)
    with (folder / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption"])
        for k in range(num_images):
            name = f"{k:03d}.{'bmp' if k % 7 == 1 else 'jpg'}"
            if k == 2:
                (folder / "images" / name).write_bytes(b"\xff\xd8 no picture")
            elif k:
                Image.new("RGB", (40, 30), (k, 80, 90)).save(folder / "images" / name)
            for _ in range(2):
                size, colour = draw.choice(SIZES), draw.choice(COLOURS)
                animals = draw.sample(ANIMALS, 2)
                table.writerow([name, f"A {size} {animals[0]} chases a {colour} {animals[1]} by a {draw.choice(THINGS)}"])
    return folder / "captions.csv"


@pytest.mark.slow
def test_a_benchmark_is_made_scored_by_its_card_and_free_of_excluded_images(tmp_path, capsys):
    source = write_source(tmp_path / "photos")
    (tmp_path / "trained.txt").write_text("".join(f"{k:03d}.jpg\n" for k in range(5, 10)))
    arguments = ["make", str(source), "--out", str(tmp_path / "mine"), "--target", "0.9", "-o", "generate.workers=1"]
    arguments += ["--exclude", str(tmp_path / "trained.txt")]
    assert main([*arguments, "--items", "5000"]) == 2
    assert re.search(r"give \d+ items of the 5,000 that were asked for.*--items \d+", capsys.readouterr().err)
    assert main([*arguments, "--items", "40", "--precision", "10", "--corpus", str(source)]) == 0  # goes on from what was made
    said = capsys.readouterr().out
    assert "images: 30; left out: 5 excluded, 1 without a file, 1 undecodable" in said
    assert "items for an interval of ± 10 points" in said
    made = BenchmarkFolder.load(tmp_path / "mine")
    assert len(made.items) == 40
    assert not {item.image[:3] for item in made.items} & {"000", "002", "005", "006", "007", "008", "009"}
    assert Counter(item.type for item in made.items) == made.facts["by_type"]
    assert {item.image for item in made.items} == {path.name for path in (tmp_path / "mine" / IMAGES).iterdir()}
    assert all(path.suffix in (".jpg", ".png") for path in (tmp_path / "mine" / IMAGES).iterdir())
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "benchmark.json",
        "images",
        "items.jsonl",
        "mine.yaml",
        "pairs.jsonl",
    ]
    benchmark = read_benchmark(BenchmarkRef(name=str(made.card_path)).card())
    assert sum(len(each.items) for each in benchmark.sets) == 40
    assert json.loads((tmp_path / "mine" / FACTS).read_text())["text_only"][0]["pairs"] == 40
    with pytest.raises(DataError, match="holds a benchmark already"):
        make(MakeOptions(source, tmp_path / "mine"))


def test_what_cannot_become_a_benchmark_is_said_before_anything_is_made(tmp_path):
    source = write_source(tmp_path / "photos", 4)
    with pytest.raises(DataError, match="all 4 images are excluded or have no file"):
        make(MakeOptions(source, tmp_path / "a", exclude=[tmp_path / "photos" / "images"]))
    with pytest.raises(DataError, match="all 4 images are excluded;"):
        make(MakeOptions(source, tmp_path / "a", exclude=[source]))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "captions.csv").write_text(source.read_text())
    with pytest.raises(DataError, match="none of its images was found; give their folder with --images"):
        make(MakeOptions(tmp_path / "bare" / "captions.csv", tmp_path / "b"))
    with pytest.raises(MissingInputError, match="does not exist"):
        make(MakeOptions(tmp_path / "gone.csv", tmp_path / "c"))
    with pytest.raises(ConfigError, match="set --name"):
        make(MakeOptions(source, tmp_path / "mit Leerzeichen"))
    with pytest.raises(ConfigError, match="target"):
        make(MakeOptions(source, tmp_path / "d", target=0.2))


def test_size_needs_no_benchmark_and_refuses_what_is_no_precision(capsys):
    assert main(["size", "--precision", "2"]) == 0
    assert "2,398" in capsys.readouterr().out
    assert main(["size", "--precision", "0"]) == 2
    assert "expected points from 0.05 to 50" in capsys.readouterr().err
