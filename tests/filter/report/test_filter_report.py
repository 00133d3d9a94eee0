"""The filter's report: its figures are those of the tables, and what it shows does not depend on their order."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from PIL import Image
from report_tables import RULE_NAMES, Tables, report, tables

from degla.filter.report.pages import REPORT_FILES
from degla.filter.rules import RULES
from degla.negative_types import NEGATIVE_TYPES
from tasks.reports import LARGEST_BYTES

pytestmark = pytest.mark.slow


def kept_and_rejected(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All rows of both tables, read without the report's code."""
    training = pq.read_table(folder / "training.parquet").to_pylist()
    kept = [{"caption_id": row["caption_id"], **each} for row in training for each in row["negatives"]]
    return kept, pq.read_table(folder / "rejected.parquet").to_pylist()


def markdown_tables(folder: Path) -> list[list[list[str]]]:
    """Every table of the report as rows of cells, header first."""
    blocks = (folder / "report.md").read_text().split("\n\n")
    found = [
        [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in block.splitlines()]
        for block in blocks
        if block.startswith("| ")
    ]
    return [[rows[0], *rows[2:]] for rows in found]


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(tmp_path_factory.mktemp("report"), tables(1200))


def test_the_funnel_counts_the_rows_of_the_tables(made: Path) -> None:
    kept, rejected = kept_and_rejected(made)
    funnel, by_generator, *_ = markdown_tables(made)
    num_kept, num_rejected = (Counter(row["type"].replace("_", " ") for row in rows) for rows in (kept, rejected))
    for kind, asked, texts, num, of_texts, of_asked, without in funnel[1:-1]:
        assert number(num) == num_kept[kind]
        assert number(texts) == num_kept[kind] + num_rejected[kind] == number(asked) - 5
        assert float(of_texts.removesuffix(" %")) == pytest.approx(100 * num_kept[kind] / number(texts), abs=0.051)
        assert float(of_asked.removesuffix(" %")) == pytest.approx(100 * num_kept[kind] / number(asked), abs=0.051)
        assert without == "abstained 5"
    assert [row[0] for row in funnel[1:-1]] == [name.replace("_", " ") for name in NEGATIVE_TYPES]
    assert number(funnel[-1][3]) == len(kept)
    written = {(kind, generator): (number(texts), number(num)) for kind, generator, texts, num, _ in by_generator[1:]}
    expected = {}
    for rows, place in ((kept, 1), (rejected, 0)):
        for row in rows:
            cell = expected.setdefault((row["type"].replace("_", " "), row["generator"]), [0, 0])
            cell[0] += 1
            cell[1] += place
    assert written == {key: tuple(cell) for key, cell in expected.items()}


def test_captions_are_counted_by_their_kept_negatives(made: Path) -> None:
    lengths = Counter(min(len(row), 5) for row in pq.read_table(made / "training.parquet")["negatives"].to_pylist())
    captions = markdown_tables(made)[2][1:]
    assert [(name, number(count)) for name, count, _ in captions] == [
        *((str(k), lengths[k]) for k in range(5)),
        ("5 or more", lengths[5]),
    ]
    first_line = (made / "report.md").read_text().splitlines()[2]
    assert f"{lengths[0]:,} captions have none" in first_line
    assert "1,200 captions of 400 images" in first_line


def test_reasons_are_ranked_and_add_up_to_the_rejected_rows(made: Path) -> None:
    _, rejected = kept_and_rejected(made)
    by_rule = Counter(row["rule"] for row in rejected)
    cells = Counter((row["rule"], row["type"].replace("_", " ")) for row in rejected)
    _, *rows = markdown_tables(made)[3]
    sentences = {rule.name: (rule.family, rule.why) for rule in RULES}
    for rule, family, count, share, why in rows:
        name = rule.strip("`")
        assert number(count) == by_rule[name]
        assert float(share.removesuffix(" %")) == pytest.approx(100 * by_rule[name] / len(rejected), abs=0.051)
        assert (family, re.sub(r"\\(.)", r"\1", why)) == sentences[name]
    header, *by_type = markdown_tables(made)[4]
    for rule, *numbers in by_type:
        assert [number(cell or "0") for cell in numbers] == [cells[rule.strip("`"), kind] for kind in header[1:]]
    assert [row[0] for row in by_type] == [row[0] for row in rows]
    counts = [number(row[2]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == len(rejected)


def test_the_dashboards_tables_say_the_same(made: Path) -> None:
    kept, rejected = kept_and_rejected(made)
    found = json.loads((made / "tables.json").read_text())
    assert list(found) == ["funnel", "reasons", "audit", "trade-off", "sample"]
    assert {row["type"]: row["kept"] for row in found["funnel"]} == Counter(row["type"] for row in kept)
    assert {row["rule"]: row["rejected"] for row in found["reasons"]} == Counter(row["rule"] for row in rejected)
    assert sum(row["share, %"] for row in found["reasons"]) == pytest.approx(100, abs=0.05 * len(found["reasons"]))


def test_the_audit_the_trade_off_and_what_the_target_dropped_are_shown(made: Path) -> None:
    audit, balanced, trade_off = markdown_tables(made)[5:]
    assert audit[1:] == [
        ["all", "all", "70", "60.0 %", "48.3 to 70.7 %", "50.0 %"],
        ["swap nouns", "vllm:big", "70", "60.0 %", "48.3 to 70.7 %", "50.0 %"],
    ]
    assert balanced[1:] == [["swap nouns", "vllm:big", "1,000", "930", "95.1 %", "60.0 %"]]
    found = json.loads((made / "tables.json").read_text())
    assert [row["pairs"] for row in found["audit"]] == [70, 70]
    assert trade_off == [
        ["limit", "all", "swap nouns"],
        ["0", "0.0 at -", "0.0 at -"],
        ["4", "42.1 at 71.0", "42.1 at 71.0"],
        ["none", "100.0 at 80.0", "100.0 at 80.0"],
    ]
    assert [list(row.values()) for row in found["trade-off"]] == trade_off[1:]


def test_an_accuracy_on_few_pairs_is_said_to_rest_on_too_few(made: Path) -> None:
    assert "Too few pairs to rely on: " in (made / "report.md").read_text()
    assert "(70)" in (made / "report.md").read_text()


def test_rules_that_refused_nothing_are_named_and_one_generator_needs_no_table(tmp_path: Path) -> None:
    drawn = tables(30, rejected=0)
    for row in drawn.training:
        row["negatives"] = [each | {"generator": "vllm:a_b|c"} for each in row["negatives"]]
    text = (report(tmp_path, drawn) / "report.md").read_text()
    assert "No text was refused." in text
    assert all(f"`{name}`" in text for name in RULE_NAMES)
    assert "All texts are by vllm:a\\_b\\|c." in text
    assert json.loads((tmp_path / "tables.json").read_text())["reasons"] == []


def test_the_sample_holds_rows_of_the_tables_and_of_every_type_and_rule(made: Path) -> None:
    kept, rejected = kept_and_rejected(made)
    sample = json.loads((made / "tables.json").read_text())["sample"]
    there = {(row["caption_id"], row["type"], row["text"], row["generator"], row.get("rule", "")) for row in [*kept, *rejected]}
    shown = [(row["caption_id"], row["type"], row["rewrite"], row["generator"], row["rule"]) for row in sample]
    assert set(shown) <= there
    assert len(shown) == len(set(shown)) == 400
    assert Counter(row["verdict"] for row in sample) == {"kept": 200, "rejected": 200}
    assert Counter(row["type"] for row in sample if row["verdict"] == "kept") == dict.fromkeys(NEGATIVE_TYPES, 40)
    pairs, shown_pairs = ({(row["type"], row["rule"]) for row in rows if row["rule"]} for rows in (rejected, sample))
    assert shown_pairs <= pairs
    assert len(shown_pairs) == min(200, len(pairs))
    assert {rule for _, rule in shown_pairs} == set(RULE_NAMES)
    captions = dict(enumerate(pq.read_table(made / "training.parquet")["caption"].to_pylist()))
    assert all(row["caption"] == captions[row["caption_id"]] for row in sample)
    assert all(bool(row["why"]) == (row["verdict"] == "rejected") for row in sample)


def test_the_sampled_rows_of_a_type_are_those_with_the_smallest_hash(made: Path) -> None:
    kept, _ = kept_and_rejected(made)
    sample = json.loads((made / "tables.json").read_text())["sample"]
    for kind in NEGATIVE_TYPES:
        rows = {(row["caption_id"], kind, row["text"], row["generator"]) for row in kept if row["type"] == kind}
        first = sorted(rows, key=lambda row: hashlib.md5("|".join(map(str, row)).encode()).hexdigest())[:40]
        shown = {(row["caption_id"], kind, row["rewrite"], row["generator"]) for row in sample if row["type"] == kind}
        assert set(first) <= shown


def test_neither_threads_nor_the_order_of_rows_change_a_byte(made: Path, tmp_path: Path) -> None:
    drawn = tables(1200)
    for rows in (drawn.training, drawn.rejected, *(row["negatives"] for row in drawn.training)):
        random.Random(7).shuffle(rows)
    again = report(tmp_path, drawn, threads=1)
    for name in REPORT_FILES:
        assert (again / name).read_bytes() == (made / name).read_bytes(), name


def test_long_captions_do_not_make_a_table_that_the_dashboard_cannot_hold(tmp_path: Path) -> None:
    drawn = tables(300)
    for row in drawn.training:
        row["caption"] = "é\n" * 2000
    folder = report(tmp_path, drawn)
    assert (folder / "tables.json").stat().st_size < LARGEST_BYTES
    assert 4 <= len(json.loads((folder / "tables.json").read_text())["sample"]) < 400


def test_the_plots_and_the_text_are_small_enough_for_the_dashboard(made: Path) -> None:
    for name in ("yields.png", "trade_off.png"):
        with Image.open(made / name) as image:
            assert image.format == "PNG"
        assert (made / name).stat().st_size < 100_000
    text = (made / "report.md").read_text()
    assert len(text) < 20_000
    assert not re.search(r"<[a-z/]", text)


def test_the_reports_sql_runs_in_its_folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    sql = (made / "report.md").read_text().partition("```sql\n")[2].partition("```")[0]
    kept, refused = (duckdb.sql(query).fetchall() for query in sql.split(";")[:2])
    assert len(kept) == len(refused) == 20


def test_nothing_kept_of_a_type_is_no_division_by_zero(tmp_path: Path) -> None:
    drawn = Tables([{"caption_id": 0, "image_id": "x", "caption": "a dog", "negatives": []}], [])
    text = (report(tmp_path, drawn) / "report.md").read_text()
    assert "**0 of 0 texts were kept (-)**" in text
    assert "| reshuffle | 5 | 0 | 0 | - | 0.0 % | abstained 5 |" in text
