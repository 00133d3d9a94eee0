"""Texts as prefix trees: a shared beginning is stored once.

In a causal text tower a token's state depends on the tokens before it alone, so texts that begin alike share the states of
what they have in common. A caption and its rewrites become one tree, whose nodes are their different beginnings. The nodes
of a tree stand in preorder: what is below node j are the nodes j + 1 .. last(j) - 1, so that j is i or above it exactly if
j <= i < last(j). That serves any number of texts.

Knows no torch and no model. `degla.models.tree_encoding` encodes.

Shape letters: N nodes of a tree, T texts, B trees of a batch, M nodes of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Tree:
    """Some texts as one tree."""

    node_3N: np.ndarray
    """For each node in preorder: its token, its depth (the token's position in its texts), and the number of the first node
    behind its subtree. uint16, or uint32 if a number is too large."""
    end_T: np.ndarray
    """The node of each text's last token."""

    def only(self, texts: np.ndarray) -> Tree:
        """The tree of some of the texts, in the order given."""
        if np.array_equal(texts, np.arange(len(self.end_T))):
            return self
        end_T = self.end_T[texts].astype(np.int64)
        last_N = self.node_3N[2]
        kept_N = ((np.arange(len(last_N)) <= end_T[:, None]) & (end_T[:, None] < last_N)).any(0)
        before = np.concatenate([[0], kept_N.cumsum()]).astype(last_N.dtype)
        node_3N = self.node_3N[:, kept_N]
        node_3N[2] = before[node_3N[2]]
        return Tree(node_3N, before[end_T])


def grow(texts: Sequence[Sequence[int]]) -> Tree:
    """The tree of some texts, each a sequence of at least one token, in any order; they may be equal, or begin one another."""
    tokens: list[int] = []
    depths: list[int] = []
    lasts: list[int] = []
    ends = [0] * len(texts)
    path: list[int] = []  # the nodes of the text before
    before: Sequence[int] = ()
    for number in sorted(range(len(texts)), key=lambda number: tuple(texts[number])):
        text = texts[number]
        shared = 0
        while shared < len(before) and before[shared] == text[shared]:
            shared += 1
        for node in path[shared:]:
            lasts[node] = len(tokens)
        path = [*path[:shared], *range(len(tokens), len(tokens) + len(text) - shared)]
        tokens += text[shared:]
        depths += range(shared, len(text))
        lasts += [0] * (len(text) - shared)
        ends[number], before = path[-1], text
    for node in path:
        lasts[node] = len(tokens)
    dtype = np.uint16 if max(*tokens, len(tokens)) < 1 << 16 else np.uint32
    return Tree(np.array([tokens, depths, lasts], dtype), np.array(ends, dtype))


Array = Any
"""A NumPy array, or a torch tensor once `TextTrees.map` made it one."""


@dataclass(frozen=True)
class TextTrees:
    """A batch of B trees, M nodes and T texts in all, int64: both in the order of their trees. Attention sees a tree as a row of
    `num_slots` slots, the rest of which is empty, and its texts as a row of `num_places` places."""

    token_M: Array
    depth_M: Array
    last_M: Array
    """Slot of the first node behind the subtree."""
    slot_M: Array
    """Where a node lies in (B, slots)."""
    end_T: Array
    """The node of a text's last token."""
    place_T: Array
    """Where a text lies in (B, places)."""
    nodes_B: tuple[int, ...]
    """Nodes of each tree."""
    texts_B: tuple[int, ...]
    """Texts of each tree."""
    num_slots: int
    num_places: int

    def map(self, function: Callable[[Array], Array]) -> TextTrees:
        """The same with each of its arrays replaced."""
        arrays = ("token_M", "depth_M", "last_M", "slot_M", "end_T", "place_T")
        return replace(self, **{name: function(getattr(self, name)) for name in arrays})

    def tensor_split(self, number: int) -> list[TextTrees]:
        """In this many parts, tree by tree, as torch splits the rows of a tensor."""
        return [self._part(rows[0], rows[-1] + 1) for rows in np.array_split(np.arange(len(self.nodes_B)), number)]

    def _part(self, start: int, stop: int) -> TextTrees:
        first_node, first_text = sum(self.nodes_B[:start]), sum(self.texts_B[:start])
        nodes = slice(first_node, first_node + sum(self.nodes_B[start:stop]))
        texts = slice(first_text, first_text + sum(self.texts_B[start:stop]))
        return TextTrees(
            self.token_M[nodes],
            self.depth_M[nodes],
            self.last_M[nodes],
            self.slot_M[nodes] - start * self.num_slots,
            self.end_T[texts] - first_node,
            self.place_T[texts] - start * self.num_places,
            self.nodes_B[start:stop],
            self.texts_B[start:stop],
            self.num_slots,
            self.num_places,
        )


NODES_AT_ONCE = 64
"""So that the batches of a run have few shapes: oneDNN prepares each (`degla.models.fast_linear`)."""


def planted(trees: Sequence[Tree]) -> TextTrees:
    """A batch of trees, as NumPy arrays. Nodes that no text has fill some of the empty slots, if there are enough to make the
    number of nodes a multiple of `NODES_AT_ONCE`."""
    nodes_B, texts_B = _filled([tree.node_3N.shape[1] for tree in trees]), [len(tree.end_T) for tree in trees]
    parts_3N = [_with_nodes_alone(tree.node_3N, count) for tree, count in zip(trees, nodes_B, strict=True)]
    node_3M = np.concatenate(parts_3N, axis=1).astype(np.int64)
    end_T = np.concatenate([tree.end_T for tree in trees]).astype(np.int64)
    return TextTrees(
        token_M=node_3M[0],
        depth_M=node_3M[1],
        last_M=node_3M[2],
        slot_M=_places(nodes_B),
        end_T=end_T + np.repeat(np.cumsum([0, *nodes_B[:-1]]), texts_B),
        place_T=_places(texts_B),
        nodes_B=tuple(nodes_B),
        texts_B=tuple(texts_B),
        num_slots=max(nodes_B),
        num_places=max(texts_B),
    )


def _filled(nodes_B: list[int]) -> list[int]:
    """The nodes of each tree with those that fill empty slots."""
    free_B = max(nodes_B) - np.array(nodes_B)
    missing = -sum(nodes_B) % NODES_AT_ONCE
    if missing > free_B.sum():
        return nodes_B
    more_B = np.clip(missing - (np.cumsum(free_B) - free_B), 0, free_B)
    return (nodes_B + more_B).tolist()


def _with_nodes_alone(node_3N: np.ndarray, count: int) -> np.ndarray:
    """So many nodes; each new one sees itself alone, as an empty slot does."""
    alone_N = np.arange(node_3N.shape[1], count)
    return np.concatenate([node_3N, [0 * alone_N, 0 * alone_N, alone_N + 1]], axis=1)


def _places(counts_B: Sequence[int]) -> np.ndarray:
    """Where each of so many things a row lies in rows as long as the longest."""
    return np.flatnonzero(np.arange(max(counts_B)) < np.array(counts_B)[:, None])
