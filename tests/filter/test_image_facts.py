"""What is said of an image: nouns with what they imply, adjectives with their nouns, and words mined from its captions."""

import random
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from caption_tables import captions_table

from degla.database import connect
from degla.filter.mining import MIN_IMAGES, MIN_RATIO, MIN_SHARE, mine
from degla.judge.judge import Judge


@pytest.fixture
def database():
    with connect(threads=1) as database:
        Judge(database)
        yield database


def facts(database, *captions):
    """The adjectives with their nouns, and the texts."""
    database.register("captions", captions_table(captions, ["one"] * len(captions)))
    database.run_steps("degla.filter", "images.sql")
    ((pairs, texts),) = database.rows("select image_pairs, image_texts from images")
    return tuple(set(lines.split("\n")) - {""} for lines in (pairs, texts))


def spoken_of(database, captions, words):
    """Those of the words that the captions of one image speak of, or imply."""
    facts(database, *captions)
    database.register("asked", pa.table({"word": words}))
    return {word for (word,) in database.rows("select word from asked, images where says(image_nouns, word)")}


def test_nouns_stand_as_written_in_base_form_in_pairs_and_with_what_they_imply(database):
    there = ["poodles", "poodle", "dog", "animal", "fire truck", "vehicle"]
    assert spoken_of(database, ["Two poodles near a fire truck"], [*there, "cat", "bicycle", "poo", "near truck"]) == set(there)


def test_an_image_speaks_of_the_words_and_neighbours_that_a_slow_search_finds(database):
    rng = random.Random(3)
    vocabulary = ["dogs", "dog", "cat", "a", "an", "fire", "trucks", "kites", "women", "red", ",", "running"]
    for _ in range(5):
        captions = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 6))) for _ in range(3)]
        expected = set()
        for row in captions_table(captions).to_pylist():
            words = ["a" if token == "an" else token for token in row["tokens"]]
            expected.update(words)
            for i in (i for i, tag in enumerate(row["tags"]) if tag[:2] in ("NN", "NP")):
                forms = (words[i], row["lemmas"][i])
                expected.update(forms, (f"{words[i - 1]} {form}" for form in forms if i))
        forms = {*vocabulary, "truck", "kite", "woman", "run"} - {"an"}
        asked = sorted(forms | {f"{one} {two}" for one in forms for two in forms})
        implied = {also for (also,) in database.rows("select distinct also from implied_nouns")}
        assert spoken_of(database, captions, asked) - implied == (expected & set(asked)) - implied


@pytest.mark.parametrize(
    ("caption", "pairs"),
    [
        ("red and yellow kites above a house", {"red kites", "red kite", "yellow kite"}),
        ("a big old rusty tractor in a field", {"big tractor", "old tractor", "rusty tractor"}),
        ("the tractor is rusty", {"rusty tractor"}),
        ("a black dog on brown steps", {"black dog", "brown step"}),
    ],
)
def test_adjectives_stand_with_their_noun(database, caption, pairs):
    found = facts(database, caption)[0]
    assert pairs <= found
    assert "brown dog" not in found


def test_texts_are_without_articles_and_punctuation(database):
    assert facts(database, "A dog, on the mat.", "An apple")[1] == {"dog on mat", "apple"}


def corpus(rng):
    """Captions of images of one animal and one place, of which each caption draws a synonym."""
    words = {"animal": [["cat", "kitty"], ["dog", "puppy"], ["cow"]], "place": [["sofa", "couch"], ["table"], ["road", "street"]]}
    captions, images = [], []
    for image in range(60):
        animal, place = rng.choice(words["animal"]), rng.choice(words["place"])
        for _ in range(4):
            form = rng.choice(["a {} sleeps on a {} today", "there is a {} on the {} today"])
            captions.append(form.format(rng.choice(animal), rng.choice(place)))
            images.append(f"image-{image}")
    return captions, images


def mined_slowly(table):
    """The definition, row by row: pairs of nouns of one image that stand between the same words, never in one caption."""
    slots, together = defaultdict(set), defaultdict(set)
    for row in table.to_pylist():
        words = ["", *(word.lower() for word in row["tokens"]), ""]
        together[row["image_id"]].add(frozenset(row["lemmas"]))
        for place, (lemma, tag) in enumerate(zip(row["lemmas"], row["tags"], strict=True), start=1):
            if tag.startswith("NN") or tag.startswith("NP"):
                slots[row["image_id"]].add((lemma, words[place - 1], words[place + 1]))
    pairs = Counter()
    for image, found in slots.items():
        both = {tuple(sorted((a[0], b[0]))) for a in found for b in found if a[1:] == b[1:] and a[0] != b[0]}
        pairs.update(pair for pair in both if not any(set(pair) <= lemmas for lemmas in together[image]))
    uses = Counter(slot for found in slots.values() for slot in found)
    totals = Counter()
    for (_, *place), count in uses.items():
        totals[tuple(place)] += count
    expected = {
        (one, other): sum(
            uses[one, *place] * uses[other, *place] / total for place, total in totals.items() if (other, *place) in uses
        )
        for one, other in pairs
    }
    images = defaultdict(set)
    for image, found in slots.items():
        for pair in pairs:
            both = {a[1:] for a in found if a[0] == pair[0]} & {b[1:] for b in found if b[0] == pair[1]}
            if both and not any(set(pair) <= lemmas for lemmas in together[image]):
                for word in pair:
                    images[word].add(image)
    return {
        (one, other, count)
        for (one, other), count in pairs.items()
        if count >= MIN_IMAGES
        and count >= MIN_RATIO * expected[one, other]
        and count >= MIN_SHARE * min(len(images[one]), len(images[other]))
    }


def test_mined_words_are_those_of_a_slow_count(database):
    table = captions_table(*corpus(random.Random(3)))
    database.register("all_captions", table)
    mined = mine(database)
    assert {(kind, one, other) for kind, one, other, _ in mined} == {
        ("nouns", "cat", "kitty"),
        ("nouns", "dog", "puppy"),
        ("nouns", "couch", "sofa"),
        ("nouns", "road", "street"),
    }
    assert {pair[1:] for pair in mined} == mined_slowly(table)


def test_nothing_is_mined_where_images_have_one_caption(database):
    captions, _ = corpus(random.Random(3))
    database.register("all_captions", captions_table(captions))
    assert mine(database) == []


def test_words_that_stand_in_one_caption_are_two_things(database):
    captions = ["a cat and a dog on a mat", "a dog and a cat on a mat"] * 10
    database.register("all_captions", captions_table(captions, [f"image-{number // 2}" for number in range(20)]))
    assert mine(database) == []
