-- Macros of the judge's facts. `{name}`s are put in by `degla.judge.judge`; a literal is quoted there.

-- step: lists
-- Long lists of words are variables: written into each macro they would be planned anew wherever it stands, in every call.
set variable adjectives = [{adjectives}];
set variable not_of_people = [{not_of_people}];
set variable people = [{people}];
set variable people_forms = [{people_forms}];
set variable telling = [{telling}];

-- step: texts
-- Tokens in lower case, as degla.text.tokens makes them. Most texts are plain (lower-case words, and a point at the end) and need
-- no search for tokens.
create or replace macro is_plain(lower_text) as regexp_full_match(lower_text, '[a-z]+(?:[ -][a-z]+)*[.]?');
create or replace macro toks_of(lower_text) as case
    when is_plain(lower_text) then string_split(replace(lower_text, '.', ' .'), ' ')
    else regexp_extract_all(lower_text, {token_pattern}) end;
create or replace macro toks(s) as toks_of(lower(s));
create or replace macro lowered(l) as list_transform(l, lambda t: lower(t));
-- Agreement of a and an is no change; nor is punctuation.
create or replace macro fold(l) as list_transform(l, lambda t: case when t = 'an' then 'a' else t end);
create or replace macro is_word(t) as case when t between 'a' and 'z~' then true when t between '0' and '9~' then true
    else regexp_matches(t, '[\p{L}\p{N}]') end;
create or replace macro worded(l) as list_filter(l, lambda t: is_word(t));
create or replace macro without_articles(l) as list_filter(l, lambda t: t not in ('a', 'the'));
create or replace macro unarticled(l) as without_articles(worded(l));

-- step: edits
-- The places where two lists differ; the number of equal elements at the start; at the end, after `p` equal ones.
create or replace macro differing(x, y) as list_filter(range(1, len(x) + 1), lambda i: x[i] <> y[i]);
create or replace macro common_prefix(x, y) as coalesce(
    list_min(list_filter(range(1, least(len(x), len(y)) + 1), lambda i: x[i] <> y[i])), least(len(x), len(y)) + 1) - 1;
create or replace macro common_tail(x, y, p) as coalesce(
    list_min(list_filter(range(1, least(len(x), len(y)) - p + 1), lambda i: x[-i] <> y[-i])),
    least(len(x), len(y)) - p + 1) - 1;
create or replace macro middle(l, p, s) as l[p + 1 : len(l) - s];
-- The lengths of X and Z in x = X M Z, y = Z M X, the shortest first; [] if no two stretches are exchanged.
create or replace macro exchanged(x, y) as case when len(x) <> len(y) or len(x) < 2 then [] else list_sort(flatten(list_transform(
    list_filter(range(1, len(x)), lambda i: x[1:i] = y[len(y) - i + 1 : len(y)]),
    lambda i: list_transform(list_filter(range(1, len(x) - i + 1), lambda j: x[len(x) - j + 1 : len(x)] = y[1:j]
        and x[i + 1 : len(x) - j] = y[j + 1 : len(y) - i]), lambda j: [i + j, i, j])))) end;

-- step: types
-- Traits of the negative types (degla.negative_types).
create or replace macro replaces(type) as type in ({replacing});
create or replace macro exchanges(type) as type in ({exchanging});
create or replace macro reorders(type) as type in ({reordering});
create or replace macro takes_nouns(type) as type in ({taking_nouns});

-- step: shapes
-- A letter for each tag: Noun, S for its plural, Adjective (number, past participle), G for -ing, Determiner, Verb, Preposition,
-- J for what joins (and, comma), Conjunction, adveRb, Other.
create or replace macro letter_of(tag) as case when tag = 'NN2' then 'S' when tag[1:2] in ('NN', 'NP') then 'N'
    when tag[1:2] in ('AJ', 'CR') or tag = 'VVN' then 'A' when tag = 'VVG' then 'G'
    when tag[1:2] in ('AT', 'DP', 'DT', 'OR') then 'D' when tag[1:1] = 'V' then 'V'
    when tag[1:2] = 'PR' then 'P' when tag in ('CJC', 'PUN') then 'J' when tag[1:2] = 'CJ' then 'C'
    when tag[1:2] = 'AV' then 'R' else 'O' end;
create or replace macro shape_of(tags) as array_to_string(list_transform(tags, lambda tag: letter_of(tag)), '');
-- The letters of what describes a noun that follows.
create or replace macro describing(letters) as if(regexp_matches(letters, 'D[AG]*N?$'),
    regexp_extract(letters, 'D([AG]*N?)$', 1), regexp_extract(letters, 'A*N?$'));
-- Where the noun stands that the words at prefix + 1 ... prefix + num describe.
create or replace macro noun_at(shape, prefix, num) as if(regexp_matches(shape[prefix + num + 1 :], '^[AGRJ]*[NS]'),
    prefix + num + len(regexp_extract(shape[prefix + num + 1 :], '^[AGRJ]*[NS]+')),
    prefix - len(regexp_extract(shape[1 : prefix], 'VR?$')));
-- Letters as of letter_of, but T for what a noun must follow (a, his), B for auxiliaries, N for all nouns; then those of the words
-- of a text, by the letters that they have in the caption.
create or replace macro order_letter(tag) as case when tag[1:2] in ('AT', 'DP') then 'T'
    when tag[1:2] in ('VB', 'VH', 'VM') then 'B' when tag[1:2] = 'NN' then 'N' else letter_of(tag) end;
create or replace macro order_of(words, old, order_shape) as '^' || array_to_string(list_transform(words,
    lambda w: coalesce(order_shape[list_position(old, w)], 'O')), '') || '$';
create or replace macro scrambled(before, after) as len(list_filter([{out_of_order}],
    lambda pair: contains(after, pair) and not contains(before, pair))) > 0;
-- Two verbs that take the same: an object each (riding a horse holding a rope), or a place each, with a subject before the second (a
-- man sitting on a chair and a dog lying on the floor). `after`: the letter after the second verb.
create or replace macro verbs_alike(link_shape, after) as regexp_matches(link_shape, '^[DANS].*[NS]') and after in ('D', 'A', 'N', 'S')
    or regexp_matches(link_shape, '^P.*[NS].*[NS]$') and after = 'P';

-- step: capitals
-- The words after the first of a sentence that begin with a capital.
create or replace macro capitals(text) as regexp_extract_all(
    regexp_replace(text, '([.!?:]["”’'']?\s+["“‘(]?)\p{Lu}', '\1', 'g'), '\s["''“‘(]?(\p{Lu}[\p{L}\p{N}]*)', 1);
create or replace macro has_capitals(text) as regexp_matches(text, '[ ("“‘''][A-Z]');
create or replace macro is_titled(capital_words, words) as coalesce(len(capital_words), 0) > 0.5 * len(words);
create or replace macro begins_low(text) as regexp_matches(text, '[.!?] [a-z]');
-- A word in the place of another may have its capital.
create or replace macro more_capitals(new, old) as len(list_filter(new, lambda word: not list_contains(old, word)))
    > len(list_filter(old, lambda word: not list_contains(new, word)));

-- step: words
-- The parts of a list (a cat, a dog and a bird) in alphabetical order; null if it is none.
create or replace macro listed(words) as if(list_has_any(words, ['and', 'or', ',', '&']),
    list_sort(list_transform(string_split_regex(array_to_string(words, ' '), '(?:^| )(?:, )?(?:and|or|,|&)(?: |$)'),
        lambda part: regexp_replace(part, '^(a|the|some) ', ''))), null);
create or replace macro joins_adjectives(word) as word in ('and', ',', '&');
create or replace macro describes(word) as list_contains(getvariable('adjectives'), word);
create or replace macro may_negate(words) as list_has_any(words, [{negating}]);
create or replace macro refers(words) as list_has_any(words, [{referring}]);
create or replace macro telling(words) as list_has_any(words, getvariable('telling'));
-- Adjectives that are not said of people (red), or of nothing else (blonde), with the word that they describe: the one after all that
-- describes, or the one before "is". What joins to a noun for people (baseball player) is passed over.
create or replace macro not_of_people(word) as list_contains(getvariable('not_of_people'), word);
create or replace macro of_bodies(word) as word in ({of_bodies});
create or replace macro of_matter(word) as word in ({of_matter});
create or replace macro describes_bodies(text) as regexp_matches(text, {body_words});
create or replace macro passed_over(word) as (describes(word) or word in ({people_modifiers}))
    and not list_contains(getvariable('people'), word);
create or replace macro may_join(person) as person not in ({plain_people});
create or replace macro owners(words) as list_transform(
    list_filter(range(1, len(words) + 1), lambda i: not_of_people(words[i]) or of_bodies(words[i])),
    lambda i: struct_pack(adjective := words[i], owner := if(words[i - 1] in ('is', 'are', 'was', 'were'), [words[i - 2]],
        list_filter(words[i + 1 : i + 4], lambda word: not passed_over(word)))));
create or replace macro both_ways(text) as regexp_full_match(text, {both_ways});
create or replace macro facing(text) as regexp_full_match(text, {facing});
-- Whether there is a verb that not everything has: more verbs than those of being somewhere.
create or replace macro acts(words, shape) as len(regexp_replace(shape, '[^VG]', '', 'g'))
    > len(list_filter(words, lambda word: word in ({static})));
-- Whether what stands after these words is worn by somebody.
create or replace macro wears(words) as words[-1] in ('wearing', 'wears', 'wear', 'wore')
    or words[-1] = 'in' and (words[-2] = 'dressed' or list_contains(getvariable('people_forms'), words[-2]));
create or replace macro joins(words) as len(words) = 1 and words[1] in ('and', 'or', '&', ',', 'nor');
create or replace macro belonging(words) as regexp_matches(array_to_string(words, ' '), {belonging});
create or replace macro joins_clauses(text) as regexp_full_match(text, {joining_clauses});
-- The words without articles, with another last one.
create or replace macro with_last(words, last) as
    array_to_string(unarticled(list_append(words[1 : len(words) - 1], last)), ' ');
create or replace macro of_phrase(words) as len(words) = 1 and words[1] in ({of_phrases});
create or replace macro counts(word) as word in ({counting});
create or replace macro determines(word) as word in ('a', 'the', 'this', 'that', 'these', 'those', 'some', 'much', {counting}, 'one',
    'another', 'all', 'his', 'her', 'its', 'their', 'my', 'your', 'our');
create or replace macro single(word) as word in ('a', 'one', 'another', 'each', 'every');
-- Markings in the plural, whose ground may be told as the marking.
create or replace macro is_marking(word) as coalesce(word in ({markings}), false);
create or replace macro is_colour(word) as coalesce(word in ({colours}), false);
-- One of two adjectives says how large, and the other nothing like it and no colour: both may be true of either thing.
create or replace macro sized(one, other) as (one in ({sizes}) or other in ({sizes}))
    and one not in ({colours}) and other not in ({colours});
-- Words before a noun that stand before the other one as well when the two are exchanged: a picture of a cat and a dog.
create or replace macro governs_alike(word) as word in ('of', 'with', 'is', 'are', 'was', 'were', 'has', 'have',
    'between', 'shows', 'showing', 'features', 'featuring', 'contains', 'containing', 'including');
-- Two adjectives are forms of one word if nothing but endings or second parts tell them apart (grassy, grass-covered), and not if
-- they only begin alike (steep, steel); "less" denies what the word says.
create or replace macro is_ending(letters) as
    regexp_full_match(letters, '(?:e|y|d|s|es|ed|ened|en|len|er|est|ing|ish|ful|ous|al|ic|lic|ly|ery)?(?:-.*)?');
create or replace macro spelt(word) as replace(replace(word, '-', ''), 'colour', 'color');
create or replace macro same_stem(one, other) as one[1:4] = other[1:4] and len(one) > 3 and (spelt(one) = spelt(other)
    or is_ending(one[common_prefix(one, other) + 1 :]) and is_ending(other[common_prefix(one, other) + 1 :]));
-- The same words follow both adjectives (k of them, from the first noun on) and precede both (m of them); what joins the two
-- phrases holds both ways: a girl in a [red] dress, next to, a girl in a [white] dress.
create or replace macro phrases_alike(old, prefix, link, rest) as len(list_filter(range(1, len(link)), lambda k:
    link[1:k] = rest[1:k] and not belonging(rest[k + 1 :]) and len(list_filter(range(0, least(len(link) - k, prefix + 1)),
        lambda m: link[len(link) - m + 1 :] = old[prefix - m + 1 : prefix]
            and both_ways(array_to_string(link[k + 1 : len(link) - m], ' ')))) > 0)) > 0;
