"""Format `negclip`: NegCLIP's TSV (Yuksekgonul et al., arXiv 2210.01936): title, filepath and a Python list of negatives."""

from __future__ import annotations

from degla.sources.format import Format, Head
from degla.sources.formats.delimited import DELIMITED
from degla.sources.options import SourceOptions

_COLUMNS = {"image_column": "filepath", "caption_column": "title", "negative_column": "neg_caption"}


def _claims(head: Head) -> bool:
    first = head.start.decode(head.encoding, errors="replace").partition("\n")[0]
    return {"title", "filepath", "neg_caption"} <= set(first.strip().split("\t"))


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    given = head.options.model_dump(exclude_unset=True)
    fixed = {"separator": "\t", "quoting": "doubled", "header": True, "list_column": "neg_caption", **_COLUMNS}
    return DELIMITED.complete(Head(head.path, SourceOptions(**(fixed | given))))


NEGCLIP = Format("negclip", "NegCLIP's TSV of captions and lists of negatives", _claims, _complete, DELIMITED.read)
