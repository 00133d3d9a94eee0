"""The count of CLIP's tokens beside open_clip's own tokenizer, and that counting does not load it."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from degla.text.clip_tokens import CONTEXT, exceeds_clip, num_clip_tokens

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

ODD = [
    "",
    " \n ",
    "It's a dog&#39;s &amp;amp; cat's, I'LL say",
    "don’t … “quoted”",
    "<start_of_text> a <END_OF_TEXT> b",
    "schÃ¶n, İstanbul ſtreet 'ſ ﬁne",
    "1234 ½ ① 3.50",
    "a\u200bb\u00a0c",
    "👨‍👩‍👧 family",
    "两个男人在打网球",
    "https://x.y/z?=1&amp;b",
]


def drawn(count):
    """Texts of letters of all kinds."""
    rng = random.Random(0)
    ranges = (range(32, 0x250), range(0x370, 0x500), range(0x4E00, 0x4E80), range(0x1F600, 0x1F650))
    letters = [chr(number) for each in ranges for number in each]
    return ["".join(rng.choices(letters, k=rng.randint(1, 40))) for _ in range(count)]


@pytest.mark.slow
def test_texts_have_as_many_tokens_as_open_clip_makes():
    from open_clip import SimpleTokenizer

    encode = SimpleTokenizer().encode
    texts = [*ODD, *drawn(300)]
    captions = DATA / "coco_captions_val2017" / "captions_val2017.json"
    if captions.is_file():
        texts += [each["caption"] for each in json.loads(captions.read_bytes())["annotations"][:500]]
    assert [num_clip_tokens(text) for text in texts] == [len(encode(text)) + 2 for text in texts]


def test_a_text_is_too_long_from_the_first_token_that_clip_cannot_read():
    words = "elephant " * (CONTEXT - 2)
    assert num_clip_tokens(words) == CONTEXT
    assert not exceeds_clip(words)
    assert exceeds_clip(words + "dog")


def test_counting_loads_neither_open_clip_nor_torch():
    code = "import sys; from degla.text.clip_tokens import num_clip_tokens; num_clip_tokens('a');"
    code += "assert not {'torch', 'open_clip', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
