"""The rules back end: captions rewritten by part-of-speech tags and the lexicon, on the CPU and without weights.

Deterministic: a row depends on its caption, its seed, the lexicon and the vocabulary only. Called by
`degla.generate.stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from random import Random

from degla import checksums
from degla.generate.backend import Request, Rewrite
from degla.generate.phrases import Sentence
from degla.generate.replacements import Replacer
from degla.generate.reshuffle import reshuffle
from degla.generate.swaps import swap_adjectives, swap_nouns
from degla.generate.vocabulary import Vocabulary
from degla.schemas import NegativeType
from degla.text.lexicon import Lexicon

VERSION = 1
"""Raised whenever these rules come to rewrite a caption differently."""

_LONGEST = 400  # characters
_MIN_ASCII = 0.9  # share of a caption's characters


class RulesBackend:
    """Rewrites captions by rules.

    Args:
        lexicon: what may take what's place.
        vocabulary: the words that replacements may come from.
    """

    generator = "rules"
    prompt_sha = None

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary) -> None:
        replacer = Replacer(lexicon, vocabulary)
        self.model_sha = checksums.of_value([lexicon.sha, VERSION])[:16]
        self._read = lru_cache(16)(lambda tokens, tags: Sentence(tokens, tags, lexicon))  # one caption, all its types
        self._rewriters: dict[NegativeType, Callable[[str, Sentence, Random], str | None]] = {
            "reshuffle": reshuffle,
            "swap_nouns": swap_nouns,
            "swap_adjectives": swap_adjectives,
            "replace_nouns": replacer.replace_nouns,
            "replace_adjectives": replacer.replace_adjectives,
        }

    def rewrite(self, requests: Iterable[Request]) -> Iterator[Rewrite]:
        """Yield one row for every request, in their order."""
        for request in requests:
            reason = unanswerable(request)
            yield Rewrite.without_text(request, "inapplicable", reason) if reason else self._answer(request)

    def _answer(self, request: Request) -> Rewrite:
        sentence = self._read(request.tokens, request.tags)
        text = self._rewriters[request.type](request.caption, sentence, Random(request.seed))
        if text is None or text == request.caption:
            return Rewrite.without_text(request, "abstained", "no rewrite that is well formed and says something else")
        return Rewrite.of(request, text)


_NEEDED: dict[NegativeType, tuple[str, int, str]] = {
    "reshuffle": ("NN", 2, "nouns"),
    "swap_nouns": ("NN", 2, "nouns"),
    "swap_adjectives": ("AJ", 2, "adjectives"),
    "replace_nouns": ("NN", 1, "nouns"),
    "replace_adjectives": ("AJ", 1, "adjectives"),
}


def unanswerable(request: Request) -> str | None:
    """Why a caption cannot have this type at all, or None: it is no text to work on, or lacks the words to change."""
    caption = request.caption
    if not request.tokens:
        return "the caption is empty"
    if len(caption) > _LONGEST:
        return f"the caption is longer than {_LONGEST} characters"
    if not caption.isprintable():
        return "the caption has control characters"
    if sum(character.isascii() for character in caption) < _MIN_ASCII * len(caption):
        return "the caption is not in English letters"
    tag, needed, what = _NEEDED[request.type]
    found = sum(each.startswith(tag) for each in request.tags)
    return f"needs {needed} {what}, the caption has {found}" if found < needed else None
