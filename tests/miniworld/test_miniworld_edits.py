"""Negatives of the world's own kinds: never true, and false wherever they can be read."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from degla.miniworld.edits import (
    ORDER_PERTURBATIONS,
    Reordering,
    Words,
    false_edit,
    negatives,
    reorder,
    replace_attribute,
    swap_attribute,
    swap_nouns,
)
from degla.miniworld.language import Caption, Mention, Statement, natural_caption
from degla.miniworld.scenes import SEEN_NOUNS, UNSEEN_NOUNS, Scene, sample_scene
from degla.miniworld.truth import judge


def _pairs(count: int, seed: int = 0) -> Iterator[tuple[Scene, Caption, np.random.Generator]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        scene = sample_scene(rng)
        yield scene, natural_caption(scene, rng), rng


def _counted(text: str) -> Counter[str]:
    """The words of a text, "an" counted as "a"."""
    return Counter("a" if word == "an" else word for word in text.split())


def test_no_negative_is_true_and_only_reshuffled_ones_are_unreadable():
    verdicts = Counter()
    for scene, caption, rng in _pairs(500):
        made = negatives(caption, scene, rng)
        assert len({text for _, text in made} | {caption.text}) == 5
        verdicts.update((kind, judge(text, scene)) for kind, text in made)
    assert {kind for kind, _ in verdicts} == {
        "reshuffle",
        "swap_nouns",
        "swap_adjectives",
        "replace_nouns",
        "replace_adjectives",
    }
    assert {key for key in verdicts if key[1] != "false"} <= {("reshuffle", "unreadable")}


def test_swaps_keep_the_words_and_replacements_change_one():
    for scene, caption, rng in _pairs(300):
        for kind, distance in (("swap_nouns", 0), ("swap_attribute", 0), ("replace_noun", 1), ("replace_attribute", 1)):
            text = false_edit(kind, caption, scene, rng)
            if text is not None:
                words, edited = _counted(caption.text), _counted(text)
                assert words.total() == edited.total()
                assert (words - edited).total() == distance, (caption.text, text)


def test_swapping_twice_gives_the_statement_back():
    rng = np.random.default_rng(0)
    statement = Statement(Mention("ball", colour="red"), Mention("car", colour="blue"), "left")
    for swap in (swap_nouns, swap_attribute):
        swapped = swap(statement, rng, Words())
        assert swapped is not None
        assert swapped != statement
        assert swap(swapped, rng, Words()) == statement


def test_an_attribute_mentioned_once_or_alike_cannot_be_swapped():
    rng = np.random.default_rng(0)
    alike = Statement(Mention("ball", size="big", colour="red"), Mention("car", size="big"))
    assert swap_attribute(alike, rng, Words()) is None


def test_a_replaced_colour_is_never_that_of_the_other_object():
    rng = np.random.default_rng(0)
    statement = Statement(Mention("ball", colour="red"), Mention("car", colour="blue"))
    for _ in range(200):
        edited = replace_attribute(statement, rng, Words())
        assert edited is not None
        colours = {edited.first.colour, edited.second.colour}
        assert len(colours) == 2
        assert colours != {"red", "blue"}


def test_replacements_take_the_words_they_are_given():
    for scene, caption, rng in _pairs(100):
        text = false_edit("replace_noun", caption, scene, rng, Words(UNSEEN_NOUNS[:1]))
        assert text is not None
        assert {"arrow", "pointer"} & set(text.split())
    assert "arrow" not in SEEN_NOUNS


def test_a_swap_that_leaves_the_caption_true_is_refused():
    scene = sample_scene(np.random.default_rng(0))
    first, second = scene.objects
    caption = Caption(Statement(Mention(first.noun), Mention(second.noun)), seed=0)
    assert false_edit("swap_nouns", caption, scene, np.random.default_rng(0)) is None


@pytest.mark.parametrize("perturbation", ORDER_PERTURBATIONS)
def test_order_perturbations_keep_the_words_and_are_not_true(perturbation: Reordering):
    for scene, caption, rng in _pairs(100):
        text = reorder(caption.text, perturbation, scene, rng)
        if text is not None:
            assert _counted(text) == _counted(caption.text)
            assert text != caption.text
            assert judge(text, scene) != "true"
