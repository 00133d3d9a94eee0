"""Scenes of the mini world: what an image contains, how one is sampled and how it is drawn.

A 48x48 image is a 3x3 grid of 16-pixel cells and an object stays in its cell, so that one object is one patch of a ViT
with patch size 16. That alignment is what lets a CLIP learn this world in minutes on a CPU.
Knows nothing of captions.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from degla.miniworld import icons

IMAGE_SIZE = 48
GRID = 3
CELL = IMAGE_SIZE // GRID

Rgb = tuple[int, int, int]
T = TypeVar("T")

NOUNS: tuple[str, ...] = tuple(icons.ICONS)
SEEN_NOUNS, UNSEEN_NOUNS = NOUNS[:16], NOUNS[16:]
"""Fine-tuning data shows the seen nouns only; what happens to the others measures forgetting."""

COLOURS: dict[str, Rgb] = {
    "red": (214, 40, 40),
    "green": (50, 160, 60),
    "blue": (45, 85, 215),
    "yellow": (245, 215, 50),
    "white": (248, 248, 248),
    "black": (45, 45, 45),
    "orange": (245, 135, 30),
    "purple": (125, 50, 165),
    "pink": (250, 140, 190),
    "brown": (125, 75, 35),
    "gray": (135, 135, 135),
    "teal": (30, 175, 175),
}
SEEN_COLOURS = tuple(COLOURS)[:7]

Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Coordinates (x, y) to a boolean array: where the second of two colours shows."""


def _plain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.zeros(np.broadcast(x, y).shape, dtype=bool)


TEXTURES: dict[str, Pattern] = {
    "plain": _plain,
    "striped": lambda x, y: (x + y) % 6 < 3,
    "dotted": lambda x, y: (x % 4 < 2) & (y % 4 < 2),
    "checkered": lambda x, y: (x // 4 + y // 4) % 2 == 0,
}
_EXTRA_PLAIN = 0.4  # probability of plain before the draw is uniform

SIZES: dict[str, tuple[tuple[int, int], float]] = {
    "small": ((9, 10), 1.2),
    "big": ((13, 14), 0.6),
}
"""Size name to (possible widths in pixels, largest shift of the centre in pixels)."""


@dataclass(frozen=True)
class Ground:
    """The look of a place: `mark` where the pattern holds, `base` elsewhere."""

    mark: Rgb
    base: Rgb
    pattern: Pattern


PLACES: dict[str, Ground] = {
    "grass": Ground((95, 165, 70), (135, 195, 95), lambda x, y: ((7 * x + 3 * y) % 11 < 4) & (y % 5 < 3)),
    "sand": Ground((215, 190, 130), (232, 212, 160), lambda x, y: (5 * x + 9 * y) % 13 < 3),
    "water": Ground((150, 205, 240), (105, 170, 225), lambda x, y: (y + np.round(1.5 * np.sin(x / 2.5))) % 8 < 2),
    "road": Ground((225, 215, 140), (105, 105, 112), lambda x, y: (y % 24 < 3) & (x % 12 < 7)),
    "snow": Ground((205, 220, 235), (236, 242, 250), lambda x, y: (3 * x + 7 * y) % 17 < 3),
    "night": Ground((240, 240, 200), (52, 56, 120), lambda x, y: (11 * x + 17 * y) % 61 < 1),
    "brick": Ground((205, 190, 180), (165, 75, 60), lambda x, y: (y % 8 < 1) | ((x + (y // 8) % 2 * 6) % 12 < 1)),
    "wood": Ground((120, 80, 45), (190, 140, 90), lambda x, y: (y % 10 < 1) | ((x + 17 * (y // 10)) % 29 < 1)),
}
SEEN_PLACES = tuple(PLACES)[:4]

_PAPER = 245.0
_MAX_GROUND_SHIFT = 64


@dataclass(frozen=True)
class Style:
    """How a scene is rendered: pixel noise (standard deviation, of 255), and whether it is a pale drawing on paper."""

    noise: float
    drawing: bool = False


STYLES: dict[str, Style] = {
    "photo": Style(noise=6.0),
    "grainy": Style(noise=30.0),
    "sketch": Style(noise=6.0, drawing=True),
}
# A constant outline is the same edge for every fill. With outlines that depended on the colour, nouns were not learned.
_OUTLINE: Rgb = (12, 12, 12)
_DRAWING_OUTLINE: Rgb = (60, 60, 60)
_DRAWING_INK = 0.35  # share of the object's colour in a drawing, the rest is paper


@dataclass(frozen=True)
class SceneObject:
    """One object; `cell` is (row, column) in the grid, each 0..2."""

    noun: str
    colour: str
    texture: str
    size: str
    cell: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """Everything an image shows. `place` is None on plain paper; `seed` decides jitter, mirroring, light and noise."""

    objects: tuple[SceneObject, ...]
    place: str | None
    style: str = "photo"
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON types, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Scene":
        """The scene that `to_json` wrote, also after a trip through JSON text."""
        objects = tuple(SceneObject(**{**item, "cell": tuple(item["cell"])}) for item in data["objects"])
        return cls(objects, data["place"], data["style"], data["seed"])


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of `options`, uniformly; much cheaper than `rng.choice` and keeps the Python type."""
    return options[int(rng.integers(len(options)))]


def _sample_texture(rng: np.random.Generator) -> str:
    return "plain" if rng.random() < _EXTRA_PLAIN else pick(rng, tuple(TEXTURES))


def _sample_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def sample_scene(
    rng: np.random.Generator,
    nouns: Sequence[str] = SEEN_NOUNS,
    colours: Sequence[str] = SEEN_COLOURS,
    places: Sequence[str | None] = SEEN_PLACES,
    style: str = "photo",
) -> Scene:
    """Two objects of different noun and colour in one row or column. The defaults are the fine-tuning data."""
    near, far = pick(rng, ((0, 1), (1, 2), (0, 2)))
    line = int(rng.integers(GRID))
    cells = [(line, near), (line, far)] if rng.random() < 0.5 else [(near, line), (far, line)]
    if rng.random() < 0.5:
        cells.reverse()
    first_noun, first_colour = pick(rng, nouns), pick(rng, colours)
    second_noun = pick(rng, [noun for noun in nouns if noun != first_noun])
    second_colour = pick(rng, [colour for colour in colours if colour != first_colour])
    objects = tuple(
        SceneObject(noun, colour, _sample_texture(rng), pick(rng, tuple(SIZES)), cell)
        for noun, colour, cell in zip((first_noun, second_noun), (first_colour, second_colour), cells, strict=True)
    )
    return Scene(objects, pick(rng, places), style, _sample_seed(rng))


def sample_single(
    rng: np.random.Generator,
    places: Sequence[str | None] = tuple(PLACES),
    style: str = "photo",
    num_copies: int = 1,
) -> Scene:
    """One object of any noun and colour, or several identical ones in different cells."""
    noun, colour = pick(rng, NOUNS), pick(rng, tuple(COLOURS))
    texture, size = _sample_texture(rng), pick(rng, tuple(SIZES))
    cells = [divmod(int(cell), GRID) for cell in rng.permutation(GRID * GRID)[:num_copies]]
    objects = tuple(SceneObject(noun, colour, texture, size, cell) for cell in cells)
    return Scene(objects, pick(rng, places), style, _sample_seed(rng))


def render(scene: Scene) -> np.ndarray:
    """The image of a scene, uint8 (48, 48, 3). The same scene always gives the same pixels."""
    rng = np.random.default_rng(scene.seed)
    style = STYLES[scene.style]
    margin = 2  # a big object may reach a pixel or two beyond the canvas
    canvas = np.pad(_ground(rng, None if style.drawing else scene.place), ((margin,) * 2, (margin,) * 2, (0, 0)))
    for item in scene.objects:
        _draw(canvas, item, style, margin, rng)
    image = canvas[margin:-margin, margin:-margin] * rng.uniform(0.88, 1.08)
    image += rng.standard_normal(image.shape, dtype=np.float32) * style.noise
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def _ground(rng: np.random.Generator, place: str | None) -> np.ndarray:
    """The empty image, float32 (48, 48, 3)."""
    y, x = rng.integers(_MAX_GROUND_SHIFT, size=2)
    if place is None:
        return np.full((IMAGE_SIZE, IMAGE_SIZE, 3), _PAPER, dtype=np.float32)
    return _wide_ground(place)[y : y + IMAGE_SIZE, x : x + IMAGE_SIZE]


@lru_cache
def _wide_ground(place: str) -> np.ndarray:
    """A place large enough to cut an image out of it at any shift."""
    ground = PLACES[place]
    y, x = np.mgrid[: IMAGE_SIZE + _MAX_GROUND_SHIFT, : IMAGE_SIZE + _MAX_GROUND_SHIFT]
    return np.where(ground.pattern(x, y)[..., None], np.array(ground.mark, np.float32), np.array(ground.base, np.float32))


def _draw(canvas: np.ndarray, item: SceneObject, style: Style, margin: int, rng: np.random.Generator) -> None:
    """Paints an object into `canvas` in place: the outline's colour first, the fill over it."""
    widths, jitter = SIZES[item.size]
    fill, outlined = icons.mask(item.noun, pick(rng, widths), bool(rng.random() < 0.5))
    size = len(fill)
    centre = (np.array(item.cell) + 0.5) * CELL + rng.uniform(-jitter, jitter, size=2)
    top, left = np.round(centre - size / 2).astype(int) + margin
    region = canvas[top : top + size, left : left + size]
    outline = np.array(_DRAWING_OUTLINE if style.drawing else _OUTLINE, np.float32)
    paint = _textured(item.colour, item.texture, size)
    if style.drawing:
        paint = _DRAWING_INK * paint + (1 - _DRAWING_INK) * np.array(_PAPER, np.float32)
    region += outlined[..., None] * (outline - region)
    region += fill[..., None] * (paint - region)


@lru_cache(maxsize=512)
def _textured(colour: str, texture: str, size: int) -> np.ndarray:
    """A square of the texture, float32 (size, size, 3): bright colours are patterned darker, dark ones lighter."""
    base = np.array(COLOURS[colour], np.float32)
    luminance = base @ np.array([0.299, 0.587, 0.114], np.float32)
    second = base * 0.45 if luminance > 110 else base + (255 - base) * 0.6
    y, x = np.mgrid[:size, :size]
    return np.where(TEXTURES[texture](x, y)[..., None], second, base).astype(np.float32)
