"""The exemplars in `prompts/`: what of their quality a program can check, with a tokeniser of this file's own.

Knows nothing of `degla.text` except in the last test: the edit rules that generate and filter apply are written a second
time here, in plain Python, from the words of each prompt's own rule. That a rewrite is false of the picture, fluent and
plausible is for a reader to judge.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from degla.negative_types import NEGATIVE_TYPES

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
PROMPT = {path.stem: yaml.safe_load(path.read_text("ascii")) for path in sorted(PROMPTS.glob("*.yaml"))}
Pair = tuple[str, str]
PAIRS: dict[str, list[Pair]] = {
    kind: [(item["input"], item["output"]) for item in prompt["exemplars"]] for kind, prompt in PROMPT.items()
}
SWAPS, REPLACES = ("swap_nouns", "swap_adjectives"), ("replace_nouns", "replace_adjectives")

AN_BEFORE_CONSONANT = ("hour", "honest", "heir")
A_BEFORE_VOWEL = ("unicorn", "unicycle", "uniform", "union", "university", "used", "useful", "european", "ukulele", "one")


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; an inner hyphen or apostrophe belongs to its word."""
    return re.findall(r"[a-z]+(?:['-][a-z]+)*", text.lower())


FUNCTION_WORDS = set(
    words(
        "a an the his her its their one two three several some both all of in on at by to from with without over under above"
        " below beside behind beneath between across along around against among atop near next after ahead down up off onto into"
        " inside outside through toward towards past out away for as while and or but except that which who is are was were be"
        " been being has have had there it nothing not someone front top back most end side full"
    )
)
COLORS = set(words("black blue blond brown gold golden gray green orange pink purple red silver white yellow"))
SYMMETRIC = set(words("and or with near next to beside by facing"))


def folded(text: str) -> list[str]:
    """Words with `an` written `a`: the article's agreement is no change."""
    return ["a" if word == "an" else word for word in words(text)]


def normalised(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def changed_places(source: str, rewrite: str) -> list[int]:
    before, after = folded(source), folded(rewrite)
    assert len(before) == len(after), "not the same number of words"
    return [place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]


def replaced(source: str, rewrite: str) -> tuple[list[str], list[str]]:
    """The words that were taken out and put in, between the longest common start and the longest common end."""
    before, after = folded(source), folded(rewrite)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return before[start : len(before) - end], after[start : len(after) - end]


def looks_plural(word: str) -> bool:
    singular = word.endswith("ss") or word in {"bus", "rhinoceros"}
    return (word.endswith("s") and not singular) or word in {"sheep", "geese"}


def check_reshuffle(source: str, rewrite: str) -> None:
    assert Counter(folded(source)) == Counter(folded(rewrite)), "not the same words"
    assert len(changed_places(source, rewrite)) >= 3, "fewer than three places differ"
    content = [[word for word in folded(text) if word not in {"a", "the"}] for text in (source, rewrite)]
    assert content[0] != content[1], "only articles moved"


def check_swap(source: str, rewrite: str) -> Pair:
    places = changed_places(source, rewrite)
    assert len(places) == 2, f"{len(places)} places differ, not two"
    first, second = places
    before, after = folded(source), folded(rewrite)
    assert (before[first], before[second]) == (after[second], after[first]), "the two words are not exchanged"
    between = set(before[first + 1 : second]) - {"a", "the"}
    assert between - SYMMETRIC, f"only {between} stands between the two: the relation holds both ways"
    return before[first], before[second]


def check_replacement(source: str, rewrite: str) -> tuple[list[str], list[str]]:
    out, put = replaced(source, rewrite)
    assert 1 <= len(out) <= 2, f"took out {out}"
    assert 1 <= len(put) <= 2, f"put in {put}"
    assert not set(put) & set(words(source)), f"{put} was there already"
    return out, put


def check_articles(text: str) -> None:
    for article, following in re.findall(r"\b(an?) ([a-z]+)", text.lower()):
        vowel = following[0] in "aeiou" and not following.startswith(A_BEFORE_VOWEL)
        expected = "an" if vowel or following.startswith(AN_BEFORE_CONSONANT) else "a"
        assert article == expected, f"{article} {following}"


def check_form(text: str) -> None:
    assert text.isascii(), "not ASCII"
    assert text.isprintable(), "not one printable line"
    assert re.fullmatch(r"[A-Z][A-Za-z]*(?:[,]? [A-Za-z]+(?:[-'][a-z]+)*)+\.?", text), "not a plain caption"


CHECK: dict[str, Callable[[str, str], object]] = {
    "reshuffle": check_reshuffle,
    **dict.fromkeys(SWAPS, check_swap),
    **dict.fromkeys(REPLACES, check_replacement),
}
EVERY_PAIR = [pytest.param(kind, *pair, id=f"{kind}-{row}") for kind in PAIRS for row, pair in enumerate(PAIRS[kind])]


def test_there_is_one_file_per_negative_type() -> None:
    assert set(PROMPT) == set(NEGATIVE_TYPES)


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
def test_a_prompt_has_its_fields_and_nothing_else(kind: str) -> None:
    prompt = PROMPT[kind]
    assert list(prompt) == ["type", "version", "rule", "exemplars"]
    assert prompt["type"] == kind
    assert isinstance(prompt["version"], int)
    assert prompt["version"] >= 1
    assert len(prompt["exemplars"]) == 50
    assert all(list(item) == ["input", "output"] for item in prompt["exemplars"])
    values = [value for item in prompt["exemplars"] for value in item.values()]
    assert all(isinstance(value, str) and value for value in values)


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
def test_a_rule_is_short_and_says_when_to_abstain(kind: str) -> None:
    rule = PROMPT[kind]["rule"]
    assert rule == rule.strip()
    assert "\n" not in rule
    assert 60 <= len(rule.split()) <= 150
    assert "NONE" in rule
    for word in ("fluent", "plausible", "false of any picture", "punctuation" if kind == "reshuffle" else "nothing else"):
        assert word in rule


@pytest.mark.parametrize(("kind", "source", "rewrite"), EVERY_PAIR)
def test_an_exemplar_keeps_the_rule_of_its_type(kind: str, source: str, rewrite: str) -> None:
    CHECK[kind](source, rewrite)
    for text in (source, rewrite):
        check_form(text)
        check_articles(text)
        assert 7 <= len(words(text)) <= 20
    assert source.endswith(".") == rewrite.endswith(".")
    assert source.count(",") == rewrite.count(",")


@pytest.mark.parametrize(("source", "rewrite"), PAIRS["swap_nouns"])
def test_exchanged_nouns_agree_in_number(source: str, rewrite: str) -> None:
    first, second = check_swap(source, rewrite)
    assert looks_plural(first) == looks_plural(second) or "sheep" in (first, second)


@pytest.mark.parametrize(("source", "rewrite"), PAIRS["replace_nouns"])
def test_a_replacing_noun_has_the_number_of_the_replaced(source: str, rewrite: str) -> None:
    out, put = check_replacement(source, rewrite)
    before_mass_or_irregular = {"popcorn", "bacon", "salmon"} & {*out, *put}
    assert looks_plural(out[-1]) == looks_plural(put[-1]) or before_mass_or_irregular


@pytest.mark.parametrize(("source", "rewrite"), PAIRS["replace_adjectives"])
def test_one_adjective_is_replaced_by_one(source: str, rewrite: str) -> None:
    out, put = check_replacement(source, rewrite)
    assert (len(out), len(put)) == (1, 1)


def test_no_text_occurs_twice_in_all_prompts() -> None:
    texts = Counter(normalised(text) for kind in PAIRS for pair in PAIRS[kind] for text in pair)
    assert {text for text, count in texts.items() if count > 1} == set()


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
def test_no_content_word_is_in_more_than_four_inputs_of_a_type(kind: str) -> None:
    counts = Counter(word for source, _ in PAIRS[kind] for word in set(words(source)) - FUNCTION_WORDS)
    limit = {word: 7 if word in COLORS else 4 for word in counts}
    assert {word: count for word, count in counts.items() if count > limit[word]} == {}


@pytest.mark.parametrize("kind", [*SWAPS, *REPLACES])
def test_no_edit_is_shown_twice(kind: str) -> None:
    edits = [changed_words(kind, *pair) for pair in PAIRS[kind]]
    assert {edit: count for edit, count in Counter(edits).items() if count > 1} == {}
    used = Counter(word for edit in edits for word in edit)
    assert {word: count for word, count in used.items() if count > (7 if word in COLORS else 4)} == {}


def changed_words(kind: str, source: str, rewrite: str) -> frozenset[str]:
    if kind in SWAPS:
        return frozenset(check_swap(source, rewrite))
    return frozenset(" ".join(span) for span in check_replacement(source, rewrite))


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
def test_exemplars_vary_in_opening_length_and_full_stop(kind: str) -> None:
    sources = [source for source, _ in PAIRS[kind]]
    openings = Counter(words(source)[0] for source in sources)
    assert openings["a"] + openings["an"] <= 45
    assert len({len(words(source)) for source in sources}) >= 6
    assert 30 <= sum(source.endswith(".") for source in sources) <= 45


@pytest.mark.parametrize(
    ("kind", "source", "rewrite"),
    [
        ("reshuffle", "The quick fox jumps over the dog.", "The dog jumps over the quick cat."),
        ("reshuffle", "A dog chases a cat on a lawn.", "A cat chases a dog on a lawn."),
        ("reshuffle", "A dog chases the black cat.", "The dog chases a black cat."),
        ("swap_nouns", "A cat and a dog lie on a couch.", "A dog and a cat lie on a couch."),
        ("swap_nouns", "A cat lies on a mat.", "A mat lies on a dog."),
        ("swap_nouns", "Two cats lie on a mat.", "Two mats lie on a cat."),
        ("swap_adjectives", "A red car behind a blue bus.", "A green car behind a blue bus."),
        ("replace_nouns", "A dog lies on a mat.", "A black cat sits on a mat."),
        ("replace_nouns", "A dog lies beside a cat.", "A cat lies beside a cat."),
        ("replace_adjectives", "A red car on a hill.", "A red car on a hill."),
    ],
)
def test_the_checks_of_this_file_refuse_what_they_should(kind: str, source: str, rewrite: str) -> None:
    with pytest.raises(AssertionError):
        CHECK[kind](source, rewrite)


@pytest.mark.parametrize("text", ["A apple on a tray.", "An unicorn on a hill.", "A hour later."])
def test_the_article_check_refuses_what_it_should(text: str) -> None:
    with pytest.raises(AssertionError):
        check_articles(text)


PUBLISHED = [
    "coco_captions_val2017/captions_val2017.json",
    "coco_karpathy_test/coco_karpathy_test.json",
    "coco_mini/captions_train2017.json",
    "flickr8k_224/captions.tsv",
    "negclip_valid/valid_neg_clip.tsv",
    "sugarcrepe/add_att.json",
    "sugarcrepe/add_obj.json",
    "sugarcrepe/replace_att.json",
    "sugarcrepe/replace_obj.json",
    "sugarcrepe/replace_rel.json",
    "sugarcrepe/swap_att.json",
    "sugarcrepe/swap_obj.json",
    "valse/action-replacement.json",
    "valse/counting-small-quant.json",
    "valse/existence.json",
    "valse/foil-it.json",
    "valse/plurals.json",
    "valse/relations.json",
]


@pytest.mark.parametrize("relative", PUBLISHED)
def test_no_exemplar_is_a_published_caption(relative: str, shared_data: Callable[[str], Path]) -> None:
    published = {normalised(text) for text in strings(shared_data(relative))}
    assert len(published) > 400
    ours = {normalised(text) for kind in PAIRS for pair in PAIRS[kind] for text in pair}
    assert ours & published == set()


def strings(path: Path) -> Iterator[str]:
    if path.suffix == ".json":
        yield from strings_in(json.loads(path.read_text("utf-8")))
        return
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines, delimiter="\t"):
            for field in row:
                yield from strings_in(ast.literal_eval(field)) if field.startswith("[") else (field,)


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings_in(part)
