"""The judge: is a rewrite a valid negative of its caption, as far as the two texts alone can tell?

Built once for a database, that is once for a process; then it judges as many rewrites as it is given. `edits.sql` and
`meanings.sql` turn captions and rewrites into facts, `degla.judge.rules` are conditions on them. What other captions of the
image say is not known here.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from degla.database import Database, connect
from degla.judge import patterns
from degla.judge.rules import RULES, Rule, refusal_sql
from degla.judge.senses import Pairs, Relation, Senses, load_senses
from degla.judge.wordnet import compounds_related, imagined
from degla.negative_types import PartOfSpeech, types_that
from degla.text.agreement import agrees, as_in, is_mass
from degla.text.inflection import article, plural, positive, singular
from degla.text.kinds import noun_kinds
from degla.text.lexicon import Lexicon, load_lexicon
from degla.text.negation import CUES, negated
from degla.text.pronouns import MAY_REFER
from degla.text.tags import Tagger
from degla.text.tokens import SQL_PATTERN
from degla.text.units import USUAL, freely_described, is_phrase, is_unit, joints, labels, phrases

MIN_TOKENS, MAX_TOKENS = 2, 60
"""Fewest and most word tokens of a rewrite, unless a setting says otherwise. CLIP reads at most 77 subword tokens."""

_PACKAGE = "degla.judge"
_KINDS = {"noun.person": "person", "noun.animal": "animal", "noun.body": "body"} | dict.fromkeys(
    ("noun.artifact", "noun.food", "noun.plant", "noun.object", "noun.substance"), "thing"
)
_FROZEN = 0.6  # normalised pointwise mutual information of two words that are one unit: slim fit, railway station
_FROZEN_TOO = 0.8  # the same, where the first describes many nouns: slim fit, not sandy beach
_FROZEN_USES = 5  # times that they stand beside each other; rarer pairs are frozen by chance
_FROZEN_CAPTIONS = 1000  # distinct; in fewer, one template freezes whatever it holds
_CAPTIONS = 1 << 14  # whose units are remembered: generate has the rewrites of one caption judged in several calls
_USED_AS = 0.2  # share of a word's tags that makes it a noun, or an adjective


class Judge:
    """Judges rewrites in a database.

    Args:
        database: its own from now on; gets the macros, the relations between words, and, for each call, the facts.
        min_tokens: fewest word tokens of a rewrite.
        max_tokens: most word tokens of a rewrite.
    """

    def __init__(self, database: Database, min_tokens: int = MIN_TOKENS, max_tokens: int = MAX_TOKENS) -> None:
        self.database, self._senses = database, load_senses()
        self._limits = {"min_tokens": str(min_tokens), "max_tokens": str(max_tokens)}
        self._uses: pa.Table | None = None
        self._frozen: set[str] = set()
        self._described: frozenset[tuple[str, str]] = frozenset()
        self._joints = lru_cache(_CAPTIONS)(self._find_joints)
        database.run_steps(_PACKAGE, "macros.sql", _macro_values(self._senses))
        for name, table in _relations(self._senses).items():
            database.keep(name, table)
        database.keep("lexicon_uses", _lexicon_uses(load_lexicon(), self._senses))
        for function in (singular, positive, article):
            database.define(function.__name__, function, "varchar")
        database.define("relation", _relation, "varchar")
        database.define("also_called", _also_called, "varchar[]")
        database.define("negated_places", _negated_places, "integer[]")
        joints_type = "struct(units integer[], labels integer[], phrases integer[])"
        database.define("unit_joints", lambda tokens_and_tags: self._joints(tokens_and_tags), joints_type)
        database.define("is_compound", _is_compound, "boolean")
        database.define("is_phrase", _is_phrase, "boolean")
        database.define("in_number", _in_number, "varchar")
        database.define("agrees", _agrees, "boolean")
        database.define("used_alone", _used_alone, "struct(noun boolean, adjective boolean)")

    def relate(self, pairs: Iterable[tuple[PartOfSpeech, str, str]]) -> None:
        """Take further pairs of words as names of one thing, except those that the lexicon holds apart."""
        known = [pair for pair in pairs if not self._senses.exclude(*pair)]
        both = sorted({pair for part, one, other in known for pair in ((part, one, other), (part, other, one))})
        self.database.register("more_related", _related_table(both))
        self.database.execute("insert into related_words from more_related except from related_words")

    def learn(self, uses: pa.Table) -> None:
        """Take words as nouns and adjectives as a dataset uses them (`word_uses`)."""
        if uses is not self._uses:
            self._uses = uses
            free = frozenset(load_lexicon().words("adjectives"))  # sandy beach, grassy beach
            pairs = uses.filter(pc.greater_equal(uses["association"], _FROZEN))
            self._frozen = {
                pair
                for pair, association in zip(pairs["word"].to_pylist(), pairs["association"].to_pylist(), strict=True)
                if association >= _FROZEN_TOO or pair.split(" ")[0] not in free
            }
            self._described = freely_described(word for word in uses["word"].to_pylist() if " " in word)
            self._joints.cache_clear()
            self.database.register("corpus_uses", uses)
            self.database.execute(_KNOWN_USES)

    def _find_joints(self, tokens_and_tags: str) -> dict[str, list[int]]:
        """The joints as SQL counts them: the number of words before."""
        tokens, tags = _halves(tokens_and_tags)
        units = joints(tokens, tags, self._frozen)
        return {
            "units": sorted(units),
            "labels": sorted(labels(tokens, tags)),
            "phrases": sorted(phrases(tokens, tags, self._described) - units),
        }

    def find_facts(self) -> None:
        """Make the view `facts` of the views `captions` (columns of `degla.schemas.CAPTIONS`) and `rewrites` (of `REWRITES`):
        a row for each rewrite that has a text. `learn` comes first."""
        self.database.run_steps(_PACKAGE, "edits.sql", self._limits)
        self.database.run_steps(_PACKAGE, "meanings.sql")

    def verdicts(
        self, captions: pa.Table, rewrites: pa.Table, uses: pa.Table | None = None, rules: Sequence[Rule] = RULES
    ) -> list[str | None]:
        """The name of the first rule that refuses each rewrite, or None, in the order of the rewrites.

        Args:
            captions: the columns `caption_id`, `image_id`, `caption`, `tokens` and `tags` of `degla.schemas.CAPTIONS`.
            rewrites: the columns of `REWRITES` that the rules ask for; all have a text.
            uses: the `word_uses` of the whole dataset; None counts in `captions`.
            rules: in order.
        """
        self.database.register("captions", captions)
        self.database.register("rewrites", rewrites.append_column("number", pa.array(range(rewrites.num_rows), pa.int64())))
        self.learn(word_uses(self.database) if uses is None else uses)
        self.find_facts()
        found = dict(self.database.rows(f"select number, {refusal_sql(rules)} from facts"))
        return [found[number] for number in range(rewrites.num_rows)]


@lru_cache(1)
def own_judge(min_tokens: int = MIN_TOKENS, max_tokens: int = MAX_TOKENS) -> Judge:
    """The judge of this process, in a database that is closed when the process ends; built at the first call."""
    opened = ExitStack()
    atexit.register(opened.close)
    return Judge(opened.enter_context(connect(threads=1, memory_limit="1GB")), min_tokens, max_tokens)


def word_uses(database: Database, captions: str = "captions") -> pa.Table:
    """Each word of a captions table, and whether the captions use it as a noun, and as an adjective.

    Also two words of which the second is a noun ("kitchen chair"), where the captions have them beside each other often enough;
    `association` says how much they stand with each other alone ("chain link"), 1 at most: their normalised pointwise mutual
    information (Bouma 2009); null for pairs too rare to tell, in fewer than 1,000 captions (of 300 made from one template, any
    adjective would belong to its noun), and for single words. Captions that are repeated count once.
    """
    return database.arrow(_WORD_USES.format(captions=captions))


def _macro_values(senses: Senses) -> dict[str, str]:
    lists = {
        "replacing": types_that("replaces"),
        "exchanging": types_that("exchanges"),
        "reordering": types_that("reorders"),
        "taking_nouns": types_that("reorders", "exchanges", "replaces", of="nouns"),
        "counting": patterns.NUMBERS[1:],
        "static": patterns.STATIC,
        "markings": patterns.MARKINGS,
        "telling": [*senses.telling, *patterns.NUMBERS],
        "adjectives": senses.adjectives,
        "sizes": senses.sizes,
        "colours": senses.colours,
        "not_of_people": senses.not_of_people,
        "of_bodies": senses.of_bodies,
        "of_matter": senses.of_matter,
        "negating": CUES,
        "referring": MAY_REFER,
        "people": senses.people,
        "people_forms": {form for word in senses.people for form in (word, plural(word))},
        "plain_people": senses.plain_people,
        "people_modifiers": {"and", ",", *senses.people_modifiers},
        "of_phrases": patterns.OF_PHRASES,
        "out_of_order": patterns.OUT_OF_ORDER,
    }
    texts = {
        "token_pattern": SQL_PATTERN,
        "both_ways": patterns.BOTH_WAYS,
        "facing": patterns.FACING,
        "belonging": patterns.BELONGING,
        "body_words": rf"\b(?:{'|'.join(sorted(senses.not_of_people | senses.of_bodies))})\b",
        "joining_clauses": patterns.JOINING_CLAUSES,
    }
    values = {name: ", ".join(map(Database.literal, sorted(words))) for name, words in lists.items()}
    return values | {name: Database.literal(text) for name, text in texts.items()}


def _relations(senses: Senses) -> dict[str, pa.Table]:
    """What words have to do with each other, as tables."""
    parts: tuple[PartOfSpeech, ...] = ("nouns", "adjectives")
    lexicon = load_lexicon()
    words = sorted({*senses.animate, *filter(is_mass, noun_kinds())})
    return {
        "related_words": _related_table((part, *pair) for part in parts for pair in senses.related[part]),
        "contrasting_words": _pairs_table(senses.contrasting, "one", "other"),
        "implied_nouns": _pairs_table(senses.implied, "said", "also"),
        "contrasted_words": pa.table({"word": sorted(senses.contrasted)}),
        "vague_words": pa.table({"word": sorted(senses.vague)}),
        "noun_kinds": _noun_kinds(senses),
        "noun_traits": pa.table(
            {
                "word": words,
                "animate": [senses.animate.get(word) for word in words],
                "is_place": [word in senses.places for word in words],
                "numberless": [word in senses.numberless or is_mass(word) for word in words],
                "mass": [is_mass(word) for word in words],
                "holds": [word in senses.holding for word in words],
                "is_worn": [word in senses.worn for word in words],
                "plural_only": [word in lexicon.plural_only for word in words],
                "unchanged": [word in lexicon.unchanged_plural or word == "people" for word in words],
            }
        ),
    }


def _noun_kinds(senses: Senses) -> pa.Table:
    """Nouns of one word, and whether they name people, animals or things: by the lexicon, else by WordNet."""
    fabulous = imagined()
    kinds = {word: _KINDS[kind] for word, kind in noun_kinds().items() if kind in _KINDS and word not in fabulous}
    known = senses.animate.items()
    kinds |= {
        word: "animal" if alive else "thing" for word, alive in known if alive or kinds.get(word) != "body"
    } | dict.fromkeys(senses.people, "person")
    return pa.table({"word": list(kinds), "kind": list(kinds.values())})


def _related_table(rows: Iterable[tuple[PartOfSpeech, str, str]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table([pa.array(column, pa.string()) for column in columns], names=["part_of_speech", "one", "other"])


def _pairs_table(pairs: Pairs, one: str, other: str) -> pa.Table:
    return pa.table(list(map(pa.array, zip(*pairs, strict=True))), names=[one, other])


@lru_cache(1)
def _lexicon_uses(lexicon: Lexicon, senses: Senses) -> pa.Table:
    nouns = set(_single_words(form for word in lexicon.words("nouns") for form in (word, plural(word))))
    adjectives = set(_single_words((*lexicon.words("adjectives"), *senses.adjectives)))
    words = sorted(nouns | adjectives)
    columns = {"noun": [word in nouns for word in words], "adjective": [word in adjectives for word in words]}
    return pa.table({"word": words, **columns})


def _single_words(phrases: Iterable[str]) -> Iterator[str]:
    for phrase in phrases:
        yield from phrase.split(" ")


def _negated_places(words_and_tags: str) -> list[int]:
    """Places as SQL counts them."""
    return [place + 1 for place in sorted(negated(*_halves(words_and_tags)))]


def _is_compound(pair: str) -> bool:
    return is_unit(*pair.split(" "))


def _is_phrase(pair: str) -> bool:
    return is_phrase(*pair.split(" "))


def _in_number(caption_and_text: str) -> str:
    caption, text = caption_and_text.split("\t")
    return " ".join(as_in(*_halves(caption), text.split(" ")))


def _agrees(caption_and_text: str) -> bool:
    caption, text = caption_and_text.split("\t")
    return agrees(*_halves(caption), text.split(" "))


def _halves(words_and_tags: str) -> tuple[list[str], list[str]]:
    """Words and their tags, of as many of both, separated by spaces."""
    parts = words_and_tags.split(" ")
    half = len(parts) // 2
    return parts[:half], parts[half:]


_tagger = lru_cache(1)(Tagger)
_DESCRIBING = {"AJ", "AJ0", "VVN", "VVD", "VVG"}  # tags of what may stand before a noun to describe it


def _used_alone(word: str) -> dict[str, bool]:
    """A word's use by its tag alone, and before a noun: there a participle is an adjective (frozen)."""
    alone = _tagger().tag([word])[0][0]
    before_noun = _tagger().tag(["a", word, "dog"])[0][1]
    return {"noun": alone[:2] in ("NN", "NP"), "adjective": bool({alone[:2], before_noun} & _DESCRIBING)}


def _also_called(noun: str) -> list[str]:
    return load_senses().also_called(noun)


@lru_cache(1 << 18)  # distinct pairs of words
def _relation(asked: str) -> Relation:
    """Of a part of speech and two words, separated by tabs; `compounds` are nouns of several words."""
    part, one, other = asked.split("\t")
    senses = load_senses()
    if part == "compounds":
        return "related" if compounds_related(one, other) and not senses.exclude("nouns", one, other) else "unknown"
    return senses.relation("adjectives" if part == "adjectives" else "nouns", one, other)


_WORD_USES = f"""
with said as (select distinct tokens, tags from {{captions}}), singles as (
    select word, count(*)::double as uses, avg((tag[1:2] in ('NN', 'NP'))::int) >= {_USED_AS} as noun,
        avg((tag[1:2] = 'AJ')::int) >= {_USED_AS} as adjective
    from (select lower(unnest(tokens)) as word, unnest(tags) as tag from said) group by word
), enough as (
    select count(*) >= {_FROZEN_CAPTIONS} as captions from said
), pairs as (
    select pair.word as word, count(*)::double as uses, count(*) filter (pair.tag in ('NN', 'AJ')) as modifying from (
        select unnest(list_transform(list_filter(range(1, len(tags)), lambda i: tags[i + 1][1:2] = 'NN'),
            lambda i: struct_pack(word := lower(tokens[i] || ' ' || tokens[i + 1]), tag := tags[i][1:2]))) as pair
        from said
    ) group by word having uses >= {USUAL}
)
select word, noun, adjective, null as association from singles
union all
select p.word, true, false,
    if(enough.captions and modifying >= greatest({_FROZEN_USES}, p.uses / 2),
        ln(p.uses * total / f.uses / s.uses) / ln(total / p.uses), null)
from pairs p join singles f on f.word = split_part(p.word, ' ', 1) join singles s on s.word = split_part(p.word, ' ', 2),
    (select sum(uses) as total from singles), enough
order by word
"""
_KNOWN_USES = """
create or replace table known_uses as
select word, bool_or(noun) as noun, bool_or(adjective) as adjective
from (from lexicon_uses union all by name from corpus_uses) group by word
"""
