"""The report card as a table for the console, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from degla.filter.audit.overlap import NOT_THERE
from degla.markdown import markdown_table

Card = Mapping[str, Any]

_FEW = 10_000  # captions: below, the text-only measure is noisy
_TEXT_COLUMNS = {"target", "type", "generator", "claims", "what the edits are", "rule", "family", "why", "benchmark", "note"}
_MOST_EDITS = 4


def card_lines(card: Card) -> list[str]:
    """The card for the console: tables with columns of equal width."""
    return [line for title, header, rows, after in _sections(card) for line in section_lines(title, header, rows, after)]


def side_by_side(cards: Sequence[Card]) -> tuple[Sequence[str], list[list[str]]]:
    """Header and rows of the table that has the main figures of each target, in per cent of its pairs."""
    header = ("target", "pairs", "of the claimed type", "kept by the rules", "blind accuracy", "may be true", "said by captions")
    return header, [_main_figures(card) for card in cards]


def _main_figures(card: Card) -> list[str]:
    claimed = [row for row in card["types"] if row["pure"] is not None]
    pure = _percent(sum(row["pure"] for row in claimed), sum(row["pairs"] for row in claimed))
    truth, blind = card["maybe_true"]["rows"][0], card["text_only"]["rows"][0]
    maybe = (
        "-" if truth["share"] is None else f"{100 * truth['share']:.1f} ({100 * truth['low']:.1f} to {100 * truth['high']:.1f})"
    )
    said = _percent(truth["by_captions"], truth["with_other_captions"])
    kept = _percent(card["rules"]["kept"], card["pairs"])
    name = card["target"].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return [name, f"{card['pairs']:,}", pure, kept, f"{100 * blind['blind_accuracy']:.1f}", maybe, said]


def card_markdown(cards: Sequence[Card]) -> str:
    """Several cards as one page."""
    parts = ["# Report card of negatives"]
    if len(cards) > 1:
        header, rows = side_by_side(cards)
        parts.append(markdown_table(header, [[_cell(cell) for cell in row] for row in rows]))
    for card in cards:
        parts.append(f"## {card['target']}")
        for title, header, rows, after in _sections(card):
            cells = [[_cell(cell) for cell in row] for row in rows]
            parts.append(f"### {title}")
            parts += [markdown_table(header, cells, _TEXT_COLUMNS)] if rows else []
            parts += [after] if after else []
        parts += ["### Two pairs of each rule", _examples(card)]
    return "\n\n".join(parts) + "\n"


def _sections(card: Card) -> Iterable[tuple[str, Sequence[str], list[list[str]], str]]:
    pairs = card["pairs"]
    sizes = f"{pairs:,} pairs, {card['captions']:,} captions, {card['images']:,} images"
    yield f"{sizes}; {card['other_captions']:,} other captions of these images known", (), [], ""
    yield (
        "Types",
        ("type", "generator", "pairs", "claims", "is that, %", "what the edits are"),
        list(map(_type_row, card["types"])),
        "",
    )
    yield _text_only(card)
    yield (
        "May be true of the image",
        ("type", "pairs judged", "may be true, %", "by the two texts", "by another caption", "of pairs with others"),
        [_truth_row(row) for row in card["maybe_true"]["rows"]],
        card["maybe_true"]["estimator"],
    )
    refused = card["rules"]["refused"]
    yield (
        f"Rules: {card['rules']['kept']:,} of {pairs:,} pairs kept ({_percent(card['rules']['kept'], pairs)} %)",
        ("rule", "family", "pairs", "%", "why"),
        [[row["rule"], row["family"], f"{row['pairs']:,}", _percent(row["pairs"], pairs), row["why"]] for row in refused],
        "",
    )
    yield _overlap(card)
    yield "Texts", ("what", "pairs", "%"), list(_text_rows(card)), _text_note(card)


def _type_row(row: Mapping[str, Any]) -> list[str]:
    shown = list(row["edits"].items())
    parts = [f"{name} {_percent(count, row['pairs'])} %" for name, count in shown[:_MOST_EDITS]]
    rest = sum(count for _, count in shown[_MOST_EDITS:])
    parts += [f"others {_percent(rest, row['pairs'])} %"] if rest else []
    pure = "-" if row["pure"] is None else _percent(row["pure"], row["pairs"])
    return [row["type"], row["generator"], f"{row['pairs']:,}", row["claimed"] or "-", pure, ", ".join(parts)]


def _text_only(card: Card) -> tuple[str, Sequence[str], list[list[str]], str]:
    found = card["text_only"]
    rows = [
        [
            row["type"],
            row["generator"],
            f"{row['pairs']:,}",
            f"{100 * row['blind_accuracy']:.1f}",
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            f"{100 * row['captions_alone']:.1f}",
        ]
        for row in found["rows"]
    ]
    few = "; so few make the measure noisy: see --corpus" if found["captions_learnt"] < _FEW else ""
    learnt = f"trained on {found['captions_learnt']:,} captions of {'the corpus' if found['corpus'] else 'its own'}{few}"
    header = ("type", "generator", "pairs", "blind accuracy, %", "95 % interval", "captions alone, %")
    return f"Told without the image; {learnt}", header, rows, found["definition"]


def _truth_row(row: Mapping[str, Any]) -> list[str]:
    share = "-" if row["share"] is None else f"{100 * row['share']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
    counts = (row["by_texts"], row["by_captions"], row["with_other_captions"])
    return [row["type"], f"{row['judged']:,}", share, *(f"{count:,}" for count in counts)]


def _overlap(card: Card) -> tuple[str, Sequence[str], list[list[str]], str]:
    rows = [
        [
            each["benchmark"],
            *(f"{each[name]:,}" for name in ("texts", "images", "negatives", "captions", "shared_images")),
            each["note"] or "-",
        ]
        for each in card["overlap"]
    ]
    header = ("benchmark", "its texts", "its images", "negatives that are its", "captions that are its", "images shared", "note")
    absent = [name for name, why in card["not_compared"].items() if why.startswith(NOT_THERE)]
    unread = [f"{name} ({why})" for name, why in card["not_compared"].items() if name not in absent]
    notes = [f"Not compared, because their files are not there: {', '.join(absent)}."] if absent else []
    notes += [f"Not compared, because they cannot be read: {'; '.join(unread)}."] if unread else []
    return "Overlap with benchmarks", header, rows, " ".join(notes)


def _text_rows(card: Card) -> Iterable[list[str]]:
    names = {
        "repeated_pairs": "the same pair once more",
        "caption_again": "the negative is its caption",
        "of_several_images": "the negative stands beside several images",
        "captions_of_the_file": "the negative is a caption of the file",
    }
    values = {what: card["duplicates"][name] for name, what in names.items()}
    lengths = card["lengths"]
    values |= {
        "longer than the caption": lengths["longer"],
        "shorter than the caption": lengths["shorter"],
        "longer than CLIP reads": lengths["beyond_clip"],
        "the caption is not English": card["languages"]["captions_not_english"],
    }
    for what, count in values.items():
        yield [what, f"{count:,}", _percent(count, card["pairs"])]


def _text_note(card: Card) -> str:
    lengths, languages = card["lengths"], card["languages"]
    return (
        f"Mean words: captions {lengths['caption_words']:.1f}, negatives {lengths['negative_words']:.1f}."
        f" Negatives not English: {languages['negatives_not_english']:,} of {languages['negatives_looked_at']:,} looked at."
    )


def _examples(card: Card) -> str:
    lines = []
    for row in card["rules"]["refused"]:
        lines.append(f"- `{row['rule']}`: {row['why']}")
        lines += [f"  - {_cell(each['caption'])} -> {_cell(each['negative'])}" for each in row["examples"]]
    return "\n".join(lines) or "No pair was refused."


def section_lines(title: str, header: Sequence[str], rows: list[list[str]], after: str = "") -> list[str]:
    """A table for the console below its title, columns of equal width."""
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    aligned = [
        "  ".join(
            cell.ljust(width) if name in _TEXT_COLUMNS | {"what"} else cell.rjust(width)
            for cell, width, name in zip(row, widths, header, strict=True)
        ).rstrip()
        for row in ((header, *rows) if rows else ())
    ]
    return [title, *(f"  {line}" for line in aligned), *([f"  {after}"] if after else []), ""]


def _percent(part: float, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
