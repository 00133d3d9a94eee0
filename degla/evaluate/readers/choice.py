"""One image and several texts, of which one is right, from any table: NegBench, What'sUp, or one's own.

The card names the columns. An answer column names the right text, or it is the first. Items that belong together (What'sUp's
pairs and sets of photos of the same two objects) are right only if all of them are.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet, Together
from degla.evaluate.readers.registry import reader
from degla.evaluate.readers.sources import cell, check_columns, image_records, left_out, open_files, record_images, row_text
from degla.outcomes.averages import averages_of_sets
from degla.outcomes.items import KINDS
from degla.outcomes.known import absences
from degla.sources.options import Column, SourceOptions
from degla.sources.records import Record
from degla.text_files import check_distinct, columns_of, shown

_NUMBER = re.compile(r"(\d+)(?:\.0+)?")  # pandas writes numbers beside empty cells as 2.0


class TogetherOptions(Config):
    """Which items belong together."""

    column: str = ""
    """A column, or a text with columns; empty takes the image's name."""
    patterns: tuple[str, ...] = ("(.*)",)
    """Regular expressions of the whole text: items belong together if the same one is the first that matches, and its groups are
    equal."""
    size: int | None = Field(None, ge=2)
    """Items of a group. Groups of another size, of a part of the files, are left out and counted in the notes."""

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class ChoiceOptions(SourceOptions):
    """Options of a card with `reader: choice`."""

    image: Column = ""
    """Column with the image's file name; empty recognises it."""
    texts: tuple[Column, ...] = ()
    """Columns with the texts to choose from, or one that lists them; empty recognises captions."""
    answer: Column = ""
    """Column with the right one: its number, its letter (A is the first), the text itself, or its column. Empty: the first."""
    first_answer: Literal[0, 1] = 0
    """The number of the first text."""
    id: Column = "id"
    """Column with the item's id; if there is none, its number from 1 is its id."""
    subset: str = ""
    """Column that names the set an item belongs to, or a text with columns; empty makes one set."""
    group: Column = ""
    """Column that names an item's group: `macro_accuracy` is then the mean over groups."""
    together: dict[str, TogetherOptions] = Field(default_factory=dict)
    """Metric to the items that it counts together: `pair` makes `pair_accuracy`."""
    image_name: str = ""
    """The file's name as a text with columns, such as `{1:0>12}.jpg`; `{image}` is the image's column, of a URL its last part."""
    template: str = "{}"
    """The text that each text is scored in, such as `a photo of {}`."""
    ties: Literal["wrong", "right"] = "wrong"
    """Whether an image as near to a wrong text as to the right one is right."""
    definition: str = ""
    """What the authors' own code computes; it stands in the notes of the scores."""

    @field_validator("together")
    @classmethod
    def _new_kinds(cls, together: dict[str, TogetherOptions]) -> dict[str, TogetherOptions]:
        for name in together:
            if name in KINDS or not re.fullmatch(r"[a-z0-9_]+", name):
                raise ValueError(f"{name!r} is no name for items that belong together; use another one, such as pair or set")
        return together


class Item(NamedTuple):
    """An item, and the set that it belongs to."""

    subset: str
    choice: ChoiceItem
    record: Record


@reader("choice", ChoiceOptions)
def read_choice(card: Card, options: ChoiceOptions) -> Benchmark:
    """Files: `annotations`, the table; `images`, their folder, if the table does not hold them.

    Raises:
        DataError: a column does not exist or is empty, the answer is none of the texts, or an id comes twice; the row is named.
    """
    texts = [options.subset, options.image_name, *(each.column for each in options.together.values())]
    named = [name for text in filter(None, texts) for name in columns_of(text)]
    own = (options.answer, options.id, options.group, *(name for name in named if name != "image"))
    more = tuple(name for name in own if name != "")
    columns = {"image_column": options.image, "caption_column": options.texts}
    source = open_files(card, "annotations", options, more_columns=more, **columns)
    check_columns(source, more)
    records = list(source)
    rows = {record.where for record in records}
    if lacking := next((each for each in source.skipped if each.where in rows), None):
        raise DataError(f"{lacking.where}: one of the texts to choose from is none: {lacking.reason}")
    image = source.recognised.options.image_column
    if image == "" and records:
        raise DataError(f"{card.file('annotations')}: no column of images was recognised; set image")
    of_set: dict[str, list[Item]] = {}
    for record in records:
        item = _item(image_records(record, (image,), options.image_name)[0], card.name, options)
        of_set.setdefault(item.subset, []).append(item)
    made = [_set(card, name, items, options) for name, items in of_set.items()]
    sets = tuple(each for each, _ in made)
    absent, notes = absences(card, {each.name: len(each.items) for each in sets})
    if options.definition:
        notes.append(f"defined by {options.definition}")
    metrics = ["accuracy", *(f"{kind}_accuracy" for kind in options.together)]
    notes += [note for _, of_this in made for note in of_this]
    return Benchmark(sets, averages_of_sets(list(of_set), metrics), (*notes, *left_out(source)), absent)


def _item(record: Record, whole: str, options: ChoiceOptions) -> Item:
    texts = [options.template.replace("{}", text) for text in record.captions]
    if len(texts) < 2:
        raise DataError(f"{record.where}: found {len(texts)} texts, expected two or more to choose from")
    right = _answer(record, options) if options.answer != "" else 0
    key = record.fields.get(options.id)
    group = row_text(str(options.group), record) if options.group != "" else None
    candidates = (texts[right], *texts[:right], *texts[right + 1 :])
    choice = ChoiceItem(str(record.number if key is None else key), 0, candidates, group)
    return Item(row_text(options.subset, record) if options.subset else whole, choice, record)


def _answer(record: Record, options: ChoiceOptions) -> int:
    """The place of the right text, from 0."""
    value, texts = cell(record, options.answer), list(record.captions)
    text = str(value).strip()
    number = _NUMBER.fullmatch(text)
    places = [str(column) for column in options.texts]
    if number:
        place = int(number[1]) - options.first_answer
    elif text in texts:
        place = texts.index(text)
    elif text in places and len(places) == len(texts):
        place = places.index(text)
    else:
        place = ord(text.upper()) - ord("A") if len(text) == 1 else -1
    if not 0 <= place < len(texts):
        raise DataError(
            f"{record.where}: the answer {shown(value)} is none of the {len(texts)} texts, counted from {options.first_answer}"
        )
    return place


def _set(card: Card, name: str, items: list[Item], options: ChoiceOptions) -> tuple[ChoiceSet, list[str]]:
    check_distinct([item.choice.id for item in items], card.file("annotations"))
    images, positions = record_images(card, [item.record for item in items])
    choices = tuple(
        ChoiceItem(item.choice.id, place, item.choice.candidates, item.choice.group)
        for item, place in zip(items, positions, strict=True)
    )
    groups: list[Together] = []
    notes = []
    for kind, together in options.together.items():
        found = _groups(items, together)
        whole = {key: own for key, own in found.items() if together.size in (None, len(own))}
        groups += [Together(kind, key, tuple(own)) for key, own in whole.items()]
        if len(whole) < len(found):
            notes.append(f"{name}: {len(found) - len(whole):,} of {len(found):,} groups ({kind}) are not whole and left out")
    return ChoiceSet(name, images, choices, options.ties == "right", together=tuple(groups)), notes


def _groups(items: list[Item], together: TogetherOptions) -> dict[str, list[int]]:
    """Key of each group to the indices of its items."""
    found: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        text = row_text(together.column, item.record, item.record.image) if together.column else item.record.image
        matches = ((number, re.fullmatch(pattern, text)) for number, pattern in enumerate(together.patterns))
        key = next((f"{number}:{'|'.join(map(str, match.groups()))}" for number, match in matches if match), None)
        if key is None:
            raise DataError(f"{item.record.where}: {text!r} matches none of the patterns {', '.join(together.patterns)}")
        found.setdefault(key, []).append(index)
    return found
