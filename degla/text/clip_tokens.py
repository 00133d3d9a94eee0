"""How many of CLIP's 77 tokens a text takes, as open_clip's tokenizer counts, for the few texts long enough to matter.

Its vocabulary is read without importing open_clip, which takes 5 CPU seconds with all that it loads.
"""

from __future__ import annotations

import gzip
import html
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from degla.errors import MissingInputError

CONTEXT = 77
"""Tokens that CLIP reads of a text, start and end included."""

SHORT = 200
"""Characters of an English text that surely fits: the tokenizer is not asked about it."""

_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"  # in open_clip's folder: a heading, then the merges, of which CLIP uses so many
_MERGES = 49_152 - 256 - 2
_SPECIAL = ("<start_of_text>", "<end_of_text>")
_PIECES = r"(?i)'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def num_clip_tokens(text: str) -> int:
    """The tokens of a text, start and end included. Raises MissingInputError where open_clip is not installed."""
    return _counter()(text) + 2


def exceeds_clip(text: str) -> bool:
    """Whether CLIP cannot read the text to its end."""
    return len(text) > SHORT and num_clip_tokens(text) > CONTEXT


@lru_cache(1)
def _counter() -> Callable[[str], int]:
    import ftfy
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    installed = find_spec("open_clip")
    if installed is None or installed.origin is None:
        raise MissingInputError("open_clip is not installed, which has CLIP's vocabulary: install open_clip_torch.")
    lines = gzip.decompress(Path(installed.origin).with_name(_VOCABULARY).read_bytes()).decode().split("\n")
    merges = [(first, second) for first, second in map(str.split, lines[1 : _MERGES + 1])]
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    tokenizer.add_special_tokens(list(_SPECIAL))
    pieces = pre_tokenizers.Split(Regex(_PIECES), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    def count(text: str) -> int:
        clean = html.unescape(html.unescape(ftfy.fix_text(text)))
        return len(tokenizer.encode(" ".join(clean.split()).lower(), add_special_tokens=False).ids)

    return count
