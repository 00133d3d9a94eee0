-- What the captions of an image say of it: from the view `captions` to the table `images`, a row an image.
-- Its columns are texts of a line for each entry, so that to look one up costs little and to carry them along costs nothing
-- (macro `says`): `image_texts`, its captions without articles and punctuation; `image_nouns`, every word and pair of neighbouring
-- words in them, as written and with the last one in base form, and what these nouns imply; `image_pairs`, adjectives with the noun
-- that they are said of, as "red kite", as written and with the noun in base form. Letters of tags are those of macro `letter_of`.

-- step: macros
create or replace macro lines(words) as chr(10) || array_to_string(words, chr(10)) || chr(10);
create or replace macro says(lines, word) as contains(lines, chr(10) || word || chr(10));
create or replace macro says_any(lines, words) as len(list_filter(words, lambda word: says(lines, word))) > 0;
create or replace macro says_all(lines, words) as len(list_filter(words, lambda word: not says(lines, word))) = 0;
-- Whether a line has these words side by side: "a woman chasing a dog" does not say "man chasing dog".
create or replace macro says_part(lines, words) as
    contains(replace(lines, chr(10), ' ' || chr(10) || ' '), ' ' || words || ' ');

-- step: image_captions
create or replace temp table image_captions as
select image_id, caption_id, fold(lowered(tokens)) as words, lemmas, shape_of(tags) as shape from captions;

-- step: said_nouns
-- What is its own base form stands once.
create or replace temp table said_nouns as
select image_id, flatten([words, list_transform(named, lambda i: words[i - 1] || ' ' || words[i]),
    list_transform(based, lambda i: lemmas[i]), list_transform(based, lambda i: words[i - 1] || ' ' || lemmas[i])]) as nouns
from (
    select *, list_filter(range(1, len(words) + 1), lambda i: shape[i] in ('N', 'S')) as named,
        list_filter(named, lambda i: words[i] <> lemmas[i]) as based
    from image_captions
);

-- step: said_pairs
-- An adjective is said of the next noun after it, over other adjectives and what joins them (red and yellow kites), or of the
-- noun before it (the kite is red).
create or replace temp table said_pairs as
with adjectives as (
    select image_id, words, lemmas, shape, unnest(range(1, len(words) + 1)) as place
    from image_captions where contains(shape, 'A')
), nouns as (
    select image_id, words, lemmas, place,
        place + len(regexp_extract(shape[place + 1 :], '^[AGRJ]*[NS]+')) as after,
        case when regexp_matches(shape[1 : place - 1], '[NS]VR?$')
            then place - len(regexp_extract(shape[1 : place - 1], 'VR?$')) - 1 else place end as before
    from adjectives where shape[place] = 'A'
), heads as (
    select image_id, words, lemmas, words[place] as adjective, place, unnest([after, before]) as head from nouns
)
select image_id, lines(list(distinct pair)) as image_pairs from (
    select image_id, unnest([adjective || ' ' || words[head], adjective || ' ' || lemmas[head]]) as pair
    from heads where head <> place
) group by image_id;

-- step: called
-- What nouns that no list has are called as well (also_called is Python).
create or replace temp table called as
select noun as said, unnest(also_called(noun)) as also from (
    select distinct unnest(list_filter(lemmas, lambda lemma, i: shape[i] in ('N', 'S'))) as noun from image_captions
);

-- step: images
create or replace temp table images as
with said as (
    select image_id, lines(list(array_to_string(unarticled(words), ' '))) as image_texts from image_captions group by image_id
), nouns as (
    select image_id, string_agg(lines(nouns), '') as nouns from said_nouns group by image_id
), implied as (
    select image_id, lines(list(distinct also)) as also
    from (select image_id, unnest(nouns) as noun from said_nouns)
    join (from implied_nouns union all from called) on said = noun group by image_id
)
select image_id, image_texts, nouns || coalesce(also, '') as image_nouns, coalesce(image_pairs, '') as image_pairs
from said join nouns using (image_id) left join implied using (image_id) left join said_pairs using (image_id);
