"""The filter stage: nothing is lost, the result is the same in any order, and wrong inputs are named."""

import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact

from degla.artifacts import MANIFEST, Artifact, Building
from degla.errors import ConfigError, DataError
from degla.filter import FilterConfig, run
from degla.filter.rules import DUPLICATE, RULES, SET_RULES
from degla.filter.stage import filter_rewrites
from degla.generate import GenerateConfig
from degla.generate import run as generate
from degla.judge.rules import Rule
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import REJECTED, REWRITES, TRAINING, write_table

CAPTIONS = [
    ("kitchen", "A red cup on a wooden table"),
    ("kitchen", "A blue cup on a table"),
    ("field", "A man rides a big horse"),
    ("field", "a woman on a horse"),
    ("field", "horses"),
]
# caption_id, type, text, the rule that refuses it
REWRITTEN = [
    (0, "reshuffle", "A wooden table on a red cup", None),
    (0, "swap_nouns", "A wooden cup on a red table", "exchanged_nouns"),
    (0, "replace_nouns", "A red bowl on a wooden table", None),
    (0, "replace_adjectives", "A blue cup on a wooden table", "adjective_not_in_image"),
    (1, "replace_adjectives", "A red cup on a table", "adjective_not_in_image"),
    (1, "replace_nouns", "A blue plate on a table", None),
    (1, "reshuffle", "A blue table on a cup", None),
    (2, "swap_nouns", "A horse rides a big man", "first_of_its_kind"),
    (2, "reshuffle", "A horse rides a big man", None),
    (2, "replace_nouns", "A woman rides a big horse", "noun_not_in_image"),
    (3, "replace_nouns", "a woman on a zebra", None),
    (3, "replace_adjectives", None, None),
]


def prepared(folder) -> Artifact:
    return prepare_artifact(folder / "prepare", captions_table([text for _, text in CAPTIONS], [image for image, _ in CAPTIONS]))


def generated(folder, rows, name="generate", parts=1) -> Artifact:
    shared = {"candidate": 0, "attempt": 1, "seed": 7, "generator": "test", "model_sha": "0"}
    table = [
        {"caption_id": number, "type": kind, "text": text, "status": "ok" if text else "abstained", **shared}
        for number, kind, text, *_ in rows
    ]
    names = []
    for k in range(parts):
        names.append(f"rewrites/part-{k:05d}.parquet")
        write_table(folder / name / names[-1], pa.Table.from_pylist(table[k::parts], schema=REWRITES), REWRITES)
    return Building(folder / name, GenerateConfig(), {}, {}, "1" * 16).finish({}, names)


def filtered(folder, rows=REWRITTEN, out="filter", parts=1, **settings) -> Artifact:
    inputs = {"prepare": prepared(folder), "generate": generated(folder, rows, parts=parts)}
    return run(FilterConfig(**settings), inputs, folder / out)


KEEP_ALL = Rule("any", NEGATIVE_TYPES, "true", "test", "form")


def inputs_of(folder, rows):
    return {"prepare": prepared(folder), "generate": generated(folder, rows)}


def rejected_rows(artifact):
    return pq.read_table(artifact.file("rejected.parquet")).to_pylist()


def negatives(artifact):
    table = pq.read_table(artifact.file("training.parquet"))
    return [[(each["type"], each["text"]) for each in row["negatives"]] for row in table.to_pylist()]


def test_each_rewrite_is_kept_or_rejected_by_the_expected_rule(tmp_path):
    artifact = filtered(tmp_path)
    rejected = pq.read_table(artifact.file("rejected.parquet"))
    assert rejected.schema.equals(REJECTED)
    found = {(row["caption_id"], row["type"]): row["rule"] for row in rejected.to_pylist()}
    assert found == {(number, kind): rule for number, kind, _, rule in REWRITTEN if rule}
    kept = {(number, kind, text) for number, each in enumerate(negatives(artifact)) for kind, text in each}
    assert kept == {(number, kind, text) for number, kind, text, rule in REWRITTEN if text and not rule}


def test_every_caption_is_in_the_training_table_and_its_negatives_stand_by_type(tmp_path):
    artifact = filtered(tmp_path)
    table = pq.read_table(artifact.file("training.parquet"))
    assert table.schema.equals(TRAINING)
    assert table["caption"].to_pylist() == [text for _, text in CAPTIONS]
    assert negatives(artifact)[4] == []
    order = [[NEGATIVE_TYPES.index(kind) for kind, _ in each] for each in negatives(artifact)]
    assert order == [sorted(each) for each in order]


def test_a_kept_negative_says_where_it_came_from_as_its_rewrite_does(tmp_path):
    artifact = filtered(tmp_path)
    rewrites = pq.read_table(tmp_path / "generate" / "rewrites" / "part-00000.parquet").to_pylist()
    written = {(row["caption_id"], row["type"], row["candidate"], row["attempt"]): row for row in rewrites}
    rows = pq.read_table(artifact.file("training.parquet")).to_pylist()
    kept = [(row["caption_id"], each) for row in rows for each in row["negatives"]]
    assert len(kept) == 6
    for caption_id, each in kept:
        source = written[caption_id, each["type"], each["candidate"], each["attempt"]]
        assert each == {name: source[name] for name in each}
        assert each.keys() >= {"text", "generator", "seed", "model_sha", "prompt_sha"}


def test_asked_is_kept_and_rejected_and_not_generated(tmp_path):
    counts = filtered(tmp_path).counts
    assert counts["asked"] == len(REWRITTEN) == counts["kept"] + counts["rejected"] + counts["not_generated"]
    assert (counts["kept"], counts["not_generated"], counts["captions"], counts["with_negatives"]) == (6, 1, 5, 4)


def test_the_summary_counts_by_type_rule_and_status_and_explains_the_rules(tmp_path):
    summary = json.loads(filtered(tmp_path).file("summary.json").read_text())
    assert summary["types"]["replace_adjectives"] == {
        "asked": 3,
        "kept": 0,
        "rejected": 2,
        "by_status": {"abstained": 1, "ok": 2},
        "by_rule": {"adjective_not_in_image": 2},
    }
    assert [rule["name"] for rule in summary["rules"]] == [rule.name for rule in (*RULES, *SET_RULES)]
    assert all(rule["why"] for rule in summary["rules"])


def test_the_report_is_part_of_the_artifact(tmp_path):
    artifact = filtered(tmp_path)
    kept, rejected = artifact.counts["kept"], artifact.counts["rejected"]
    assert f"**{kept} of {kept + rejected} texts were kept" in artifact.file("report.md").read_text()
    assert all(artifact.has(name) for name in ("gallery.html", "tables.json", "yields.png"))


def test_the_same_text_of_a_later_type_is_a_duplicate(tmp_path):
    rows = [(0, "swap_nouns", "A red table on a wooden cup"), (0, "swap_adjectives", "A wooden cup on a red table")]
    rows += [(2, "replace_nouns", "A man rides a big dog"), (2, "swap_nouns", "A horse rides a big man")]
    keep_all = [Rule("any", NEGATIVE_TYPES, "true", "test", "form")]
    rows[1] = (0, "replace_nouns", "a red table on a wooden cup .")
    inputs = {"prepare": prepared(tmp_path), "generate": generated(tmp_path, rows)}
    artifact = filter_rewrites(FilterConfig(), inputs, tmp_path / "out", rules=keep_all)
    rejected = pq.read_table(artifact.file("rejected.parquet")).to_pylist()
    assert [(row["caption_id"], row["type"], row["rule"]) for row in rejected] == [(0, "replace_nouns", DUPLICATE.name)]


def test_threads_and_order_do_not_change_a_byte(tmp_path):
    first = filtered(tmp_path / "a", threads=1)
    second = filtered(tmp_path / "b", rows=REWRITTEN[::-1], threads=2, parts=3)
    assert first.manifest.files == second.manifest.files


def test_what_rules_generate_is_mostly_kept(tmp_path):
    captions = ["A small dog on a red couch", "an orange hat left of a blue cup", "A woman holds a green umbrella in the rain"]
    inputs = {"prepare": prepare_artifact(tmp_path / "prepare", captions_table(captions))}
    inputs["generate"] = generate(GenerateConfig(vocabulary="lexicon", workers=1), inputs, tmp_path / "generate")
    counts = run(FilterConfig(), inputs, tmp_path / "filter").counts
    assert counts["kept"] >= 10
    assert counts["rejected"] <= 3  # one exchange of descriptions is a reshuffle as well


def test_a_type_that_loses_everything_is_said_with_its_rule(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        filtered(tmp_path)
    assert (
        "replace_adjectives: all 2 texts were rejected, most by adjective_not_in_image (2). The texts say what may be true"
        in caplog.text
    )


def test_too_few_kept_stops_with_the_most_frequent_rules(tmp_path):
    with pytest.raises(
        DataError, match=r"only 6 of 11 texts were kept.*replace_adjectives: adjective_not_in_image \(2\).*report\.md"
    ):
        filtered(tmp_path, min_kept_fraction=0.9)
    assert not (tmp_path / "filter" / MANIFEST).exists()
    assert "adjective_not_in_image" in (tmp_path / "filter" / "report.md").read_text()
    assert (tmp_path / "filter" / "gallery.html").exists()


def test_nothing_kept_stops_with_the_report_written(tmp_path):
    with pytest.raises(DataError, match=r"only 0 of 2 texts were kept.*report\.md"):
        filtered(tmp_path, rows=[row for row in REWRITTEN if row[1] == "replace_adjectives"])
    assert "adjective_not_in_image" in (tmp_path / "filter" / "report.md").read_text()


def test_no_rewrites_is_an_error(tmp_path):
    with pytest.raises(DataError, match="0 rewrites: nothing to filter"):
        filtered(tmp_path, rows=[])


def test_only_abstentions_is_an_error(tmp_path):
    with pytest.raises(DataError, match="made no text at all"):
        filtered(tmp_path, rows=[(0, "reshuffle", None)])


def test_rewrites_of_other_captions_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"1 rewrites are of captions .* \(such as 99\)"):
        filtered(tmp_path, rows=[*REWRITTEN, (99, "reshuffle", "a dog on a cat")])


def test_a_row_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="caption 0, reshuffle, candidate 0, attempt 1 2 times"):
        filtered(tmp_path, rows=[*REWRITTEN, REWRITTEN[0]])


def test_a_missing_column_is_named(tmp_path):
    generated(tmp_path, REWRITTEN)
    name = "rewrites/part-00000.parquet"
    pq.write_table(pq.read_table(tmp_path / "generate" / name).drop_columns(["text"]), tmp_path / "generate" / name)
    without = Building(tmp_path / "generate", GenerateConfig(), {}, {}, "1" * 16).finish({}, [name])
    with pytest.raises(DataError, match="column 'text' is missing"):
        run(FilterConfig(), {"prepare": prepared(tmp_path), "generate": without}, tmp_path / "filter")


def test_a_column_of_another_type_is_named(tmp_path):
    generated(tmp_path, REWRITTEN)
    name = "rewrites/part-00000.parquet"
    table = pq.read_table(tmp_path / "generate" / name)
    place = table.schema.get_field_index("caption_id")
    numbered = table.set_column(place, "caption_id", table["caption_id"].cast(pa.string()))
    pq.write_table(numbered, tmp_path / "generate" / name)
    other = Building(tmp_path / "generate", GenerateConfig(), {}, {}, "1" * 16).finish({}, [name])
    with pytest.raises(DataError, match=r"part-00000\.parquet: column 'caption_id' is string, expected int64"):
        run(FilterConfig(), {"prepare": prepared(tmp_path), "generate": other}, tmp_path / "filter")


def test_a_part_without_rows_is_no_fault_beside_others(tmp_path):
    expected = filtered(tmp_path / "one").counts
    folder = tmp_path / "two" / "generate"
    generated(tmp_path / "two", REWRITTEN)
    names = ["rewrites/part-00000.parquet", "rewrites/part-00001.parquet"]
    write_table(folder / names[1], REWRITES.empty_table(), REWRITES)
    made = Building(folder, GenerateConfig(), {}, {}, "1" * 16).finish({}, names)
    inputs = {"prepare": prepared(tmp_path / "two"), "generate": made}
    assert run(FilterConfig(), inputs, tmp_path / "two" / "filter").counts == expected


def test_a_damaged_page_is_named_and_nothing_is_made(tmp_path):
    """The footer is whole, so that the file opens; the fault is met while its rows are read."""
    inputs = {"prepare": prepared(tmp_path), "generate": generated(tmp_path, REWRITTEN)}
    path = tmp_path / "generate" / "rewrites" / "part-00000.parquet"
    texts = next(c for c in _columns(path) if c.path_in_schema == "text")
    content = bytearray(path.read_bytes())
    content[texts.data_page_offset : texts.data_page_offset + texts.total_compressed_size] = b"\xff" * texts.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00000\.parquet: not a readable Parquet file"):
        run(FilterConfig(), inputs, tmp_path / "filter")
    assert not (tmp_path / "filter" / MANIFEST).exists()


def _columns(path):
    group = pq.read_metadata(path).row_group(0)
    return [group.column(number) for number in range(group.num_columns)]


def test_a_truncated_part_is_named(tmp_path):
    inputs = {"prepare": prepared(tmp_path), "generate": generated(tmp_path, REWRITTEN)}
    path = tmp_path / "generate" / "rewrites" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(DataError, match=r"part-00000\.parquet: not a readable Parquet file"):
        run(FilterConfig(), inputs, tmp_path / "filter")


def test_a_rule_with_broken_sql_is_named_before_anything_is_written(tmp_path):
    inputs = {"prepare": prepared(tmp_path), "generate": generated(tmp_path, REWRITTEN)}
    with pytest.raises(ConfigError, match=r"rule 'oops': its SQL is broken"):
        filter_rewrites(FilterConfig(), inputs, tmp_path / "out", rules=[Rule("oops", NEGATIVE_TYPES, "len(", "never", "form")])
    assert not (tmp_path / "out" / "rejected.parquet").exists()


def test_a_memory_limit_that_is_no_size_is_named(tmp_path):
    with pytest.raises(ConfigError, match="memory_limit='much'"):
        filtered(tmp_path, memory_limit="much")


def test_another_caption_of_the_image_does_not_give_the_same_negative_again(tmp_path):
    rows = [(0, "replace_nouns", "A red bowl on a wooden table"), (1, "replace_nouns", "A red bowl on the wooden table.")]
    artifact = filter_rewrites(FilterConfig(), inputs_of(tmp_path, rows), tmp_path / "out", rules=[KEEP_ALL])
    assert [(row["caption_id"], row["rule"]) for row in rejected_rows(artifact)] == [(1, "new_for_image")]


def test_equal_captions_of_an_image_keep_their_equal_negatives(tmp_path):
    captions = captions_table(["a red cup on a table"] * 2, ["a", "a"])
    rows = [(number, "replace_nouns", "a red bowl on a table") for number in (0, 1)]
    inputs = {"prepare": prepare_artifact(tmp_path / "prepare", captions), "generate": generated(tmp_path, rows)}
    assert run(FilterConfig(), inputs, tmp_path / "out").counts["kept"] == 2


@pytest.mark.parametrize(("limit", "kept"), [(0, 6), (2, 4), (1, 2)])
def test_an_image_has_no_more_of_a_type_than_its_quota_and_each_caption_gives_in_turn(tmp_path, limit, kept):
    rows = [(number, kind, f"text {number} {kind}") for number in (0, 1, 2) for kind in ("replace_nouns", "replace_adjectives")]
    table = captions_table(["a red cup on a table"] * 3, ["a", "a", "a"])
    inputs = {"prepare": prepare_artifact(tmp_path / "prepare", table), "generate": generated(tmp_path, rows)}
    artifact = filter_rewrites(FilterConfig(max_per_type=limit), inputs, tmp_path / "out", rules=[KEEP_ALL])
    assert artifact.counts["kept"] == kept
    assert {row["caption_id"] for row in rejected_rows(artifact)} == set(range(limit or 3, 3))


def test_a_copied_exemplar_is_refused_where_a_prompt_showed_it(tmp_path):
    inputs = inputs_of(tmp_path, [(3, "replace_nouns", "a woman on a zebra"), (3, "reshuffle", "a horse on a woman")])
    folder = tmp_path / "generate"
    table = pq.read_table(folder / "rewrites/part-00000.parquet").to_pylist()
    for row in table:
        row["prompt_sha"] = "1" if row["type"] == "replace_nouns" else None
    write_table(folder / "rewrites/part-00000.parquet", pa.Table.from_pylist(table, schema=REWRITES), REWRITES)
    (folder / "generation.json").write_text(json.dumps({"exemplars": {"x": ["A woman on the zebra.", "A horse on a woman"]}}))
    files = ["rewrites/part-00000.parquet", "generation.json"]
    inputs["generate"] = Building(folder, GenerateConfig(), {}, {}, "1" * 16).finish({}, files)
    artifact = run(FilterConfig(), inputs, tmp_path / "out")
    assert [(row["type"], row["rule"]) for row in rejected_rows(artifact)] == [("replace_nouns", "no_exemplar")]


@pytest.mark.slow
def test_a_text_that_clip_does_not_read_to_its_end_is_refused(tmp_path):
    long = "a zebra " + " ".join(["beside an extraordinarily photogenic hippopotamus"] * 10)
    table = captions_table([long.replace("zebra", "giraffe"), long.replace("zebra", "giraffe")[:230]])
    rows = [(0, "replace_nouns", long), (1, "replace_nouns", long[:228])]
    inputs = {"prepare": prepare_artifact(tmp_path / "prepare", table), "generate": generated(tmp_path, rows)}
    artifact = run(FilterConfig(), inputs, tmp_path / "out")
    assert [(row["caption_id"], row["rule"]) for row in rejected_rows(artifact)] == [(0, "fits_clip")]


def test_words_that_the_captions_use_for_one_thing_do_not_replace_each_other(tmp_path):
    """ "gizmo" is in no list of ours: that it means the widget is seen in how captions of one image alternate."""
    captions = [f"a {word} on the table {number}" for number in range(8) for word in ("gizmo", "widget")]
    images = [f"image-{number // 2}" for number in range(16)]
    table = captions_table([*captions, "one widget near a tree", "one widget near a car"], [*images, "x", "y"])
    rows = [(16, "replace_nouns", "one gizmo near a tree"), (17, "replace_nouns", "one sandwich near a car")]
    inputs = {"prepare": prepare_artifact(tmp_path / "prepare", table), "generate": generated(tmp_path, rows)}
    artifact = run(FilterConfig(), inputs, tmp_path / "out")
    assert [(row["caption_id"], row["rule"]) for row in rejected_rows(artifact)] == [(16, "other_meaning")]
    assert json.loads(artifact.file("summary.json").read_text())["mined"] == [
        {"kind": "nouns", "one": "gizmo", "other": "widget", "images": 8}
    ]
