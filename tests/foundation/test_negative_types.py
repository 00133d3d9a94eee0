"""The negative types: their order, their selection by trait, and what it takes to add one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from caption_tables import captions_table, prepare_artifact
from pydantic import TypeAdapter

from degla.config import validate
from degla.errors import ConfigError
from degla.generate import GenerateConfig
from degla.negative_types import NEGATIVE_TYPES, TRAITS, NegativeType, types_that

ROOT = Path(__file__).resolve().parents[2]
FIVE = ("reshuffle", "swap_nouns", "swap_adjectives", "replace_nouns", "replace_adjectives")


def test_the_five_of_the_paper_come_first_in_the_order_that_fingerprints_and_draws_depend_on():
    assert NEGATIVE_TYPES[:5] == FIVE


def test_types_are_selected_by_change_and_part_of_speech():
    assert types_that("replaces") == ("replace_nouns", "replace_adjectives")
    assert types_that("exchanges", of="adjectives") == ("swap_adjectives",)
    assert types_that("reorders", "exchanges", of="adjectives") == ("reshuffle", "swap_adjectives")
    assert types_that("reorders", "exchanges", "replaces") == NEGATIVE_TYPES


def test_a_form_lists_the_types_and_a_wrong_name_gets_the_nearest():
    assert TypeAdapter(NegativeType).json_schema()["enum"] == list(NEGATIVE_TYPES)
    with pytest.raises(ConfigError, match="types.0: unknown negative type 'swap_noun'; did you mean 'swap_nouns'"):
        validate(GenerateConfig, {"types": ["swap_noun"]}, "here")
    with pytest.raises(ConfigError, match="expected one of reshuffle, swap_nouns"):
        validate(GenerateConfig, {"types": ["xyz"]}, "here")


def test_each_type_has_a_prompt_and_proposals_of_the_rules():
    from degla.generate.rules.rules_backend import proposals
    from degla.generate.rules.vocabulary import Vocabulary
    from degla.text.lexicon import load_lexicon

    assert set(proposals(load_lexicon(), Vocabulary())) == set(TRAITS)
    assert {path.stem for path in (ROOT / "prompts").glob("*.yaml")} == set(TRAITS)


RECORD = """    "turn_grey": Traits(
        change="replaces",
        of=("adjectives",),
        needs=(1, "adjectives"),
        summary="a colour replaced by grey",
        model_yield=0.5,
        rules_yield=0.5,
    ),
"""
PROPOSALS = '''"""Turning grey: a colour gives way to grey."""

from degla.generate.rules.options import Option
from degla.generate.rules.rewording import Edit, reword


def turned_grey(caption, sentence, rng):
    for place, word in enumerate(sentence.lower):
        if "colours" in sentence.lexicon.groups("adjectives", word):
            edits = [Edit(place, place + 1, "grey")]
            yield Option(1.0, place, lambda: reword(caption, sentence.tokens, sentence.tags, edits))
'''
IMPORT = "from degla.generate.rules.turn_grey import turned_grey\n"
PROMPT = """type: turn_grey
version: 1
rule: Replace a colour by grey.
exemplars:
  - input: A red barn stands at the end of a gravel road.
    output: A grey barn stands at the end of a gravel road.
"""
PIPELINE = """
import json, sys
from pathlib import Path
from degla import filter, generate
from degla.artifacts import Artifact
from degla.generate.cost import describe, estimate
from degla.generate.language_models.prompts import load_prompt
from degla.train.batches.data import join
import pyarrow.parquet as pq

prepared, folder = Artifact.load(Path(sys.argv[1])), Path(sys.argv[2])
config = generate.GenerateConfig(workers=1, types=("replace_nouns", "turn_grey"))
generated = generate.run(config, {"prepare": prepared}, folder / "generate")
filtered = filter.run(filter.FilterConfig(), {"prepare": prepared, "generate": generated}, folder / "filter")
kept = pq.read_table(filtered.file("training.parquet"))["negatives"].to_pylist()
print(json.dumps({
    "kept": [negative["text"] for negatives in kept for negative in negatives if negative["type"] == "turn_grey"],
    "gallery": ".turn_grey {" in filtered.file("gallery.html").read_text(),
    "prompt": load_prompt(Path("prompts"), "turn_grey").rule,
    "cost": describe(estimate(config, None, 10))[1],
}))
"""


def insert(file: Path, pattern: str, text: str) -> None:
    """Add lines behind the one that matches."""
    before = file.read_text()
    match = re.search(pattern, before, re.MULTILINE)
    assert match, f"{file} has no line {pattern}"
    file.write_text(before[: match.end()] + text + before[match.end() :])


@pytest.mark.slow
def test_a_new_type_is_three_files_and_a_prompt(tmp_path):
    """Done in a copy of the checkout as a developer would; if it fails, another file has learned a type's name."""
    checkout = tmp_path / "checkout"
    for folder in ("degla", "prompts"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    rules = checkout / "degla/generate/rules"
    insert(checkout / "degla/negative_types.py", r'"replace_adjectives": Traits\([^)]*\)[^)]*\)[^)]*\),\n', RECORD)
    (rules / "turn_grey.py").write_text(PROPOSALS)
    insert(rules / "rules_backend.py", r'^ +"replace_adjectives": .*\n', '            "turn_grey": turned_grey,\n')
    insert(rules / "rules_backend.py", r"^from degla.generate.rules.phrases .*\n", IMPORT)
    (checkout / "prompts/turn_grey.yaml").write_text(PROMPT)

    captions = ["A red cup on a wooden table", "A man rides a brown horse", "A blue boat on the water"]
    prepared = prepare_artifact(tmp_path / "prepare", captions_table(captions))
    (checkout / "pipeline.py").write_text(PIPELINE)
    command = [sys.executable, "pipeline.py", str(prepared.path), str(tmp_path)]
    run = subprocess.run(command, cwd=checkout, env={"PYTHONPATH": str(checkout)}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    made = json.loads(run.stdout.splitlines()[-1])
    assert made["kept"] == ["A grey cup on a wooden table", "A man rides a grey horse", "A grey boat on the water"]
    assert made["gallery"]
    assert made["prompt"] == "Replace a colour by grey."
    assert re.fullmatch(r"requests +rules [1-9][0-9]*", made["cost"])
