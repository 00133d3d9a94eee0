"""Captions that nobody is asked about, and why."""

import pytest

from degla.generate.routing import unanswerable, unusable
from degla.text.tokens import tokenize

WORDS = "a red car stands beside a white house and a dog"  # 11 words, 13 tokens of CLIP with start and end

UNUSABLE = [
    ("", "empty: the caption is empty"),
    ("a dog\x07 on a mat", "control_characters: the caption has control characters"),
    (" ".join([WORDS] * 6), "too_long: the caption has 66 words, and a rewrite may have 60"),
    ("Un chat dort sur le lit", "not_english: the caption is in another language (fr)"),
]
USABLE = [
    "red car",
    "a dog",
    " ".join([WORDS] * 5),
    "A family 👨‍👩‍👧 on a red sofa",  # joined by invisible signs
    "A man in a réd hat rides a white horse",
]


@pytest.mark.parametrize(("caption", "reason"), UNUSABLE)
def test_a_caption_that_cannot_be_asked_says_why(caption: str, reason: str) -> None:
    assert unusable(caption, tokenize(caption)) == reason


@pytest.mark.parametrize("caption", USABLE)
def test_others_are_asked(caption: str) -> None:
    assert unusable(caption, tokenize(caption)) is None


def test_what_clip_does_not_read_to_its_end_is_not_asked() -> None:
    caption = " ".join(["an extraordinarily ornamented rhododendron-patterned zabaglione"] * 8)
    assert unusable(caption, tokenize(caption)) == "too_long: the caption has more than the 77 tokens that CLIP reads"


def test_a_type_without_its_words_is_not_asked() -> None:
    assert unanswerable(["AT0", "NN1"], "swap_nouns") == "needs 2 nouns, the caption has 1"
    assert unanswerable(["AT0", "NN1", "PRP", "AT0", "NN1"], "swap_nouns") is None
