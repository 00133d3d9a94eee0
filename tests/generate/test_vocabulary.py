"""The vocabulary: what DuckDB counts against a count in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pytest

from degla.generate.rules.links import links
from degla.generate.rules.phrases import Sentence
from degla.generate.rules.vocabulary import Vocabulary, count_vocabulary
from degla.schemas import CAPTIONS, write_table
from degla.text.inflection import plural
from degla.text.lexicon import load_lexicon

TAGS = ["NN1", "NN2", "AJ0", "VVG", "VVN", "AT0", "PRP", "PUN"]
OTHER_WORDS = ["a", "The", "on", ".", "holding", "zebroid", "<unk>", "é"]


def tagged_captions(count: int) -> list[tuple[list[str], list[str]]]:
    """Words of the lexicon and others in any order and case, with tags that need not suit them."""
    rng, lexicon = random.Random(3), load_lexicon()
    nouns, adjectives = (sorted(lexicon.words(kind)) for kind in ("nouns", "adjectives"))
    phrases = [plural(word) for word in rng.sample(nouns, 60)] + rng.sample(nouns, 60) + rng.sample(adjectives, 40)
    phrases += [word for word in nouns if word.count(" ") == 2] + OTHER_WORDS
    found = []
    for _ in range(count):
        words = " ".join(rng.choices(phrases, k=rng.randrange(9))).split()
        words = [word.title() if rng.random() < 0.2 else word for word in words]
        found.append((words, rng.choices(TAGS, [5, 3, 3, 1, 1, 1, 1, 1], k=len(words))))
    return found


def spans(words: list[str], tags: list[str]) -> Iterator[tuple[str, bool]]:
    """Up to three words in a row, and whether the last one is tagged as a noun."""
    for start in range(len(words)):
        for end in range(start + 1, min(start + 3, len(words)) + 1):
            yield " ".join(words[start:end]).lower(), tags[end - 1].startswith("NN")


def counted_slowly(captions: list[tuple[list[str], list[str]]]) -> Vocabulary:
    lexicon = load_lexicon()
    adjectives = set(lexicon.words("adjectives"))
    nouns = {form for word in lexicon.words("nouns") for form in (word, plural(word))}
    lexical = adjectives | set(lexicon.words("nouns"))
    noun_counts, adjective_counts, pairs, unigrams, bigrams = (Counter[str]() for _ in range(5))
    for words, tags in captions:
        said = [word.lower() for word in words]
        unigrams.update(said)
        unarticled = [word for word in said if word not in ("a", "an", "the")]
        bigrams.update(f"{one} {other}" for one, other in pairwise(unarticled))
        noun_counts.update(text for text, ends_in_noun in spans(words, tags) if ends_in_noun and text in nouns)
        for word, tag, next_word, next_tag in zip(words, tags, [*words, ""][1:], [*tags, ""][1:], strict=True):
            before_noun = next_tag.startswith("NN")
            if word.lower() in adjectives and (tag == "AJ0" or before_noun and tag[:2] in ("NN", "VV")):
                adjective_counts[word.lower()] += 1
            if word.lower() in lexical and before_noun:
                pairs[f"{word} {next_word}".lower()] += 1
    often = {pair: count for pair, count in bigrams.items() if count > 1}
    known = {word for pair in often for word in pair.split()}
    unigrams = Counter({word: count for word, count in unigrams.items() if word in known})
    sentences = [Sentence(tuple(words), tuple(tags), lexicon) for words, tags in captions]
    said = [(named(each, link.subject), link.relation, named(each, link.object)) for each in sentences for link in links(each)]
    linked = Counter("\t".join(each) for each in said if each[0] or each[2])
    return Vocabulary(dict(noun_counts), dict(adjective_counts), dict(pairs), dict(unigrams), often, dict(linked))


def named(sentence: Sentence, place: int | None) -> str:
    return "" if place is None else sentence.phrases[place].lemma


@pytest.mark.parametrize("threads", [1, 3])
def test_counts_are_those_of_plain_python(tmp_path, threads):
    captions = tagged_captions(3000)
    words, tags = zip(*captions, strict=True)
    columns = [range(3000), ["image"] * 3000, [" ".join(each) for each in words], words, tags, words]
    write_table(tmp_path / "captions.parquet", pa.table(columns, schema=CAPTIONS), CAPTIONS)
    counted = count_vocabulary(tmp_path / "captions.parquet", load_lexicon(), threads)
    assert counted == counted_slowly(captions)
    assert any(noun.count(" ") == 2 for noun in counted.nouns)
    assert min(len(counted.nouns), len(counted.adjectives), len(counted.pairs)) > 30
