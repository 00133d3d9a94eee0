"""The filter stage: every rewrite with a text is judged by the rules; the kept ones become the training table.

Nothing is lost: a text is kept, or stands in `rejected.parquet` with the name of the first rule that refused it. The
result depends neither on threads nor on the order of the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from degla.artifacts import Artifact, building
from degla.database import Database, connect
from degla.files import write_text_atomic
from degla.filter.audit.accuracy import BlindAccuracy, check_audit
from degla.filter.audit.step import audit_kept, blind_counts
from degla.filter.config import FilterConfig
from degla.filter.inputs import damage_named, exemplar_texts, input_files, load, veto_images
from degla.filter.report.pages import TEXT_FILE, write_report
from degla.filter.rules import BLIND_BALANCE, PROBABLE, RULES, SET_RULES, match_rule, plausible_rule
from degla.filter.sieve import Chunk, Sieve, enter, find_chunks, relate_by_dataset
from degla.filter.summary import check_kept, summarise
from degla.judge.judge import Judge
from degla.judge.rules import Rule
from degla.progress import Progress
from degla.schemas import NEGATIVE, REJECTED, TRAINING, table_writer

TRAINING_FILE, REJECTED_FILE, SUMMARY_FILE = "training.parquet", "rejected.parquet", "summary.json"
VETO_FILE = "veto.parquet"


def filter_rewrites(
    config: FilterConfig,
    inputs: Mapping[str, Artifact],
    out_dir: Path,
    rules: Sequence[Rule] = RULES,
    set_rules: Sequence[Rule] = SET_RULES,
    chunk_rows: int | None = None,
) -> Artifact:
    """Write `training.parquet` (a row per caption), `rejected.parquet` and `summary.json`; and for people `report.md`,
    `yields.png`, `tables.json` (of the dashboard) and `gallery.html`.

    Counts: `captions`, `asked` = `kept` + `rejected` + `not_generated`, `with_negatives` (captions that kept any), and
    `blind_accuracy` (see `degla.filter.audit.accuracy`; the summary has it by type and generator). With the veto also
    `veto.parquet` and its counts (see `degla.filter.veto`).

    Args:
        config: the limits.
        inputs: `prepare` and `generate`.
        out_dir: where the artifact goes.
        rules: what a rewrite must satisfy by itself, in order.
        set_rules: what it must satisfy beside the others of its image that passed, in order.
        chunk_rows: captions and texts that are worked on at once, None for as many as memory bears; no effect on the result.

    Raises:
        DataError: an input cannot be read or is empty, rewrites and captions do not belong together, fewer texts than
            `min_kept_fraction` were kept, or the blind accuracy of a type exceeds `audit.max_blind_accuracy`: then all files
            are there to look at, but no manifest.
        ConfigError: a rule's SQL is broken, or the veto has no images to look at.
        MissingInputError, ModelError: the veto's model; see `degla.models.loading.load`.
        StorageError: the memory limit is too small, or the disk is full.
    """
    with building(config, inputs, out_dir) as build:
        if build.finished:
            return build.finished
        captions, rewrites = input_files(inputs)
        images = veto_images(inputs["prepare"]) if config.veto else None
        row_rules = (*rules, PROBABLE) if config.min_logprob_quantile else tuple(rules)
        veto_rules = (match_rule(config.veto),) if config.veto else ()
        spill = out_dir / "spill"
        with damage_named([captions, *rewrites]), connect(config.threads, config.memory_limit, spill) as database:
            by_status = load(database, captions, rewrites)
            chunks = find_chunks(database, chunk_rows)
            judge = Judge(database, config.min_tokens, config.max_tokens)
            sieve = Sieve(judge, config, row_rules, set_rules, exemplar_texts(inputs["generate"]))
            sieve.check_rules()
            mined = relate_by_dataset(judge)
            seen = _judge(database, sieve, config, images, chunks, out_dir)
            audited = audit_kept(database, config, chunks)
            limits = config.lm_gap_limits()
            last_rules = [plausible_rule(limits)] if limits else []
            last_rules += [] if config.audit.target is None else [BLIND_BALANCE]
            summary = summarise(database, by_status, (*row_rules, *veto_rules, *set_rules, *last_rules))
            summary["counts"] |= seen | blind_counts(audited)
            summary["audit"] = audited
            summary["mined"] = [dict(zip(("kind", "one", "other", "images"), pair, strict=True)) for pair in mined]
            _write(database, chunks, out_dir / REJECTED_FILE, REJECTED, _REJECTED)
            _write(database, chunks, out_dir / TRAINING_FILE, TRAINING, _TRAINING)
        write_text_atomic(out_dir / SUMMARY_FILE, json.dumps(summary, indent=2))
        report = write_report(config, summary, inputs["prepare"], out_dir)
        look = f"Look at {out_dir / TEXT_FILE}."
        check_kept(summary, config.min_kept_fraction, look)
        check_audit((BlindAccuracy(**row) for row in audited["rows"]), config.audit.max_blind_accuracy, look)
        files = [TRAINING_FILE, REJECTED_FILE, SUMMARY_FILE, *([VETO_FILE] if config.veto else []), *report]
        return build.finish(summary["counts"], files)


def _judge(
    database: Database, sieve: Sieve, config: FilterConfig, images: Path | None, chunks: Sequence[Chunk], out_dir: Path
) -> dict[str, int]:
    """Make `verdicts` of all texts: by the rules on rows, by a CLIP where one has the images to look at, then by the rules on
    what is left of an image. Returns the counts of the CLIP."""
    total = database.rows("select count(*) from texts")[0][0]
    progress = Progress(out_dir, "judging rewrites", total, "texts")
    for chunk in chunks:
        sieve.judge_rows(chunk)
        progress.to(database.rows("select count(*) from verdicts")[0][0])
    seen = {}
    if config.veto and images:
        from degla.filter.veto import apply_veto  # loads torch

        seen = apply_veto(database, config.veto, images, out_dir / VETO_FILE)
    for chunk in chunks:
        sieve.judge_sets(chunk)
    return seen


def _write(database: Database, chunks: Sequence[Chunk], path: Path, schema: pa.Schema, query: str) -> None:
    """Write the rows that the query finds in each chunk."""
    with table_writer(path, schema) as write:
        for chunk in chunks:
            enter(database, chunk)
            write(database.arrow(query))


_REJECTED = "select * from judged where rule is not null order by caption_id, place, candidate, attempt"
_NEGATIVE = ", ".join(f"'{field.name}': {field.name}" for field in NEGATIVE)
_TRAINING = f"""
with kept as (
    select caption_id, list({{{_NEGATIVE}}} order by place, candidate, attempt) as negatives
    from judged where rule is null group by caption_id
)
select caption_id, image_id, caption, coalesce(negatives, []) as negatives
from captions left join kept using (caption_id) order by caption_id
"""
