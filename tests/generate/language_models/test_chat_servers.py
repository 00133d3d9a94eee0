"""The generate stage with chat models as servers offer them: each wraps its answers, or refuses parts of requests, in its way."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest
from caption_tables import captions_table, prepare_artifact

from degla.errors import EXIT_INPUT, ConfigError, InputError, exit_code
from degla.generate import GenerateConfig, run
from degla.generate.backend import Request
from degla.generate.config import Sampling, ServerConfig
from degla.generate.language_models.openai_server import OpenAIBackend
from degla.generate.language_models.prompts import Exemplar, Prompt
from degla.generate.language_models.server_requests import Form, refusal_of, says_too_long

EXCHANGED = {"dog": "cat", "cat": "dog", "red": "blue", "blue": "red"}
CAPTION, REWRITE = "A red dog sits beside a blue cat", "A blue dog sits beside a red cat"
ANY = (CAPTION, "A blue cat looks at a red dog")


def refused(message, status=400, **more):
    return status, {"error": {"message": message, **more}}


def unless(wrong, *refusal, **more):
    """Answers plainly unless a body is wrong."""
    return lambda body, text: refused(*refusal, **more) if wrong(body) else text


def message(content=None, finish="stop", stop_reason=None, **more):
    choice = {"stop_reason": stop_reason, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 2000, "completion_tokens": 20}}


def has(*names):
    return lambda body: any(name in body for name in names)


def has_role(*roles):
    return lambda body: any(turn["role"] in roles for turn in body["messages"])


SEED = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": {"stop": 1}}
NEW_LIMIT = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
ONLY_ONE = "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported."
EITHER = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
ONE_BY_ONE = ("chat_template_kwargs", "logprobs", "seed", "top_p", "stop")
ADAPTS = {
    "system": unless(has_role("system"), "System role not supported"),
    "alternate": unless(has_role("system"), "Conversation roles must alternate user/assistant/user/assistant/..."),
    "developer": unless(has_role("system", "developer"), "Developer instruction is not enabled for this model"),
    "template": unless(has_role("system"), "jinja2.exceptions.TemplateError: only user and model roles are supported", 500),
    "max_tokens": unless(has("max_tokens"), NEW_LIMIT),
    "no limit": unless(has("max_tokens", "max_completion_tokens"), "unknown field: max_tokens or max_completion_tokens"),
    "param only": unless(has("max_tokens"), "Unsupported parameter", param="max_tokens"),
    "temperature": unless(lambda body: body.get("temperature") != 1, ONLY_ONE),
    "no temperature": unless(has("temperature"), "`temperature` is deprecated for this model."),
    "either": unless(lambda body: "temperature" in body and "top_p" in body, EITHER),
    "top-p": unless(has("top_p"), "Argument not supported on this model: top-p"),
    "stop": unless(has("stop"), "Unsupported parameter: 'stop' is not supported with this model."),
    "stop sequences": unless(has("stop"), "stop sequences are not available"),
    "seed": unless(has("seed"), "Unsupported parameter(s): `seed`"),
    "seed, pydantic": lambda body, text: (422, {"detail": [SEED]}) if "seed" in body else text,
    "seed, Go": unless(has("seed"), 'json: unknown field "seed"'),
    "logprobs": unless(has("logprobs"), "This model does not support logprobs"),
    "template's settings": unless(has("chat_template_kwargs"), "Unrecognized request argument supplied: chat_template_kwargs"),
    "one by one": lambda body, text: next((refused(f"Unknown parameter: {name}.") for name in ONE_BY_ONE if name in body), text),
    "reasoning aside": lambda body, text: message(text, reasoning_content="The dog and the cat."),
    "reasoning": lambda body, text: f"<think>\nThe dog.\nThe cat.\n</think>\n\n{text}",
    "json": lambda body, text: json.dumps({"negative_caption": text}),
    "parts": lambda body, text: message([{"type": "thinking", "thinking": "well"}, {"type": "text", "text": text}]),
    "leading line break": lambda body, text: f"\n\n{text}",
    "explains until it is cut off": lambda body, text: message(f"{text}\n\nI exchanged red and", "length"),
}

REASONED = "reasoning used up its tokens"
NO_ANSWER = {
    "reasoning only": (message(None, "length", reasoning_content="Okay, the"), REASONED),
    "reasoning only, by another name": (message("", "length", reasoning="Okay, the"), REASONED),
    "reasoning without an end": (message("<think>\nOkay, the", "length"), REASONED),
    "reasoning in parts": (message([{"type": "thinking", "thinking": "Okay"}], "length"), REASONED),
    "reasons and says nothing": (message(None, reasoning="Okay"), "only reasoned"),
    "refusal": (message(None, refusal="I can't help with that"), "the model refused: I can't help with that"),
    "filter": (message("", "content_filter"), "content filter removed"),
    "tool": (message(None, "tool_calls", tool_calls=[{"id": "1"}]), "called a tool"),
    "cut off": (message("", "length"), "tokens ran out"),
    "silence": (message(""), "the model wrote nothing"),
    "a line break": (message("", stop_reason="\n"), r"the answer began with '\n', at which it ends"),
    "NONE": (message("NONE"), "the model answered NONE"),
    "the caption": (message(CAPTION), "the model repeated the caption"),
    "an exemplar": (message("**A tree behind a house**"), "copied an exemplar"),
}
TOO_LONG = "This model's maximum context length is 2048 tokens. However, you requested 2964."
FAULTS = {
    "context": (refused(TOO_LONG), "longer context"),
    "quota": (refused("You exceeded your current quota", 429, code="insufficient_quota"), "exceeded your current quota"),
    "a provider's error": ((200, {"error": {"message": "Provider returned error"}}), "error: Provider returned error"),
    "everything": (refused("no"), "None was ever answered"),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet an answer

    def log_message(self, *args):
        """Quiet."""

    def do_GET(self):
        self.reply(200, {"data": [{"id": "m", **self.server.model}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        question = next(turn["content"] for turn in reversed(body["messages"]) if turn["role"] == "user")
        caption = question.rpartition("Input: ")[2].partition("\n")[0]
        words = ("red", "blue") if "adjective" in question + body["messages"][0]["content"] else ("dog", "cat")
        text = re.sub(r"\w+", lambda word: EXCHANGED[word[0]] if word[0] in words else word[0], caption)
        answer = self.server.answer(body, text)
        self.reply(*(message(answer) if isinstance(answer, str) else answer))

    def reply(self, status, data):
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer, **model):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.model, self.bodies = answer, model, []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return prepare_artifact(tmp_path_factory.mktemp("few") / "prepare", captions_table(list(ANY)))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    captions = [f"A red dog sits beside a blue cat near gate number {number}" for number in range(120)]
    return prepare_artifact(tmp_path_factory.mktemp("many") / "prepare", captions_table(captions))


@pytest.fixture
def generate(tmp_path):
    servers = []

    def rows(prepared, answer, model=None, server=None, **settings):
        servers.append(ChatServer(answer, **(model or {})))
        place = {"url": f"http://127.0.0.1:{servers[-1].server_address[1]}/v1", "model": "m", "retries": 1, "concurrency": 4}
        chosen = {"types": ("swap_nouns", "swap_adjectives"), "attempts": ("openai",), "max_per_type": 1, **settings}
        made = run(GenerateConfig(**chosen, server=place | (server or {})), {"prepare": prepared}, tmp_path / "out")
        return [row for path in made.path.glob("rewrites/*.parquet") for row in pq.read_table(path).to_pylist()], servers[-1]

    yield rows
    for server in servers:
        server.shutdown()
        server.server_close()


EXEMPLAR = Exemplar(input="a house behind a tree", output="a tree behind a house")
PROMPT = Prompt(type="swap_adjectives", version=1, rule="exchange two adjectives", exemplars=(EXEMPLAR,))


@pytest.fixture
def ask():
    """Rows of the back end alone for some captions."""
    opened = []

    def rows(answer, captions=ANY, model=None, **settings):
        server = ChatServer(answer, **(model or {}))
        place = {"url": f"http://127.0.0.1:{server.server_address[1]}/v1", "model": "m", "retries": 0, "concurrency": 4}
        backend = OpenAIBackend(ServerConfig(**place | settings), {PROMPT.type: PROMPT}, Sampling())
        opened.append((server, backend))
        backend.submit([Request(number, each, (), (), PROMPT.type, 0, 1, number) for number, each in enumerate(captions)])
        found = []
        while more := backend.collect():
            found += more
        return sorted(found, key=lambda row: row.request.caption_id), server

    yield rows
    for server, backend in opened:
        backend.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("answer", ADAPTS.values(), ids=ADAPTS)
def test_whatever_a_server_wraps_or_refuses_its_rewrites_are_found(ask, answer):
    rows, _ = ask(answer)
    assert [row.text for row in rows] == [REWRITE, "A red cat looks at a blue dog"]
    assert {(row.status, row.finish) for row in rows} == {("ok", "stop")}


@pytest.mark.parametrize(("answer", "told"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_an_answer_without_a_text_names_its_cause(ask, answer, told):
    rows, _ = ask(lambda body, text: answer, [CAPTION])
    assert (rows[0].text, told in rows[0].error, rows[0].answer is not None) == (None, True, True)


@pytest.mark.parametrize(("answer", "told"), FAULTS.values(), ids=FAULTS)
def test_a_server_that_gives_no_answer_stops_the_run_and_says_why(ask, answer, told):
    with pytest.raises(ConfigError, match=told):
        ask(lambda body, text: answer, [f"caption {number}" for number in range(25)])


USELESS = {
    "silence": (message(""), "4 rows failed: the model wrote nothing"),
    "preamble": (
        message("Sure! Here is the rewritten caption:"),
        r"the judge refuses all 4.*\n.*'Sure! Here is the rewritten caption:'",
    ),
}


@pytest.mark.parametrize(("answer", "told"), USELESS.values(), ids=USELESS)
def test_a_run_that_gets_nothing_usable_ends_with_an_error_and_what_it_got_is_not_kept(generate, few, answer, told):
    with pytest.raises(InputError, match=told) as stop:
        generate(few, lambda body, text: answer)
    assert exit_code(stop.value) == EXIT_INPUT
    rows, _ = generate(few, lambda body, text: text)  # the server is mended; its address is not in the fingerprint
    assert REWRITE in {row["text"] for row in rows}


def test_two_hundred_useless_answers_stop_a_run_and_three_are_shown(generate, many, tmp_path):
    with pytest.raises(ConfigError, match="none of the first 200 answers") as stop:
        generate(many, lambda body, text: "I would rather talk about the weather.", server={"concurrency": 64}, unit_size=5)
    assert not list((tmp_path / "out").glob("*/*.parquet"))
    assert str(stop.value).count("'I would rather talk about the weather.'") == 3


@pytest.mark.slow
def test_one_usable_answer_among_them_lets_it_go_on(generate, many):
    rows, _ = generate(many, lambda body, text: text if "number 7\n" in body["messages"][-1]["content"] else "No.")
    assert len(rows) == 240


@pytest.mark.slow
def test_a_chain_that_goes_on_with_the_rules_stops_too_unless_it_is_told_not_to(generate, many):
    chain = {"attempts": ("openai", "rules")}
    with pytest.raises(ConfigError, match="useless_answers=0"):
        generate(many, lambda body, text: "No.", **chain)
    rows, _ = generate(many, lambda body, text: "No.", useless_answers=0, **chain)
    assert {row["generator"] for row in rows} == {"openai:m", "rules"}


def test_the_rule_moves_into_the_user_s_turn(ask):
    _, server = ask(ADAPTS["system"], [CAPTION])
    shown = "Input: a house behind a tree\nOutput: a tree behind a house\n\n"
    said = f"exchange two adjectives\n\n{shown}Input: {CAPTION}\nOutput:"
    assert server.bodies[-1]["messages"] == [{"role": "user", "content": said}]


def test_what_was_refused_once_is_not_sent_again(ask):
    _, server = ask(ADAPTS["seed"], [f"{CAPTION} number {number}" for number in range(60)])
    refused = sum("seed" in body for body in server.bodies)
    assert (refused <= 4, len(server.bodies) - refused) == (True, 60)


def test_settings_replace_fields_and_leave_them_out(ask):
    without = {"stop": None, "seed": None, "max_tokens": None}
    added = {"temperature": 1, "max_completion_tokens": 500, "reasoning_effort": "none"}
    _, server = ask(lambda body, text: text, options=without | added)
    body = server.bodies[0]
    assert {name: body[name] for name in added} == added
    assert not without.keys() & body.keys()


@pytest.mark.parametrize(("model", "settings"), [({"owned_by": "vllm"}, {}), ({}, {"forced_start": True})])
def test_where_vllm_serves_the_model_its_answer_is_begun_as_in_this_process(ask, model, settings):
    _, server = ask(lambda body, text: text, model=model, **settings)
    body = server.bodies[0]
    assert body["messages"][-1] == {"role": "assistant", "content": "Output:"}
    assert not body["messages"][-2]["content"].endswith("Output:")
    assert (body["continue_final_message"], body["add_generation_prompt"], body["stop"]) == (True, False, ["\n"])
    assert body["chat_template_kwargs"]["enable_thinking"] is False


def test_a_begun_answer_that_is_refused_is_left_out(ask):
    rows, server = ask(unless(has("continue_final_message"), "continue_final_message is not supported"), forced_start=True)
    assert {row.status for row in rows} == {"ok"}
    assert server.bodies[-1]["messages"][-1]["content"].endswith("\nOutput:")


def test_a_context_that_cannot_hold_the_prompts_is_said_before_anything_is_asked(ask):
    with pytest.raises(ConfigError, match="context is 10 tokens, and the longest prompt has at least 1"):
        ask(lambda body, text: pytest.fail("asked"), model={"max_model_len": 10})


def test_a_caption_that_is_too_long_for_the_model_cannot_be_sent_and_is_not_retried(ask):
    long = f"{CAPTION} and " * 12 + "a tree"
    too_long = unless(lambda body: "and a tree" in body["messages"][-1]["content"], TOO_LONG)
    rows, server = ask(too_long, [CAPTION, long])
    assert [row.status for row in rows] == ["ok", "inapplicable"]
    assert len(server.bodies) == 2


def test_a_refusal_that_repeats_the_caption_is_not_read_as_one_of_its_words():
    caption = "a stop sign and a seed"
    told = refusal_of({"error": {"message": f"blocked: {caption}", "input": {"temperature": 1}}}, caption)
    assert Form().without(told) is None


SAYINGS = {
    "logprobs": ("logprobs are not supported for reasoning models", "You cannot use log probabilities with this model"),
    "seed": ("Extra inputs are not permitted: seed", "'seed' is not a valid parameter", "Random seed is not supported"),
    "stop": ("property 'stop' is unsupported", "`stop` : value must be null", "Stop words are not supported"),
    "max_tokens": ("max_tokens must be at least 256", "The parameter maxTokens is not supported"),
    "a temperature of our own": ("temperature must be in (0, 1]", "only temperature=1 is allowed for this model"),
    "top_p": ("topP is not supported", "Parameter top-p: unsupported"),
    "chat_template_kwargs": ('Unknown name "chat_template_kwargs": Cannot find field.', "enable_thinking is not supported"),
    "a system turn": (
        "Invalid role: system",
        "messages.0.role: Input should be 'user' or 'assistant'",
        "unexpected message role.",
    ),
}
TOO_LONG_SAYINGS = (
    "'max_tokens' is too large: 64. This model's maximum context length is 2048 tokens",
    "the request exceeds the available context size. try increasing the context size",
    "prompt is too long: 5000 tokens > 4096 maximum",
    "Please reduce the length of the messages or completion.",
    "input tokens (3000) exceed the limit of 2048",
)


@pytest.mark.parametrize(("refused_part", "saying"), [(part, each) for part, all_of in SAYINGS.items() for each in all_of])
def test_a_refusal_is_understood_in_other_words(refused_part, saying):
    assert Form().without(saying).less_than(Form()) == refused_part


@pytest.mark.parametrize("saying", TOO_LONG_SAYINGS)
def test_a_request_that_is_too_long_is_no_refusal_of_a_part(saying):
    assert says_too_long(saying)
    assert Form().without(saying) is None
