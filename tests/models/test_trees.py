"""Trees against brute force: their nodes are the different beginnings of the texts, and what is above a text's end spells it."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from degla.models.trees import grow, planted

TEXTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=9)


def above(tree, node):
    """The nodes from the root down to this one, by their definition."""
    last = tree.node_3N[2].astype(int)
    return [j for j in range(len(last)) if j <= node < last[j]]


def check(tree, texts):
    token, depth = tree.node_3N[:2].astype(int)
    assert len(token) == len({tuple(text[: k + 1]) for text in texts for k in range(len(text))})
    for end, text in zip(tree.end_T.tolist(), texts, strict=True):
        path = above(tree, end)
        assert token[path].tolist() == text
        assert depth[path].tolist() == list(range(len(text)))


@given(TEXTS)
def test_a_tree_has_each_beginning_once_and_spells_its_texts(texts):
    check(grow(texts), texts)


@given(TEXTS, st.randoms(use_true_random=False))
def test_some_of_the_texts_are_the_tree_that_they_would_have_grown(texts, draw):
    chosen = draw.sample(range(len(texts)), draw.randint(1, len(texts)))
    part, anew = grow(texts).only(np.array(chosen)), grow([texts[number] for number in chosen])
    check(part, [texts[number] for number in chosen])
    np.testing.assert_array_equal(part.node_3N, anew.node_3N)
    np.testing.assert_array_equal(part.end_T, anew.end_T)


def test_numbers_too_large_for_16_bits_are_kept():
    check(grow([[7, 70_000], [7, 3]]), [[7, 70_000], [7, 3]])
    texts = [[number, *range(40)] for number in range(1700)]
    tree = grow(texts)
    assert tree.node_3N.shape[1] == 1700 * 41 > 1 << 16
    assert tree.node_3N[2, 0] == 41
    assert tree.end_T[-1] == 1700 * 41 - 1


def test_nodes_that_no_text_has_fill_empty_slots_up_to_a_multiple_of_64():
    long, short = grow([range(40)]), grow([range(30), range(20)])
    assert planted([long, short, short, short]).nodes_B == (40, 30, 30, 30)  # 130 nodes, and 192 are more than the slots
    batch = planted([long, *[short] * 8])
    assert batch.nodes_B == (40, 40, 40, 40, 40, 30, 30, 30, 30)  # 320
    assert batch.last_M[40 + 30 : 80].tolist() == list(range(31, 41))  # each sees itself alone
    assert batch.end_T.tolist()[:5] == [39, 69, 59, 109, 99]


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_a_batch_and_its_parts_keep_every_tree(parts):
    draw = random.Random(parts)
    groups = [[[draw.randrange(4) for _ in range(draw.randint(1, 7))] for _ in range(draw.randint(1, 6))] for _ in range(5)]
    batch = planted([grow(texts) for texts in groups])
    pieces = batch.tensor_split(parts)
    assert [len(piece.nodes_B) for piece in pieces] == [len(each) for each in np.array_split(np.arange(len(groups)), parts)]
    rest = iter(groups)
    for piece in pieces:
        assert piece.place_T.tolist() == [
            row * piece.num_places + text for row, count in enumerate(piece.texts_B) for text in range(count)
        ]
        rows, slots = np.divmod(piece.slot_M, piece.num_slots)
        first_text = 0
        for row, count in enumerate(piece.texts_B):
            nodes = np.flatnonzero(rows == row)
            assert slots[nodes].tolist() == list(range(piece.nodes_B[row]))
            texts = next(rest)
            for text, end in zip(texts, piece.end_T[first_text : first_text + count], strict=True):
                slot = slots[end]
                assert rows[end] == row
                path = [n for n in nodes if slots[n] <= slot < piece.last_M[n]]
                assert piece.token_M[path].tolist() == text
                assert piece.depth_M[path].tolist() == list(range(len(text)))
            first_text += count
    assert next(rest, None) is None
