"""Every card names a reader and every reader has a card; a new format is one module and a card."""

from __future__ import annotations

from pathlib import Path

import pytest
from cards import read, write

from degla.catalog import card_names, load_card
from degla.errors import ConfigError, MissingInputError
from degla.evaluate import readers
from degla.evaluate.benchmark import ChoiceSet
from degla.evaluate.readers import known_readers
from degla.outcomes.suites import ZERO_SHOT_METRICS

CATALOG = Path(__file__).resolve().parents[2] / "data_catalog"


@pytest.mark.parametrize("name", card_names())
def test_every_card_is_valid_names_a_reader_and_invents_nothing(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.kind == "dataset" or card.reader in known_readers()
    assert card.source
    assert card.licence
    file = CATALOG / f"{name}.yaml"
    text = (file if file.exists() else CATALOG / f"{name.rpartition('_')[0]}.yaml").read_text()
    for entry in card.files.values():
        for each in (entry, *entry.members.values()):
            assert (each.sha256 is None) == (each.size is None), "both were compared, or neither"
            assert each.sha256 or not (entry.fetch or entry.members) or "# unverified" in text


def test_every_reader_has_a_card() -> None:
    cards = [card for card in map(load_card, card_names()) if card.kind == "benchmark"]
    assert {card.reader for card in cards} == set(known_readers())


def test_the_eleven_sets_are_probed_by_a_variant_of_their_card() -> None:
    probes = {name for name in card_names() if load_card(name).reader == "linear_probe_set"}
    assert probes == {f"{name}_probe" for name in ZERO_SHOT_METRICS}
    for name in ZERO_SHOT_METRICS:
        card, probe = load_card(name), load_card(f"{name}_probe", "benchmark")
        assert (probe.files, probe.options, probe.source) == (card.files, card.options, card.source)
        assert "Linear probe on" in probe.description
    assert load_card("cifar10_probe").counts == {"probe": 10000}
    assert load_card("sun397_probe").counts == {}
    with pytest.raises(MissingInputError, match="Did you mean 'cifar10_probe'"):
        load_card("cifar10_prob")
    with pytest.raises(MissingInputError, match="no card 'winoground_probe'"):
        load_card("winoground_probe")


TOY = '''
"""Captions of images, one file an image: `1.txt` holds the true caption and the false one."""
from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.registry import reader

class ToyOptions(Config):
    suffix: str = ".txt"

@reader("toy", ToyOptions)
def read_toy(card: Card, options: ToyOptions) -> Benchmark:
    files = sorted(card.file("captions").glob(f"*{options.suffix}"))
    images, positions = file_images(card.file("images"), [f"{path.stem}.png" for path in files])
    items = [ChoiceItem(path.stem, at, tuple(path.read_text().split("|"))) for path, at in zip(files, positions)]
    return Benchmark((ChoiceSet("toy", images, tuple(items)),))
'''

TOY_CARD = {
    "kind": "benchmark",
    "reader": "toy",
    "description": "a toy",
    "source": "here",
    "licence": "none",
    "revision": "1",
    "files": {"captions": {"path": "toy"}, "images": {"path": "toy"}},
}


def test_a_new_format_is_one_module_and_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "readers" / "toy_format.py", TOY)
    write(tmp_path / "cards" / "toy.yaml", {"name": "toy", **TOY_CARD})
    write(tmp_path / "data" / "toy" / "1.txt", "a cat|a dog")
    monkeypatch.setattr("degla.evaluate.readers.__path__", [*readers.__path__, str(tmp_path / "readers")])
    monkeypatch.setattr("degla.catalog.catalog_dir", lambda: tmp_path / "cards")
    monkeypatch.setenv("DEGLA_DATA", str(tmp_path / "data"))
    known_readers.cache_clear()
    try:
        (only,) = read("toy").sets
        with pytest.raises(ConfigError, match="unknown key 'sufix'; did you mean 'suffix'"):
            read("toy", {"sufix": ".md"})
    finally:
        readers.READERS.pop("toy", None)
        known_readers.cache_clear()
    assert isinstance(only, ChoiceSet)
    assert [(item.id, item.candidates) for item in only.items] == [("1", ("a cat", "a dog"))]
