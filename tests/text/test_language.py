"""Which captions are not English: sentences in 17 languages, and captions by people, of which none may be taken for foreign."""

import csv
import json
from pathlib import Path

import pytest

from degla.text.language import foreign_language

SHARED = Path(__file__).resolve().parents[3] / "shared"

FOREIGN = {
    "de": "Zwei Kinder mit einem roten Ball am Strand",
    "fr": "Un chat sur un sofa",
    "es": "Hotel con piscina y palmeras",
    "it": "Un gatto dorme sul divano",
    "pt": "Dois carros em uma rua",
    "nl": "Een bord met pasta en brood",
    "sv": "Två män spelar tennis",
    "pl": "Czerwony samochód obok domu",
    "tr": "Kırmızı elbiseli kadın",
    "fi": "Punainen auto talon vieressä",
    "id": "Dua anak bermain bola di pantai",
    "ro": "Un câine în parc",
    "ru": "Собака в парке",
    "zh": "两个男人在打网球",
    "ja": "ソファの上で寝ている猫",
    "hu": "Egy kutya a parkban",
    "ar": "صبي يرتدي قبعة حمراء يرمي كرة إلى كلب أبيض",
}
ENGLISH = [
    "a dog",
    "sofa",
    "red car",
    "A vent erupts lava.",
    "A man grills a chicken.",
    "A wool hat on a marble bust",
    "Sushi, ramen and gyoza",
    "Le Creuset casserole in volcanic orange",
    "Angela Merkel visits Berlin",
    "Boeing 747 of Lufthansa",
    "A MAN RIDES A WHITE HORSE",
    "a fighter het flying up in the air",
    "3.50",
    "😀",
    "",
]


@pytest.mark.parametrize(("code", "text"), FOREIGN.items())
def test_another_language_is_found(code: str, text: str) -> None:
    assert foreign_language(text) == code


@pytest.mark.parametrize("text", ENGLISH)
def test_english_and_what_is_not_sure_is_english(text: str) -> None:
    assert foreign_language(text) is None


def test_no_caption_of_coco_is_foreign() -> None:
    path = SHARED / "data" / "coco_captions_val2017" / "captions_val2017.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    captions = [each["caption"] for each in json.loads(path.read_text())["annotations"]]
    assert [text for text in captions if foreign_language(text)] == []


def test_the_captions_of_the_case_are_foreign() -> None:
    path = SHARED / "cases" / "19-other-languages" / "captions.tsv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["caption"] for row in rows if foreign_language(row["caption"]) is None] == []
