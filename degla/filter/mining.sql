-- Words that captions of one image use for the same thing: from the view `all_captions` to the table `mined`.
-- Two nouns or adjectives alternate if two captions of an image have them between the same two words ("a large sofa", "a large
-- couch") and no caption of that image has both. Pairs that do so in enough images, and more often than captions of different images
-- do, may name one thing.

-- step: slots
create or replace temp table slots as
with words as (
    select image_id, fold(lowered(tokens)) as words, lemmas, shape_of(tags) as shape from all_captions
), places as (select *, unnest(range(1, len(words) + 1)) as place from words)
select distinct image_id, if(shape[place] = 'A', 'adjectives', 'nouns') as part_of_speech, lemmas[place] as lemma,
    coalesce(words[place - 1], '') as before, coalesce(words[place + 1], '') as after
from places where shape[place] in ('N', 'S', 'A');

-- step: alternating
create or replace temp table alternating as
with pairs as (
    select distinct image_id, a.part_of_speech, a.lemma as one, b.lemma as other
    from slots a join slots b using (image_id, part_of_speech, before, after) where a.lemma < b.lemma
)
select * from pairs p where not exists (
    from all_captions c where c.image_id = p.image_id and list_contains(c.lemmas, p.one) and list_contains(c.lemmas, p.other)
);

-- step: expected
-- In how many images both would stand in a slot if every image drew its words there from all images' words.
create or replace temp table expected as
with uses as (select part_of_speech, before, after, lemma, count(*) as num from slots group by all),
totals as (select part_of_speech, before, after, sum(num) as total from uses group by all),
wanted as (select distinct part_of_speech, one, other from alternating)
select wanted.part_of_speech as part_of_speech, one, other, sum(a.num * b.num / total) as images
from wanted join uses a on a.lemma = one and a.part_of_speech = wanted.part_of_speech
join uses b on b.lemma = other and b.part_of_speech = a.part_of_speech
    and b.before = a.before and b.after = a.after
join totals t on t.part_of_speech = a.part_of_speech and t.before = a.before and t.after = a.after
group by all;

-- step: mined
create or replace temp table mined as
with pairs as (select part_of_speech, one, other, count(*) as images from alternating group by all),
words as (
    select part_of_speech, word, count(distinct image_id) as images
    from (select part_of_speech, image_id, unnest([one, other]) as word from alternating) group by all
)
select p.part_of_speech, one, other, p.images
from pairs p join expected e using (part_of_speech, one, other)
join words u on u.part_of_speech = p.part_of_speech and u.word = one
join words v on v.part_of_speech = p.part_of_speech and v.word = other
where p.images >= {min_images} and p.images >= {min_ratio} * e.images and p.images >= {min_share} * least(u.images, v.images);

-- step: end
drop table slots;
drop table alternating;
drop table expected;
