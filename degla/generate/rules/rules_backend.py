"""The rules back end: captions rewritten by part-of-speech tags and the lexicon, on the CPU and without weights.

It enumerates: for a caption and a type it knows several rewrites in a fixed order, and answers with the first that is not
taken. Which those are depends on the caption, its tags, the type, the lexicon and the vocabulary only, not on a row's
seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from time import perf_counter

from degla import checksums
from degla.generate.backend import Origin, Request, Rewrite, Usage
from degla.generate.rules.adjective_swaps import AdjectiveSwapper
from degla.generate.rules.associations import shipped_links
from degla.generate.rules.noun_swaps import NounSwapper
from degla.generate.rules.options import Chance, Option, Rewrites, ordered
from degla.generate.rules.phrases import Sentence
from degla.generate.rules.plausibility import Plausibility
from degla.generate.rules.preferences import Preferences
from degla.generate.rules.replacements import Replacer
from degla.generate.rules.reshuffle import Reshuffler
from degla.generate.rules.vocabulary import Vocabulary
from degla.negative_types import NegativeType
from degla.text.edits import what_is_said
from degla.text.lexicon import Lexicon

VERSION = 6
"""Raised whenever these rules come to rewrite a caption differently."""

_TOGETHER = 3  # texts of a caption and type that are judged at once: what most captions want of replaced nouns

Propose = Callable[[str, Sentence, Chance], Iterable[Option]]
"""Options to rewrite a caption, given its text, what was read in it, and its own draws."""


def proposals(lexicon: Lexicon, vocabulary: Vocabulary, min_sense: float | None = None) -> dict[NegativeType, Propose]:
    """What proposes the rewrites of each type; `min_sense` as in `RulesBackend`."""
    least = -inf if min_sense is None else min_sense
    plausibility, preferences = Plausibility(vocabulary), Preferences(lexicon, vocabulary.links, shipped_links(), least)
    replacer = Replacer(lexicon, vocabulary, plausibility, preferences)
    return {
        "reshuffle": Reshuffler(plausibility, preferences).reshuffles,
        "swap_nouns": NounSwapper(plausibility, preferences).swaps,
        "swap_adjectives": AdjectiveSwapper(lexicon, vocabulary, plausibility, preferences).swaps,
        "replace_nouns": replacer.noun_replacements,
        "replace_adjectives": replacer.adjective_replacements,
    }


class RulesBackend:
    """Rewrites captions by rules; a `degla.generate.backend.Backend`.

    Args:
        lexicon: what may take what's place.
        vocabulary: the words that replacements may come from.
        min_sense: nats of the least usual thing that a rewrite may say (`preferences`); None proposes all.
    """

    capacity = least = 16000  # it answers at once; the judge wants many texts in a call
    enumerates = True

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary, min_sense: float | None = None) -> None:
        self.usage = Usage()
        self._origin = Origin("rules", checksums.of_value([lexicon.sha, VERSION, min_sense])[:16])
        self._answers: deque[Rewrite] = deque()
        self._lexicon = lexicon
        self._proposals = proposals(lexicon, vocabulary, min_sense)

    def origin(self, negative_type: NegativeType) -> Origin:
        """The rules and their lexicon, whatever the type."""
        return self._origin

    def submit(self, requests: Sequence[Request]) -> None:
        """Answer requests; `collect` hands the rows over."""
        started = perf_counter()
        self._answers.extend(map(self._answer, requests))
        self.usage.seconds += perf_counter() - started
        self.usage.rows += len(requests)

    def collect(self) -> list[Rewrite]:
        """The rows of all that was submitted since the last call, in its order."""
        answers = list(self._answers)
        self._answers.clear()
        return answers

    def close(self) -> None:
        """Nothing to stop."""

    def candidates(self, request: Request, limit: int) -> list[str]:
        """Rewrites of the caption in the request's type, best first: distinct, and none of them taken.

        Args:
            request: its seed, candidate and attempt make no difference.
            limit: most texts; fewer are the first of more.
        """
        return [text for _, text in islice(self._free(request, self._of(request)), limit)]

    def _of(self, request: Request) -> Rewrites:
        """The rewrites of a caption in one type, begun once; the caption is read once for all types."""
        notes, mine, read = request.notes, (self, request.type), (self, "sentence")
        if mine not in notes:
            if read not in notes:
                notes[read] = Sentence(request.tokens, request.tags, self._lexicon)
            rng = Chance(request.caption, request.type)
            options = self._proposals[request.type](request.caption, notes[read], rng)
            notes[mine] = Rewrites(request.caption, ordered(options, rng))
        found: Rewrites = notes[mine]
        return found

    @staticmethod
    def _free(request: Request, texts: Rewrites) -> Iterator[tuple[int, str]]:
        """The texts that are not taken, with their places."""
        taken = set(map(what_is_said, request.taken))
        return ((i, text) for i, (text, said) in enumerate(texts) if said not in taken)

    def _answer(self, request: Request) -> Rewrite:
        try:
            texts = self._of(request)
            found = next(self._free(request, texts), None)
        except Exception as error:  # whatever a rule makes of an odd caption, the other rows are not to suffer
            request.notes.clear()  # what the rule had begun
            return Rewrite(request, self._origin, "failed", error=f"{type(error).__name__}: {error}")
        if found is None:
            return Rewrite(request, self._origin, "abstained", error="no rewrite that is well formed and says something else")
        place, text = found
        return Rewrite(request, self._origin, "ok", text, following=self._after(request, place, texts))

    @staticmethod
    def _after(request: Request, place: int, texts: Rewrites) -> tuple[str, ...]:
        try:
            return texts.after(place, _TOGETHER)
        except Exception:  # it is told when that text is asked for
            request.notes.clear()
            return ()
