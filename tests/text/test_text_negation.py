"""What stands inside a negation, marked by hand."""

import re

import pytest
from caption_tables import tagger

from degla.text.negation import negated
from degla.text.tokens import tokenize


@pytest.mark.parametrize(
    "marked",
    [
        "A nun with [no shoes] feeds a goat",
        "[There are no clouds over the lake]",
        "A wall [without pictures or clocks]",
        "A cart [without wheels] stands behind a barn",
        "[No bikes are allowed on the bridge], says a notice",
        "A monk who [does n't drink coffee] pours tea",
        "A horse [not wearing a saddle] stands by a gate",
        "[The lamp is not on]",
        "A tray with [neither forks nor spoons]",
        "A ferry [free of passengers] leaves the pier",
        "A pilot holds a map [instead of a phone]",
        "A puppet [missing an arm] lies on a shelf",
        "[Few people are on the beach] while a dog sleeps",
        "[There is nothing on the shelf] except a clock",
        "[Nobody is on the pier] other than a nun",
        "All lamps [except the red one]",
        "A few people and a dog on the beach",
        "A barn not far from a mill",
        "A nun, a monk and a goat",
    ],
)
def test_the_reach_of_a_negation(marked):
    text = re.sub(r" n't", "n't", re.sub(r"[\[\]]", "", marked))
    inside, found = False, []
    for part in re.split(r"([\[\]])", marked):
        if part in "[]":
            inside = part == "["
        else:
            found += [(token, inside) for token in tokenize(re.sub(r" n't", "n't", part))]
    words = [token.lower() for token in tokenize(text)]
    places = negated(words, tagger().tag(words)[0])
    assert [(token, i in places) for i, token in enumerate(words)] == [(token.lower(), inside) for token, inside in found]
