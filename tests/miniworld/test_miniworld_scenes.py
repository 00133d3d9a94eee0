"""Scenes: what sampling promises, and that drawing is a function of the scene."""

import json
from dataclasses import replace

import numpy as np
import pytest

from degla.miniworld.icons import mask
from degla.miniworld.scenes import (
    CELL,
    NOUNS,
    PLACES,
    SEEN_COLOURS,
    SEEN_NOUNS,
    SEEN_PLACES,
    STYLES,
    UNSEEN_NOUNS,
    Scene,
    SceneObject,
    render,
    sample_scene,
    sample_single,
)


def _scenes(count: int, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(count)]


def test_the_same_scene_is_drawn_the_same_and_another_seed_differs():
    scene = _scenes(1)[0]
    image = render(scene)
    assert image.dtype == np.uint8
    assert image.shape == (48, 48, 3)
    assert np.array_equal(image, render(scene))
    assert not np.array_equal(image, render(replace(scene, seed=scene.seed + 1)))


@pytest.mark.parametrize("style", STYLES)
def test_a_scene_survives_json_text_and_is_drawn_the_same(style: str):
    scene = sample_single(np.random.default_rng(3), style=style, num_copies=4)
    restored = Scene.from_json(json.loads(json.dumps(scene.to_json())))
    assert restored == scene
    assert np.array_equal(render(restored), render(scene))


def test_two_objects_differ_in_noun_and_colour_and_share_a_row_or_a_column():
    for scene in _scenes(500):
        first, second = scene.objects
        assert first.noun != second.noun
        assert first.colour != second.colour
        assert (first.cell[0] == second.cell[0]) != (first.cell[1] == second.cell[1])


def test_fine_tuning_scenes_show_seen_things_only():
    scenes = _scenes(500)
    objects = [item for scene in scenes for item in scene.objects]
    assert {item.noun for item in objects} == set(SEEN_NOUNS)
    assert {item.colour for item in objects} == set(SEEN_COLOURS)
    assert {scene.place for scene in scenes} == set(SEEN_PLACES)
    assert not set(SEEN_NOUNS) & set(UNSEEN_NOUNS)


def test_copies_are_identical_objects_in_different_cells():
    scene = sample_single(np.random.default_rng(0), num_copies=6)
    assert len({item.cell for item in scene.objects}) == 6
    assert len({replace(item, cell=(0, 0)) for item in scene.objects}) == 1


def test_an_object_changes_the_pixels_around_its_cell_only():
    # The patch alignment of the world: whatever the jitter, an object reaches at most two pixels into other cells.
    for seed in range(50):
        empty = Scene((), "grass", "photo", seed)
        item = SceneObject("box", "red", "plain", "big", (1, 1))
        with_box, without = (render(replace(empty, objects=objects)).astype(int) for objects in ((item,), ()))
        # The noise of the two differs, so compare what a noise of 6 cannot explain.
        rows, columns = np.nonzero(np.abs(with_box - without).max(2) > 90)
        assert min(rows.min(), columns.min()) >= CELL - 2
        assert max(rows.max(), columns.max()) < 2 * CELL + 2


def test_icons_are_all_different():
    fills = [mask(noun, 14, flipped)[0].tobytes() for noun in NOUNS for flipped in (False,)]
    assert len(set(fills)) == len(NOUNS)


def test_an_outline_surrounds_the_fill():
    fill, outlined = mask("ball", 13, False)
    assert fill.shape == outlined.shape == (15, 15)
    assert (outlined >= fill).all()
    assert outlined.sum() > fill.sum()


def test_places_look_different_from_each_other():
    means = {place: render(Scene((), place, "photo", 0)).mean((0, 1)) for place in PLACES}
    for place, colour in means.items():
        assert all(np.abs(colour - other).max() > 8 for name, other in means.items() if name != place)
