"""How long the filter takes and what memory it needs at millions of rows, and how pandas and polars do with the same rules.

    python benchmarks/filter_scale.py [--captions COCO.json] [--rows 2800000] [--large 10000000] [--sample 100000] [--rounds 3]

The rules back end rewrites the captions once (without --captions, captions of the grammar of `generate_rules`); its rows, also
those without a text, are repeated with new ids up to --rows. Then the whole filter stage runs in a process of its own, on at
most two cores: on a quarter of the rows, on all, and on --large if given. Memory is that of its processes together, shared
pages counted once.

On a sample of the texts, a fifth of them spoiled, the structural rules and the rule on duplicates are asked in turns of degla
and of pandas; and of degla and of polars those rules that polars can say without a Python function. A verdict is the name of the
first rule that refuses a row. All verdicts must be the same, or the exit code is 1. Reading files and tagging words is no
part of the comparison: pandas and polars get their tables, and pandas the uses of the words, as they want them. Below 1, a
ratio says that degla is slower. Tagging has a line of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.frame_rules import KEY, LIMITS, POLARS_RULES, RULES, judge_with_pandas, judge_with_polars
from benchmarks.generate_rules import Measured, prepare_file, prepare_grammar, run_stage
from benchmarks.generate_rules import measure as generate
from degla.artifacts import Artifact, Building
from degla.database import Database, connect
from degla.filter.rules import DUPLICATE
from degla.generate.config import GenerateConfig
from degla.judge.judge import Judge, word_uses
from degla.judge.rules import Rule, refusal_sql
from degla.negative_types import NEGATIVE_TYPES
from degla.prepare import PrepareConfig
from degla.schemas import CAPTIONS, REWRITES, read_table, table_writer
from degla.text.tags import Tagger

THREADS = 2

_BATCH = 8_192  # rows; what DuckDB and polars give to one thread


# What is filtered.


class Tables(NamedTuple):
    """Captions (columns of `CAPTIONS`) and their rewrites (of `REWRITES`), in order of the captions."""

    captions: pa.Table
    rewrites: pa.Table


def make_base(home: Path, captions: Path | None, count: int) -> Tables:
    """Captions of a file, or `count` of the grammar, and what the rules make of them."""
    prepared = prepare_file(home, captions) if captions else prepare_grammar(home / "grammar", count)
    made = generate(prepared, home, THREADS).made
    parts = [read_table(made.file(name), REWRITES) for name in sorted(made.manifest.files) if name.startswith("rewrites/")]
    tables = read_table(prepared.file("captions.parquet"), CAPTIONS), pa.concat_tables(parts)
    return Tables(*(table.sort_by("caption_id") for table in tables))


def write_repeated(base: Tables, folder: Path, rows: int) -> tuple[Artifact, Artifact]:
    """Finished prepare and generate artifacts with `rows` rewrites: the base again and again, as other captions of others."""
    prepared, generated = folder / "prepare", folder / "generate"
    (generated / "rewrites").mkdir(parents=True)
    prepared.mkdir()
    names = []
    with table_writer(prepared / "captions.parquet", CAPTIONS) as write:
        for number, copy in enumerate(copies(base, rows)):
            write(copy.captions)
            names.append(f"rewrites/part-{number:05d}.parquet")
            with table_writer(generated / names[-1], REWRITES) as write_part:
                write_part(copy.rewrites)
    name = f"{rows:016d}"
    first = Building(prepared, PrepareConfig(), {}, {}, name).finish({}, ["captions.parquet"])
    return first, Building(generated, GenerateConfig(), {"prepare": name}, {}, name).finish({}, names)


def copies(base: Tables, rows: int) -> Iterator[Tables]:
    """The base with new caption and image ids, each time others, until there are `rows` rewrites."""
    for number, start in enumerate(range(0, rows, base.rewrites.num_rows)):
        rewrites = base.rewrites.slice(0, rows - start)
        captions = base.captions.filter(pc.field("caption_id") <= rewrites["caption_id"][-1])
        images = pc.binary_join_element_wise(captions["image_id"], str(number), "_")
        captions = captions.set_column(CAPTIONS.get_field_index("image_id"), CAPTIONS.field("image_id"), images)
        yield Tables(*(_moved(table, number * base.captions.num_rows) for table in (captions, rewrites)))


def _moved(table: pa.Table, by: int) -> pa.Table:
    place = table.schema.get_field_index("caption_id")
    return table.set_column(place, table.schema.field(place), pc.add(table["caption_id"], by))


# The whole stage.


def filter_rows(base: Tables, home: Path, rows: int) -> Measured:
    """Run the filter stage on `rows` rewrites."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        return run_stage("filter", Path(folder), f"threads: {THREADS}", write_repeated(base, Path(folder), rows))


def tagging_rate(base: Tables, count: int = 5_000) -> float:
    """Captions that prepare tags in a CPU second, the tagger's start included."""
    captions = base.captions["tokens"].slice(0, count).to_pylist()
    start = time.process_time()
    tagger = Tagger()
    for tokens in captions:
        tagger.tag(tokens)
    return len(captions) / (time.process_time() - start)


# The sample.


def make_sample(base: Tables, size: int) -> Tables:
    """The first `size` texts and their captions, a fifth of the texts spoiled."""
    texts = base.rewrites.filter(pc.field("status") == "ok").slice(0, size)
    captions = base.captions.filter(pc.field("caption_id").isin(pc.unique(texts["caption_id"])))
    said = dict(zip(captions["caption_id"].to_pylist(), captions["caption"].to_pylist(), strict=True))
    rows = [row | {"caption": said[row["caption_id"]]} for row in texts.to_pylist()]
    tables = captions, pa.Table.from_pylist(list(spoil(rows)), REWRITES)
    return Tables(*(pa.Table.from_batches(table.combine_chunks().to_batches(_BATCH)) for table in tables))


def spoil(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows (columns of `REWRITES` and `caption`); every fifth one with a fault, each time another."""
    for number, row in enumerate(rows):
        fault = FAULTS[number // 5 % len(FAULTS)] if number % 5 == 0 else None
        yield row | (fault(rows, number) if fault else {})


Fault = Callable[[Sequence[dict[str, Any]], int], dict[str, str]]


def _reworded(change: Callable[[list[str], Random], list[str]]) -> Fault:
    """A fault in the words of the row's text."""
    return lambda rows, number: {"text": " ".join(change(rows[number]["text"].split(" "), Random(number)))}


def _other(change: Callable[[list[str]], list[str]]) -> Fault:
    """Instead of the text, what `change` makes of the words of the caption."""
    return lambda rows, number: {"text": " ".join(change(rows[number]["caption"].split(" ")))}


FAULTS: tuple[Fault, ...] = (
    _reworded(lambda words, rng: rng.sample(words, len(words))),
    _reworded(lambda words, rng: [*words, rng.choice(words)]),
    _reworded(lambda words, rng: [*words[:-1], rng.choice(words)]),
    _reworded(lambda words, rng: [*words[1:2], *words[:1], *words[2:]]),
    _reworded(lambda words, _: ["Sure,", *words]),
    _reworded(lambda words, _: [*words, "caption"]),
    _reworded(lambda words, _: ['"' + words[0], *words[1:-1], words[-1] + '"']),
    _reworded(lambda words, _: words[:2]),
    _reworded(lambda words, _: words * 2),
    _reworded(lambda words, _: [*words[:-1], words[-1] + "é"]),
    _other(lambda words: words),
    _other(lambda words: [*words[:-1], "slowly"]),
    lambda rows, number: {"finish": "length"},
    lambda rows, number: {"text": rows[number - 1]["text"]},
    lambda rows, number: {"text": rows[number - 2]["text"]},
    lambda rows, number: {"text": rows[(number + 10) % len(rows)]["text"]},
)


# The rules, in degla.


def judge_with_degla(sample: Tables, uses: pa.Table, rules: Sequence[Rule]) -> pd.Series:
    """The name of the rule that refuses each row, by its key."""
    with connect(THREADS, LIMITS.memory_limit) as database:
        _find_edits(database, sample, uses)
        database.execute(_JUDGED.format(refusal=refusal_sql(rules)))
        found = database.arrow(_VERDICTS.format(keeps=DUPLICATE.sql, name=database.literal(DUPLICATE.name)))
    return found.to_pandas().set_index(KEY)["rule"]


def _find_edits(database: Database, sample: Tables, uses: pa.Table) -> None:
    judge = Judge(database)
    database.register("captions", sample.captions)
    database.register("rewrites", sample.rewrites)
    judge.learn(uses)
    limits = {"min_tokens": str(LIMITS.min_tokens), "max_tokens": str(LIMITS.max_tokens)}
    database.run_steps("degla.judge", "edits.sql", limits)


def uses_of_words(base: Tables, sample: Tables) -> tuple[pa.Table, pd.DataFrame]:
    """How the captions use their words, and the uses of all words that the rules ask about (`word`, `noun`, `adjective`)."""
    with connect(THREADS, LIMITS.memory_limit) as database:
        database.register("captions", base.captions)
        uses = word_uses(database)
    with connect(THREADS, LIMITS.memory_limit) as database:
        _find_edits(database, sample, uses)
        return uses, database.arrow("from word_uses").to_pandas()


_PLACE = f"list_position([{', '.join(map(Database.literal, NEGATIVE_TYPES))}], type)"
_JUDGED = f"""
create table judged as select {", ".join(KEY)}, {_PLACE} as place, said,
    {{refusal}} as rule from edits
"""
_VERDICTS = f"""
select {", ".join(KEY)}, rule from judged where rule is not null union all
select {", ".join(KEY)}, case when not ({{keeps}}) then {{name}} end from judged where rule is null
"""


# The comparison.


class Compared(NamedTuple):
    """What another way takes, in times of what degla takes (median over rounds), and how many verdicts differ."""

    cpu: float
    wall: float
    differing: int
    verdicts: pd.Series


def compare(other: Callable[[], pd.Series], ours: Callable[[], pd.Series], rounds: int) -> Compared:
    """Run both in turns."""
    pairs = [(_timed(other), _timed(ours)) for _ in range(rounds)]
    cpu, wall = (statistics.median(one[k] / two[k] for one, two in pairs) for k in (0, 1))
    verdicts = pairs[0][1][2].sort_index()
    differing = max(_num_differing(verdicts, run[2]) for pair in pairs for run in pair)
    return Compared(cpu, wall, differing, verdicts)


def _timed(judge: Callable[[], pd.Series]) -> tuple[float, float, pd.Series]:
    """CPU seconds of all threads, wall seconds, and the verdicts."""
    cpu, wall = time.process_time(), time.perf_counter()
    verdicts = judge()
    return time.process_time() - cpu, time.perf_counter() - wall, verdicts


def _num_differing(one: pd.Series, other: pd.Series) -> int:
    """Rows that have not the same verdict in both."""
    both = pd.concat([one.fillna(""), other.fillna("")], axis=1, keys=["one", "other"])
    return int((both["one"] != both["other"]).sum())


def compare_all(base: Tables, size: int, rounds: int) -> tuple[Compared, Compared]:
    """pandas, and polars, against degla."""
    sample = make_sample(base, size)
    uses, known_uses = uses_of_words(base, sample)
    captions, rewrites = (table.to_pandas() for table in sample)
    captions[["tokens", "tags"]] = captions[["tokens", "tags"]].map(list)
    some = [rule for rule in RULES if rule.name in POLARS_RULES]
    by_pandas = partial(judge_with_pandas, captions, rewrites, known_uses)
    by_polars = partial(judge_with_polars, *(pl.from_arrow(table) for table in sample))
    ours, ours_some = (partial(judge_with_degla, sample, uses, rules) for rules in (RULES, some))
    return compare(by_pandas, ours, rounds), compare(by_polars, ours_some, rounds)


def print_comparison(name: str, found: Compared, rules: Sequence[str]) -> None:
    refused = Counter(found.verdicts.dropna())
    idle = ", ".join(rule for rule in rules if rule not in refused)
    print(f"{name}, {len(rules)} rules on {len(found.verdicts):,} texts: {found.cpu:.1f} times the CPU time of degla,", end="")
    print(f" {found.wall:.1f} times its wall time; {found.differing} verdicts differ;", end="")
    print(f" {refused.total():,} refused" + f", none by {idle}" * bool(idle))


def print_run(rows: int, one: Measured) -> None:
    texts = one.made.counts["kept"] + one.made.counts["rejected"]
    print(f"{rows:11,} {texts:11,} {one.cpu_seconds:7.1f} {one.wall_seconds:7.1f}", end="")
    print(f" {rows / one.wall_seconds:10,.0f} {one.peak_bytes / 1e9:8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="a COCO captions file")
    parser.add_argument("--distinct", type=int, default=25_000, help="captions of the grammar, without --captions")
    parser.add_argument("--rows", type=int, default=2_800_000)
    parser.add_argument("--large", type=int, help="more rows, to see whether time stays linear")
    parser.add_argument("--sample", type=int, default=100_000, help="texts for the comparison with pandas and polars")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(options, Path(folder)))


def run(options: argparse.Namespace, home: Path) -> str | None:
    """Measure and print. Returns what is wrong, or None."""
    base = make_base(home, options.captions, options.distinct)
    print(f"tagging, which prepare does beforehand: {tagging_rate(base):,.0f} captions per CPU second")
    print(f"{'rows':>11} {'texts':>11} {'CPU s':>7} {'wall s':>7} {'rows per s':>10} {'peak GB':>8}")
    sizes = [options.rows // 4, options.rows, *([options.large] if options.large else [])]
    runs = []
    for rows in sizes:
        runs.append(filter_rows(base, home, rows))
        print_run(rows, runs[-1])
    for place in range(1, len(runs)):
        times = runs[place].cpu_seconds / runs[place - 1].cpu_seconds
        print(f"{sizes[place] / sizes[place - 1]:.1f} times the rows take {times:.1f} times the CPU time")
    pandas, polars = compare_all(base, options.sample, options.rounds)
    print_comparison("pandas", pandas, [rule.name for rule in (*RULES, DUPLICATE)])
    print_comparison("polars", polars, [*POLARS_RULES, DUPLICATE.name])
    whole = runs[1]
    print(f"filter_scale pandas_ratio={pandas.wall:.1f} seconds={whole.wall_seconds:.1f} peak_gb={whole.peak_bytes / 1e9:.2f}")
    return "the verdicts are not the same" if pandas.differing or polars.differing else None


if __name__ == "__main__":
    main()
