"""Whether a caption is true of a scene.

`parse` reads natural captions and grammatical rewrites of them: words replaced or exchanged, clauses reordered,
synonyms the world itself never writes. So the false negatives of any generator and filter can be counted exactly, which
no photographic data allows.
Knows nothing of how captions are written, beyond the word tables.

    sentence   opener? place* opener? (phrase tail? | relation phrase place* copula? opener? phrase) place*
    tail       place* copula? place* (relation | joiner) phrase
    phrase     article? adjective* noun
    place      preposition article? adjective* noun
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from degla.miniworld.language import ADJECTIVE_WORDS, NOUN_WORDS, PLACE_PHRASES, RELATION_PHRASES, relations, words_of
from degla.miniworld.scenes import NOUNS, Scene, SceneObject

Verdict = Literal["true", "false", "unreadable"]


@dataclass(frozen=True)
class Phrase:
    """What is said of one object."""

    nouns: frozenset[str]
    """What the object may be: several for a general word ("animal"), none for a word this world has no thing for."""
    attributes: frozenset[str]
    """Sizes, textures and colours; contradicting ones fit no object."""


@dataclass(frozen=True)
class Meaning:
    """What a caption says: one or two objects, a relation from the first to the second, and the place."""

    phrases: tuple[Phrase, ...]
    relation: str | None = None
    places: frozenset[str] = frozenset()
    """Every place named; a word that is no place of this world stands for itself and fits no scene."""


def judge(text: str, scene: Scene) -> Verdict:
    """Whether a caption is true of a scene, or cannot be read."""
    meaning = parse(text)
    if meaning is None:
        return "unreadable"
    return "true" if holds(meaning, scene) else "false"


def holds(meaning: Meaning, scene: Scene) -> bool:
    """Whether different objects of the scene fit the phrases, their relation and the place."""
    if not meaning.places <= {scene.place}:
        return False
    return any(_fits(meaning, objects) for objects in permutations(scene.objects, len(meaning.phrases)))


def _fits(meaning: Meaning, objects: tuple[SceneObject, ...]) -> bool:
    if meaning.relation is not None and meaning.relation not in relations(*objects):
        return False
    return all(
        item.noun in phrase.nouns and phrase.attributes <= {item.size, item.texture, item.colour}
        for phrase, item in zip(meaning.phrases, objects, strict=True)
    )


def parse(text: str) -> Meaning | None:
    """What a caption says, whatever its case and punctuation; None if it is no sentence of the grammar above.

    A noun or place the world does not have is still read, and is false of every scene. An unknown adjective or
    preposition, or an adjective of a place, makes the caption unreadable: it might be true.
    """
    try:
        return _Reader(words_of(text)).sentence()
    except _UnreadableError:
        return None


_MORE_NOUNS: dict[str, tuple[str, ...]] = {
    "automobile": ("car",),
    "vehicle": ("car", "boat", "rocket"),
    "home": ("house",),
    "building": ("house",),
    "orb": ("ball",),
    "globe": ("ball",),
    "vessel": ("boat", "cup", "bottle"),
    "sailboat": ("boat",),
    "animal": ("fish", "bird", "butterfly"),
    "insect": ("butterfly",),
    "plant": ("tree", "flower", "cactus"),
    "fruit": ("apple",),
    "container": ("box", "bottle", "cup"),
    "carton": ("box",),
    "fungus": ("mushroom",),
    "light": ("lamp",),
    "furniture": ("chair",),
    "spacecraft": ("rocket",),
    "steps": ("ladder",),
    "shape": NOUNS,
    "object": NOUNS,
    "thing": NOUNS,
    "item": NOUNS,
}
_MORE_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "red": ("scarlet", "ruby"),
    "black": ("ebony",),
    "yellow": ("golden",),
    "purple": ("lilac",),
    "small": ("mini", "miniature", "petite", "minuscule"),
    "big": ("giant", "enormous", "massive", "gigantic"),
    "striped": ("stripey", "streaked"),
    "checkered": ("chequered",),
    "dotted": ("dotty",),
}
_MORE_RELATIONS: dict[str, tuple[str, ...]] = {
    "left": ("on the left of", "to left of", "at the left of"),
    "right": ("on the right of", "to right of", "at the right of"),
    "above": ("on top of", "higher than"),
    "below": ("underneath", "lower than", "at the bottom of"),
    "near": ("near", "close to", "by", "alongside", "adjacent to", "nearby"),
    "far": ("far away from", "distant from"),
    "bigger": ("greater than",),
    "smaller": ("littler than", "tinier than"),
}
_PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "grass": ("grass", "meadow", "lawn", "field"),
    "sand": ("sand", "beach", "shore", "desert"),
    "water": ("water", "sea", "ocean", "lake", "waves"),
    "road": ("road", "street", "highway", "asphalt"),
    "snow": ("snow", "ice"),
    "night": ("night", "dark", "darkness"),
    "brick": ("brick wall", "bricks", "wall"),
    "wood": ("wooden floor", "planks", "floor", "boards"),
}
_OPENERS = ("there is", "there are", "here is", "here", "we see", "this is", "this shows") + tuple(
    f"{article} {picture} of"
    for article in ("a", "an", "the")
    for picture in ("photo", "photograph", "picture", "image", "snapshot", "view")
)
_ARTICLES = ("a", "an", "the", "one", "this", "that", "some")
_COPULAS = ("that is", "which is", "is", "are", "lies", "sits", "stands")
_JOINERS = ("and", "with", "together with", "along with", "accompanied by")
_PREPOSITIONS = ("on", "in", "at", "by", "against", "near", "upon", "over", "above", "beside")

_WordList = tuple[str, ...]


def _readings(*tables: dict[str, tuple[str, ...]]) -> dict[_WordList, str]:
    """The words of every phrase to what the phrase stands for, long phrases first."""
    readings = {tuple(p.split()): name for table in tables for name, phrases in table.items() for p in phrases}
    return dict(sorted(readings.items(), key=lambda reading: -len(reading[0])))


def _phrases(options: Iterable[str]) -> dict[_WordList, str]:
    return _readings({option: (option,) for option in options})


_NOUN_READINGS = {word: frozenset((noun,)) for noun, words in NOUN_WORDS.items() for word in words} | {
    word: frozenset(nouns) for word, nouns in _MORE_NOUNS.items()
}
_ADJECTIVE_READINGS = _readings(ADJECTIVE_WORDS, _MORE_ADJECTIVES)
_RELATION_READINGS = _readings(RELATION_PHRASES, _MORE_RELATIONS)
_PLACE_READINGS = _readings(_PLACE_WORDS)
_WHOLE_PLACE_READINGS = _readings(PLACE_PHRASES)
_OPENER_READINGS, _ARTICLE_READINGS = _phrases(_OPENERS), _phrases(_ARTICLES)
_COPULA_READINGS, _JOINER_READINGS = _phrases(_COPULAS), _phrases(_JOINERS)
_PREPOSITION_READINGS = _phrases(_PREPOSITIONS)

_STRUCTURE_WORDS = frozenset(
    word
    for readings in (_RELATION_READINGS, _COPULA_READINGS, _JOINER_READINGS, _PREPOSITION_READINGS, _ARTICLE_READINGS)
    for phrase in readings
    for word in phrase
) | {"of", "not", "no", "there", "here", "we", "see", "without", "from", "into", "onto", "behind", "inside"}
"""Words that cannot be read as an unknown noun."""


_COLOURS_AND_THINGS = frozenset({"orange", "violet"})
"""Colours that also name a thing, one this world does not have; read so if no other noun follows."""


class _UnreadableError(Exception):
    """The words are no sentence of the grammar."""


class _Reader:
    """Reads words from left to right; each method reads one rule of the grammar, or raises."""

    def __init__(self, words: list[str]) -> None:
        self._words = tuple(words)
        self._at = 0
        self._places: set[str] = set()

    def sentence(self) -> Meaning:
        self._skip(_OPENER_READINGS)
        self._read_places()
        self._skip(_OPENER_READINGS)
        relation = self._take(_RELATION_READINGS)
        phrases, relation = self._plain_core() if relation is None else self._inverted_core(relation)
        self._read_places()
        if self._at < len(self._words):
            raise _UnreadableError
        return Meaning(phrases, relation, frozenset(self._places))

    def _plain_core(self) -> tuple[tuple[Phrase, ...], str | None]:
        """One object, or two with a relation or a joiner between them."""
        first = self._phrase()
        self._read_places()
        self._skip(_COPULA_READINGS)
        self._read_places()
        if self._at == len(self._words):
            return (first,), None
        relation = self._take(_RELATION_READINGS)
        if relation is None and self._take(_JOINER_READINGS) is None:
            raise _UnreadableError
        return (first, self._phrase()), relation

    def _inverted_core(self, relation: str) -> tuple[tuple[Phrase, ...], str]:
        """The relation came first, as in "left of B is A": it holds from the phrase that comes last."""
        second = self._phrase()
        self._read_places()
        self._skip(_COPULA_READINGS)
        self._skip(_OPENER_READINGS)
        return (self._phrase(), second), relation

    def _phrase(self) -> Phrase:
        self._skip(_ARTICLE_READINGS)
        attributes = self._adjectives()
        return Phrase(_NOUN_READINGS.get(self._noun(), frozenset()), attributes)

    def _adjectives(self) -> frozenset[str]:
        found = set()
        while (attribute := self._take(_ADJECTIVE_READINGS)) is not None:
            found.add(attribute)
        return frozenset(found)

    def _noun(self) -> str:
        """The word in the place of a noun, known or not, or the colour just read if it can be one."""
        word = self._words[self._at] if self._at < len(self._words) else ""
        if word and word not in _STRUCTURE_WORDS and (word,) not in _ADJECTIVE_READINGS:
            self._at += 1
            return word
        if self._at > 0 and self._words[self._at - 1] in _COLOURS_AND_THINGS:
            return self._words[self._at - 1]
        raise _UnreadableError

    def _read_places(self) -> None:
        """Reads the places that follow, if any."""
        while (place := self._known_place() or self._other_place()) is not None:
            self._places.add(place)

    def _known_place(self) -> str | None:
        start = self._at
        place = self._take(_WHOLE_PLACE_READINGS)
        if place is None and self._take(_PREPOSITION_READINGS) is not None:
            self._skip(_ARTICLE_READINGS)
            place = self._take(_PLACE_READINGS)
        if place is None:
            self._at = start
        return place

    def _other_place(self) -> str | None:
        """Any noun after a preposition, unless a relation is meant."""
        start = self._at
        if self._follows(_RELATION_READINGS) is None and self._take(_PREPOSITION_READINGS) is not None:
            self._skip(_ARTICLE_READINGS)
            if self._adjectives() and self._follows(_PLACE_READINGS) is not None:
                raise _UnreadableError
            return self._noun()
        self._at = start
        return None

    def _follows(self, readings: dict[_WordList, str]) -> tuple[_WordList, str] | None:
        for phrase, name in readings.items():
            if self._words[self._at : self._at + len(phrase)] == phrase:
                return phrase, name
        return None

    def _take(self, readings: dict[_WordList, str]) -> str | None:
        """Moves past the longest phrase that follows and gives its meaning; None, without moving, if none does."""
        found = self._follows(readings)
        if found is None:
            return None
        self._at += len(found[0])
        return found[1]

    def _skip(self, readings: dict[_WordList, str]) -> None:
        self._take(readings)
