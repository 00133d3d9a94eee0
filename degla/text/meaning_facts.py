"""Facts on what a rewrite says: the view `meanings`, over the view `edits` of `degla.text.edit_rules`.

What the changed words have to do with each other (`degla.text.senses`), how the exchanged parts are described, what joins
them, and what the rewrite says anew. Knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import pyarrow as pa

from degla.database import Database
from degla.text.inflection import article, singular
from degla.text.lexicon import WordKind
from degla.text.senses import Pairs, Senses

_DETERMINERS = "a|an|the|his|her|its|their|some|another|other|this|that"
_NUMBERS = "one two three four five six seven eight nine ten many several few both"

# Relations that hold both ways, in three kinds: what follows one verb of any kind (a dog sleeps beside a cat), what
# follows a verb that two do together, and such verbs themselves.
_BESIDE = (
    "near|nearby|beside|besides|next to|alongside|close to|adjacent to|opposite|far from|far away from|away from|across from"
    "|side by side with|along with|together with|not far from|right next to|directly next to|in line with|parallel to"
    "|(?:just |right |directly )?across the (?:street|road|table|room|way|aisle|river|field) from|as well as"
    "|\\w+ (?:to|in|by|and) \\w+ with"  # arm in arm with, back to back with
)
_WITH = "with|by"
_JOINED = "and|or|&|,|, and|and also|plus"
_CLAUSES = "while|whereas|as|but|and"
_POSTURES = (
    "sits?|sitting|sat|seated|stands?|standing|stood|lies|lie|lays?|laying|lying|rests?|resting|parked|walks?|walking|waits?"
    "|waiting|sleeps?|sleeping|naps?|napping|poses?|posing|posed|placed|kneels?|kneeling|hangs? out|hanging out"
)
_TOGETHER = (
    "(?:talk|speak|chat|danc|convers|argu|fight|wrestl|rac|compet|perform|jok|laugh|cuddl|snuggl|hang|interact|collid|meet"
    "|mingl|visit|gather|din|marry|flirt|box|spar|play catch|play tennis|play chess)(?:es|e|s|ing|ed|ting|ring)? "
    "(?:together )?(?:to|with|against|alongside)"
    "|(?:hug|embrac|kiss|fac|touch|meet|nuzzl|resembl|match|overlap)(?:es|e|s|ing|ed|ging|ged|ping)?"
    "|touch(?:es|ing)? (?:noses|heads|hands|beaks|trunks) with|hold(?:s|ing)? hands with|shak(?:e|es|ing) hands with"
    "|play(?:s|ing|ed)? (?:\\w+ )?(?:with|against)|greet(?:s|ing)?|(?:trad|exchang)(?:es|ing) \\w+ with"
    "|(?:married|engaged|similar|identical|connected|joined|linked|next door|parallel|perpendicular) (?:to|with)"
    "|(?:the same \\w+|as \\w+) as|look(?:s|ing)? like|shar(?:e|es|ing) a \\w+ with|mixed with|combined with"
)
_AUXILIARIES = "is|are|was|were|be|being|been|has|have|who|which|that|also|both|all|just|currently|happily|quietly|closely|right"
_SYMMETRIC = (
    f"(?:(?:{_AUXILIARIES}) )*(?:(?:\\w+ )?(?:{_BESIDE})"
    f"|(?:(?:{_POSTURES}) )?(?:(?:up|down|together|outside|inside) )?(?:{_WITH})|{_TOGETHER}|{_JOINED})"
)
_SYMMETRIC_BEFORE_NOUN = f"(?:(?:{_DETERMINERS}) )*{_SYMMETRIC}(?: (?:{_DETERMINERS}))*"

# What follows a noun and belongs to it alone, so that it tells the noun from the one before.
_BELONGING = (
    r"(?:with|wearing|holding|carrying|who|that|which|whose|dressed|covered|made|full|filled|of|pulling|riding|eating|drinking"
    r"|looking|reading|pushing|and \w+ing"
    r"|on (?:the|his|her|its) (?:top of )?(?:the |his |her )?(?:head|cheek|forehead|nose|lips|hand)"
    r"|(?:in|on) (?:a|an|his|her|their|the)? ?(?:\w+ ){0,2}(?:wheelchair|stroller|shirt|dress|hat|jacket"
    r"|coat|suit|skirt|uniform|tie|vest|sweater|helmet|jersey|outfit|costume|cap|leash|skateboard|bike|bicycle|horse|motorcycle"
    r"|surfboard))\b"
)

# Letters that do not stand beside each other in a sentence, unless its caption does the same: an article before a preposition,
# two nouns where there was no compound, ... (^ and $ are its ends).
_NOT_BEFORE = {"T": "PJCBT$", "P": "BJCV$", "N": "N", "A": "T", "V": "V", "B": "J$", "J": "JPB$", "C": "$"}
_NOT_BEFORE |= {"^": "JBV"}
# Nouns that are parts of expressions (on top of, a lot of, each other).
_OF_PHRASES = (
    "top bottom front back side middle center edge end background foreground distance view kind kinds type types lot lots couple"
    " number variety bunch pair set group row line part piece pieces each other way close"
)
_OUT_OF_ORDER = str([first + second for first, seconds in _NOT_BEFORE.items() for second in seconds])


def register_senses(database: Database, senses: Senses, more: Iterable[tuple[WordKind, str, str]] = ()) -> None:
    """Make readable, once for a database, what words have to do with each other.

    Args:
        database: any.
        senses: relations between words.
        more: further pairs of nouns or adjectives that may name one thing.
    """
    database.register("related_words", _related_table(senses, more))
    database.register("contrasting_words", _pairs_table(senses.contrasting))
    database.register("noun_kinds", _noun_kinds(senses))
    database.register("contrasted_words", pa.table({"word": sorted(senses.contrasted)}))
    database.register("vague_words", pa.table({"word": sorted(senses.vague)}))


def create_macros(database: Database, senses: Senses) -> None:
    """Make the macros of the facts, once for a database."""
    lists = {
        "telling": [*senses.telling, *_NUMBERS.split()],
        "adjectives": senses.adjectives,
        "sizes": senses.sizes,
        "colours": senses.colours,
    }
    for macro in _MACROS:
        for name, words in lists.items():
            macro = macro.replace(f"{{{name}}}", ", ".join(map(Database.literal, sorted(words))))
        database.execute(macro)


def create_meanings(database: Database) -> None:
    """Make the view `meanings` over the view `edits` (`degla.text.edit_rules.create_edits`), after `register_senses` and
    `create_macros`."""
    for statement in (_SHAPES, _FRONTS, _CHANGES):
        database.execute(statement)
    words = (word for (word,) in database.rows(_CHANGED_WORDS))
    database.register("base_forms", _bases(word for word in words if word is not None))
    _create_wrong_articles(database)
    database.execute(_PHRASES)
    database.execute(_MEANINGS)


def _create_wrong_articles(database: Database) -> None:
    """Table `wrong_articles`: the rows with an "a" or "an" that its word does not take, and the caption does not have."""
    database.execute(_NEW_ARTICLES)
    pairs = [pair for (pair,) in database.rows("select distinct pair from new_articles order by pair")]
    wrong = [pair for pair in pairs if article(pair.split(" ", 1)[1]) != pair.split(" ", 1)[0]]
    database.register("wrong_pairs", pa.table({"pair": pa.array(wrong, pa.string())}))
    database.execute(_WRONG_ARTICLES)


def _related_table(senses: Senses, more: Iterable[tuple[WordKind, str, str]]) -> pa.Table:
    kinds: tuple[WordKind, ...] = ("nouns", "adjectives")
    rows = {(kind, *pair) for kind in kinds for pair in senses.related[kind]}
    for kind, one, other in more:
        if not senses.exclude(kind, one, other):
            rows |= {(kind, one, other), (kind, other, one)}
    return pa.table(dict(zip(("kind", "one", "other"), zip(*sorted(rows), strict=True), strict=True)))


def _pairs_table(pairs: Pairs) -> pa.Table:
    ones, others = zip(*sorted(pairs), strict=True)
    return pa.table({"one": ones, "other": others})


def _noun_kinds(senses: Senses) -> pa.Table:
    words = sorted(senses.animate)
    flags = {
        "animate": [senses.animate[word] for word in words],
        "is_place": [word in senses.places for word in words],
        "numberless": [word in senses.numberless for word in words],
    }
    return pa.table({"word": words, **flags})


def _bases(words: Iterable[str]) -> pa.Table:
    rows = sorted(set(words))
    return pa.table({"word": rows, "nouns": [singular(word) for word in rows], "adjectives": [positive(word) for word in rows]})


_NO_COMPARATIVES = frozenset(("upper", "lower", "inner", "outer", "elder", "former", "latter"))


@lru_cache(1 << 16)
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


_MACROS = (
    # A letter for each tag: Noun, S for its plural, Adjective (number, past participle), G for -ing, Determiner, Verb,
    # Preposition, J for what joins (and, comma), Conjunction, adveRb, Other.
    "create or replace temp macro letter_of(tag) as case when tag = 'NN2' then 'S' when tag[1:2] in ('NN', 'NP') then 'N'"
    " when tag[1:2] in ('AJ', 'CR') or tag = 'VVN' then 'A' when tag = 'VVG' then 'G'"
    " when tag[1:2] in ('AT', 'DP', 'DT', 'OR') then 'D' when tag[1:1] = 'V' then 'V'"
    " when tag[1:2] = 'PR' then 'P' when tag in ('CJC', 'PUN') then 'J' when tag[1:2] = 'CJ' then 'C'"
    " when tag[1:2] = 'AV' then 'R' else 'O' end",
    "create or replace temp macro shape_of(tags) as array_to_string(list_transform(tags, lambda tag: letter_of(tag)), '')",
    # The letters of what describes a noun that follows.
    "create or replace temp macro describing(letters) as if(regexp_matches(letters, 'D[AG]*N?$'),"
    " regexp_extract(letters, 'D([AG]*N?)$', 1), regexp_extract(letters, 'A*N?$'))",
    # The parts of a list (a cat, a dog and a bird), in the order of the alphabet; null where it is none.
    "create or replace temp macro listed(words) as if(list_has_any(words, ['and', 'or', ',', '&']),"
    " list_sort(list_transform(string_split_regex(array_to_string(words, ' '), '(?:^| )(?:and|or|,|&)(?: |$)'),"
    " lambda part: regexp_replace(part, '^(a|the|some) ', ''))), null)",
    "create or replace temp macro describes(word) as word in ({adjectives})",
    "create or replace temp macro telling(words) as list_has_any(words, [{telling}])",
    f"create or replace temp macro both_ways(text) as regexp_full_match(text, {Database.literal(_SYMMETRIC_BEFORE_NOUN)})",
    "create or replace temp macro belonging(words) as"
    f" regexp_matches(array_to_string(words, ' '), {Database.literal('^' + _BELONGING)})",
    "create or replace temp macro joins_clauses(text) as"
    f" regexp_full_match(text, '(?:, )?(?:{_CLAUSES})(?: (?:{_DETERMINERS}))?')",
    "create or replace temp macro same_stem(one, other) as len(one) > 3 and one[1:4] = other[1:4]"
    " and one[1 : (0.6 * least(len(one), len(other)))::int] = other[1 : (0.6 * least(len(one), len(other)))::int]"
    " and not (ends_with(one, 'less') or ends_with(other, 'less'))",
    # Where the noun stands that the words at prefix + 1 ... prefix + num describe.
    "create or replace temp macro noun_at(shape, prefix, num) as if(regexp_matches(shape[prefix + num + 1 :], '^[AGRJ]*[NS]'),"
    " prefix + num + len(regexp_extract(shape[prefix + num + 1 :], '^[AGRJ]*[NS]+')),"
    " prefix - len(regexp_extract(shape[1 : prefix], 'VR?$')))",
    # The words without articles, with another last one.
    "create or replace temp macro with_last(words, last) as"
    " if(len(words) = 1, if(is_word(last) and last not in ('a', 'the'), last, ''),"
    " array_to_string(unarticled(list_append(words[1 : len(words) - 1], last)), ' '))",
    # Letters as of letter_of, apart from T for what a noun must follow (a, his), B for auxiliaries and N for all nouns; and those
    # of the words of a text, by the letters that they have in the caption.
    "create or replace temp macro order_letter(tag) as case when tag[1:2] in ('AT', 'DP') then 'T'"
    " when tag[1:2] in ('VB', 'VH', 'VM') then 'B' when tag[1:2] = 'NN' then 'N' else letter_of(tag) end",
    "create or replace temp macro order_of(words, old, order_shape) as '^' || array_to_string(list_transform(worded(words),"
    " lambda w: coalesce(order_shape[list_position(old, w)], 'O')), '') || '$'",
    f"create or replace temp macro scrambled(before, after) as len(list_filter({_OUT_OF_ORDER}, lambda pair:"
    " contains(after, pair) and not contains(before, pair))) > 0",
    f"create or replace temp macro of_phrase(words) as len(words) = 1 and words[1] in {tuple(_OF_PHRASES.split())}",
    "create or replace temp macro single(word) as word in ('a', 'one', 'another', 'each', 'every')",
    # One of two adjectives says how large, and the other nothing like it and no colour: both may be true of either thing.
    "create or replace temp macro sized(one, other) as (one in ({sizes}) or other in ({sizes}))"
    " and one not in ({colours}) and other not in ({colours})",
    # Words before a noun that stand before the other one as well when the two are exchanged: a picture of a cat and a dog.
    "create or replace temp macro governs_alike(word) as word in ('of', 'with', 'is', 'are', 'was', 'were', 'has', 'have',"
    " 'between', 'shows', 'showing', 'features', 'featuring', 'contains', 'containing', 'including')",
    # The same words follow both adjectives (k of them, from the first noun on) and precede both (m of them); what joins the two
    # phrases holds both ways: a girl in a [red] dress, next to, a girl in a [white] dress.
    "create or replace temp macro phrases_alike(old, prefix, gap, rest) as len(list_filter(range(1, len(gap)), lambda k:"
    " gap[1:k] = rest[1:k] and not belonging(rest[k + 1 :]) and len(list_filter(range(0, least(len(gap) - k, prefix + 1)),"
    " lambda m: gap[len(gap) - m + 1 :] = old[prefix - m + 1 : prefix]"
    " and both_ways(array_to_string(gap[k + 1 : len(gap) - m], ' ')))) > 0)) > 0",
)

_NEW_ARTICLES = r"""
create or replace temp table new_articles as
with pairs as (
    select rowid as row, caption, regexp_extract_all(lower(text), '(?:^|[^\p{L}\p{N}])(an? [\p{L}\p{N}]+)', 1) as pairs
    from differences
)
select row, unnest(list_filter(pairs, lambda pair: not contains(lower(caption), pair))) as pair from pairs
"""
_WRONG_ARTICLES = """
create or replace temp table wrong_articles as select distinct row from new_articles join wrong_pairs using (pair)
"""

_CHANGED_WORDS = "select distinct unnest([one[-1], other[-1], following, described]) from changes"

_SHAPES = """
create or replace temp table caption_shapes as
select caption_id, shape_of(tags) as shape,
    array_to_string(list_transform(tags, lambda tag: order_letter(tag)), '') as order_shape
from captions
"""

# Reshuffles that begin with the caption's last words (after them, what is left may be exchanged as well).
_FRONTS = """
create or replace temp table fronts as
with words as (
    select rowid as row, worded(old) as old, worded(new) as new
    from differences where type = 'reshuffle' and len(exchange) = 0 and len(old) = len(new)
), fronted as (
    select *, list_max(list_filter(range(2, len(new)), lambda k: new[1:k] = old[len(old) - k + 1 :])) as k from words
), left_over as (
    select * replace (old[1 : len(old) - k] as old, new[k + 1 :] as new) from fronted where k is not null
), parts as (
    select *, middle(old, common_prefix(old, new), common_prefix(list_reverse(old), list_reverse(new))) as removed,
        middle(new, common_prefix(old, new), common_prefix(list_reverse(old), list_reverse(new))) as added
    from left_over
)
select row, old = new or coalesce(listed(removed) = listed(added), false)
    or coalesce(both_ways(array_to_string(removed[exchange[2] + 1 : len(removed) - exchange[3]], ' ')), false) as turned_round
from (select *, exchanged(removed, added)[1] as exchange from parts)
"""

_CHANGES = """
create or replace temp table changes as
with shaped as (
    select d.*, d.rowid as row, shape, order_shape, old[prefix + len(removed) + 1 :] as rest
    from differences d join caption_shapes using (caption_id) where type not like 'replace%'
), replaced as (
    select d.*, d.rowid as row, shape
    from differences d join caption_shapes using (caption_id) where type like 'replace%'
), gaps as (
    select *, shape[prefix + len(first_words) + 1 : prefix + len(removed) - len(second_words)] as gap_shape,
        describing(shape[1 : prefix]) as before_first,
        len(exchange) > 0 and (type = 'swap_adjectives'
            or type = 'reshuffle' and regexp_full_match(shape[prefix + 1 : prefix + len(first_words)], '[AG]+')) as of_adjectives
    from shaped
), described as (
    select *, old[prefix - len(before_first) + 1 : prefix] as first_described,
        gap[len(gap) - len(describing(gap_shape)) + 1 :] as second_described,
        common_prefix(gap, rest) as after_both,
        if(of_adjectives, old[noun_at(shape, prefix, len(first_words))], null) as first_owner,
        if(of_adjectives, old[noun_at(shape, prefix + len(removed) - len(second_words), len(second_words))], null)
            as second_owner,
        prefix - len(before_first) - (shape[prefix - len(before_first)] = 'D')::int as governor
    from gaps
), ordered as (
    select *, if(type = 'reshuffle', order_of(old, old, order_shape), null) as old_order,
        if(type = 'reshuffle', order_of(new, old, order_shape), null) as new_order
    from described
)
select row, type, first_words as one, second_words as other, following,
    if(of_adjectives, 'adjectives', 'nouns') as kind, of_adjectives,
    if(first_owner <> second_owner, [array_to_string(second_words, ' ') || ' ' || first_owner,
        array_to_string(first_words, ' ') || ' ' || second_owner], []) as new_pairs,
    case when type in ('reshuffle', 'swap_nouns') and len(gap) > 0
        then array_to_string(unarticled(flatten([second_words, gap, first_words])), ' ') end as exchanged_text,
    array_to_string(first_described, ' ') as first_described, array_to_string(second_described, ' ') as second_described,
    first_described = second_described as equally_described,
    telling(first_described) or telling(second_described) as told_apart,
    if(type in ('reshuffle', 'swap_nouns'), if(len(exchange) > 0 and not of_adjectives,
            not belonging(rest) and both_ways(array_to_string(gap[1 : len(gap) - len(second_described)], ' '))
            or after_both > 0 and not belonging(rest[after_both + 1 :])
                and both_ways(array_to_string(gap[after_both + 1 : len(gap) - len(second_described)], ' '))
            or regexp_full_match(gap_shape, 'J[DA]*([NS]+J[DA]*)+'), false)
        or len(exchange) > 0 and len(first_words) > 1 and len(second_words) > 1 and joins_clauses(array_to_string(gap, ' '))
        or coalesce(listed(removed) = listed(added), false), false) as both_ways,
    regexp_matches(gap_shape, '[VG]') as does_something,
    not regexp_matches(gap_shape, '^J') and shape[governor] in ('P', 'V', 'G') and not governs_alike(old[governor])
        as of_another,
    if(type = 'reshuffle', scrambled(old_order, new_order) or len(exchange) > 0
        and regexp_full_match(shape[prefix + 1 : prefix + len(first_words)], '[VG]+'), false) as out_of_order,
    if(type = 'reshuffle' and len(exchange) > 0, regexp_full_match(gap_shape, 'PD?A*')
        and regexp_matches(shape[1 : prefix], 'PD?A*$'), false) as one_subject,
    if(type = 'reshuffle' and len(exchange) > 0 and prefix = 0, regexp_full_match(gap_shape, '[VGR]+|[NS]')
        and regexp_matches(shape[len(removed) - len(second_words) + 1 :], '^(A?P|R[PDR]|R$|J|C)'), false) as turned_round,
    if(type = 'reshuffle' and len(exchange) > 0, shape[prefix] in ('N', 'S') and belonging(second_words)
        or shape[prefix + len(removed)] in ('P', 'D'), false) as given_another,
    if(type = 'swap_nouns' and len(exchange) > 0,
        regexp_matches(gap_shape, '^(N|SV)') and gap[2] is distinct from 'of' or gap_shape[-1] = 'N' and not describes(gap[-1])
        or regexp_matches(shape[prefix + len(removed) + 1 :], '^(N|SV)') and rest[2] is distinct from 'of'
        or shape[prefix] = 'N' and not describes(old[prefix]) or gap[1] = 'of' and regexp_full_match(gap_shape, 'PD?A*')
        or of_phrase(first_words) or of_phrase(second_words), false) as parts_of_nouns,
    of_adjectives and regexp_matches(gap_shape, '[NSVGPO]') as between_owners,
    if(of_adjectives and gap[1] = rest[1], phrases_alike(old, prefix, gap, rest), false) as owners_alike
from ordered
union all by name
select row, type, removed as one, added as other, following, if(type = 'replace_adjectives', 'adjectives', 'nouns') as kind,
    coalesce(single(old[prefix]), false)
        or coalesce((single(old[prefix - 1]) or single(old[prefix - 2])) and shape[prefix] = 'A', false) as of_one,
    false as of_adjectives, if(type = 'replace_adjectives', old[noun_at(shape, prefix, len(removed))], null) as described
from replaced
"""

_PHRASES = """
create or replace temp table phrases as
with phrased as (
    select c.*, with_last(one, if(kind = 'nouns', b.nouns, b.adjectives)) as first_base,
        with_last(other, if(kind = 'nouns', d.nouns, d.adjectives)) as second_base,
        b.nouns as first_head, d.nouns as second_head, array_to_string(list_append(one, f.nouns), ' ') as first_compound,
        array_to_string(list_append(other, f.nouns), ' ') as second_compound
    from changes c left join base_forms b on b.word = one[-1] left join base_forms d on d.word = other[-1]
    left join base_forms f on f.word = c.following and kind = 'nouns'
)
select p.row, z.row is not null as wrong_article,
    p.type = 'replace_nouns' and if(p.other[-1] = p.second_head,
        p.one[-1] <> p.first_head and not coalesce(n.numberless, true),
        p.one[-1] = p.first_head and not coalesce(m.numberless, false) and p.of_one) as other_number,
    p.out_of_order, p.given_another, p.parts_of_nouns, p.between_owners, p.owners_alike,
    p.both_ways and not p.of_another and not (p.does_something and coalesce(m.animate <> n.animate, false))
        or p.one_subject and m.is_place and n.is_place as holds_both_ways,
    p.turned_round or coalesce(w.turned_round, false) as turned_round,
    p.first_base = p.second_base
        or p.kind = 'adjectives' and x.one is null and same_stem(p.first_base, p.second_base) as changed_equal,
    p.of_adjectives, r.one is not null or s.one is not null as changed_related,
    x.one is not null as changed_contrasting,
    u.word is not null as old_contrasted, v.word is not null as new_contrasted,
    x.one is null and sized(p.first_base, p.second_base) as of_different_respects,
    h.word is not null as old_vague, i.word is not null as new_vague,
    [array_to_string(p.other, ' '), p.second_base, p.second_compound] as put_in,
    [array_to_string(p.other, ' ') || ' ' || p.described, array_to_string(p.other, ' ') || ' ' || g.nouns] as put_on,
    p.new_pairs, p.exchanged_text,
    p.equally_described or t.one is not null or not (p.told_apart or y.one is not null) as described_alike
from phrased p
left join base_forms g on g.word = p.described
left join fronts w using (row)
left join wrong_articles z using (row)
left join related_words r on r.kind = p.kind and r.one = p.first_base and r.other = p.second_base
left join related_words s on s.kind = p.kind and s.one = p.first_compound and s.other = p.second_compound
left join related_words t on t.kind = 'adjectives' and t.one = p.first_described and t.other = p.second_described
left join contrasting_words x on p.kind = 'adjectives' and x.one = p.first_base and x.other = p.second_base
left join contrasting_words y on y.one = p.first_described and y.other = p.second_described
left join contrasted_words u on p.kind = 'adjectives' and u.word = p.first_base
left join noun_kinds m on p.kind = 'nouns' and m.word = p.first_head
left join noun_kinds n on p.kind = 'nouns' and n.word = p.second_head
left join vague_words h on p.kind = 'adjectives' and h.word = p.first_base
left join vague_words i on p.kind = 'adjectives' and i.word = p.second_base
left join contrasted_words v on p.kind = 'adjectives' and v.word = p.second_base
"""

# The view of all facts joins but two tables with a row for each text: a join that some rows have no partner for leaves small
# pieces, on which every later expression costs more.
_MEANINGS = "create or replace temp view meanings as select e.*, p.* exclude (row) from edits e left join phrases p using (row)"
