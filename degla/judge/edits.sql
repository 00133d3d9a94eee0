-- What an edit did to the words of a caption: from the views `captions` and `rewrites` to the view `edits`, in this order.
-- `said`: words without articles and punctuation. "a" and "an" count as one word.

-- step: captions
-- What every rewrite of a caption needs of it. `initials` has the first letter of each tag, but F for "of".
create or replace table caption_facts as
select caption_id, image_id, caption, old, worded(old) as old_words, array_to_string(without_articles(old_words), ' ') as old_said,
    array_to_string(list_transform(tags, lambda tag: if(tag = 'PRF', 'F', tag[1])), '') as initials,
    array_to_string(list_concat(old, tags), ' ') as words_tags
from (select *, fold(lowered(tokens)) as old from captions);

-- step: marked_captions
-- Captions with capitals after the first word, a negation (`negated`: its places), or words that are one unit (`units`, `labels`,
-- `phrases`: the number of words before each joint). negated_places and unit_joints are Python.
create or replace table marked_captions as
with joined as (
    select *, unit_joints(array_to_string(list_concat(tokens, tags), ' ')) as joints
    from captions join (select caption_id, old, words_tags from caption_facts) using (caption_id)
)
select caption_id, list_concat(capitals(caption), if(tags[1] = 'NP0', [tokens[1]], [])) as capitals,
    case when may_negate(old) then negated_places(words_tags) end as negated, joints.units as units, joints.labels as labels,
    joints.phrases as phrases
from joined where may_negate(old) or has_capitals(caption) or len(joints.units) + len(joints.labels) + len(joints.phrases) > 0;

-- step: differences
-- In a text that moves words, verbs and determiners stand in the number that they have in the caption (`new`; in_number is Python).
-- Where the two texts differ: removed and added words; for an exchange the two stretches and the link between them.
-- Most edits keep the number of words: then the places that differ tell both ends.
create or replace table differences as
with texts as (
    select r.*, c.* exclude (caption_id), lower(r.text) as lower_text
    from rewrites r join caption_facts c using (caption_id) where r.status = 'ok'
), tokens as (
    select * exclude (lower_text), toks_of(lower_text) as tokens, fold(tokens) as written from texts
), folded as (
    select *, not replaces(type) and not list_has_all(old, written) as has_others,
        case when has_others then string_split(in_number(words_tags || chr(9) || array_to_string(written, ' ')), ' ') else written end
            as new
    from tokens
), compared as (
    select *, worded(new) as words, case when len(old) = len(new) then differing(old, new) end as places from folded
), ends as (
    select *, case when places is not null then coalesce(places[1] - 1, len(old)) else common_prefix(old, new) end as prefix
    from compared
), middles as (
    select *, case when places is not null then coalesce(len(old) - places[-1], 0) else common_tail(old, new, prefix) end as tail
    from ends
), parts as (
    select * exclude (places, initials, tail, written, has_others), middle(old, prefix, tail) as removed, middle(new, prefix, tail) as added,
        len(words) as num_words, has_others and written <> new as in_other_number, array_to_string(without_articles(words), ' ') as said,
        initials[prefix + 1 : len(old) - tail] as changed_initials,
        initials[len(old) - tail + 1] as following_initial
    from middles
), exchanges as (
    select *, coalesce(case when not replaces(type) then exchanged(removed, added)[1] end, []) as exchange from parts
), stretches as (
    select *, removed[1 : exchange[2]] as first_words, removed[len(removed) - exchange[3] + 1 : len(removed)] as second_words,
        removed[exchange[2] + 1 : len(removed) - exchange[3]] as link
    from exchanges
)
select * exclude (changed_initials, following_initial), {min_tokens} as min_tokens, {max_tokens} as max_tokens,
    old[prefix + len(removed) + 1] as following,
    regexp_matches(case when len(exchange) > 0 then changed_initials[1 : len(first_words)]
        || changed_initials[len(removed) - len(second_words) + 1 : len(removed)] else changed_initials end, '[VP]') as has_verb,
    case when changed_initials = 'N' and replaces(type) and not takes_nouns(type)
        then coalesce(following_initial not in ('N', 'A'), true) and not telling(removed) else false end as is_head
from stretches;

-- step: marked
-- Rewrites that change what stands inside a negation, move words out of a unit, or have capitals where the caption has none.
create or replace table marked as
select d.rowid as row, coalesce(list_has_any(negated, range(prefix + 1, prefix + len(removed) + 1)), false) as in_negation,
    coalesce(more_capitals(capitals(text), coalesce(m.capitals, [])) and not is_titled(m.capitals, old), false)
        or begins_low(text) and not begins_low(caption) or regexp_matches(text, '^[a-z]') and regexp_matches(caption, '^[^\p{L}]')
        as new_capitals,
    case when replaces(type) or m.caption_id is null then false else len(list_filter(list_concat(units, labels), lambda i:
        not contains(' ' || array_to_string(new, ' ') || ' ', ' ' || old[i] || ' ' || old[i + 1] || ' '))) > 0 end as moves_part
from differences d left join marked_captions m using (caption_id)
where m.caption_id is not null or has_capitals(text) or begins_low(text) or regexp_matches(caption, '^[^\p{L}]');

-- step: cut_units
-- Replacements of a part of a unit, unless the new words are one too, or stand beside each other in the captions; and adjectives that
-- make a unit of what was none (a big dog, a hot dog). Of an adjective and a noun that are a phrase, the noun may get another
-- adjective by any edit if that is a phrase too, or if the captions have it. is_compound and is_phrase are Python.
create or replace table cut_units as
with borders as (
    select rowid as row, type, caption_id, unnest([
        struct_pack(joint := prefix, pair := old[prefix] || ' ' || added[1]),
        struct_pack(joint := prefix + len(removed), pair := added[-1] || ' ' || following)]) as border
    from differences where replaces(type) and len(added) > 0
), cut as (
    select row, type, border.pair as pair, coalesce(list_contains(units, border.joint), false) as in_unit,
        coalesce(list_contains(labels, border.joint), false) as in_label,
        coalesce(list_contains(phrases, border.joint), false) as in_phrase
    from borders left join marked_captions using (caption_id) where border.pair is not null
), moved as (
    select d.rowid as row, new, old[joint] as adjective, old[joint + 1] as noun
    from differences d join (select caption_id, unnest(phrases) as joint from marked_captions) using (caption_id)
    where not replaces(type)
), parted as (
    select row, new[list_position(new, noun) - 1] || ' ' || noun as pair
    from moved where not list_contains(list_transform(range(1, len(new)), lambda i: new[i] || ' ' || new[i + 1]), adjective || ' ' || noun)
)
select distinct row from cut left join known_uses on word = pair
where in_label or case when in_unit then (word is null or pair like 'of %') and not is_compound(pair)
    when in_phrase and word is null and not is_phrase(pair) then true else not takes_nouns(type) and is_compound(pair) end
union
select row from parted left join known_uses on word = pair where word is null and pair is not null and not is_phrase(pair);

-- step: changed_words
-- Nouns may change places with their determiners (a couch on two dogs) and with what "of" joins to them; adjectives with what joins
-- them (black and white).
create or replace table changed_words as
select rowid as row, unnest(case when len(exchange) = 0 then list_concat(removed, added)
    when takes_nouns(type) then list_filter(list_concat(first_words, second_words), lambda word: word <> 'of' and not determines(word))
    else list_filter(list_concat(first_words, second_words), lambda word: not joins_adjectives(word)) end) as word
from differences where not reorders(type);

-- step: word_uses
-- Words that neither the lexicon nor the captions know are tagged one by one (used_alone is Python).
create or replace table word_uses as
from known_uses union all by name
select word, unnest(used_alone(word)) from (select distinct word from changed_words anti join known_uses using (word));

-- step: changed_uses
create or replace table changed_uses as
with uses as (
    select row, bool_and(coalesce(noun, false)) as only_nouns, bool_and(coalesce(adjective, false)) as only_adjectives,
        bool_and(coalesce(noun or adjective, false)) as only_named
    from changed_words left join word_uses using (word) group by row
)
select d.rowid as row, only_nouns, only_adjectives, only_named and f.noun and s.noun as noun_phrases
from differences d left join uses u on u.row = d.rowid
left join word_uses f on f.word = d.first_words[-1] left join word_uses s on s.word = d.second_words[-1];

-- step: edits
create or replace temp view edits as select d.* exclude (tokens, words, old_words), u.* from differences d left join changed_uses u on u.row = d.rowid;
