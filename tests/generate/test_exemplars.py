"""Choosing exemplars: what is proposed, what a person may do with the file, and what becomes of the prompt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from caption_tables import captions_table
from hypothesis import given, settings
from hypothesis import strategies as st

from degla.artifacts import building
from degla.errors import ConfigError, DataError, MissingInputError
from degla.experiments.experiment import Experiment
from degla.experiments.plan import plan
from degla.generate.backend import Origin, Request, Rewrite, Usage
from degla.generate.exemplars.proposals import parse_numbers, read_proposal
from degla.generate.exemplars.proposing import Wanted, propose
from degla.generate.exemplars.selection import MOST, accept, next_version, propose_file
from degla.generate.language_models.prompts import Exemplar, Prompt, load_prompt, one_line, save_prompt
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, write_table

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = ROOT / "prompts"
TYPE = "replace_nouns"
VERSION = load_prompt(CHECKOUT, TYPE).version
NUMBER = 12


def captions() -> list[str]:
    """Hand-written captions: those of all prompts, the type's own included."""
    return [each.input for kind in NEGATIVE_TYPES for each in load_prompt(CHECKOUT, kind).exemplars]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A copy of the checkout's prompts, which no test may touch."""
    return Path(shutil.copytree(CHECKOUT, tmp_path / "prompts", ignore=shutil.ignore_patterns("versions")))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment with prepared captions."""
    root = tmp_path_factory.mktemp("prepared")
    made = Experiment.model_validate({"name": "small", "root": str(root), "generate": {"vocabulary": "lexicon"}})
    prepare = plan(made, upto="prepare")["prepare"]
    with building(prepare.config, {}, prepare.path) as build:
        write_table(prepare.path / "captions.parquet", captions_table(captions()), CAPTIONS)
        build.finish({}, ["captions.parquet"])
    return made


@pytest.fixture
def experiment(prepared: Experiment, prompts: Path) -> Experiment:
    """The same with prompts of its own."""
    return prepared.with_overrides([f"generate.prompts={prompts}"])


@pytest.fixture(scope="module")
def proposed_once(prepared: Experiment, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("proposed") / "proposal.yaml"
    propose_file(prepared.with_overrides([f"generate.prompts={CHECKOUT}"]), TYPE, NUMBER, captions=150, seed=0, path=path)
    return path.read_text()


@pytest.fixture
def proposal(proposed_once: str, prompts: Path, tmp_path: Path) -> Path:
    """A proposal file for the copied prompts."""
    path = tmp_path / "proposal.yaml"
    path.write_text(proposed_once.replace(str(CHECKOUT), str(prompts)))
    return path


def edit(path: Path, number: int, **values: str | bool) -> None:
    """Change an item of a proposal as a person does, in the text of the file."""
    lines = path.read_text().splitlines()
    start = lines.index(f"  - number: {number}")
    for key, value in values.items():
        place = next(i for i in range(start + 1, start + 4) if lines[i].startswith(f"    {key}:"))
        lines[place] = f"    {key}: {str(value).lower() if isinstance(value, bool) else value}"
    path.write_text("\n".join(lines) + "\n")


def items(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text())["items"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_proposals_change_one_noun_are_new_to_the_prompt_and_unmarked(proposal: Path, prompts: Path) -> None:
    prompt = load_prompt(prompts, TYPE)
    own = {each.input for each in prompt.exemplars} | {each.output for each in prompt.exemplars}
    found = items(proposal)
    assert [item["number"] for item in found] == list(range(1, NUMBER + 1))
    for item in found:
        before, after = (Counter(item[key].replace(" an ", " a ").rstrip(".").split()) for key in ("input", "output"))
        assert 1 <= (before - after).total() <= 2, item
        assert 1 <= (after - before).total() <= 2, item
        assert not {item["input"], item["output"]} & own
        assert item["keep"] is False
    assert len({item["input"] for item in found}) == NUMBER
    data = yaml.safe_load(proposal.read_text())
    assert (data["prompt"], data["prompts"]) == ({"version": VERSION, "sha": prompt.sha}, str(prompts))


def test_the_same_seed_proposes_the_same_and_another_others(proposal: Path, experiment: Experiment, tmp_path: Path) -> None:
    again, other = tmp_path / "again.yaml", tmp_path / "other.yaml"
    propose_file(experiment, TYPE, NUMBER, captions=150, seed=0, path=again)
    propose_file(experiment, TYPE, NUMBER, captions=150, seed=1, path=other)
    assert items(again) == items(proposal)
    assert items(other) != items(proposal)


def test_a_file_that_exists_is_not_overwritten(proposal: Path, experiment: Experiment) -> None:
    edit(proposal, 3, keep=True)
    before = proposal.read_bytes()
    with pytest.raises(ConfigError, match="a person's choice"):
        propose_file(experiment, TYPE, NUMBER, 150, 0, proposal)
    assert proposal.read_bytes() == before


def test_captions_that_are_not_prepared_are_named_with_the_command_that_makes_them(
    experiment: Experiment, tmp_path: Path
) -> None:
    other = experiment.model_copy(update={"root": str(tmp_path / "elsewhere")})
    with pytest.raises(MissingInputError, match=r"python -m degla\.prepare small"):
        propose_file(other, TYPE, NUMBER, 150, 0, tmp_path / "x.yaml")


class OddBackend:
    """Hands rows back in another order and late, and fails, abstains or breaks a rule where the caption says so."""

    capacity = 7
    enumerates = False

    def __init__(self) -> None:
        self.usage = Usage()
        self.most_open = 0
        self._open: list[Request] = []

    def origin(self, negative_type: str) -> Origin:
        return Origin("odd", "0")

    def submit(self, requests: list[Request]) -> None:
        self._open += requests
        self.most_open = max(self.most_open, len(self._open))

    def collect(self) -> list[Rewrite]:
        return [self._answer(self._open.pop()) for _ in range(min(3, len(self._open)))]

    def close(self) -> None:
        pass

    def _answer(self, request: Request) -> Rewrite:
        origin = self.origin(request.type)
        if "lamp" in request.caption:
            return Rewrite(request, origin, "failed", error="no light")
        text = request.caption if "clock" in request.caption else request.caption.replace("dog", "cat")
        return Rewrite(request, origin, "ok", text, finish="stop")


def proposed(texts: list[str], tmp_path: Path, number: int, backend: OddBackend | None = None) -> list[Exemplar]:
    path = tmp_path / "captions.parquet"
    write_table(path, captions_table(texts), CAPTIONS)
    return propose(load_prompt(CHECKOUT, TYPE), path, backend or OddBackend(), Wanted(number, 100, 0))


def test_answers_in_any_order_belong_to_their_captions_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    kinds = ["big", "red", "old", "wet", "small", "tired", "brown", "white", "young", "happy"]
    texts = [f"A {kind} dog is sleeping on the bed." for kind in kinds]
    texts += [
        "A dog is sleeping under the lamp.",
        "A dog is sleeping next to the clock.",
        "dog\nrun",
        "A dog",
        "Ein süßer dog auf dem Bett",
    ]
    backend = OddBackend()
    found = proposed(texts, tmp_path, 50, backend)
    assert {each.input: each.output for each in found} == {text: text.replace("dog", "cat") for text in texts[:10]}
    assert backend.most_open <= OddBackend.capacity


def test_nothing_that_can_be_proposed_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"failed 1, refused by a rule 1; first error: no light"):
        proposed(["A dog is sleeping under the lamp.", "A dog is sleeping next to the clock."], tmp_path, 5)
    with pytest.raises(DataError, match="none of the captions"):
        proposed(["Running fast and far away."], tmp_path, 5)


def test_the_list_is_varied_and_not_what_is_frequent(tmp_path: Path) -> None:
    alike = [f"A dog is sleeping on the bed number {word}." for word in ["one", "two", "three", "four", "five", "six", "seven"]]
    rare = ["Two children feed a dog at noon.", "My dog chases the mailman.", "The dog in the photograph wears a hat today."]
    inputs = [each.input for each in proposed(alike * 3 + rare, tmp_path, 4)]
    assert set(rare) < set(inputs)


def test_adding_puts_the_chosen_last_lets_the_oldest_go_and_keeps_the_version_before(proposal: Path, prompts: Path) -> None:
    before, text = load_prompt(prompts, TYPE), (prompts / f"{TYPE}.yaml").read_bytes()
    chosen = [item for item in items(proposal) if item["number"] in (2, 5, 6)]
    done = accept(proposal, keep="2, 5-6", note="seen on a Monday")
    after = load_prompt(prompts, TYPE)
    assert after == done.prompt
    assert (after.version, len(after.exemplars)) == (VERSION + 1, MOST)
    assert after.exemplars[:-3] == before.exemplars[3:]
    assert [(each.input, each.output) for each in after.exemplars[-3:]] == [(each["input"], each["output"]) for each in chosen]
    assert done.left_out == before.exemplars[:3]
    assert after.sha != before.sha
    assert (prompts / "versions" / f"{TYPE}-v{VERSION}.yaml").read_bytes() == text
    assert "seen on a Monday" in (prompts / f"{TYPE}.yaml").read_text().splitlines()[0]
    assert (after.rule, after.abstentions) == (before.rule, before.abstentions)


def test_replacing_keeps_the_chosen_and_the_abstentions(proposal: Path, prompts: Path) -> None:
    before = load_prompt(prompts, TYPE)
    edit(proposal, 1, keep=True)
    edit(proposal, 4, keep=True)
    after = accept(proposal, mode="replace").prompt
    assert [each.input for each in after.exemplars] == [items(proposal)[0]["input"], items(proposal)[3]["input"]]
    assert after.abstentions == before.abstentions


def test_a_caption_may_be_kept_as_an_abstention_with_a_reason(proposal: Path, prompts: Path) -> None:
    before = load_prompt(prompts, TYPE)
    edit(proposal, 2, output="NONE", keep="true\n    why: It only has one noun.")
    after = accept(proposal).prompt
    assert after.exemplars == before.exemplars
    assert after.abstentions[-1] == Exemplar(input=items(proposal)[1]["input"], output="NONE", why="It only has one noun.")


def test_a_corrected_text_is_kept_as_it_was_corrected(proposal: Path) -> None:
    edit(proposal, 1, input="A goat sleeps under the old oak table.", output="A goat sleeps under the old oak bench.", keep=True)
    assert accept(proposal).prompt.exemplars[-1].output == "A goat sleeps under the old oak bench."


def broken(path: Path, text: str) -> None:
    path.write_text(path.read_text().replace("    keep: false", text, 1))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing is marked": (lambda path: None, "nothing is chosen"),
    "another edit": (
        lambda path: edit(path, 2, output="Something else altogether is written here.", keep=True),
        r"line 1\d, number 2: the rule",
    ),
    "the caption again": (lambda path: edit(path, 2, output=items(path)[1]["input"], keep=True), "number 2: the rule"),
    "a lower-case none": (lambda path: edit(path, 2, output="none", keep=True), "to abstain, write NONE"),
    "an empty text": (lambda path: edit(path, 2, output='""', keep=True), "its output is empty"),
    "control characters": (lambda path: edit(path, 2, output='"A \\u0007 bell"', keep=True), "control characters"),
    "a repeated text": (
        lambda path: [
            edit(path, 2, input=items(path)[0]["input"], output=items(path)[0]["output"], keep=True),
            edit(path, 1, keep=True),
        ],
        "number 2: one of its texts is in another one that is chosen already",
    ),
    "an exemplar of the prompt": (
        lambda path: edit(path, 1, **load_prompt(CHECKOUT, TYPE).exemplars[-1].model_dump(exclude={"why"}), keep=True),
        "in the prompt already",
    ),
    "two equal numbers": (
        lambda path: path.write_text(path.read_text().replace("number: 2\n", "number: 1\n")),
        r"line 1\d: number 1 is also in line 1",
    ),
    "broken YAML": (lambda path: broken(path, "    keep: [true"), r"line 1\d: "),
    "a colon in a text": (lambda path: edit(path, 1, output="A sign: stop"), r"line 15: .*needs quotes"),
    "no yes or no": (lambda path: broken(path, "    keep: maybe"), r"line 16: items\.0\.keep: .*'maybe'"),
    "an unknown key": (
        lambda path: broken(path, "    kepe: true"),
        r"line 16: .*'items\.0\.kepe'; did you mean 'items\.0\.keep'",
    ),
    "not a proposal": (lambda path: path.write_text("- a\n"), "is not a proposal"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
    "no file": (lambda path: path.unlink(), "cannot be read"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_is_said_with_its_place_and_nothing_is_written(
    what: str, proposal: Path, prompts: Path
) -> None:
    spoil, words = WRONG[what]
    spoil(proposal)
    before = snapshot(prompts)
    with pytest.raises(ConfigError, match=words):
        accept(proposal)
    assert snapshot(prompts) == before


def test_a_prompt_that_was_changed_since_is_not_overwritten(proposal: Path, prompts: Path) -> None:
    path = prompts / f"{TYPE}.yaml"
    path.write_text(path.read_text().replace("Replace one noun", "Replace a single noun"))
    before = snapshot(prompts)
    with pytest.raises(ConfigError, match="was changed since"):
        accept(proposal, keep="all")
    assert snapshot(prompts) == before
    mark = load_prompt(prompts, TYPE)
    text = proposal.read_text()
    proposal.write_text(text.replace(yaml.safe_load(text)["prompt"]["sha"], mark.sha))
    assert accept(proposal, keep="all").prompt.version == VERSION + 1


def test_accepting_the_same_again_changes_nothing_and_another_choice_is_refused(proposal: Path, prompts: Path) -> None:
    first = accept(proposal, keep="1-3")
    before = snapshot(prompts)
    again = accept(proposal, keep="1-3")
    assert again == first
    with pytest.raises(ConfigError, match="was changed since"):
        accept(proposal, keep="1-4")
    assert snapshot(prompts) == before


def test_a_version_once_given_is_not_given_again(proposal: Path, prompts: Path) -> None:
    old = prompts / "versions" / f"{TYPE}-v7.yaml"
    old.parent.mkdir()
    old.write_text("an earlier try")
    assert accept(proposal, keep="1").prompt.version == 8
    assert old.read_text() == "an earlier try"


def test_a_version_that_is_kept_already_with_another_text_is_not_overwritten(proposal: Path, prompts: Path) -> None:
    kept = prompts / "versions" / f"{TYPE}-v{VERSION}.yaml"
    kept.parent.mkdir()
    kept.write_text("another first version")
    with pytest.raises(ConfigError, match="holds another text"):
        accept(proposal, keep="1")
    assert kept.read_text() == "another first version"
    assert load_prompt(prompts, TYPE).version == VERSION


def test_a_choice_that_leaves_no_exemplar_or_too_many_is_refused(prompts: Path) -> None:
    prompt = load_prompt(prompts, TYPE)
    with pytest.raises(ConfigError, match="only NONE"):
        next_version(prompt, [Exemplar(input="A dog", output="NONE")], "replace", MOST, 2)
    many = [Exemplar(input=f"A dog {number}", output=f"A cat {number}") for number in range(4)]
    with pytest.raises(ConfigError, match="at most 3"):
        next_version(prompt, many, "add", 3, 2)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1, 4, 7-9", {1, 4, 7, 8, 9}),
        ("all", set(range(1, 13))),
        (" ALL ", set(range(1, 13))),
        ("2;3 4", {2, 3, 4}),
        ("3 - 5", {3, 4, 5}),
        ("1,1-2,", {1, 2}),
    ],
)
def test_numbers_as_people_write_them(text: str, numbers: set[int]) -> None:
    assert parse_numbers(text, range(1, 13)) == numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no number is given"),
        (" , ", "no number is given"),
        ("1,x", "'x' is not a number"),
        ("13", "no number 13; there are 1-12"),
        ("9-7", "runs backwards"),
        ("0", "no number 0"),
        ("1-999999999", "not a number"),
        ("-3", "not a number"),
        ("1.5", "not a number"),
    ],
)
def test_what_is_no_choice_of_numbers_is_said(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_numbers(text, range(1, 13))


@pytest.mark.parametrize("kind", NEGATIVE_TYPES)
def test_a_saved_prompt_reads_like_the_hand_written_file(kind: str, prompts: Path) -> None:
    hand_written = (CHECKOUT / f"{kind}.yaml").read_text()
    save_prompt(prompts, load_prompt(prompts, kind))
    saved = (prompts / f"{kind}.yaml").read_text()
    assert [line.replace('"', "").replace("'", "") for line in saved.splitlines()] == [
        line.replace('"', "").replace("'", "") for line in hand_written.splitlines()
    ]


def test_comments_above_keys_stay_where_they_are(prompts: Path) -> None:
    path = prompts / f"{TYPE}.yaml"
    text = path.read_text()
    text = (
        "# ours\n"
        + text.replace("\nexemplars:", "\n# fifty\n# of them\nexemplars:").replace("\nversion:", "\n# number\nversion:")
        + "# the end\n"
    )
    path.write_text(text)
    save_prompt(prompts, load_prompt(prompts, TYPE), note="added\ntoday")
    saved = path.read_text()
    for part in ("# ours\n# added today\ntype:", "\n# number\nversion:", "\n\n# fifty\n# of them\nexemplars:"):
        assert part in saved
    assert saved.endswith("\n# the end\n")


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


@settings(max_examples=150, deadline=None)
@given(rule=TEXT, texts=st.lists(st.tuples(TEXT, TEXT, st.none() | TEXT), min_size=1, max_size=3), none=st.booleans())
def test_any_prompt_reads_again_as_it_was_saved(
    rule: str, texts: list, none: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("prompt")
    exemplars = tuple(Exemplar(input=a, output=b, why=why) for a, b, why in texts)
    prompt = Prompt(type=TYPE, version=3, rule=rule, exemplars=exemplars, abstentions=exemplars if none else ())
    save_prompt(folder, prompt)
    assert load_prompt(folder, TYPE) == prompt
    assert len(one_line(rule).splitlines()) == 1


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "degla.generate.exemplars", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


@pytest.mark.slow
def test_the_two_commands_from_the_console(experiment: Experiment, prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(experiment.model_dump(mode="json")))
    made = run("propose", "own.yaml", "--type", TYPE, "--number", 4, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "4 exemplars" in made.stdout
    assert f"accept exemplars-{TYPE}.yaml" in made.stdout.splitlines()[-1]
    path = tmp_path / f"exemplars-{TYPE}.yaml"

    nothing = run("accept", path.name, cwd=tmp_path)
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("exemplars: error: ")
    assert "Traceback" not in nothing.stderr

    edit(path, 2, keep=True)
    done = run("accept", path.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{TYPE} is version {VERSION + 1} now: 1 chosen, 1 older ones left out, 50 exemplars in all" in done.stdout
    assert load_prompt(prompts, TYPE).exemplars[-1].input == read_proposal(path).proposal.items[1].input
