"""Which words of the lexicon a dataset's own captions use, which adjectives they give to which nouns, and what follows what.

Replacements stay among these words, so that a negative is not told by a word that no caption has, and an adjective that
the captions do give to a noun is preferred. Of the ways to exchange parts, one comes first whose words stand beside each other in
captions too. Counted once per run by DuckDB.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import sqrt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import DataError
from degla.files import write_text_atomic
from degla.generate.rules.links import count_links
from degla.generate.rules.phrases import Sentence
from degla.text.inflection import plural
from degla.text.lexicon import Lexicon
from degla.text.units import USUAL, freely_described, is_phrase, phrases


@dataclass(frozen=True)
class Vocabulary:
    """Counts in the captions; a vocabulary without limits holds None and allows every word of the lexicon."""

    nouns: Mapping[str, int] | None = None
    """Lower-case noun forms, singular and plural, also of several words, to how often they occur."""
    adjectives: Mapping[str, int] | None = None
    pairs: Mapping[str, int] = field(default_factory=dict)
    """`adjective noun`, also `noun noun`, both as written but lower-case, to how often they occur side by side."""
    unigrams: Mapping[str, int] = field(default_factory=dict)
    """Lower-case words of the bigrams to how often they occur."""
    bigrams: Mapping[str, int] = field(default_factory=dict)
    """`one other` to how often the second word follows the first, articles left out: the commonest, at least 2 times."""
    links: Mapping[str, int] = field(default_factory=dict)
    """Links of up to 10,000 captions (`degla.generate.rules.links`), in words joined by tabs, to how often they occur."""

    def has_noun(self, form: str) -> bool:
        """Whether a noun may be used in this form."""
        return self.nouns is None or form in self.nouns

    def has_adjective(self, word: str) -> bool:
        """Whether an adjective may be used."""
        return self.adjectives is None or word in self.adjectives

    def adjective_weight(self, word: str) -> float:
        """How likely an adjective is to be chosen."""
        return 1.0 if self.adjectives is None else sqrt(self.adjectives[word])

    def phrase_joints(self, sentence: Sentence) -> frozenset[int]:
        """The places of nouns that may be one phrase with the adjective before them (gold medal)."""
        return phrases(sentence.tokens, sentence.tags, self._described)

    @cached_property
    def _described(self) -> frozenset[tuple[str, str]]:
        return freely_described(pair for pair, uses in self.pairs.items() if uses >= USUAL)

    def makes_phrase(self, adjective: str, noun: str) -> bool:
        """Whether two words may stand where a phrase was (gold medal): they are one too (silver medal), or captions have them."""
        return is_phrase(adjective, noun) or f"{adjective} {noun}" in self.pairs

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_text_atomic(path, json.dumps(asdict(self), sort_keys=True))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote. Raises DataError where the file is not that."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise DataError(f"{path} is not a vocabulary ({error}); delete it and run the stage again.") from error


def count_vocabulary(captions_path: Path, lexicon: Lexicon, threads: int) -> Vocabulary:
    """Count the lexicon's words in a captions table."""
    from degla.database import connect

    with connect(threads=threads) as database:
        database.execute(_CAPTIONS.replace("?", database.literal(str(captions_path))))
        known = list(lexicon.words("adjectives"))
        nouns = database.rows(_NOUNS, [_forms(lexicon)])
        adjectives = database.rows(_ADJECTIVES, [known])
        pairs = database.rows(_PAIRS, [[*known, *lexicon.words("nouns")]])
        bigrams = dict(database.rows(_BIGRAMS))
        said = sorted({word for pair in bigrams for word in pair.split(" ")})
        unigrams = database.rows(_UNIGRAMS, [said])
    return Vocabulary(dict(nouns), dict(adjectives), dict(pairs), dict(unigrams), bigrams, _count_links(captions_path, lexicon))


def _count_links(captions_path: Path, lexicon: Lexicon) -> dict[str, int]:
    """Links of captions spread evenly over the table."""
    counts: Counter[str] = Counter()
    table = pq.ParquetFile(captions_path)
    step, row = max(1, table.metadata.num_rows // _MOST_READ), 0
    for batch in table.iter_batches(columns=["tokens", "tags"], use_threads=False):
        chosen = list(range(-row % step, batch.num_rows, step))
        for each in batch.take(pa.array(chosen, pa.int32())).to_pylist():
            count_links(Sentence(tuple(each["tokens"]), tuple(each["tags"]), lexicon), counts)
        row += batch.num_rows
    return dict(sorted(counts.items()))


def _forms(lexicon: Lexicon) -> list[str]:
    return sorted({form for word in lexicon.words("nouns") for form in (word, plural(word))})


# Each list is unnested in the select, never in the from: there DuckDB holds all captions to join them with their own lists.
_CAPTIONS = """
create temp view captions as select list_transform(tokens, lambda t: lower(t)) as words, tags from read_parquet(?)
"""
_MOST_READ = 10_000  # captions for their links, and up to as many again; 0.1 ms each
_MOST_BIGRAMS = 100_000  # 17 MB in each worker; COCO val2017 has 26,000 that occur twice or more
_ARTICLES = "('a', 'an', 'the')"
_BIGRAMS = f"""
with unarticled as (select list_filter(words, lambda w: w not in {_ARTICLES}) as words from captions), bigrams as (
    select unnest(list_transform(range(1, len(words)), lambda i: words[i] || ' ' || words[i + 1])) as bigram from unarticled
)
select bigram, count(*) as uses from bigrams group by bigram having uses > 1 order by uses desc, bigram limit {_MOST_BIGRAMS}
"""
_UNIGRAMS = """
with words as (select unnest(words) as word from captions)
select word, count(*) from words semi join (select unnest(?::varchar[]) as known) on word = known group by word order by word
"""
_NOUNS = """
with grams as (
    select unnest(flatten(list_transform(
        list_filter(range(1, len(words) + 1), lambda i: tags[i][1:2] = 'NN'),
        lambda i: list_transform(range(greatest(1, i - 2), i + 1), lambda j: array_to_string(words[j:i], ' '))
    ))) as gram from captions
)
select gram, count(*) from grams semi join (select unnest(?::varchar[]) as form) on gram = form group by gram order by gram
"""
_ADJECTIVES = """
with described as (
    select unnest(list_transform(
        list_filter(range(1, len(words) + 1), lambda i:
            tags[i] = 'AJ0' or tags[i][1:2] in ('NN', 'VV') and tags[i + 1][1:2] = 'NN'),
        lambda i: words[i]
    )) as word from captions
)
select word, count(*) from described semi join (select unnest(?::varchar[]) as known) on word = known
group by word order by word
"""
_PAIRS = """
with pairs as (
    select unnest(list_transform(
        list_filter(range(1, len(words)), lambda i: tags[i + 1][1:2] = 'NN'), lambda i: words[i : i + 1]
    )) as pair from captions
)
select pair[1] || ' ' || pair[2] as name, count(*) from pairs semi join (select unnest(?::varchar[]) as known) on pair[1] = known
group by name order by name
"""
