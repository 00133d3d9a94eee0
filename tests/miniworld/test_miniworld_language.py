"""Captions: grammar, articles, determinism; class prompts; the vocabulary and its encoding."""

import re

import numpy as np

from degla.miniworld.language import (
    CLASSES,
    CONTEXT_LENGTH,
    END,
    START,
    UNKNOWN,
    VOCABULARY,
    Mention,
    Statement,
    class_prompts,
    encode,
    natural_caption,
    relations,
    tidy,
    web_caption,
    words_of,
    write,
)
from degla.miniworld.scenes import COLOURS, NOUNS, PLACES, SceneObject, sample_scene, sample_single

CONVERSES = {
    "left": "right",
    "right": "left",
    "above": "below",
    "below": "above",
    "near": "near",
    "far": "far",
    "bigger": "smaller",
    "smaller": "bigger",
}


def _captions(count: int) -> list[str]:
    rng = np.random.default_rng(1)
    return [natural_caption(sample_scene(rng, NOUNS, tuple(COLOURS), tuple(PLACES)), rng).text for _ in range(count)]


def test_articles_fit_the_next_word():
    texts = _captions(2000) + [prompt for name in NOUNS for prompt in class_prompts("noun", name)]
    for text in texts:
        assert not re.search(r"\ba [aeiou]", text), text
        assert not re.search(r"\ban [^aeiou]", text), text
    assert any(" an " in text for text in texts)
    assert tidy("a orange  ball and an box above a apple") == "an orange ball and a box above an apple"


def test_captions_have_5_to_19_words_and_use_known_words_only():
    lengths = [len(words_of(text)) for text in _captions(2000)]
    assert min(lengths) >= 5
    assert max(lengths) <= 19
    assert 11 < np.mean(lengths) < 13
    rng = np.random.default_rng(2)
    texts = _captions(500) + [web_caption(sample_single(rng, num_copies=4), rng) for _ in range(500)]
    texts += [prompt for kind, names in CLASSES.items() for name in names for prompt in class_prompts(kind, name)]
    assert {word for text in texts for word in words_of(text)} <= set(VOCABULARY)


def test_writing_is_a_function_of_statement_and_seed():
    statement = Statement(Mention("ball", colour="red"), Mention("car", size="big"), "left", "grass")
    assert write(statement, 7) == write(statement, 7)
    assert len({write(statement, seed) for seed in range(100)}) > 40


def test_captions_of_one_seed_differ_in_the_edited_words_only():
    first, second = Mention("ball", colour="red"), Mention("car", colour="blue")
    for seed in range(100):
        caption = write(Statement(first, second, "left", "road"), seed).split()
        swapped = write(Statement(Mention("car", colour="red"), Mention("ball", colour="blue"), "left", "road"), seed)
        assert sorted(caption) == sorted(swapped.split())
        assert sum(a != b for a, b in zip(caption, swapped.split(), strict=True)) == 2


def test_synonyms_of_different_things_are_chosen_independently():
    statement = Statement(Mention("ball", colour="red"), Mention("cup", colour="blue"))
    pairs = {("crimson" in text, "mug" in text) for text in (write(statement, seed) for seed in range(60))}
    assert len(pairs) == 4


def test_relations_are_those_of_the_grid():
    big, small = (
        SceneObject("ball", "red", "plain", "big", (0, 0)),
        SceneObject("car", "blue", "plain", "small", (0, 2)),
    )
    assert relations(big, small) == ("left", "far", "bigger")
    assert relations(small, big) == tuple(CONVERSES[relation] for relation in relations(big, small))
    under = SceneObject("car", "blue", "plain", "big", (1, 0))
    assert relations(under, big) == ("below", "near")


def test_every_class_has_prompts_that_name_it():
    for kind, names in CLASSES.items():
        prompts = [set(class_prompts(kind, name)) for name in names]
        assert sum(map(len, prompts)) == len(set.union(*prompts)), f"two classes of {kind} share a prompt"


def test_encoding_frames_pads_and_truncates():
    assert VOCABULARY[-1] == END
    short, long, odd = encode(["Red ball!", "ball " * 30, "zebra"])
    assert [VOCABULARY[i] for i in short[:4]] == [START, "red", "ball", END]
    assert (short[4:] == 0).all()
    assert len(long) == CONTEXT_LENGTH
    assert long.argmax() == CONTEXT_LENGTH - 1
    assert VOCABULARY[odd[1]] == UNKNOWN
