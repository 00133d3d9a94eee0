"""Part-of-speech tags (BNC C5: NN1, AJ0, PRP, ...) and lemmas by HanTa's English model, with corrections for captions.

The model inside HanTa's wheel is a pickle. It is the one named exception to "nothing from outside is unpickled", so the
file's checksum is compared with the pinned one first. Tags are those of the lower-case words, since captions are often
written in title case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from degla.errors import DataError, MissingInputError
from degla.text.kinds import noun_kinds, verb_classes
from degla.text.units import is_unit

MODEL_SHA256 = "99ddc9b14b3fe604b245e2d7a3aef59ab1bdd06b1bae4f4ce74738902e2a0265"
"""Of `morphmodel_en.pgz` in HanTa 1.2.1."""

_LONGEST_WORD = 40  # characters; the morphological search grows with the square of a word's length
_MEMORY = 1 << 16  # words whose analysis is remembered

# What HanTa gets wrong in captions (seen in COCO's): the tags these words may have, to their words.
_ALLOWED: dict[tuple[str, ...], str] = {
    ("AJ0",): "blonde blond bespectacled burgundy checked checkered crimson dotted floral gray grey lavender magenta maroon"
    " little multicolored navy patterned plaid shaggy shirtless sliced spotted stainless striped stripy stuffed tabby tan"
    " tartan teal turquoise violet wooden woolen woollen",
    ("AJ0", "NN1"): "black blue brown gold green navy orange pink purple red silver square white yellow",
    ("NN1",): "bat batter bear beach bidet board boarder broccoli bus car cat chair cell cow cup dog door fire frisbee"
    " giraffe horse hydrant key kite laptop lady moped motorcycle mug pan phone pizza plate pot sheep ship sign sink skate"
    " skateboard skateboarder sled snowboard snowboarder sofa street suitcase surfboard surfer table teddy toddler train"
    " truck zebra",
    ("NN2",): "bats bears benches boards boats boots buses cars cats chairs cows cups dogs frisbees giraffes horses kites kids"
    " motorcycles mugs pans phones planes plates pots ships signs skateboards skis snowboards surfboards trains trucks waves"
    " zebras",
    ("NN1", "NN2"): "glasses",
    ("VVG",): "sitting standing holding riding playing walking eating laying doing surfing skiing skateboarding snowboarding"
    " wearing petting grazing making drinking running jumping throwing hitting reading talking smiling posing waiting pulling"
    " carrying preparing leaning shaking spraying pointing looking",
}
_COLOURS = frozenset(_ALLOWED["AJ0", "NN1"].split())
_FINITE = frozenset(("VVZ", "VVB", "VBZ", "VBB", "VHZ", "VHB"))
_ENDING = frozenset(("PUN", "CJC", "CJS"))  # a clause
_DOING = frozenset(("noun.act", "noun.communication", "noun.event", "noun.group", "noun.relation", "noun.state", "noun.time"))
_AFTER_VERBS = frozenset(("PRP", "AT0", "DPS", "AVP", "AV0"))  # what stands after a verb sooner than after a noun
_FLOOR = -12.0  # log probability of an allowed tag that the model does not know for the word


class Tagger:
    """HanTa's tagger, loaded once; the same tokens always get the same tags.

    Raises:
        MissingInputError: HanTa is not installed.
        DataError: its model is not the pinned one.
    """

    def __init__(self) -> None:
        self._model = _load_model()
        self._lemma = lru_cache(_MEMORY)(self._find_lemma)

    def tag(self, tokens: Sequence[str]) -> tuple[list[str], list[str]]:
        """The tag and the lower-case lemma of each token of one caption."""
        words = [token.lower()[:_LONGEST_WORD] for token in tokens]
        if not words:
            return [], []
        tags = [self._model.int2tag[tag] for tag in self._model.tag_sent_viterbi(words, casesensitive=False)]
        _correct(words, tags)
        return tags, [self._lemma(word, tag) for word, tag in zip(words, tags, strict=True)]

    def _find_lemma(self, word: str, tag: str) -> str:
        return self._model._analyze(word, self._model.tag2int[tag], taglevel=1)[0].lower()


def _correct(words: Sequence[str], tags: list[str]) -> None:
    """A colour before a noun or an adjective describes it; what looks like a plural after "a man" is a verb (a man talks)."""
    singular = False  # after "a", its adjectives and its noun
    for i, tag in enumerate(tags):
        following = tags[i + 1] if i + 1 < len(tags) else ""
        if words[i] in _COLOURS and tag == "NN1" and following[:2] in ("NN", "AJ"):
            tags[i] = "AJ0"
        elif tag == "NN2" and singular and tags[i - 1] in ("NN0", "NN1") and following in _AFTER_VERBS:
            tags[i] = "VVZ"
        singular = words[i] in ("a", "an") or (singular and tags[i] in ("AJ0", "NN0", "NN1"))
    if "NN2" in tags and not _FINITE.isdisjoint(tags):
        for i in range(3, len(tags)):
            if tags[i] == "NN1" and tags[i - 1][:2] == "NN" and _ends_clause_of_many(words, tags, i):
                tags[i] = "VVB"


def _ends_clause_of_many(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """Whether the noun here is the verb of several: two girls on the pier dance, and a boy claps.

    It ends a clause that has no other verb, though the caption has one; and it is no compound's last word.
    """
    if i + 1 < len(tags) and tags[i + 1] not in _ENDING:
        return False
    start = i
    while start and tags[start - 1] not in _ENDING and tags[start - 1][0] != "V":
        start -= 1
    if start and tags[start - 1][0] == "V":
        return False
    first = next((k for k in range(start, i) if tags[k][:2] in ("NN", "NP", "PR")), i)
    return (
        tags[first] == "NN2"
        and "PRP" in tags[first:i]
        and words[i] in verb_classes()
        and noun_kinds().get(words[i]) in _DOING
        and not is_unit(words[i - 1], words[i])
    )


def _load_model() -> Any:
    try:
        content = resources.files("HanTa").joinpath("morphmodel_en.pgz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise MissingInputError(f"HanTa's English model is not installed ({error}). Install HanTa==1.2.1.") from error
    check_model(content)
    from HanTa.HanoverTagger import HanoverTagger

    model = HanoverTagger("morphmodel_en.pgz")
    for tags, words in _ALLOWED.items():
        for word in words.split():
            known = dict(model.cache.get(word) or model.analyze_forward(word))
            model.cache[word] = [(model.tag2int[tag], known.get(model.tag2int[tag], _FLOOR)) for tag in tags]
    model.analyze_forward = lru_cache(_MEMORY)(model.analyze_forward)
    return model


def check_model(content: bytes) -> None:
    """Raises DataError where these bytes are not the pinned model: then they must not be unpickled."""
    found = hashlib.sha256(content).hexdigest()
    if found != MODEL_SHA256:
        raise DataError(
            f"HanTa's model morphmodel_en.pgz has checksum {found[:16]}..., expected {MODEL_SHA256[:16]}... (HanTa 1.2.1)."
            f" It is a pickle and is not opened. Install HanTa==1.2.1 anew."
        )
