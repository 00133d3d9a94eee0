"""Which words of a caption stand inside a negation: what is said there is not seen in the image.

"A street without trucks": whatever stands for "trucks" is as little seen, so that the new text is as true as the caption. Where
the reach of a negation is not certain the longer one is taken. Knows nothing of rewrites.
"""

from __future__ import annotations

from collections.abc import Sequence

# What denies a verb, and with it its clause.
_OF_CLAUSES = {"not", "'t", "’t", "never", "cannot", "hardly", "barely", "scarcely", "seldom", "rarely"}
_OF_CLAUSES |= {"cant", "dont", "isnt", "arent", "wasnt", "doesnt", "didnt", "wont"}
_DENYING_VERBS = {"lacks", "lack", "lacked", "fails", "refuses", "avoids"}
# What denies a subject and its clause, or what follows.
_OF_SUBJECTS = {"no", "nobody", "none", "nothing", "nowhere", "neither", "nor", "few"}
_OF_PHRASES = {
    "without",
    "lacking",
    "missing",
    "minus",
    "except",
    "excluding",
    "sans",
    "absent",
    "avoiding",
    "refusing",
    "unlike",
}
_PAIRS = {(word, "of") for word in ("instead", "free", "empty", "devoid", "bare", "clear", "absence", "lack", "void", "short")}
_PAIRS |= {("rather", "than"), ("other", "than"), ("anything", "but"), ("no", "one"), ("yet", "to"), ("apart", "from")}
_NOT_DENYING = {("not", "far"), ("not", "only"), ("not", "just"), ("no", "parking")}
_NONE = _OF_SUBJECTS | {"empty", "bare"}  # after these an exception is what is there: nothing except a clock
_EXCEPTIONS = {("other", "than"), ("apart", "from"), ("aside", "from")}
_FEW = {"a", "the", "these", "those"}  # before "few": some

CUES = frozenset(_OF_CLAUSES | _DENYING_VERBS | _OF_SUBJECTS | _OF_PHRASES | {first for first, _ in _PAIRS})
"""Lower-case words of which every negation has one."""

_FINITE = frozenset(("VVZ", "VVB", "VVD", "VBZ", "VBB", "VBD", "VHZ", "VHB", "VHD", "VDZ", "VDB", "VDD", "VM0"))
_ENDING = frozenset('.;:!?()"“”')
_TURNING = frozenset(("but", "only", "just", "while", "whereas", "although", "though", "because", "who", "which", "whose"))
_HAVING = frozenset(("has", "have", "had", "is", "are", "was", "were"))


def negated(words: Sequence[str], tags: Sequence[str]) -> frozenset[int]:
    """The places of the words inside negations, those that deny among them.

    Args:
        words: the tokens of a caption in lower case.
        tags: their part-of-speech tags (BNC C5).

    >>> words = ["a", "man", "with", "no", "hat", "rides", "a", "horse"]
    >>> sorted(negated(words, ["AT0", "NN1", "PRP", "AT0", "NN1", "VVZ", "AT0", "NN1"]))
    [3, 4]
    """
    if CUES.isdisjoint(words):
        return frozenset()
    found: set[int] = set()
    for i, word in enumerate(words):
        if word not in CUES:
            continue
        before, following = words[i - 1] if i else "", words[i + 1] if i + 1 < len(words) else ""
        if (word, following) in _NOT_DENYING or (word == "few" and before in _FEW):
            continue
        if _excepts(words, i) and not _NONE.isdisjoint(words[:i]):
            continue
        if word in _OF_CLAUSES or word in _DENYING_VERBS or (word in _OF_SUBJECTS and before in _HAVING):
            found.update(range(_clause_start(words, tags, i), _reach(words, tags, i)))
        elif word in _OF_SUBJECTS and (i == 0 or tags[i - 1] in ("PUN", "CJS", "CJC")):
            found.update(range(i, _clause_end(words, tags, i)))
        elif word in _OF_SUBJECTS or word in _OF_PHRASES or (word, following) in _PAIRS:
            found.update(range(i, _reach(words, tags, i)))
    return frozenset(found)


def _clause_start(words: Sequence[str], tags: Sequence[str], i: int) -> int:
    """Where the clause of a denied verb begins; that of a participle (a dog not wearing a collar) with what denies it."""
    if i and tags[i - 1][:2] == "NN" and words[i] not in _DENYING_VERBS and words[i] != "never":
        return i
    while i and not (_ends(words, tags, i - 1) or words[i - 1] == "," or tags[i - 1] in ("CJC", "PNQ", "DTQ", "CJT")):
        i -= 1
    return i


def _reach(words: Sequence[str], tags: Sequence[str], start: int) -> int:
    """Where a negation ends: at a finite verb after the denied one, at a participle after a noun, or with the clause."""
    i, named = start + 1, False
    while i < len(words) and tags[i] in ("AV0", "AVP", "XX0"):
        i += 1
    i += 1  # what is denied: a verb, or the first word of a phrase
    named = any(tag[:2] == "NN" for tag in tags[start + 1 : i])
    while i < len(words) and not _breaks(words, tags, i):
        if tags[i] in _FINITE or (tags[i] == "VVG" and named):
            break
        named = named or tags[i][:2] == "NN"
        i += 1
    return min(i, len(words))


def _clause_end(words: Sequence[str], tags: Sequence[str], start: int) -> int:
    return next((i for i in range(start + 1, len(words)) if _breaks(words, tags, i)), len(words))


def _breaks(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """A comma breaks, but not within a list (no cars, trucks or people)."""
    if words[i] == ",":
        rest = words[i + 1 :]
        listing = "or" in rest or "nor" in rest
        return not listing or rest[0] in _TURNING or any(tag in _FINITE for tag in tags[i + 1 : i + 4])
    return _ends(words, tags, i)


def _ends(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    return words[i] in _ENDING or words[i] in _TURNING or tags[i] == "CJS" or _excepts(words, i)


def _excepts(words: Sequence[str], i: int) -> bool:
    return words[i] == "except" or tuple(words[i : i + 2]) in _EXCEPTIONS
