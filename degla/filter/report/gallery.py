"""A page of images with their captions and negatives: one self-contained HTML file.

All texts from the data are escaped, and the page's security policy allows its own script and no request.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from degla.filter.report.sampling import CaptionLines, Line, Picture
from degla.images import open_image
from degla.negative_types import NEGATIVE_TYPES, TRAITS
from degla.text.edits import exchanged_stretches, folded, is_word
from degla.text.tokens import spans

_TEMPLATE = Path(__file__).with_name("gallery.html")
_THUMBNAIL, _SMALL = 320, 96  # pixels, the longer side; small images keep their pixels and are shown enlarged
_QUALITY = 80
_HUES = 8  # colours of types in the template
_REPLACED_WORDS = 3  # a longer stretch is a rewrite, not a replacement: the old words would say little


def gallery(title: str, about: str, pictures: Sequence[Picture], why: Mapping[str, str]) -> str:
    """The page.

    Args:
        title: heading.
        about: a sentence or two below it.
        pictures: images, in order.
        why: rule name to its reason.
    """
    template = _TEMPLATE.read_text(encoding="utf-8")
    script = template.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    captions = [caption for picture in pictures for caption in picture.captions]
    generators = {line.generator for caption in captions for line in (*caption.kept, *caption.rejected)}
    return Template(template).substitute(
        script_hash=f"sha256-{digest}",
        title=escape(title),
        about=escape(about),
        colours="\n".join(f".{name} {{ color: var(--type-{place % _HUES}); }}" for place, name in enumerate(NEGATIVE_TYPES)),
        types="\n".join(map(_type_box, NEGATIVE_TYPES)),
        pictures="\n".join(_picture(picture, why, len(generators) > 1) for picture in pictures),
    )


def _type_box(name: str) -> str:
    return f'<label class="{name}"><input type="checkbox" value="{name}" checked>{_words(name)}</label>'


def _picture(picture: Picture, why: Mapping[str, str], with_generator: bool) -> str:
    captions = "\n".join(_caption(each, why, with_generator) for each in picture.captions)
    bare = "" if picture.image or picture.problem else " bare"
    return (
        f'<article class="picture{bare}" data-id="{escape(picture.image_id)}">\n<figure>{_image(picture)}'
        f"<figcaption>{_below(picture)}</figcaption></figure>\n<div>\n{captions}\n</div>\n</article>"
    )


def _image(picture: Picture) -> str:
    if picture.image is None:
        return f'<div class="none">{escape(picture.problem)}</div>' if picture.problem else ""
    image = open_image(picture.image)
    small = max(image.size) <= _SMALL
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=95 if small else _QUALITY, subsampling=0 if small else 2)
    data = base64.b64encode(buffer.getvalue()).decode()
    shape = f'width="{image.width}" height="{image.height}"' + (' class="small"' if small else "")
    alt = escape(picture.image_id)
    return f'<img src="data:image/jpeg;base64,{data}" {shape} alt="{alt}" loading="lazy">'


def _below(picture: Picture) -> str:
    parts = [escape(picture.image_id)]
    if picture.num_captions > len(picture.captions):
        parts.append(f"{len(picture.captions)} of {picture.num_captions:,} captions")
    if picture.drawn_for:
        parts.append(f"drawn to show <b>{escape(picture.drawn_for)}</b>")
    return "<br>".join(parts)


def _caption(caption: CaptionLines, why: Mapping[str, str], with_generator: bool) -> str:
    kept, rejected = (
        "\n".join(_line(caption.caption, line, why, with_generator) for line in lines)
        for lines in (caption.kept, caption.rejected)
    )
    parts = [f"<h2>{escape(caption.caption)}</h2>", f"<ul>\n{kept}\n</ul>" if kept else '<p class="more">no negative kept</p>']
    if rejected:
        parts.append(f"<details><summary>{len(caption.rejected)} rejected</summary><ul>\n{rejected}\n</ul></details>")
    if caption.left_out:
        parts.append(f'<p class="more">and {caption.left_out:,} more that are not on this page</p>')
    return f'<section class="caption">{"".join(parts)}</section>'


def _line(caption: str, line: Line, why: Mapping[str, str], with_generator: bool) -> str:
    name, verdict = escape(line.type), "rejected" if line.rule else "kept"
    by = f' <span class="by">{escape(line.generator)}</span>' if with_generator else ""
    said = f' <span class="why"><b>{escape(line.rule)}</b>: {escape(why.get(line.rule, ""))}</span>' if line.rule else ""
    return (
        f'<li data-type="{name}" data-verdict="{verdict}"><span class="type {name}">{_words(name)}</span> '
        f"{marked(caption, line.text, line.type)}{by}{said}</li>"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def marked(caption: str, text: str, negative_type: str) -> str:
    """The text as HTML; words that differ from the caption are marked, with the old words if they were replaced.

    >>> marked("a man on a horse", "a man on a zebra", "replace_nouns")
    'a man on a <mark data-was="horse">zebra</mark>'
    """
    places, before = _word_spans(text), _word_spans(caption)
    old, new = ([folded(said[start:end]) for start, end in words] for said, words in ((caption, before), (text, places)))
    changed, removed = _changed(old, new)
    was = " ".join(caption[start:end] for start, end in before[removed])
    if TRAITS[negative_type].change != "replaces" or removed.stop - removed.start > _REPLACED_WORDS:
        was = ""
    pieces, end = [], 0
    for start, stop in _runs(changed):
        first, last = places[start][0], places[stop - 1][1]
        attribute = f' data-was="{escape(was)}"' if was else ""
        pieces.append(f"{escape(text[end:first])}<mark{attribute}>{escape(text[first:last])}</mark>")
        was, end = "", last
    return "".join(pieces) + escape(text[end:])


def _word_spans(text: str) -> list[tuple[int, int]]:
    """Spans of the tokens that are words: a change of punctuation is not marked."""
    return [(start, end) for start, end in spans(text) if is_word(text[start:end])]


def _changed(old: Sequence[str], new: Sequence[str]) -> tuple[list[int], slice]:
    """Positions in `new` that differ from `old`, and the part of `old` that is not in `new`.

    Between the common prefix and suffix: the two stretches if two are exchanged, else the positions that differ if both are
    equally long, else all of it.
    """
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - start) if old[-1 - i] != new[-1 - i]), shorter - start)
    removed = slice(start, len(old) - tail)
    if len(old) != len(new):
        return list(range(start, len(new) - tail)), removed
    stretches = exchanged_stretches(old, new)
    if stretches is None:
        return [i for i in range(len(new)) if old[i] != new[i]], removed
    first, second = stretches
    return [*range(first.start, first.start + len(second)), *range(second.stop - len(first), second.stop)], removed


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of neighbouring positions as (first, last + 1)."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    return runs
