"""What the dashboard shows of a stage: words for progress, its report, and tables that fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from degla.artifacts import Artifact, Manifest
from degla.progress import ProgressRecord
from tasks.dashboard import describe
from tasks.narrow import WIDTH, narrow
from tasks.overview import Entry, overview
from tasks.reports import LARGEST_BYTES, prose, stage_report


def record(done: int, note: str = "") -> ProgressRecord:
    return ProgressRecord("tagging captions", done, 10_000, "captions", note)


def test_progress_says_how_far_and_how_long_where_that_can_be_told() -> None:
    assert describe(record(6000), 20) == "tagging captions: 6,000 of 10,000 captions (60 %), about 20 s left"
    assert describe(record(6000), None) == "tagging captions: 6,000 of 10,000 captions (60 %)"
    assert "left" not in describe(record(10_000), 0)


def test_the_stages_note_is_kept() -> None:
    assert describe(record(2000, "loss 0.31"), None).endswith("(20 %), loss 0.31")


def artifact(folder: Path, stage: str, **files: str | bytes) -> Artifact:
    """A finished artifact with these files: `report_md` is `report.md`."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    entries = {path.name: {"size": path.stat().st_size, "sha256": ""} for path in sorted(folder.iterdir())}
    known = {
        "stage": stage,
        "stage_version": 1,
        "fingerprint": folder.name,
        "config": {},
        "inputs": {},
        "raw": {},
        "versions": {},
    }
    counts = {"rows": 1000, "kept_rows": 900}
    manifest = Manifest.model_validate({**known, "counts": counts, "files": entries, "started": "", "seconds": 1.5, "host": "h"})
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Artifact.load(folder)


def test_a_report_holds_the_texts_tables_pictures_counts_and_the_folder(tmp_path: Path) -> None:
    types = {
        "swap_nouns": {
            "rows": 30,
            "by_status": {"ok": 20, "abstained": 10},
            "by_generator": {"vllm:m": 18, "rules": 12},
            "by_attempt": {"1": 18, "2": 12},
        }
    }
    made = artifact(
        tmp_path / "a", "generate", report_md="# What was made", plot_png=b"12", generation_json=json.dumps({"types": types})
    )
    text = stage_report(made)
    assert "# What was made" in text
    assert "| swap nouns | 30 | 20 | abstained 10 | vllm:m 18, rules 12 | 1 18, 2 12 |" in text
    assert "![plot](data:image/png;base64,MTI=)" in text
    assert "| kept rows | 900 |" in text
    assert f"`{made.path}`" in text


def test_a_report_larger_than_a_card_says_what_it_leaves_out(tmp_path: Path) -> None:
    text = stage_report(artifact(tmp_path / "a", "train", a_png=b"1" * LARGEST_BYTES, b_png=b"2"))
    assert len(text) < LARGEST_BYTES
    assert "A part of 400 kB is left out" in text
    assert "![b]" in text


def test_a_page_comes_first_with_its_path_and_the_command_that_brings_it_into_a_browser(tmp_path: Path) -> None:
    made = artifact(tmp_path / "a run" / "0123", "report", page_html="x" * 1_240_000, scorecard_md="# Scores")
    text = stage_report(made)
    assert text.startswith("**page.html**")
    assert "(1.2 MB)" in text
    assert f"`{made.path / 'page.html'}`" in text
    assert f"`cd '{made.path}'`, `python3 -m http.server 8765 --bind 127.0.0.1`" in text


def test_an_overview_links_each_stages_report_and_says_what_failed(tmp_path: Path) -> None:
    stages = {
        "prepare": Entry(tmp_path / "prepare" / "01", "made: images 60", "../../artifacts/artifact/7"),
        "generate": Entry(tmp_path / "generate" / "02", "**did not end**"),
    }
    text = overview("demo | x=[1]", stages, "## generate did not end\n\nwhy")
    assert text.startswith("# demo \\| x=\\[1\\]\n\n## generate did not end\n\nwhy\n")
    assert "1. **[prepare](../../artifacts/artifact/7)** made: images 60. `prepare/01`" in text
    assert "2. **generate** **did not end**. `generate/02`" in text
    assert f"`{tmp_path}`" in text


def test_lines_of_a_message_stay_lines_and_are_no_markdown() -> None:
    assert prose("*a* [b](c)\n  d_e | f") == "\\*a\\* \\[b\\](c)  \nd\\_e \\| f"


WIDE = """before

| type | asked | refused by | not generated |
| --- | ---: | ---: | ---: |
| swap nouns | 1,000 | first of its kind 4,361, exchange differs 380, other meaning 2,043, not in image 351 | abstained 1,406 |
| reshuffle | 900 | - | abstained 59 |

after
"""


def widths(text: str) -> list[int]:
    return [len(line) for line in text.splitlines() if line.startswith("|")]


def test_text_that_does_not_fit_a_table_becomes_a_list_below_it() -> None:
    text = narrow(WIDE)
    assert text.startswith(
        "before\n\n| type | asked | not generated |\n| --- | ---: | ---: |\n| swap nouns | 1,000 | abstained 1,406 |\n"
    )
    assert (
        "\n- **swap nouns**: refused by: first of its kind 4,361, exchange differs 380, other meaning 2,043, not in image 351"
        in text
    )
    assert "- **reshuffle**" not in text
    assert text.endswith("\n\nafter\n")


def test_no_table_is_wider_than_the_column() -> None:
    numbers = [[f"m{row}", *(f"{column}.0 (1.0 to 2.0)" for column in range(12))] for row in range(2)]
    table = "\n".join(
        "| " + " | ".join(line) + " |" for line in ([f"h{n}" for n in range(13)], ["---"] + ["---:"] * 12, *numbers)
    )
    for text in (WIDE, table):
        assert max(widths(text)) > WIDTH
        assert max(widths(narrow(text))) <= WIDTH
        cells = {cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.split("|")}
        assert all(cell in narrow(text) for cell in cells - {"-"})


def test_rows_named_by_paths_are_grouped_by_their_first_part() -> None:
    rows = [f"| `bench/{'long' * 20}_{number}/accuracy` | 1.0 | 2.0 |" for number in range(2)] + [
        "| `other/accuracy` | 1.0 | 2.0 |"
    ]
    text = narrow("\n".join(["| metric | before | after |", "| --- | ---: | ---: |", *rows]))
    assert "**bench**\n\n| metric |" in text
    assert "**other**\n\n| metric | before | after |\n| --- | ---: | ---: |\n| `accuracy` | 1.0 | 2.0 |" in text


@pytest.mark.parametrize("text", ["| a | b |\n| --- | --- |\n| 1 | a \\| b |\n", "```\n| not | a | table |\n```\n", "no table"])
def test_what_fits_stays_as_it_is(text: str) -> None:
    assert narrow(text) == text
