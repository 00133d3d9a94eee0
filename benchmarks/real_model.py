"""What a real language model's answers are worth: usable rewrites by attempt, and what became of the other answers.

    python -m benchmarks.real_model --model FOLDER_OR_NAME --captions COCO.json [--number 100] [--attempts vllm,choice]

Captions spread over a COCO captions file go through the code that asks in a real run, with the judge; words count as nouns or
adjectives by the whole file's use. "Text-only accuracy" is the filter's audit of the usable texts (50 = no artefact), trained on
all captions of the file, for types with enough pairs. Everything runs in this process, vLLM included. Writes nothing but --out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.generate_rules import prepare_file
from degla.filter.audit.accuracy import audit
from degla.filter.audit.word_pairs import read_pairs
from degla.generate.asking import Asking, Caption
from degla.generate.backend import Rewrite, RowKey
from degla.generate.backends import make_backends, resolve_model
from degla.generate.config import GenerateConfig
from degla.generate.rules.vocabulary import count_vocabulary
from degla.generate.verdicts import save_word_uses, verdicts
from degla.text.edits import what_is_said
from degla.text.lexicon import load_lexicon

FATES = ("usable", "abstained", "repeated", "copied", "refused", "failed")
"""What became of a request: a usable text; NONE or no candidate; the caption again; an exemplar of the prompt; a text that the
judge refused or that the caption has already; an error."""
FEWEST_PAIRS = 200  # of a type, for the text-only classifier


@dataclass(frozen=True)
class Asked:
    """A row of a back end, and what became of it."""

    row: Rewrite
    turn: str
    """Back end and its place in the chain, such as `vllm 2`."""
    fate: str
    rule: str | None
    """The rule of the judge that refused it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.environ.get("MODEL"), help="folder or name on the hub")
    parser.add_argument("--captions", default=os.environ.get("CAPTIONS"), help="a COCO captions file")
    parser.add_argument("--number", type=int, default=100, help="captions asked")
    parser.add_argument("--attempts", default="vllm,vllm,choice,rules", help="the chain")
    parser.add_argument("--prompts", help="a folder of other prompts")
    parser.add_argument("--out", type=Path, help="write every row here, as JSON lines")
    options = parser.parse_args()
    if not options.model or not Path(options.captions or "").is_file():
        sys.exit("make bench NAME=real_model MODEL=FOLDER CAPTIONS=captions_val2017.json: see docs/generation.md, Which model")
    with tempfile.TemporaryDirectory() as folder:
        run(options, Path(folder))


def run(options: argparse.Namespace, home: Path) -> None:
    captions = prepare_file(home, Path(options.captions)).file("captions.parquet")
    config = GenerateConfig(
        attempts=tuple(options.attempts.split(",")),
        engine={"model": options.model, "max_num_seqs": 32},
        prompts=options.prompts,
        useless_answers=0,
    )
    config = resolve_model(config, home)
    started = time.monotonic()
    asked = list(ask(config, captions, options.number, home))
    seconds = time.monotonic() - started
    if options.out:
        options.out.write_text("".join(f"{json.dumps(_record(each))}\n" for each in asked))
    by_turn = {turn: Counter(each.fate for each in asked if each.turn == turn) for turn in _in_order(asked)}
    print(f"{options.model}, {options.number} captions, {seconds:,.0f} s")
    print(f"{'attempt':<10}{'asked':>7}" + "".join(f"{fate:>10}" for fate in FATES))
    for turn, fates in by_turn.items():
        print(f"{turn:<10}{fates.total():7}" + "".join(f"{fates[fate]:10}" for fate in FATES))
    accuracy = text_only(captions, asked)
    for name, (share, pairs) in accuracy.items():
        print(f"text-only accuracy {name}: {100 * share:.1f} % of {pairs} pairs")
    figures = [f"{turn.replace(' ', '_')}={fates['usable']}/{fates.total()}" for turn, fates in by_turn.items()]
    figures += [f"{fate}={sum(fates[fate] for fates in by_turn.values())}" for fate in FATES[1:4]]
    figures += [f"text_only_{name}={100 * share:.1f}" for name, (share, _) in accuracy.items()]
    print(f"real_model captions={options.number} {' '.join(figures)} seconds={seconds:.0f}")


def ask(config: GenerateConfig, captions: Path, number: int, home: Path) -> Iterator[Asked]:
    """Ask about `number` captions spread over the table, and yield every row that somebody was asked for."""
    vocabulary = count_vocabulary(captions, load_lexicon(), 1)
    save_word_uses(captions, home / "uses.parquet", 1)
    uses = pq.read_table(home / "uses.parquet")
    rules: dict[RowKey, str | None] = {}

    def judge(rows: Sequence[Rewrite]) -> list[str | None]:
        found = verdicts(rows, uses)
        rules.update((row.request.key, rule) for row, rule in zip(rows, found, strict=True))
        return found

    backends = make_backends(config, vocabulary)
    asking = Asking(config, [backends[name] for name in config.attempts], judge)
    for _, rows in asking.answered(_spread(captions, number)):
        said: set[str] = set()
        for row in rows:
            if row.status == "inapplicable":
                continue
            rule = rules.get(row.request.key)
            fate = _fate(row, rule, said)
            if fate == "usable":
                said.add(what_is_said(row.text or ""))
            yield Asked(row, f"{config.attempts[row.request.turn]} {row.request.turn + 1}", fate, rule)
    for backend in backends.values():
        backend.close()


def _fate(row: Rewrite, rule: str | None, said: set[str]) -> str:
    if row.text is None:
        return row.status
    return "refused" if rule or what_is_said(row.text) in said else "usable"


def _spread(captions: Path, number: int) -> Iterator[Caption]:
    table = pq.read_table(captions, columns=["caption_id", "caption", "tokens", "tags"])
    chosen = [place * table.num_rows // number for place in range(number)]
    for row in table.take(chosen).to_pylist():
        yield Caption((row["caption_id"],), row["caption"], tuple(row["tokens"]), tuple(row["tags"]))


def text_only(captions: Path, asked: Sequence[Asked]) -> dict[str, tuple[float, int]]:
    """Text-only accuracy and pairs, of all usable texts and of each type with enough of them."""
    rows = [each.row for each in asked if each.fate == "usable"]
    if len(rows) < FEWEST_PAIRS:
        return {}
    negatives = {
        "caption_id": [row.request.caption_id for row in rows],
        "type": [row.request.type for row in rows],
        "candidate": [row.request.candidate for row in rows],
        "attempt": [row.request.attempt for row in rows],
        "generator": ["model" for row in rows],
        "text": [row.text for row in rows],
    }
    table = pq.ParquetFile(captions).iter_batches(columns=["caption_id", "image_id", "caption"])
    found = audit(read_pairs(table, [pa.RecordBatch.from_pydict(negatives)]))
    return {each.type: (each.blind_accuracy, each.pairs) for each in found if each.pairs >= FEWEST_PAIRS}


def _in_order(asked: Sequence[Asked]) -> list[str]:
    return sorted({each.turn for each in asked}, key=lambda turn: int(turn.split()[1]))


def _record(each: Asked) -> dict[str, object]:
    row = each.row
    named = {"caption": row.request.caption, "type": row.request.type, "candidate": row.request.candidate, "text": row.text}
    return named | {"turn": each.turn, "fate": each.fate, "rule": each.rule, "error": row.error, "logprob": row.mean_logprob}


if __name__ == "__main__":
    main()
