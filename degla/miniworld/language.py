"""How a scene is put into words: natural captions, web captions, class prompts, and the vocabulary.

A natural caption goes through a `Statement`, the things it says, and `write`, the words it says them in. Which synonyms
and which sentence pattern `write` takes depends on a seed only, so two statements written with one seed differ only
where they say something different. Reading captions back is the work of `truth`.
Knows nothing of images or models.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from degla.miniworld.scenes import COLOURS, NOUNS, PLACES, SIZES, TEXTURES, Scene, SceneObject, pick

_NOUN_SYNONYMS: dict[str, tuple[str, ...]] = {
    "ball": ("sphere",),
    "car": ("auto",),
    "house": ("cottage",),
    "cup": ("mug",),
    "boat": ("ship",),
    "hat": ("cap",),
    "box": ("crate",),
    "flower": ("blossom",),
    "moon": ("crescent",),
    "arrow": ("pointer",),
    "ring": ("hoop",),
    "umbrella": ("parasol",),
    "mushroom": ("toadstool",),
    "butterfly": ("moth",),
    "bottle": ("flask",),
    "rocket": ("spaceship",),
    "chair": ("seat",),
}
_ADJECTIVE_SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("crimson",),
    "blue": ("navy",),
    "purple": ("violet",),
    "gray": ("grey",),
    "teal": ("turquoise",),
    "plain": ("solid",),
    "striped": ("stripy",),
    "dotted": ("spotted",),
    "checkered": ("checked",),
    "small": ("little", "tiny"),
    "big": ("large", "huge"),
}

NOUN_WORDS: dict[str, tuple[str, ...]] = {noun: (noun, *_NOUN_SYNONYMS.get(noun, ())) for noun in NOUNS}
"""Noun to the words for it, the plain one first; likewise below."""

ADJECTIVE_WORDS: dict[str, tuple[str, ...]] = {
    adjective: (adjective, *_ADJECTIVE_SYNONYMS.get(adjective, ())) for adjective in (*SIZES, *TEXTURES, *COLOURS)
}
"""Sizes, textures and colours: their names are distinct, so an adjective tells its own kind."""

PLACE_PHRASES: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "in a meadow"),
    "sand": ("on the sand", "at the beach"),
    "water": ("on the water", "at sea"),
    "road": ("on the road", "in the street"),
    "snow": ("in the snow", "on the ice"),
    "night": ("at night", "in the dark"),
    "brick": ("by a brick wall", "against the bricks"),
    "wood": ("on the wooden floor", "on the planks"),
}
_PLACE_TAGS: dict[str, tuple[str, ...]] = {
    "grass": ("grass", "meadow"),
    "sand": ("sand", "beach"),
    "water": ("water", "sea"),
    "road": ("road", "street"),
    "snow": ("snow", "ice"),
    "night": ("night", "dark"),
    "brick": ("brick", "bricks"),
    "wood": ("wooden", "planks"),
}
RELATION_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "on the left side of"),
    "right": ("to the right of", "right of", "on the right side of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "near": ("next to", "beside"),
    "far": ("far from", "away from"),
    "bigger": ("bigger than", "larger than"),
    "smaller": ("smaller than",),
}
_STYLE_TAGS: dict[str, tuple[str, ...]] = {
    "photo": ("photo", "picture"),
    "grainy": ("grainy", "noisy"),
    "sketch": ("sketch", "drawing"),
}
_FILLER = ("sale", "free", "new", "best", "cheap", "shop", "online", "buy")
_JOINERS = ("and", "and", "and", "with", "with")


@dataclass(frozen=True)
class Mention:
    """What a caption says of one object; a field that is None is not mentioned."""

    noun: str
    size: str | None = None
    texture: str | None = None
    colour: str | None = None


@dataclass(frozen=True)
class Statement:
    """What a natural caption says: two objects, perhaps how they lie to each other, perhaps the place."""

    first: Mention
    second: Mention
    relation: str | None = None
    place: str | None = None


def relations(first: SceneObject, second: SceneObject) -> tuple[str, ...]:
    """Every relation that holds from `first` to `second`."""
    (row, column), (other_row, other_column) = first.cell, second.cell
    found = []
    if row == other_row:
        found.append("left" if column < other_column else "right")
    if column == other_column:
        found.append("above" if row < other_row else "below")
    found.append("near" if abs(row - other_row) + abs(column - other_column) == 1 else "far")
    if first.size != second.size:
        found.append("bigger" if first.size == "big" else "smaller")
    return tuple(found)


def mention_in_full(item: SceneObject) -> Mention:
    """All that can be said of one object."""
    return Mention(item.noun, item.size, item.texture, item.colour)


def _mention(item: SceneObject, rng: np.random.Generator) -> Mention:
    draw = rng.random()
    return Mention(
        item.noun,
        size=item.size if draw < 0.3 else None,
        texture=item.texture if 0.3 <= draw < 0.6 else None,
        colour=item.colour if rng.random() < 0.85 else None,
    )


def _choose_relation(first: SceneObject, second: SceneObject, rng: np.random.Generator) -> str | None:
    position, distance, *size = relations(first, second)
    draw = rng.random()
    if draw < 0.12:
        return None
    if draw < 0.12 + 0.88 * 0.35:
        return pick(rng, size or [distance])
    return position


def describe(scene: Scene, rng: np.random.Generator) -> Statement:
    """Chooses what a natural caption of a two-object scene says."""
    first, second = scene.objects if rng.random() < 0.5 else scene.objects[::-1]
    return Statement(
        _mention(first, rng),
        _mention(second, rng),
        _choose_relation(first, second, rng),
        scene.place if rng.random() < 0.55 else None,
    )


class _Wording:
    """The choices of words one seed makes: the same slot and the same options give the same choice."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def choose(self, slot: str, options: Sequence[str]) -> str:
        digest = hashlib.blake2b(f"{self._seed}/{slot}".encode(), digest_size=8).digest()
        return options[int.from_bytes(digest, "little") % len(options)]

    def noun(self, mention: Mention, slot: str) -> str:
        """The noun phrase of a mention; the article belongs to the slot, the synonyms to the concepts."""
        determiner = self.choose(f"article of {slot}", ("a", "a", "a", "the"))
        adjectives = [
            self.choose(adjective, ADJECTIVE_WORDS[adjective])
            for adjective in (mention.size, mention.texture, mention.colour)
            if adjective is not None
        ]
        return " ".join([determiner, *adjectives, self.choose(mention.noun, NOUN_WORDS[mention.noun])])

    def relation(self, relation: str | None, verb: str) -> str:
        if relation is None:
            return self.choose("joiner", _JOINERS)
        return verb + self.choose(relation, RELATION_PHRASES[relation])

    def place(self, place: str | None) -> str:
        return "" if place is None else self.choose(place, PLACE_PHRASES[place])


def write(statement: Statement, seed: int) -> str:
    """The caption that makes a statement, lower-case and without punctuation; `seed` chooses pattern and synonyms."""
    wording = _Wording(seed)
    pattern = wording.choose(
        "pattern",
        ("{core} {place}", "{place} {core}", "there is {core} {place}", "a {photo} of {core} {place}")
        + ("we see {core} {place}", "here {core} {place}"),
    )
    may_have_verb = pattern in ("{core} {place}", "here {core} {place}")
    verb = "is " if may_have_verb and wording.choose("verb", ("is", "")) else ""
    core = " ".join(
        (
            wording.noun(statement.first, "first"),
            wording.relation(statement.relation, verb),
            wording.noun(statement.second, "second"),
        )
    )
    photo = wording.choose("photo", ("photo", "picture"))
    return tidy(pattern.format(core=core, place=wording.place(statement.place), photo=photo))


@dataclass(frozen=True)
class Caption:
    """A natural caption: what it says and the seed its words are chosen with."""

    statement: Statement
    seed: int

    @property
    def text(self) -> str:
        """The caption itself."""
        return write(self.statement, self.seed)


def natural_caption(scene: Scene, rng: np.random.Generator) -> Caption:
    """A random true sentence about a two-object scene."""
    return Caption(describe(scene, rng), int(rng.integers(2**31)))


def bare_caption(first: str, relation: str, second: str) -> str:
    """Only two nouns and a position: "a ball left of a car"."""
    phrase = {"left": "left of", "right": "right of"}.get(relation, relation)
    return tidy(f"a {first} {phrase} a {second}")


def tidy(text: str) -> str:
    """Single spaces, and "a" or "an" as the next word wants it."""
    words = text.split()
    for i, (word, following) in enumerate(zip(words, words[1:], strict=False)):
        if word in ("a", "an"):
            words[i] = "an" if following[0] in "aeiou" else "a"
    return " ".join(words)


def web_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption as found on the web: keywords in loose order, some irrelevant, with little grammar."""
    items = [_keywords(item, rng) for item in dict.fromkeys(mention_in_full(item) for item in scene.objects)]
    extras = []
    if scene.place is not None and rng.random() < 0.5:
        tags = PLACE_PHRASES if rng.random() < 0.5 else _PLACE_TAGS
        extras.append(pick(rng, tags[scene.place]))
    if rng.random() < 0.35:
        extras.append(pick(rng, _STYLE_TAGS[scene.style]))
    if rng.random() < 0.25:
        extras.append(pick(rng, _FILLER))
    if len(items) == 1 and rng.random() < 0.25:
        return tidy(" ".join([f"a {pick(rng, ('photo', 'picture'))} of a {items[0]}", *extras]))
    return _jumble(items + extras, rng)


def _keywords(mention: Mention, rng: np.random.Generator) -> str:
    words = [
        pick(rng, ADJECTIVE_WORDS[adjective])
        for adjective, probability in ((mention.size, 0.25), (mention.texture, 0.4), (mention.colour, 0.6))
        if rng.random() < probability and adjective
    ]
    return " ".join([*words, pick(rng, NOUN_WORDS[mention.noun])])


def _jumble(groups: list[str], rng: np.random.Generator) -> str:
    """The groups in random order, and sometimes all their words."""
    shuffled = [groups[i] for i in rng.permutation(len(groups))]
    if rng.random() < 0.4:
        words = " ".join(shuffled).split()
        shuffled = [words[i] for i in rng.permutation(len(words))]
    return " ".join(shuffled)


PROMPT_TEMPLATES = ("a photo of a {}", "a picture of a {}", "a {}", "{}", "there is a {}", "we see a {}")

CLASSES: dict[str, tuple[str, ...]] = {
    "noun": NOUNS,
    "colour": tuple(COLOURS),
    "place": tuple(PLACES),
    "texture": tuple(TEXTURES),
}
"""What images are classified by, and the classes in order."""


def class_prompts(kind: str, name: str) -> list[str]:
    """Texts for one class, whose mean embedding is its classifier.

    A noun is asked for in every template and synonym. The other kinds describe objects, so they are asked for with
    every noun.
    """
    if kind == "noun":
        return [tidy(template.format(word)) for word in NOUN_WORDS[name] for template in PROMPT_TEMPLATES]
    if kind == "place":
        return [
            tidy(f"{PROMPT_TEMPLATES[i % len(PROMPT_TEMPLATES)].format(noun)} {phrase}")
            for i, noun in enumerate(NOUNS)
            for phrase in PLACE_PHRASES[name]
        ]
    return [
        tidy(PROMPT_TEMPLATES[i % len(PROMPT_TEMPLATES)].format(f"{word} {noun}"))
        for i, noun in enumerate(NOUNS)
        for word in ADJECTIVE_WORDS[name]
    ]


def random_class_prompt(kind: str, name: str, rng: np.random.Generator) -> str:
    """One random text of `class_prompts`, without making them all."""
    template = pick(rng, PROMPT_TEMPLATES)
    if kind == "noun":
        return tidy(template.format(pick(rng, NOUN_WORDS[name])))
    noun = pick(rng, NOUNS)
    if kind == "place":
        return tidy(f"{template.format(noun)} {pick(rng, PLACE_PHRASES[name])}")
    return tidy(template.format(f"{pick(rng, ADJECTIVE_WORDS[name])} {noun}"))


CONTEXT_LENGTH = 20
PAD, START, UNKNOWN, END = "<pad>", "<start>", "<unknown>", "<end>"


def _vocabulary() -> tuple[str, ...]:
    tables = (NOUN_WORDS, ADJECTIVE_WORDS, PLACE_PHRASES, _PLACE_TAGS, RELATION_PHRASES, _STYLE_TAGS)
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    phrases += [*_FILLER, *_JOINERS, *PROMPT_TEMPLATES, "a an the is there here we see", "photo picture of"]
    words = {word for phrase in phrases for word in phrase.split() if word != "{}"}
    return (PAD, START, UNKNOWN, *sorted(words), END)


VOCABULARY: tuple[str, ...] = _vocabulary()
"""Token id to word. The end token has the last id, because open_clip pools a text at its highest id."""

_TOKEN_IDS = {word: i for i, word in enumerate(VOCABULARY)}


def words_of(text: str) -> list[str]:
    """The lower-case words of a text, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


def encode(texts: Sequence[str]) -> np.ndarray:
    """Token ids, int64 (num_texts, CONTEXT_LENGTH), as the tokenizer in the model folder gives them."""
    ids = np.full((len(texts), CONTEXT_LENGTH), _TOKEN_IDS[PAD], dtype=np.int64)
    for row, text in zip(ids, texts, strict=True):
        words = [_TOKEN_IDS.get(word, _TOKEN_IDS[UNKNOWN]) for word in words_of(text)[: CONTEXT_LENGTH - 2]]
        row[: len(words) + 2] = [_TOKEN_IDS[START], *words, _TOKEN_IDS[END]]
    return ids
