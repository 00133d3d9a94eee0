"""How many tokens CLIP takes for a text: as many as open_clip's tokenizer makes, without loading it."""

import random
import subprocess
import sys

import pytest
from open_clip import SimpleTokenizer

from degla.filter.clip_length import clip_tokens

ODD = ["", " ", "a" * 300, "It's 3.50 &amp; more", "don't, DON'T!", "naïve café ☃ 一只狗", "schÃ©n", "İ ß ẞ", "ab_cd\t12a\nx"]


@pytest.fixture(scope="module")
def encode():
    return SimpleTokenizer().encode


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_take_what_open_clip_counts(encode, text):
    assert clip_tokens(text) == len(encode(text)) + 2


def test_texts_of_random_letters_take_what_open_clip_counts(encode):
    rng = random.Random(0)
    texts = ["".join(rng.choices("aabceeiknoprst  'sdé☃0_-.,;&#39", k=rng.randint(1, 80))) for _ in range(500)]
    assert [clip_tokens(text) for text in texts] == [len(encode(text)) + 2 for text in texts]


def test_neither_torch_nor_open_clip_is_loaded():
    code = "import sys, degla.filter.clip_length as c; c.clip_tokens('a'); print({'torch', 'open_clip'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
