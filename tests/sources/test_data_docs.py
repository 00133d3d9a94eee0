"""`docs/data.md` shows what `sniff` prints of an example of each format, and every setting; both are made here.

python tests/sources/test_data_docs.py --write
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from source_examples import EXAMPLES  # noqa: E402

from degla.sources.formats import FORMATS  # noqa: E402
from degla.sources.options import SourceOptions  # noqa: E402
from degla.sources.sniff import sniff  # noqa: E402

DOCUMENT = ROOT / "docs" / "data.md"
BLOCK = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def example(name: str) -> str:
    """The command and what it prints, below a folder that is called /data."""
    with tempfile.TemporaryDirectory() as folder:
        path = EXAMPLES[name](Path(folder))
        command = f"$ python -m degla.prepare sniff {path}"
        return f"```console\n{command}\n{sniff(str(path))}\n```\n".replace(str(Path(folder).resolve()), "/data")


def settings() -> str:
    rows = ["| option | default | what it says |", "|---|---|---|"]
    for name, field in SourceOptions.model_fields.items():
        words = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}` | `{field.get_default()!r}` | {words} |")
    return "\n".join(rows) + "\n"


def formats() -> str:
    return "| `format` | what it is |\n|---|---|\n" + "".join(f"| `{each.name}` | {each.about} |\n" for each in FORMATS.values())


def made(name: str) -> str:
    return settings() if name == "settings" else formats() if name == "formats" else example(name)


def blocks() -> dict[str, str]:
    return {name: text for _, name, text, _ in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", ["settings", "formats", *EXAMPLES])
def test_the_document_shows_what_is_printed(name):
    assert blocks()[name] == made(name), f"run python {Path(__file__).relative_to(ROOT)} --write"


def test_the_document_has_an_example_of_each_format_that_is_recognised():
    shown = {re.search(r"format: +(\w+)", made(name))[1] for name in EXAMPLES}
    assert set(FORMATS) - shown == {"lines", "json_lines"} - shown


if __name__ == "__main__" and "--write" in sys.argv:
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(BLOCK.sub(lambda found: found[1] + made(found[2]) + found[4], text), encoding="utf-8")
