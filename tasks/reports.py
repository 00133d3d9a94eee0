"""The report of a stage: one Markdown text with all that its artifact has to show. Reads the artifact's files and draws nothing.

No raw HTML: the default dashboard strips it, and the preview shows it as text.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import gethostname
from typing import Any

from degla.artifacts import Artifact
from degla.markdown import markdown_table
from tasks.narrow import narrow

IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
LARGEST_BYTES = 300_000  # of a card: they are stored in the server's database, twice
PAGES = {
    "page.html": "the whole run on one page, with a browser of every item that the models have right or wrong",
    "gallery.html": "images with their captions and negatives, kept and rejected",
}
"""Pages for a browser: a file of an artifact, and what it shows."""
_SHOWN_ELSEWHERE = {"report": {"losses.png", "yields.png", "model_card.md"}}
"""What the cards of other stages have."""
_PORT = 8765
_SAMPLED = 40


def stage_report(artifact: Artifact) -> str:
    """Where the artifact and its pages lie, its texts, tables and pictures, and its counts."""
    parts = [*_parts(artifact), f"## Counts\n\n{counts_table(artifact.counts)}", f"Folder: `{artifact.path}`"]
    shown, size = [], 0
    for part in parts:
        size += len(part.encode())
        if size <= LARGEST_BYTES:
            shown.append(part)
        else:
            size -= len(part.encode())
            shown.append(f"(A part of {len(part.encode()) / 1e3:.0f} kB is left out; it is in the folder.)")
    return "\n\n".join(shown) + "\n"


def page_links(artifact: Artifact) -> Iterator[str]:
    """For each page of the artifact: what it shows, its path, and the commands that bring it into a browser."""
    for name in artifact.manifest.files:
        if name in PAGES:
            path, address = artifact.path / name, f"http://127.0.0.1:{_PORT}/{name}"
            yield (
                f"**{name}**: {PAGES[name]} ({path.stat().st_size / 1e6:.1f} MB). A dashboard cannot link to a file:\n\n"
                f"- open it in a browser (Ctrl-O): `{path}`\n"
                f"- or serve it where it lies: `cd {shlex.quote(str(artifact.path))}`, `python3 -m http.server {_PORT} --bind"
                f" 127.0.0.1`, and open [{address}]({address}); from another machine first `ssh -L"
                f" {_PORT}:127.0.0.1:{_PORT} {gethostname()}`"
            )


def prose(message: str) -> str:
    """Lines of plain text as Markdown that keeps them and wraps, as code would not."""
    return "  \n".join(escaped(line) for line in message.splitlines())


def counts_table(counts: Mapping[str, int | float]) -> str:
    """A row for each count."""
    return markdown_table(("what", "count"), ((words(name), f"{value:,}") for name, value in counts.items()))


def picture(path: Path) -> str:
    """The picture as Markdown."""
    return f"![{path.stem}](data:{IMAGE_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()})"


def words(name: str) -> str:
    """The name of a count for people."""
    return name.replace("_", " ")


def _parts(artifact: Artifact) -> Iterator[str]:
    yield from page_links(artifact)
    own = [
        artifact.path / name
        for name in artifact.manifest.files
        if "/" not in name and name not in _SHOWN_ELSEWHERE.get(artifact.stage, ())
    ]
    yield from (narrow(path.read_text(encoding="utf-8")).rstrip() for path in own if path.suffix == ".md")
    if artifact.has("generation.json"):
        yield narrow(_generation(_read(artifact, "generation.json")["types"]))
    yield from (picture(path) for path in own if path.suffix in IMAGE_TYPES)
    if artifact.has("tables.json") and (rows := _read(artifact, "tables.json").get("sample")):
        yield f"## {min(_SAMPLED, len(rows))} texts, drawn at random\n\n{_sample(rows[:_SAMPLED])}"


def _generation(types: Mapping[str, Mapping[str, Any]]) -> str:
    """A row per negative type: requested rewrites, what became of them, and who wrote them at which attempt."""
    header = ("type", "rows", "texts", "without text", "by generator", "by attempt")
    rows = (
        (
            words(name),
            f"{counts['rows']:,}",
            f"{counts['by_status'].get('ok', 0):,}",
            _list({key: value for key, value in counts["by_status"].items() if key != "ok"}),
            _list(counts["by_generator"]),
            _list(counts["by_attempt"]),
        )
        for name, counts in types.items()
    )
    return f"## Rewrites\n\n{markdown_table(header, rows, text=('type', *header[3:]))}"


def _sample(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        verdict = "kept" if row["verdict"] == "kept" else f"refused by `{row['rule']}`"
        lines.append(f"- {escaped(row['caption'])} → **{escaped(row['rewrite'])}** ({words(row['type'])}, {verdict})")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """A line of plain text as Markdown."""
    return "".join(f"\\{mark}" if mark in "\\`*_[]<>#|" else mark for mark in " ".join(text.split()))


def _read(artifact: Artifact, name: str) -> Any:
    return json.loads(artifact.file(name).read_text(encoding="utf-8"))


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{words(name)} {count:,}" for name, count in counts.items() if count)
