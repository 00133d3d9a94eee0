"""Edits of a caption's text by token spans: the rest of the text stays as it was written, character for character.

After the edits "a" and "an" follow the new next word, and the first word's capital stays first. Knows nothing of why
words change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from degla.generate.rules.phrases import Sentence
from degla.text.agreement import PRESENT, re_inflected
from degla.text.inflection import article, like
from degla.text.pronouns import MAY_REFER
from degla.text.tokens import is_title_case, spans, tokenize


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in the place of the tokens `start:end`."""

    start: int
    end: int
    text: str


def reword(caption: str, tokens: Sequence[str], tags: Sequence[str], edits: Sequence[Edit]) -> str:
    """The caption with the edits made; they must not overlap.

    Args:
        caption: the text.
        tokens: its tokens.
        tags: their tags; only a name (NP0) keeps its capital when it leaves the first place.
        edits: in any order.
    """
    places = _places(caption)
    pieces = []
    position = 0
    for edit in sorted(edits, key=lambda each: each.start):
        begin, end = places[edit.start][0], places[edit.end - 1][1]
        pieces += [caption[position:begin], edit.text]
        position = end
    text = "".join([*pieces, caption[position:]])
    return fix_articles(_fix_capitals(text, tokens, tags), tokens)


def rearrange(
    caption: str, tokens: Sequence[str], tags: Sequence[str], spans: Sequence[range], order: Sequence[int]
) -> str | None:
    """The caption with some token spans in another order: in the place of the k-th stands the `order[k]`-th.

    Verbs and pronouns take the form that goes with the nouns before them (two dogs chase a cat, a cat chases two dogs); None if
    that is not certain.

    Args:
        caption: the text.
        tokens: its tokens.
        tags: their tags.
        spans: from left to right; they must not overlap.
        order: a permutation of 0, 1, ...
    """
    forms = _other_forms(tokens, tags, spans, order)
    if forms is None:
        return None
    places = _places(caption)
    texts = [_written(caption, tokens, places, span, forms) for span in spans]
    edits = [Edit(span.start, span.stop, texts[k]) for span, k in zip(spans, order, strict=True)]
    edits += [Edit(i, i + 1, like(tokens[i], form)) for i, form in forms.items() if not any(i in span for span in spans)]
    return reword(caption, tokens, tags, edits)


def _other_forms(
    tokens: Sequence[str], tags: Sequence[str], spans: Sequence[range], order: Sequence[int]
) -> dict[int, str] | None:
    """The words that need another form, by their places."""
    if not any(tags[i][:2] == "NN" for span in spans for i in span):
        return {}
    words = [token.lower() for token in tokens]
    if PRESENT.isdisjoint(tags) and MAY_REFER.isdisjoint(words):
        return {}
    places, position = [], 0
    for span, k in zip(spans, order, strict=True):
        places += [*range(position, span.start), *spans[k]]
        position = span.stop
    return re_inflected(words, tags, [*places, *range(position, len(tokens))])


def _written(caption: str, tokens: Sequence[str], places: Sequence[tuple[int, int]], span: range, forms: dict[int, str]) -> str:
    """What stands at a span, with other forms of its words."""
    begin = places[span.start][0]
    text = caption[begin : places[span.stop - 1][1]]
    for i in sorted(forms.keys() & set(span), reverse=True):
        start, end = (place - begin for place in places[i])
        text = text[:start] + like(tokens[i], forms[i]) + text[end:]
    return text


_places = lru_cache(16)(spans)  # of a caption that is reworded many times

_ARTICLE = re.compile(r"(?<![\w'’-])(an?)(\s+)([^\W_]+(?:-[^\W_]+)*)", re.IGNORECASE)


def fix_articles(text: str, source_tokens: Sequence[str]) -> str:
    """The text with "a" or "an" as the next word wants it, wherever the pair is not in the source as it is."""

    def fixed(match: re.Match[str]) -> str:
        old, space, following = match.groups()
        wanted = article(following.lower())
        if wanted == old.lower() or (old.lower(), following.lower()) in pairwise(map(str.lower, source_tokens)):
            return match[0]
        return f"{wanted.capitalize() if old[0].isupper() else wanted}{space}{following}"

    return _ARTICLE.sub(fixed, text)


def _fix_capitals(text: str, tokens: Sequence[str], tags: Sequence[str]) -> str:
    """Sentence case follows the first place: its old word loses the capital, its new one takes it."""
    first = tokens[0]
    if not first[:1].isupper() or text.startswith(f"{first} ") or is_title_case(tokens):
        return text
    new_tokens, places = tokenize(text), spans(text)
    letters = list(text)
    if tags[0] != "NP0" and first != "I" and not (len(first) > 1 and first.isupper()):
        for i in range(1, len(new_tokens)):
            if new_tokens[i] == first and first not in tokens[1:]:
                letters[places[i][0]] = letters[places[i][0]].lower()
    start = places[0][0]
    letters[start] = letters[start].upper()
    return "".join(letters)


_PLACE_WORDS = frozenset(("on", "in", "at", "under", "near", "inside", "by"))


def fronted(text: str, sentence: Sentence) -> str | None:
    """The text with its last phrase put first ("a ball on the grass" to "on the grass a ball"), or None.

    Args:
        text: an edited caption with the tokens of `sentence` in another order.
        sentence: the caption it was made from; its last noun phrase must follow a word of place.
    """
    if not sentence.phrases:
        return None
    last = sentence.phrases[-1]
    start = last.start - 1
    tokens = tokenize(text)
    ends = len(tokens) - last.end
    after_noun = any(phrase.end == start for phrase in sentence.phrases)
    if not after_noun or sentence.lower[start] not in _PLACE_WORDS or any(token.isalnum() for token in tokens[last.end :]):
        return None
    if [token.lower() for token in tokens[start : last.end]] != list(sentence.lower[start : last.end]):
        return None
    places = spans(text)
    tail = text[places[start][0] : places[last.end - 1][1]]
    rest = text[: places[start][0]].rstrip(" ,")
    closing = text[places[last.end - 1][1] :] if ends else ""
    if rest[:1].isupper() and not is_title_case(tokens):
        tail, rest = tail[:1].upper() + tail[1:], rest[:1].lower() + rest[1:]
    return fix_articles(f"{tail} {rest}{closing}", tokens)
