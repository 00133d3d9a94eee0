"""Reading captions: what they mean, and whether they are true."""

import numpy as np
import pytest

from degla.miniworld.language import natural_caption
from degla.miniworld.scenes import COLOURS, NOUNS, PLACES, Scene, SceneObject, sample_scene
from degla.miniworld.truth import Meaning, Phrase, holds, judge, parse

# A small red striped ball, and to the right of it, two cells away, a big blue car, on grass.
BALL_AND_CAR = Scene(
    (
        SceneObject("ball", "red", "striped", "small", (1, 0)),
        SceneObject("car", "blue", "plain", "big", (1, 2)),
    ),
    "grass",
)

TRUE = [
    "a ball left of a car",
    "The red ball is to the left of a blue car on the grass.",
    "A navy auto to the right of a crimson SPHERE, in a meadow",
    "to the left of a car is a ball",
    "to the right of the small ball on the grass there is a huge car",
    "on the grass there is a tiny ball and a car",
    "a picture of a car with a ball on the lawn",
    "a ball on the grass is far from a car",
    "a ball is on the grass with a car",
    "a stripy red ball away from a solid car",
    "striped small red ball and car",
    "a car bigger than a ball",
    "a ball smaller than the large vehicle",
    "an object left of a car",
    "a scarlet orb and an enormous automobile",
    "a car",
]
FALSE = [
    "a car left of a ball",
    "a blue ball left of a red car",
    "a ball above a car",
    "a ball next to a car",
    "a ball near a car",
    "a ball bigger than a car",
    "a ball and a car on the sand",
    "a ball and a car at night",
    "a ball and a boat",
    "a ball and a zebra",
    "a red blue ball",
    "a grass left of a car on the ball",
    "a ball left of a car on the carpet",
    "a ball and a ball",
    "a dotted ball and a car",
    "on the moon a ball and a car",
    "to the left of a ball is a car",
    "a ball left of the grass in a blue car",
    "in a blue car a ball left of a small meadow",
    "a red orange left of a car",
    "a ball left of a blue orange on the grass",
]
UNREADABLE = [
    "",
    "red",
    "a red left of a car",
    "a shiny ball and a car",
    "a ball behind a car",
    "a ball not left of a car",
    "a ball and",
    "ball red a left car of",
    "a ball on the left car of a side",
    "a ball a car",
    "a ball on the green grass",
    "two balls and a car and a house",
]


@pytest.mark.parametrize("text", TRUE)
def test_true_captions(text: str):
    assert judge(text, BALL_AND_CAR) == "true"


@pytest.mark.parametrize("text", FALSE)
def test_false_captions(text: str):
    assert judge(text, BALL_AND_CAR) == "false"


@pytest.mark.parametrize("text", UNREADABLE)
def test_captions_that_cannot_be_read(text: str):
    assert judge(text, BALL_AND_CAR) == "unreadable"


def test_every_natural_caption_is_true_of_its_scene():
    rng = np.random.default_rng(0)
    for _ in range(2500):
        scene = sample_scene(rng, NOUNS, tuple(COLOURS), tuple(PLACES))
        caption = natural_caption(scene, rng)
        assert judge(caption.text, scene) == "true", caption
        assert judge(caption.text.upper().replace(" is ", ", is ") + ".", scene) == "true", caption


def test_a_caption_is_read_as_what_it_was_written_from():
    rng = np.random.default_rng(1)
    for _ in range(1000):
        caption = natural_caption(sample_scene(rng), rng)
        statement = caption.statement
        mentions = [statement.first, statement.second]
        expected = Meaning(
            tuple(Phrase(frozenset({m.noun}), frozenset(a for a in (m.size, m.texture, m.colour) if a)) for m in mentions),
            statement.relation,
            frozenset({statement.place} - {None}),
        )
        assert parse(caption.text) == expected


def test_a_caption_of_another_scene_is_mostly_false():
    rng = np.random.default_rng(2)
    scenes = [sample_scene(rng) for _ in range(300)]
    captions = [natural_caption(scene, rng).text for scene in scenes]
    verdicts = [judge(caption, scene) for caption, scene in zip(captions, scenes[1:], strict=False)]
    assert set(verdicts) <= {"true", "false"}
    assert verdicts.count("true") < 3


def test_truth_does_not_depend_on_the_order_of_the_objects():
    reversed_scene = Scene(BALL_AND_CAR.objects[::-1], BALL_AND_CAR.place)
    for text in TRUE + FALSE:
        meaning = parse(text)
        assert meaning is not None
        assert holds(meaning, BALL_AND_CAR) == holds(meaning, reversed_scene)
