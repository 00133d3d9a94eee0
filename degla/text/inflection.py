"""Number of nouns, "a" or "an", and letter case, the first by lemminflect and remembered, since it is slow.

Knows nothing of captions.
"""

from __future__ import annotations

import re
from functools import lru_cache

from degla.text.lexicon import load_lexicon

_MEMORY = 1 << 16


@lru_cache(_MEMORY)
def plural(noun: str) -> str:
    """The plural of a noun or noun phrase in the singular: of its last word.

    >>> plural("fire truck")
    'fire trucks'
    """
    lexicon = load_lexicon()
    *modifiers, head = noun.split(" ")
    if noun in lexicon.plural_only or head in lexicon.unchanged_plural:
        return noun
    from lemminflect import getInflection

    forms = getInflection(head, tag="NNS", inflect_oov=True)
    return " ".join([*modifiers, forms[0] if forms else f"{head}s"])


@lru_cache(_MEMORY)
def singular(noun: str) -> str:
    """The singular of a noun or noun phrase, lower-case; one that has none is returned as it is.

    >>> singular("Fire Trucks")
    'fire truck'
    """
    noun = noun.lower()
    known = _known_singulars().get(noun)
    if known:
        return known
    *modifiers, head = noun.split(" ")
    return " ".join([*modifiers, _singular_word(head)])


@lru_cache(_MEMORY)
def _singular_word(noun: str) -> str:
    from lemminflect import getLemma

    forms = getLemma(noun, upos="NOUN")
    return forms[0] if forms else noun


@lru_cache(1)
def _known_singulars() -> dict[str, str]:
    words = list(load_lexicon().words("nouns"))
    return {plural(word): word for word in words} | {word: word for word in words}


_NO_COMPARATIVES = frozenset(("upper", "lower", "inner", "outer", "elder", "former", "latter"))


@lru_cache(_MEMORY)
def positive(adjective: str) -> str:
    """The positive of a lower-case adjective.

    >>> positive("larger")
    'large'
    """
    from lemminflect import getLemma

    if adjective in _NO_COMPARATIVES:
        return adjective
    forms = getLemma(adjective, upos="ADJ", lemmatize_oov=False)
    return forms[0] if forms else adjective


@lru_cache(_MEMORY)
def infinitive(verb: str) -> str:
    """The infinitive of a lower-case form of a verb; of another word the word.

    >>> infinitive("drenched"), infinitive("broken"), infinitive("wet")
    ('drench', 'break', 'wet')
    """
    from lemminflect import getLemma

    forms = getLemma(verb, upos="VERB", lemmatize_oov=False)
    return forms[0] if forms else verb


def part_of_noun(word: str) -> bool:
    """Whether a lower-case word, in either number, is a noun of the lexicon or a part of one."""
    return word in _noun_parts()


@lru_cache(1)
def _noun_parts() -> frozenset[str]:
    words = load_lexicon().words("nouns")
    return frozenset(part for word in words for form in (word, plural(word)) for part in form.split(" "))


_AN = re.compile(
    r"hour|honest|hono|heir|8|11(?!\d)|18(?!\d)|[aeiou]"
    r"|(?:suv|rv|nfl|nba|mp3|lcd|led|x-ray|hd|sd|fm|hbo|mri|ny|sf|[flmnrsx])(?![a-z])"
)
_NO_VOWEL_SOUND = re.compile(
    r"uni(?!n[a-hj-z]|m)|us[aeiub]|us(?![a-z])|uv|ut[aei]|ukulele|ukrain|uk(?![a-z])|eu|ewe|one|once|urin|uran|ufo|u(?![a-z])|ubiq|ouija"
)


@lru_cache(_MEMORY)
def article(word: str) -> str:
    """The indefinite article before this word: "a" or "an", by the sound of its beginning.

    inflect knows more words, but its import takes seconds in every process; a test compares the two on the words of
    the lexicon and of COCO's captions.

    >>> article("umbrella"), article("unicorn"), article("hour")
    ('an', 'a', 'an')
    """
    word = word.lower()
    return "an" if _AN.match(word) and (not _NO_VOWEL_SOUND.match(word) or _negated(word)) else "a"


@lru_cache(_MEMORY)
def _negated(word: str) -> bool:
    """Whether "un" stands before a word with i (unidentified, unironed), so that it is no "uni" (uniform, unionized)."""
    from lemminflect import getAllLemmas

    rest = word.removeprefix("un")
    return word.startswith("uni") and len(rest) > len("ions") and not word.startswith("union") and bool(getAllLemmas(rest))


def like(pattern: str, word: str) -> str:
    """The word with the letter case of the pattern: all capitals, a capital first, or as it is.

    >>> like("Man", "woman"), like("MAN", "woman"), like("A", "the")
    ('Woman', 'WOMAN', 'The')
    """
    if pattern.isupper() and len(pattern) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if pattern[:1].isupper() else word
