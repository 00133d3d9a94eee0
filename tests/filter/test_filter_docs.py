"""docs/filter.md says what the code does: its rules, its columns, its examples, and SQL that runs."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from caption_tables import captions_table, prepare_artifact

from degla.artifacts import Artifact, Building
from degla.filter import FilterConfig, run
from degla.filter.config import ImageVeto
from degla.filter.explain import Question, command, explain
from degla.filter.rules import BLIND_BALANCE, PROBABLE, RULES, SET_RULES, match_rule, plausible_rule
from degla.generate import GenerateConfig
from degla.judge.rules import Rule
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import GAPS, REJECTED, REWRITES, TRAINING, write_table

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "filter.md").read_text(encoding="utf-8")
LIMITED = plausible_rule(dict.fromkeys(NEGATIVE_TYPES, 0.0))
ORDER = [*RULES, PROBABLE, match_rule(ImageVeto()), *SET_RULES, LIMITED, BLIND_BALANCE]

CAPTIONS = [
    ("kitchen", "A red cup on a wooden table"),
    ("kitchen", "A blue cup on a table"),
    ("field", "A man rides a big horse"),
    ("field", "a woman on a horse"),
    ("couch", "A puppy sleeps on a couch"),
    ("couch", "puppies"),
]
# caption_id, type, text, generator, mean log-probability
REWRITTEN = [
    (0, "reshuffle", "A wooden table on a red cup", "rules", None),
    (0, "replace_nouns", "A red bowl on a wooden table", "rules", None),
    (0, "replace_nouns", "A red cup on a wooden shelf", "vllm:big", -0.4),
    (0, "replace_adjectives", "A green cup on a wooden table", "vllm:big", -0.2),
    (0, "replace_adjectives", "A blue cup on a wooden table", "rules", None),
    (2, "reshuffle", "A horse rides a big man", "rules", None),
    (2, "swap_nouns", "A horse rides a big man", "vllm:big", -0.3),
    (2, "replace_nouns", "A woman rides a big horse", "rules", None),
    (4, "replace_nouns", "A puppy sleeps on a sofa", "vllm:big", -1.5),
    (4, "replace_nouns", "A dog sleeps on a couch", "rules", None),
    (5, "reshuffle", None, "rules", None),
]


def rule_table() -> str:
    """The table of the page: every rule in the order in which it is asked."""
    lines = ["| rule | family | types | why |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| `{rule.name}` | {rule.family} | {_types(rule)} | {rule.why} |" for rule in ORDER)])


def _types(rule: Rule) -> str:
    return "all" if rule.types == NEGATIVE_TYPES else ", ".join(rule.types)


def section(heading: str) -> str:
    """What stands below a heading of the page, up to the next of the same level or a higher one."""
    level = len(heading.split(" ")[0])
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{level}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no {heading!r}"
    return found[1]


def cells(text: str) -> list[list[str]]:
    """The rows of the table in it, without its head."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_table_of_rules_is_that_of_the_code() -> None:
    assert rule_table() in section("## The rules")
    assert [row[0] for row in cells(section("## The rules"))] == [f"`{rule.name}`" for rule in ORDER]


def test_the_examples_are_judged_as_the_page_says() -> None:
    rows = cells(section("### Without a model"))
    questions = [Question(caption, kind, rewrite, tuple(filter(None, [other]))) for caption, other, kind, rewrite, _ in rows]
    assert [rule or "kept" for rule in explain(questions)] == [row[-1].strip("`") for row in rows]


def test_explain_prints_what_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = section("## Why a row is kept or refused")
    (rows,), (shown,) = blocks(text, "csv"), blocks(text, "text")
    (tmp_path / "rows.csv").write_text(rows)
    assert next(csv.reader(io.StringIO(rows))) == ["caption", "type", "rewrite", "other_captions"]
    command([str(tmp_path / "rows.csv")])
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("heading", "schema"),
    [
        ("### training.parquet", TRAINING),
        ("### rejected.parquet", REJECTED),
        ("### veto.parquet", GAPS),
    ],
)
def test_every_column_is_described_with_its_type(heading: str, schema: pa.Schema) -> None:
    assert [row[:2] for row in cells(section(heading))] == list(_columns(schema))


def _columns(schema: pa.Schema):
    for field in schema:
        yield [f"`{field.name}`", _type_name(field.type) + (" or null" if field.nullable else "")]
        if pa.types.is_list(field.type):
            for inner in field.type.value_type:
                yield [f"`{field.name}[].{inner.name}`", _type_name(inner.type) + (" or null" if inner.nullable else "")]


def _type_name(kind: pa.DataType) -> str:
    return "list" if pa.types.is_list(kind) else str(kind)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A filter artifact beside those that it was made from, as below DEGLA_HOME; with a made-up `veto.parquet`."""
    root = tmp_path_factory.mktemp("artifacts")
    captions = captions_table([text for _, text in CAPTIONS], [image for image, _ in CAPTIONS])
    inputs = {"prepare": prepare_artifact(root / "prepare" / ("0" * 16), captions), "generate": generated(root)}
    made = run(FilterConfig(), inputs, root / "filter" / ("2" * 16))
    gaps = [dict(zip(GAPS.names, (0, "replace_nouns", k, 1, gap), strict=True)) for k, gap in enumerate((-2.5, 0.5, None))]
    write_table(made.path / "veto.parquet", pa.Table.from_pylist(gaps, schema=GAPS), GAPS)
    return made


def generated(root: Path) -> Artifact:
    shared = {"candidate": 0, "seed": 7, "model_sha": "0"}
    rows = [
        {"caption_id": number, "type": kind, "text": text, "generator": generator, "mean_logprob": logprob, "attempt": k}
        | {"status": "ok" if text else "inapplicable", "error": None if text else "nothing to move", **shared}
        for k, (number, kind, text, generator, logprob) in enumerate(REWRITTEN, start=1)
    ]
    folder, name = root / "generate" / ("1" * 16), "rewrites/part-00000.parquet"
    write_table(folder / name, pa.Table.from_pylist(rows, schema=REWRITES), REWRITES)
    return Building(folder, GenerateConfig(), {}, {}, "1" * 16).finish({}, [name])


VIEWS, *QUERIES = blocks(section("## Questions in SQL"), "sql")


@pytest.fixture
def database(artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A DuckDB in the artifact's folder, with the views of the page."""
    monkeypatch.chdir(artifact.path)
    with duckdb.connect() as connection:
        connection.execute("set home_directory = ?", [str(tmp_path)])
        connection.execute(VIEWS)
        yield connection


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0].removeprefix("-- "))
def test_each_query_of_the_page_returns_rows(database: duckdb.DuckDBPyConnection, query: str) -> None:
    assert database.execute(query).fetchall()


def test_the_views_hold_every_row_once(database: duckdb.DuckDBPyConnection, artifact: Artifact) -> None:
    counts = artifact.counts
    found = database.sql("select count(*) filter (rule is null), count(rule) from texts").fetchall()
    assert found == [(counts["kept"], counts["rejected"])]
    assert len(database.sql("from rewrites").fetchall()) == counts["asked"] == len(REWRITTEN)
    assert len(database.sql("from captions").fetchall()) == len(CAPTIONS)


def test_the_exported_csv_has_a_line_for_each_kept_text(database: duckdb.DuckDBPyConnection, artifact, tmp_path: Path) -> None:
    (query,) = (query for query in QUERIES if "copy" in query)
    database.execute(query)
    with (tmp_path / "negatives.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == artifact.counts["kept"]
    assert rows[0]["caption"] == CAPTIONS[0][1]
