"""The items of the benchmark that the tests have."""

from __future__ import annotations

from degla.benchmark.folder import Item

ITEMS = (
    Item("1", "dog.png", "A dog chases a cat", "A cat chases a dog", "swap_nouns", "rules"),
    Item("2", "dog.png", "A red cup on a table", "A blue cup on a table", "replace_adjectives", "rules"),
    Item("3", "cow.png", "A cow in a field", "A car in a field", "replace_nouns", "rules"),
    Item("4", "cow.png", "A small cow by a big tree", "A big cow by a small tree", "swap_adjectives", "rules"),
)
