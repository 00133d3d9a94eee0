"""What a language model's answer means: the same for every back end."""

import pytest

from degla.generate.language_models.answers import read_answer

CAPTION = "a cat on a mat"
ANSWERS = [
    ("a dog on a cat", ("ok", "a dog on a cat")),
    ("\n  Output: a dog on a cat\nInput: more", ("ok", "a dog on a cat")),
    ("Output:\na dog", ("ok", "a dog")),
    ("NONE of the dogs", ("ok", "NONE of the dogs")),
    ("NONE", ("abstained", None)),
    ("None", ("abstained", None)),
    ("Output: none.", ("abstained", None)),
    ("A  Cat on a mat.", ("repeated", None)),
    (" \n", ("failed", None)),
    ("Output:", ("failed", None)),
    ("a \ud800 dog", ("failed", None)),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS)
def test_an_answer_is_a_rewrite_an_abstention_or_a_failure(answer, expected):
    reading = read_answer(answer, CAPTION)
    assert (reading.status, reading.text) == expected


LONG, REWRITE = "A boy in a red cap throws a ball to a dog", "A dog in a red cap throws a ball to a boy"
WRAPPED = {
    "reasoning": "<think>\nThe boy and the dog.\nA boy in a red cap?\n</think>\n\n{}",
    "reasoning on one line": "<think>Okay, the user wants it.</think>{}",
    "reasoning by another name": "<thinking>\nOkay.\n</thinking>\n{}",
    "reasoning that the template began": "Okay, the boy and the dog.\n</think>\n\n{}",
    "reasoning of Magistral": "[THINK]Okay.[/THINK]{}",
    "reasoning of Kimi": "◁think▷Okay.◁/think▷{}",
    "reasoning of gpt-oss": "<|channel|>analysis<|message|>Okay.<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "reasoning without tags": "I exchange the boy and the dog.\n\n{}",
    "preamble": "Sure! Here is the rewritten caption:\n\n{}",
    "preamble on one line": "Sure, here you go: {}",
    "preamble in two sentences": "Sure! Let me try. {}.",
    "fence": "```\n{}\n```",
    "fence with a language": "Here it is:\n```text\n{}\n```\nI exchanged the nouns.",
    "fence on one line": "```{}```",
    "code": "`{}`",
    "json": '{{"output": "{}"}}',
    "json with the caption": '{{"input": "' + LONG + '", "rewritten_caption": "{}", "reason": "boy and dog"}}',
    "json in a fence": '```json\n{{\n  "result": {{"text": "{}"}}\n}}\n```',
    "json in a list": '["{}"]',
    "json that was cut off": '{{"output": "{}',
    "a dictionary of Python": "{{'output': '{}'}}",
    "bold": "**{}**",
    "bold label": "**Output:** {}",
    "bold with a full stop": "**{}.**",
    "heading": "### {}",
    "label": "Output: {}",
    "two labels": "Rewritten caption:\nOutput: {}",
    "another label": "Final Answer: **{}**",
    "label before the caption": "Input: " + LONG + "\nOutput: {}",
    "arrow": LONG + " -> {}",
    "item": "- {}",
    "numbers": "1. {}\n2. A ball in a red cap throws a boy to a dog",
    "number in brackets": "(1) {}",
    "quotes": '"{}"',
    "quotes and a full stop": '"{}".',
    "smart quotes": "“{}”",
    "single quotes": "'{}'",
    "one quote": '"{}',
    "note": "{} (I exchanged the boy and the dog)",
    "explanation": "{}. I exchanged the boy and the dog.",
    "explanation below": "{}\n\nExplanation: the boy and the dog change places.",
    "control token": "{} <|im_end|>",
    "control tokens": "<|im_start|>assistant\n{}</s>",
    "tags": "<answer>{}</answer>",
    "box": "\\boxed{{{}}}",
    "box of text": "$\\boxed{{\\text{{{}}}}}$",
    "no-break spaces": "\u200b{}\u00a0",
    "assignment": 'output = "{}"',
    "call": "print('{}')",
    "quoted in a sentence": 'The rewritten caption is "{}"',
    "tick": "✅ {}",
    "entities": "&quot;{}&quot;",
    "corner brackets": "「{}」",
    "json with escaped quotes": '{{\\"output\\": \\"{}\\"}}',
    "json lines": '{{"caption": 1}}\n{{"output": "{}"}}',
    "tool call": '<tool_call>{{"name": "answer", "arguments": {{"text": "{}"}}}}</tool_call>',
    "table": "| Output |\n|---|\n| {} |",
    "yaml": "output: {}",
    "original and rewritten": "Original: " + LONG + "\nRewritten: {}",
    "steps": "Step 1: find the nouns boy and dog.\nStep 2: exchange them.\nResult: {}",
    "two answers": "{}\n\nor\n\nA ball in a red cap throws a boy",
    "line breaks": "\n\n\r\n{}\n",
}


@pytest.mark.parametrize("form", WRAPPED.values(), ids=WRAPPED)
def test_whatever_is_around_a_rewrite_is_taken_off(form):
    reading = read_answer(form.format(REWRITE), LONG)
    assert (reading.status, reading.text.rstrip(".")) == ("ok", REWRITE)


OWN_MARKS = {
    '"Stop" says a sign near a shop called "Go"': '"Go" says a sign near a shop called "Stop"',
    "A sign: a red cap for a boy": "A cap: a red sign for a boy",
    "1. A boy and a dog": "1. A dog and a boy",
    "A boy (in red) sees a dog": "A dog (in red) sees a boy",
    "A *red* cap on a boy": "A *red* boy on a cap",
    "A boy's cap at 10:30 <3": "A cap's boy at 10:30 <3",
    "The sign “A” is on the door [1]": "The door “A” is on the sign [1]",
    "Boy -> dog in a red cap": "Dog -> boy in a red cap",
    "A dog sleeps. A boy runs.": "A boy sleeps. A dog runs.",
    "The 'a' and the 'b'": "The 'b' and the 'a'",
}


@pytest.mark.parametrize(("caption", "rewrite"), OWN_MARKS.items())
@pytest.mark.parametrize("form", ["{}", "Output: {}", "{}\n", "```\n{}\n```", "<think>\nWell.\n</think>\n{}"])
def test_what_the_caption_itself_has_stays(caption, rewrite, form):
    assert read_answer(form.format(rewrite), caption).text == rewrite


@pytest.mark.parametrize(
    "answer", ["<think>\nOkay, a boy", "<think>Okay</think>", "<|channel|>analysis<|message|>A boy", "[THINK]a"]
)
def test_reasoning_without_an_end_is_named(answer):
    reading = read_answer(answer, LONG)
    assert (reading.status, "reasoning used up its tokens" in reading.error) == ("failed", True)


NOTHING = [
    "NONE.",
    "**NONE**",
    '{"output": null}',
    '{"output": "NONE"}',
    "NONE (it has one noun)",
    "<think>x</think>NONE",
    "Answer: N/A",
]


@pytest.mark.parametrize("answer", [*NOTHING, "NONE\n\nThe caption has only one noun.", "NONE - there is no second adjective"])
def test_an_abstention_is_one_however_it_is_wrapped(answer):
    assert read_answer(answer, LONG).status == "abstained"


def test_the_caption_again_is_a_repetition_however_it_is_wrapped():
    for form in WRAPPED.values():
        assert read_answer(form.format(LONG), LONG).status == "repeated" or "throws a boy" in form, form


def test_an_exemplar_of_the_prompt_is_a_copy():
    assert read_answer("**A hat on a coat.**", LONG, exemplars=["a hat on a coat"]).status == "copied"


def test_a_text_that_is_followed_by_more_was_not_cut_off():
    assert read_answer(f"{REWRITE}\n\nI exchanged the", LONG).followed
    assert read_answer(f"{REWRITE}. I exchanged the", LONG).followed
    assert not read_answer(f"Output: {REWRITE}\n", LONG).followed
