"""Words that captions of one image use for the same thing, mined from the dataset's own captions.

Two nouns or adjectives alternate where two captions of an image have them between the same two words ("a large sofa", "a large
couch") and no caption of that image has both. Pairs that do so in enough images, and more often than captions of different
images do, may name one thing.
"""

from __future__ import annotations

from degla.database import Database
from degla.filter.image_facts import create_image_captions
from degla.text.lexicon import WordKind

MIN_IMAGES = 5
"""Images in which two words alternate."""
MIN_RATIO = 2.0
"""How often they do so, over how often the same words stand between the same words in captions of different images."""
MIN_SHARE = 0.1
"""Of the images in which the rarer word alternates with any."""

Mined = tuple[WordKind, str, str, int]
"""Kind, two lemmas in the order of the alphabet, and the number of images."""


def mine(database: Database) -> list[Mined]:
    """The pairs that alternate in `captions`, the most frequent first; none where images have one caption each."""
    create_image_captions(database)
    for statement in (_SLOTS, _ALTERNATING, _EXPECTED):
        database.execute(statement)
    found = database.rows(_MINED, [MIN_IMAGES, MIN_RATIO, MIN_SHARE])
    for name in ("image_captions", "slots", "alternating", "expected"):
        database.execute(f"drop table {name}")
    return found


_SLOTS = """
create or replace temp table slots as
with places as (select *, unnest(range(1, len(words) + 1)) as place from image_captions)
select distinct image_id, if(shape[place] = 'A', 'adjectives', 'nouns') as kind, lemmas[place] as lemma,
    coalesce(words[place - 1], '') as before, coalesce(words[place + 1], '') as after
from places where shape[place] in ('N', 'S', 'A')
"""

_ALTERNATING = """
create or replace temp table alternating as
with pairs as (
    select distinct image_id, a.kind, a.lemma as one, b.lemma as other
    from slots a join slots b using (image_id, kind, before, after) where a.lemma < b.lemma
)
select * from pairs p where not exists (
    from image_captions c where c.image_id = p.image_id and list_contains(c.lemmas, p.one) and list_contains(c.lemmas, p.other)
)
"""

# In how many images both would stand in a slot if every image drew its words there from all images' words.
_EXPECTED = """
create or replace temp table expected as
with uses as (select kind, before, after, lemma, count(*) as num from slots group by all),
totals as (select kind, before, after, sum(num) as total from uses group by all),
wanted as (select distinct kind, one, other from alternating)
select wanted.kind as kind, one, other, sum(a.num * b.num / total) as images
from wanted join uses a on a.lemma = one and a.kind = wanted.kind join uses b on b.lemma = other and b.kind = wanted.kind
    and b.before = a.before and b.after = a.after
join totals t on t.kind = a.kind and t.before = a.before and t.after = a.after
group by all
"""

_MINED = """
with pairs as (select kind, one, other, count(*) as images from alternating group by all),
words as (
    select kind, word, count(distinct image_id) as images
    from (select kind, image_id, unnest([one, other]) as word from alternating) group by all
)
select p.kind, one, other, p.images
from pairs p join expected e using (kind, one, other)
join words u on u.kind = p.kind and u.word = one join words v on v.kind = p.kind and v.word = other
where p.images >= $1 and p.images >= $2 * e.images and p.images >= $3 * least(u.images, v.images)
order by p.images desc, p.kind, one, other
"""
