"""What the rules back end reads and rewrites, pattern by pattern: hand-written expectations and what it must leave alone."""

import pyarrow as pa
import pytest
from rule_requests import candidates, requests

from degla.generate.backend import Origin, Rewrite
from degla.generate.rules.vocabulary import Vocabulary
from degla.generate.verdicts import verdicts

# Each line: a caption, and a text that must be among its rewrites.
NOUNS = [
    ("A city bus waits on a street", "A van waits on a street"),  # a kind of bus goes with its noun
    ("A brick building with a red roof", "A brick tent with a red roof"),  # what it is made of stays
    ("A stop sign near a wall", "A fire hydrant near a wall"),  # two words for two words
    ("A bowl of food", "A bowl of flowers"),  # an amount becomes several things
    ("Two people on a bench", "Two dogs on a bench"),
    ("A man and his dog in a boat", "A boy and his dog in a boat"),  # beside "his" he stays male
    ("A man talks on his cell phone", "A man talks on his camera"),  # "talks" is no noun
    ("Two men throw a Frisbee", "Two men throw a ball"),  # a capital makes no name of a known thing
    ("TWO CUPS ON A SHELF", "TWO BOTTLES ON A SHELF"),
    ("Two cups on a shelf", "Two bottles on a shelf"),
    ("A flock of sheep on a hill", "A flock of goats on a hill"),
    ("The sheep are on a hill", "The cows are on a hill"),
]
NO_NOUNS = [
    ("A man and his dog in a boat", "A woman and his dog in a boat"),
    ("A teenager at home plate", "A teenager at home bowl"),
    ("two woman on a bench", "two man on a bench"),  # a slip of the writer's
    ("a woman dressed in orange", "a woman dressed in apple"),
    ("Two teenagers with some rice", "Two teenagers with some potato"),
    ("A bus on Baker Street", "A bus on Baker beach"),
    ("A crowd near a clock tower", "A crowd near a clock house"),
    ("A young man on a bench", "A young boy on a bench"),
    ("a cup on a desk", "a cup on a table"),
    ("A flock of sheep on a hill", "A flock of goat on a hill"),
    ("The sheep are on a hill", "The cow are on a hill"),
    ("A bunch of tomatoes", "A bunch of lettuce"),
    ("A boy & dad on the beach", "A boy & mom on the beach"),
    ("An old woman on a bench", "An old boy on a bench"),
    ("a wooden table", "a wooden wall"),  # there may be one
    ("a sign in a lot by a building", "a sign in a lot by a tree"),
]
ADJECTIVES = [
    ("the door is open", "the door is closed"),
    ("The street is very dirty", "The street is very clean"),
    ("a large cow in a snowy field", "a small cow in a snowy field"),
    ("A glass vase by a red wall", "A ceramic vase by a red wall"),  # a noun that says what it is made of
    ("A baby zebra on the grass", "An adult zebra on the grass"),
    ("An older man with a hat", "A younger man with a hat"),
]
NO_ADJECTIVES = [
    ("A boy is holding open a large box", "A boy is holding closed a large box"),
    ("a half open laptop", "a half closed laptop"),
    ("A white man on a sled", "A black man on a sled"),
    ("The workers are busy serving meals", "The workers are empty serving meals"),
    ("a hot pink tie", "a hot red tie"),
    ("a little boy on a sled", "a big boy on a sled"),
    ("some tiny little birds", "some tiny big birds"),
    ("A black and white photo of a train", "A red and white photo of a train"),
    ("a short man with a hat", "a long man with a hat"),
    ("a strange looking dog, very odd colored", "a plain looking dog, very odd colored"),
    ("a car in gray weather", "a car in silver weather"),  # nearly the same colour
]
SWAPPED_ADJECTIVES = [
    ("A red bus on a wet street", "A wet bus on a red street"),
    ("A brick house with a purple fence", "A purple house with a brick fence"),
    ("a young dog on an old horse", "an old dog on a young horse"),
    ("A striped cat on a pink rug", "A pink cat on a striped rug"),
]
NO_SWAPPED_ADJECTIVES = [
    ("a young dog on an old sofa", "an old dog on a young sofa"),
    ("A small dog in a dirty room", "A dirty dog in a small room"),  # may be so
    ("A large house beside a tall tree", "A tall house beside a large tree"),  # may be so
    ("A young boy with a green kite", "A green boy with a young kite"),
    ("A small white bowl with a green apple", "A green white bowl with a small apple"),
    ("A large field with a wooden fence", "A wooden field with a large fence"),
    ("A very large pizza on a purple table", "A very purple pizza on a large table"),
    ("Closeup of a decorative gold and grey clock", "Closeup of a grey gold and decorative clock"),
    ("a large nut, a fresh nut and a small nut", "a small nut, a fresh nut and a large nut"),
    ("a black and white dog and a brown and white dog", "a brown and white dog and a black and white dog"),
]
NO_SWAPPED_NOUNS = [
    ("Man in apron by a stove on a truck", "Apron in man by a stove on a truck"),
    ("A man and woman standing with a surfboard", "A surfboard and woman standing with a man"),
    ("A table in a kitchen with a stove", "A stove in a kitchen with a table"),  # beside it in any case
    ("A man lies on a beach next to a surfboard", "A surfboard lies on a beach next to a man"),
    ("A cup in a box in a garage", "A cup in a garage in a box"),  # in both in any case
    ("a boy in white shirt on a sled", "a shirt in white boy on a sled"),
    ("A slice of pizza on a plate", "A slice of plate on a pizza"),
    ("A cat near a dog", "A dog near a cat"),
    ("A large group of people on a sandy beach", "A large group of a sandy beach on people"),
    ("A plate of rice, carrots and peas", "A pea of rice, carrots and plates"),
    ("A plate with a meal of meat, carrots, and peas", "A plate with peas, carrots, and a meal of meat"),
    ("A guy standing in front of a few horses", "Horses standing in front of a few a guy"),
    ("A dog on a leash sits on a bench", "A leash on a dog sits on a bench"),
    ("A man who is hitting a ball", "A ball who is hitting a man"),
    ("A man and his dog in a boat", "A boat and his dog in a man"),
    ("A man and a woman on a cart see a man", "A man and a man on a cart see a woman"),
    ("A man with a ball in his hand", "His hand with a ball in a man"),
]
SWAPPED_NOUNS = [
    ("A small dog on a red couch", "A small couch on a red dog"),
    ("A small dog on a red couch", "A red couch on a small dog"),
    ("Two dogs on a couch in a garage", "A couch on two dogs in a garage"),
    ("A man puts flowers into a vase", "A man puts a vase into flowers"),
    ("A group of people flying a kite", "A kite flying a group of people"),
    ("A man with a ball in his bag", "A man with his bag in a ball"),
]
RESHUFFLED = [
    ("A boy riding a horse and a girl holding a ball", "A boy holding a horse and a girl riding a ball"),
    ("A dog sitting next to a car in a garage", "A dog sitting in a car next to a garage"),
    ("A room with tulips on the table and plants by the window", "A room with tulips by the window and plants on the table"),
    ("A wheel leaning on a ladder in a garden", "A ladder leaning on a garden in a wheel"),  # all three go round
    ("A large red clock tower behind a statue.", "A statue behind a large red clock tower."),
    ("A picture of a small dog chasing two cows", "A picture of two cows chasing a small dog"),
    ("A vase of flowers on top of a desk", "A desk on top of a vase of flowers"),
]
NOT_RESHUFFLED = [
    ("A large bear sitting on a garbage can", "A garbage sitting on a large bear can"),
    ("A man waves, a father lifts his son onto a cart", "A man waves, his son lifts a father onto a cart"),
    ("Man in black jacket with a dog", "Black jacket in man with a dog"),
    ("A dog chases two cows", "Two cows chases a dog"),  # the verb would not agree
    ("a woman dressed in orange", "orange dressed in a woman"),
    ("A pizza covered with lots of broccoli", "Broccoli covered with lots of a pizza"),
    ("Four plates each holding a pizza on a table", "A table each holding a pizza on four plates"),
    ("A boy holding a kite sits on a hill", "A kite holding a boy sits on hill a"),
    ("a tall lamp next to a brown sofa", "a brown sofa next to a tall lamp"),
    ("A man on a surfboard riding a wave in the ocean", "A man in the ocean riding a wave on a surfboard"),
    ("A cat on a street next to a bus in a city", "A cat in a city next to a bus on a street"),  # on the street in the city
    ("A man in a street on a bike", "A man on a street in a bike"),
    ("A man holding a cup and carrying a bag", "A man carrying a cup and holding a bag"),
    ("A street without cars next to a house in a park", "A street without cars in a house next to a park"),
    ("a plane flying above a row of trees", "a plane flying trees above a row of"),
]

VOCABULARY = Vocabulary()
NO_WORDS, NO_ANSWERS = pa.array([], pa.string()), pa.array([], pa.bool_())
NO_USES = pa.table({"word": NO_WORDS, "noun": NO_ANSWERS, "adjective": NO_ANSWERS, "association": pa.array([], pa.float64())})


@pytest.mark.parametrize(
    ("kind", "caption", "text"),
    [
        *(("replace_nouns", *pair) for pair in NOUNS),
        *(("replace_adjectives", *pair) for pair in ADJECTIVES),
        *(("swap_adjectives", *pair) for pair in SWAPPED_ADJECTIVES),
        *(("swap_nouns", *pair) for pair in SWAPPED_NOUNS),
        *(("reshuffle", *pair) for pair in RESHUFFLED),
    ],
)
def test_a_rewrite_is_found(kind, caption, text):
    assert text in candidates(caption, kind, limit=400)


@pytest.mark.parametrize(
    ("kind", "caption", "text"),
    [
        *(("replace_nouns", *pair) for pair in NO_NOUNS),
        *(("replace_adjectives", *pair) for pair in NO_ADJECTIVES),
        *(("swap_adjectives", *pair) for pair in NO_SWAPPED_ADJECTIVES),
        *(("swap_nouns", *pair) for pair in NO_SWAPPED_NOUNS),
        *(("reshuffle", *pair) for pair in NOT_RESHUFFLED),
    ],
)
def test_a_rewrite_is_not_proposed_or_refused_by_the_judge(kind, caption, text):
    if text in candidates(caption, kind, limit=400):
        (request,) = requests([caption], [kind])
        assert verdicts([Rewrite(request, Origin("rules", ""), "ok", text)], NO_USES) != [None]


def test_what_the_captions_say_of_a_noun_decides_whether_a_swap_is_false():
    """A bathroom is often white, so that a white one is no sure negative of a small one."""
    caption = "A small bathroom with a purple towel"
    assert candidates(caption, "swap_adjectives") == ["A purple bathroom with a small towel"]
    often = Vocabulary(nouns={}, adjectives={"small": 9, "purple": 9, "red": 9}, pairs={"purple bathroom": 5, "red bathroom": 5})
    assert candidates(caption, "swap_adjectives", often) == []


def test_a_kind_of_thing_becomes_another_that_the_captions_have():
    vocabulary = Vocabulary(
        nouns={"bathroom": 4, "kitchen": 4, "sink": 2, "toilet": 1}, adjectives={}, pairs={"bathroom sink": 2}
    )
    assert "A bathroom sink is seen" in candidates("A kitchen sink is seen", "replace_nouns", vocabulary)
    assert "A kitchen bathtub is seen" not in candidates("A kitchen sink is seen", "replace_nouns", vocabulary)


def test_a_nation_keeps_its_capital():
    vocabulary = Vocabulary(nouns={}, adjectives={"brazilian": 1, "european": 1}, pairs={"brazilian flag": 1, "european flag": 1})
    assert candidates("A Swedish flag", "replace_adjectives", vocabulary) == ["A Brazilian flag"]


def test_an_opposite_that_no_caption_gives_to_the_noun_is_not_used():
    vocabulary = Vocabulary(nouns={}, adjectives={"open": 3, "closed": 3}, pairs={"closed door": 1})
    assert candidates("an open door", "replace_adjectives", vocabulary) == ["a closed door"]
    assert candidates("an open field", "replace_adjectives", vocabulary) == []


def test_of_several_exchanges_the_one_comes_first_whose_words_stand_together_in_captions():
    caption = "A boy riding a horse on a hill"
    assert len(candidates(caption, "swap_nouns")) == 3
    bigrams = {"riding hill": 4, "hill on": 4, "on horse": 4}
    unigrams = {"riding": 9, "hill": 9, "on": 9, "horse": 9, "boy": 9}
    known = Vocabulary(nouns={}, adjectives={}, unigrams=unigrams, bigrams=bigrams)
    assert candidates(caption, "swap_nouns", known)[0] == "A boy riding a hill on a horse"
