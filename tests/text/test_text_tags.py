"""Tags: against captions tagged by hand, the same every time, and never from a model that is not the pinned one."""

import pytest
from caption_tables import tagger

from degla.errors import DataError
from degla.text.tags import check_model
from degla.text.tokens import tokenize

# Nouns and adjectives marked by hand: /n and /a.
BY_HAND = """
A man/n riding a brown/a horse/n on the beach/n
a small/a red/a ball/n is to the left of a dotted/a blue/a car/n on the grass/n
Orange/a cat/n sitting on a wooden/a table/n next to an orange/n
Black/a and white/a dog/n laying on a red/a couch/n
a stripy/a boat/n larger than a navy/a apple/n at sea/n
A STOP SIGN/n WITH GRAFFITI/n
the moon/n above a checked/a blossom/n
A giraffe/n stands in a green/a field/n near trees/n
Two zebras/n are grazing on dry/a grass/n
A young/a boy/n holds a tennis/n racket/n
a little/a key/n beside a spotted/a house/n
A white/a toilet/n sits in a tiny/a bathroom/n
A woman/n cuts a large/a cake/n with a knife/n
Several colorful/a kites/n fly over the ocean/n
"""


def marked():
    for line in BY_HAND.strip().splitlines():
        pairs = [word.partition("/") for word in line.split()]
        yield [word for word, _, _ in pairs], [mark for _, _, mark in pairs]


def test_nouns_and_adjectives_are_found_as_a_reader_finds_them():
    wrong = []
    for words, marks in marked():
        tags, _ = tagger().tag(words)
        for word, mark, tag in zip(words, marks, tags, strict=True):
            found = "n" if tag[:2] == "NN" else "a" if tag == "AJ0" else ""
            if found != mark and (mark or word.lower() not in ("tennis", "stop", "left", "next", "larger")):
                wrong.append((word, mark, tag))
    assert wrong == []


@pytest.mark.parametrize(
    ("caption", "tag"),
    [
        ("Two girls on the pier dance and a boy claps", "VVB"),
        ("Some swimmers near the ferry wave, an angler baits his hook", "VVB"),
        ("A lamp by the porch talk and a boy claps", "NN1"),  # of one, it would be "talks"
        ("Two girls at a dog show and a boy claps", "NN1"),  # a compound
        ("Two girls at a church dance", "NN1"),  # a caption without a verb
        ("Two girls near a harbour bench and a boy claps", "NN1"),
    ],
)
def test_what_several_do_is_no_noun_at_the_end_of_a_clause(caption, tag):
    tokens = tokenize(caption)
    place = next(i for i, word in enumerate(tokens) if word in ("dance", "wave", "talk", "show", "bench"))
    assert tagger().tag(tokens)[0][place] == tag


def test_lemmas_are_lower_case_base_forms():
    tags, lemmas = tagger().tag(["Two", "Dogs", "ran"])
    assert lemmas == ["two", "dog", "run"]
    assert len(tags) == 3


@pytest.mark.parametrize("caption", ["", "\x00\x07", "猫 🙂", "word " * 2000, "x" * 5000, ". . ."])
def test_any_text_is_tagged(caption):
    tokens = tokenize(caption)
    tags, lemmas = tagger().tag(tokens)
    assert len(tags) == len(lemmas) == len(tokens)
    assert tagger().tag(tokens) == (tags, lemmas)


def test_a_changed_model_is_not_unpickled():
    with pytest.raises(DataError, match=r"checksum.*HanTa==1\.2\.1"):
        check_model(b"cos\nsystem\n(S'true'\ntR.")
