"""How many of CLIP's 77 tokens a text takes, for the few texts long enough to matter.

Counts what open_clip's tokenizer counts, with the merges in open_clip's package, but loads neither it nor torch, which takes
0.45 GB. Called by `degla.filter.judging`.
"""

from __future__ import annotations

import gzip
import html
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from degla.database import Database

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SHORT = 200  # characters; an English text of so many takes fewer tokens than CLIP reads
_NUM_MERGES = 49_408 - 512 - 2  # of a vocabulary of 49,408: bytes, bytes that end a word, merges, and two marks
_PARTS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def create_clip_lengths(database: Database) -> None:
    """Make `clip_lengths` readable: `clip_tokens`, start and end included, of each long `text` of `rewrites`."""
    texts = [text for (text,) in database.rows(f"select distinct text from rewrites where len(text) > {_SHORT} order by text")]
    counts = pa.array(map(clip_tokens, texts), pa.int64())
    database.register("clip_lengths", pa.table({"text": pa.array(texts, pa.string()), "clip_tokens": counts}))


def clip_tokens(text: str) -> int:
    """How many tokens CLIP's tokenizer makes of a text, start and end included."""
    import ftfy

    cleaned = html.unescape(html.unescape(ftfy.fix_text(text)))
    return len(_tokenizer().encode(cleaned.lower()).ids) + 2


@lru_cache(1)
def _tokenizer() -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    merges = [(first, second) for first, second in map(str.split, _merges())]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters), *(first + second for first, second in merges)]
    tokenizer = Tokenizer(models.BPE({name: k for k, name in enumerate(names)}, merges, end_of_word_suffix="</w>"))
    parts = pre_tokenizers.Split(Regex(_PARTS), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def _merges() -> list[str]:
    package = find_spec("open_clip").submodule_search_locations[0]
    lines = gzip.decompress((Path(package) / "bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().split("\n")
    return lines[1 : 1 + _NUM_MERGES]  # the first line names the version
