-- What a rewrite says beside its caption: from the view `edits`, `captions` and the tables of `edits.sql` to the view `facts`.

-- step: caption_shapes
create or replace table caption_shapes as
select caption_id, shape_of(tags) as shape, array_to_string(list_transform(tags, lambda tag: order_letter(tag)), '') as order_shape
from captions;

-- step: fronts
-- Reshuffles that begin with the caption's last words (after them, what is left may be exchanged as well).
create or replace table fronts as
with words as (
    select rowid as row, old_words as old, words as new
    from differences where reorders(type) and len(exchange) = 0 and len(old) = len(new)
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
from (select *, exchanged(removed, added)[1] as exchange from parts);

-- step: changes
-- How the changed parts stand in the caption: what describes them, what links them, whose the adjectives are.
create or replace table changes as
with shaped as (
    select d.*, d.rowid as row, shape, order_shape, old[prefix + len(removed) + 1 :] as rest
    from differences d join caption_shapes using (caption_id) where not replaces(type)
), replaced as (
    select d.*, d.rowid as row, shape, describing(shape[1 : prefix]) as before,
        prefix - len(before) - (shape[prefix - len(before)] = 'D')::int as governor,
        case when shape[prefix] <> 'A' or counts(old[prefix]) then old[prefix]
            when single(old[prefix - 1]) or counts(old[prefix - 1]) then old[prefix - 1]
            when shape[prefix - 1] not in ('V', 'P', 'J', 'C') then old[prefix - 2] end as counting
    from differences d join caption_shapes using (caption_id) where replaces(type)
), links as (
    select *, shape[prefix + len(first_words) + 1 : prefix + len(removed) - len(second_words)] as link_shape,
        describing(shape[1 : prefix]) as before_first, takes_nouns(type) as of_nouns,
        len(exchange) > 0 and (not takes_nouns(type)
            or reorders(type) and regexp_full_match(shape[prefix + 1 : prefix + len(first_words)], '[AG]+')) as of_adjectives
    from shaped
), described as (
    select *, old[prefix - len(before_first) + 1 : prefix] as first_described,
        link[len(link) - len(describing(link_shape)) + 1 :] as second_described,
        common_prefix(link, rest) as after_both,
        if(of_adjectives, old[noun_at(shape, prefix, len(first_words))], null) as first_owner,
        if(of_adjectives, old[noun_at(shape, prefix + len(removed) - len(second_words), len(second_words))], null)
            as second_owner,
        prefix - len(before_first) - (shape[prefix - len(before_first)] = 'D')::int as governor,
        shape[prefix + 1 : prefix + len(first_words)] as first_shape,
        shape[prefix + len(removed) - len(second_words) + 1 : prefix + len(removed)] as second_shape
    from links
), ordered as (
    select *, if(reorders(type), order_of(old_words, old, order_shape), null) as old_order,
        if(reorders(type), order_of(words, old, order_shape), null) as new_order
    from described
)
select row, type, first_words as one, second_words as other, following,
    if(of_adjectives, 'adjectives', 'nouns') as part_of_speech, of_adjectives,
    if(first_owner <> second_owner, [array_to_string(second_words, ' ') || ' ' || first_owner,
        array_to_string(first_words, ' ') || ' ' || second_owner], []) as new_pairs,
    case when of_nouns and len(link) > 0
        then array_to_string(without_articles(list_filter(flatten([second_words, link, first_words]),
            lambda word: list_contains(old_words, word))), ' ') end as exchanged_text,
    array_to_string(first_described, ' ') as first_described, array_to_string(second_described, ' ') as second_described,
    first_described = second_described or len(second_described) = 0 and joins(link) as equally_described,
    telling(first_described) or telling(second_described) as told_apart,
    if(of_nouns, if(len(exchange) > 0 and not of_adjectives,
            not belonging(rest) and both_ways(array_to_string(link[1 : len(link) - len(second_described)], ' '))
            or after_both > 0 and not belonging(rest[after_both + 1 :])
                and both_ways(array_to_string(link[after_both + 1 : len(link) - len(second_described)], ' '))
            or regexp_full_match(link_shape, 'J[DA]*([NS]+J+[DA]*)+'), false)
        or len(exchange) > 0 and len(first_words) > 1 and len(second_words) > 1 and joins_clauses(array_to_string(link, ' '))
        or coalesce(listed(removed) = listed(added), false), false) as both_ways,
    regexp_matches(link_shape, '[VG]') and acts(link, link_shape) as does_something,
    len(exchange) > 0 and facing(array_to_string(link[1 : len(link) - len(second_described)], ' ')) as is_facing,
    len(exchange) > 0 and link[1] = 'of' as first_holds, len(exchange) > 0 and rest[1] = 'of' as second_holds,
    len(exchange) > 0 and wears(old[1 : governor]) as first_worn,
    len(exchange) > 0 and wears(list_concat(first_words,
        link[1 : len(link) - len(second_described) - determines(link[len(link) - len(second_described)])::int])) as second_worn,
    in_other_number or len(exchange) = 0 or not of_adjectives
        and shape[prefix + len(first_words)] <> shape[prefix + len(removed)] as changes_number,
    not regexp_matches(link_shape, '^J') and shape[governor] in ('P', 'V', 'G') and not governs_alike(old[governor])
        as of_another,
    if(reorders(type), scrambled(old_order, new_order) or len(exchange) > 0
        and regexp_full_match(first_shape, '[VG]+') and not (first_shape = 'G' and second_shape = 'G'
            and verbs_alike(link_shape, shape[prefix + len(removed) + 1])), false) as out_of_order,
    if(reorders(type) and len(exchange) > 0, regexp_full_match(link_shape, 'PD?A*')
        and regexp_matches(shape[1 : prefix], 'PD?A*$'), false) as one_subject,
    if(reorders(type) and len(exchange) > 0 and prefix = 0, regexp_full_match(link_shape, '[VGR]+|[NS]')
        and regexp_matches(shape[len(removed) - len(second_words) + 1 :], '^(A?P|R[PDR]|R$|J|C)'), false) as turned_round,
    if(reorders(type) and len(exchange) > 0, shape[prefix] in ('N', 'S') and belonging(second_words)
        or shape[prefix + len(removed)] in ('P', 'D'), false) as given_another,
    if(exchanges(type) and of_nouns and len(exchange) > 0,
        regexp_matches(link_shape, '^(N|SV)') and link[2] is distinct from 'of' or link_shape[-1] = 'N' and not describes(link[-1])
        or regexp_matches(shape[prefix + len(removed) + 1 :], '^(N|SV)') and rest[2] is distinct from 'of'
        or shape[prefix] = 'N' and not describes(old[prefix]) or link[1] = 'of' and regexp_full_match(link_shape, 'PD?A*')
        or of_phrase(first_words) or of_phrase(second_words), false) as parts_of_nouns,
    of_adjectives and regexp_matches(link_shape, '[NSVGPO]') as between_owners,
    if(of_adjectives and link[1] = rest[1], phrases_alike(old, prefix, link, rest), false) as owners_alike,
    (is_marking(first_owner) or is_marking(second_owner)) and is_colour(first_words[1]) and is_colour(second_words[1]) as of_marking
from ordered
union all by name
select row, type, removed as one, added as other, following, if(takes_nouns(type), 'nouns', 'adjectives') as part_of_speech,
    coalesce(single(counting), false) as of_one, coalesce(counts(counting), false) as of_many,
    coalesce(shape[prefix + len(removed) + 1] = 'V' and not regexp_matches(shape[1 : prefix], 'P[DAGN]*$'), false) as before_verb,
    coalesce(shape[prefix + len(removed) + 1] in ('N', 'S'), false) as before_noun,
    false as of_adjectives, coalesce(following = 'of', false) as first_holds, coalesce(wears(old[1 : governor]), false) as first_worn,
    if(takes_nouns(type), null, old[noun_at(shape, prefix, len(removed))]) as described
from replaced;

-- step: base_forms
-- singular and positive are Python.
create or replace table base_forms as
select word, singular(word) as nouns, positive(word) as adjectives
from (select distinct unnest([one[-1], other[-1], following, described]) as word from changes) where word is not null;

-- step: wrong_articles
-- Rows with an "a" or "an" that its word does not take (article is Python), and that the caption does not have.
create or replace table wrong_articles as
with pairs as (
    select rowid as row, caption, regexp_extract_all(lower(text), '(?:^|[^\p{L}\p{N}])(an? [\p{L}\p{N}]+)', 1) as pairs
    from differences
), new_pairs as (
    select row, unnest(list_filter(pairs, lambda pair: not contains(lower(caption), pair))) as pair from pairs
), wrong_pairs as (
    select pair from (select distinct pair from new_pairs)
    where article(split_part(pair, ' ', 2)) <> split_part(pair, ' ', 1)
)
select distinct row from new_pairs join wrong_pairs using (pair);

-- step: owned
-- Whose the adjectives of bodies and of things are, in the captions (row is null) and in the rewrites.
create or replace table owned as
with texts as (
    select null::bigint as row, caption_id, old as words from caption_facts
    union all
    select rowid as row, caption_id, new[greatest(1, prefix - 2) : prefix + len(added) + 3] as words from differences
), described as (
    select row, caption_id, unnest(owners(words)) as pair from texts where describes_bodies(array_to_string(words, ' '))
), kinds as (
    select owner, base, kind, coalesce(noun, false) as noun
    from (select owner, singular(owner) as base from (select distinct unnest(pair.owner[1:2]) as owner from described))
    join noun_kinds k on k.word = base left join known_uses u on u.word = owner
)
select row, caption_id, pair.adjective as adjective, coalesce(f.kind, k.kind) as kind
from described join kinds k on k.owner = pair.owner[1]
left join kinds f on f.owner = pair.owner[2] and f.noun and f.kind <> 'person' and may_join(k.base);  -- a passenger train is a train

-- step: strange_owners
-- Rewrites that give such an adjective to a person, an animal, a part of a body or a thing, though the caption gives it to none of that kind.
create or replace table strange_owners as
select distinct row from owned o where row is not null and case kind when 'person' then not_of_people(adjective)
    when 'thing' then of_bodies(adjective) else of_matter(adjective) end
and not exists (from owned c where c.row is null and c.caption_id = o.caption_id and c.adjective = o.adjective and c.kind = o.kind);

-- step: phrased
-- The changed words in base form.
create or replace table phrased as
select * from (
    select c.*, with_last(one, if(part_of_speech = 'nouns', b.nouns, b.adjectives)) as first_base,
        with_last(other, if(part_of_speech = 'nouns', d.nouns, d.adjectives)) as second_base,
        b.nouns as first_head, d.nouns as second_head, array_to_string(list_append(one, f.nouns), ' ') as first_compound,
        array_to_string(list_append(other, f.nouns), ' ') as second_compound
    from changes c left join base_forms b on b.word = one[-1] left join base_forms d on d.word = other[-1]
    left join base_forms f on f.word = c.following and part_of_speech = 'nouns'
);

-- step: word_relations
-- What WordNet says of them (relation is Python).
create or replace table word_relations as
select *, relation(concat_ws(chr(9), part_of_speech, one, other)) as relation from (
    select distinct part_of_speech, first_base as one, second_base as other
    from phrased where replaces(type) or of_adjectives
    union select distinct 'compounds', first_compound, second_compound
    from phrased where replaces(type) and part_of_speech = 'nouns' and following is not null
) where one <> other and one <> '' and other <> '';

-- step: disagreeing
-- Texts that move words, or replace a noun, and in which a determiner, a verb or a pronoun does not agree with its noun (agrees is
-- Python).
create or replace table disagreeing as
select p.row from phrased p join differences d on d.rowid = p.row
left join noun_traits m on m.word = p.first_head left join noun_traits n on n.word = p.second_head
where if(not p.of_adjectives and takes_nouns(d.type) and refers(d.old)
        or (p.changes_number or not p.of_adjectives and coalesce(m.mass, false) <> coalesce(n.mass, false)) and not replaces(d.type),
    not agrees(words_tags || chr(9) || array_to_string(tokens, ' ')), false);

-- step: phrases
-- What the changed words have to do with each other.
create or replace table phrases as
select p.row, z.row is not null as wrong_article, q.row is not null as of_strange_owner,
    coalesce(j.in_negation, false) as in_negation, coalesce(j.new_capitals, false) as new_capitals,
    u2.row is not null or coalesce(j.moves_part, false) as cuts_unit,
    replaces(p.type) and takes_nouns(p.type) and case
        when p.of_one and not coalesce(m.numberless, false) then coalesce(n.mass and not p.before_noun, false)
            or (coalesce(n.plural_only, false) or p.other[-1] <> p.second_head) and not coalesce(n.unchanged, false)
        when p.of_many and not coalesce(m.numberless, false) then not p.before_noun
            and (coalesce(n.mass or n.plural_only and p.other[-1] = p.second_head, false) or p.other[-1] = p.second_head and not coalesce(n.unchanged, false))
        when p.before_verb and not coalesce(m.unchanged or n.unchanged, false) then
            (coalesce(m.plural_only, false) or p.one[-1] <> p.first_head) <> (coalesce(n.plural_only, false) or p.other[-1] <> p.second_head)
        else p.other[-1] = p.second_head and p.one[-1] <> p.first_head and not coalesce(n.numberless, true) end as other_number,
    o.row is not null as disagrees,
    p.part_of_speech = 'nouns' and (p.first_holds and m.holds and n.holds is distinct from true
        or coalesce(p.second_holds, false) and n.holds and m.holds is distinct from true
        or p.first_worn and m.is_worn and n.is_worn is distinct from true
        or coalesce(p.second_worn, false) and n.is_worn and m.is_worn is distinct from true) as out_of_place,
    p.out_of_order, p.given_another, p.parts_of_nouns, p.between_owners, p.owners_alike, p.of_marking,
    p.both_ways and not p.of_another and not (p.does_something and coalesce(m.animate <> n.animate, false))
        or p.is_facing and not p.of_another and coalesce(m.animate <> n.animate, false)
        or p.one_subject and m.is_place and n.is_place as holds_both_ways,
    p.turned_round or coalesce(w.turned_round, false) as turned_round,
    p.first_base = p.second_base
        or p.part_of_speech = 'adjectives' and x.one is null and same_stem(p.first_base, p.second_base) as changed_equal,
    p.of_adjectives,
    r.one is not null or s.one is not null or coalesce(k.relation = 'related', false)
        or coalesce(l.relation = 'related', false) as changed_related,
    x.one is not null or coalesce(k.relation = 'contrasting', false) as changed_contrasting,
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
left join strange_owners q using (row)
left join disagreeing o using (row)
left join cut_units u2 using (row)
left join marked j using (row)
left join related_words r on r.part_of_speech = p.part_of_speech and r.one = p.first_base and r.other = p.second_base
left join related_words s on s.part_of_speech = p.part_of_speech and s.one = p.first_compound and s.other = p.second_compound
left join word_relations k on k.part_of_speech = p.part_of_speech and k.one = p.first_base and k.other = p.second_base
left join word_relations l on l.part_of_speech = 'compounds' and l.one = p.first_compound and l.other = p.second_compound
left join related_words t on t.part_of_speech = 'adjectives' and t.one = p.first_described and t.other = p.second_described
left join contrasting_words x on p.part_of_speech = 'adjectives' and x.one = p.first_base and x.other = p.second_base
left join contrasting_words y on y.one = p.first_described and y.other = p.second_described
left join contrasted_words u on p.part_of_speech = 'adjectives' and u.word = p.first_base
left join noun_traits m on p.part_of_speech = 'nouns' and m.word = p.first_head
left join noun_traits n on p.part_of_speech = 'nouns' and n.word = p.second_head
left join vague_words h on p.part_of_speech = 'adjectives' and h.word = p.first_base
left join vague_words i on p.part_of_speech = 'adjectives' and i.word = p.second_base
left join contrasted_words v on p.part_of_speech = 'adjectives' and v.word = p.second_base;

-- step: facts
-- Two joins of tables with a row for each text, and no more: a join that some rows have no partner for leaves small pieces, on which
-- every later expression costs more.
create or replace temp view facts as select e.*, p.* exclude (row) from edits e left join phrases p using (row);
