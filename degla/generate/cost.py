"""The cost of a run before it starts: requests, tokens with and without prefix cache, GPU hours, rewrites kept.

A sample of the captions goes through the `Asking` of a real run, with the real rules, and with random draws in place of language
models. If no captions are prepared yet, captions with COCO's mix of parts of speech are assumed. Hours are a roofline
estimate (prefill bound by compute, decoding by memory bandwidth) on the machine at hand; `degla.generate.watcher` logs measured
rates during the run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from degla.errors import ConfigError
from degla.generate.asking import Asking, Caption
from degla.generate.backend import Backend, Origin, Request, Rewrite, Usage
from degla.generate.backends import load_prompts
from degla.generate.config import TINY_MODEL, WITH_ENGINE, WITH_PROMPT, BackendName, GenerateConfig
from degla.generate.language_models.prompts import Prompt, question, shown_text
from degla.generate.language_models.vllm_engine import LEAST_ROOM
from degla.generate.machine import Machine, machine
from degla.generate.routing import unusable
from degla.generate.rules.rules_backend import RulesBackend
from degla.generate.rules.vocabulary import Vocabulary
from degla.negative_types import TRAITS, NegativeType
from degla.text.lexicon import load_lexicon

_SAMPLE = 1000  # captions
_ENOUGH = 4  # negatives of a caption that a training step uses
_BLOCK = 16  # tokens of a cache block on a GPU

# Share of captions of COCO val2017 by nouns and adjectives (2: two or more).
_PARTS_OF_SPEECH = {(1, 0): 0.002, (1, 1): 0.004, (1, 2): 0.002, (2, 0): 0.486, (2, 1): 0.326, (2, 2): 0.18}
_CHARACTERS_PER_TOKEN = 4.3  # English prose, Llama 3's tokenizer
_SCORED_TEXTS = 8  # of a row of `choice`: the rules propose 7.0 on COCO val2017, where they have any, and the caption
_CAPTION_TOKENS = 13  # a COCO caption with its closing words
_LLAMA_8B = {"parameters": 8.03e9, "layers": 32, "width": 4096, "kv_bytes": 131_072}

# What the judge accepts of the first answers of small instruct models (COCO val2017, CPU, vLLM 0.32), by their most parameters.
# For larger ones, which were not measured, `model_yield` of the types stands: ChatGPT's.
_ACCEPTED_OF_SMALL = {
    0.5e9: (0.005, "4 of 753, as of SmolLM2-135M-Instruct"),
    4e9: (0.10, "37 of 375, as of Qwen2.5-Coder-1.5B-Instruct"),
}


@dataclass
class Estimate:
    """What a run is expected to ask, keep and cost. Tokens and hours are those of back ends with a model in this process."""

    captions: int
    sampled: str
    """Where the figures per caption come from."""
    requests: Counter[str] = field(default_factory=Counter)
    """Requests by back end."""
    not_asked: Counter[str] = field(default_factory=Counter)
    """Captions that nobody is asked about, by reason."""
    kept: float = 0.0
    """Rewrites that pass the judge; the filter's other rules refuse a few of them."""
    share_with_four: float = 0.0
    """Share of captions with four or more of them, as many as a training step uses."""
    prompt_tokens: float = 0.0
    computed_tokens: float = 0.0
    """Prompt tokens that do not come from the prefix cache."""
    output_tokens: float = 0.0
    hit_rate: float | None = None
    hours: tuple[float, float] | None = None
    """Hours of one device with the prefix cache, (lowest, highest)."""
    hours_without_cache: tuple[float, float] | None = None
    machine: str = ""
    """What the hours are of."""
    assumptions: list[str] = field(default_factory=list)


def estimate(config: GenerateConfig, captions: Path | None, num_captions: int | None) -> Estimate:
    """Estimate what a run of these settings will ask and cost.

    Args:
        config: the settings.
        captions: the prepared captions table, where there is one.
        num_captions: how many captions the dataset's card promises, where there is no table.

    Raises:
        InputError: a prompt is missing or broken, or does not fit the model's context.
    """
    if captions is not None:
        num_captions = pq.read_metadata(captions).num_rows
        sample, source = _sample(captions), f"a sample of {min(_SAMPLE, num_captions):,} of the captions"
    else:
        sample, source = _stand_ins(), "captions with COCO's parts of speech (prepare has not run yet)"
    if num_captions is None:
        num_captions, source = 1000, f"{source}; their number is not known, so this is for 1,000"
    result = Estimate(num_captions, source)
    if config.attempts:
        _ask(config, sample, real=captions is not None, result=result)
    if WITH_PROMPT & set(config.attempts):
        _count_tokens(config, load_prompts(config), result)
    if WITH_ENGINE & set(config.attempts):
        _count_hours(config, result)
    if WITH_PROMPT & set(config.attempts):
        _check_context(config, load_prompts(config), sample if captions is not None else [], result)
    return result


def _accepted(config: GenerateConfig, result: Estimate) -> dict[NegativeType, float]:
    """The share of a model's rewrites that the judge accepts, by type; says where it comes from."""
    if not {"vllm", "openai"} & set(config.attempts):
        return {}
    size = _model(config)[0]["parameters"] if Path(config.engine.model).is_dir() and "vllm" in config.attempts else None
    if config.engine.model == TINY_MODEL and "vllm" in config.attempts:
        result.assumptions.append("the tiny model writes nothing that can be used")
        return dict.fromkeys(TRAITS, 0.0)
    for most, (share, source) in _ACCEPTED_OF_SMALL.items():
        if size is not None and size <= most:
            result.assumptions.append(f"the judge accepts {100 * share:g} % of its rewrites ({source})")
            return dict.fromkeys(TRAITS, share)
    unknown = " (its size is not known: of one with 1.5 billion parameters 10 %, with 0.1 billion 0.5 %)" if size is None else ""
    result.assumptions.append(f"the judge accepts 59 to 82 % of its rewrites, as of ChatGPT's in SugarCrepe{unknown}")
    return {name: each.model_yield for name, each in TRAITS.items()}


def _ask(config: GenerateConfig, sample: Sequence[Caption], real: bool, result: Estimate) -> None:
    """Run the sample through the code that asks in a real run, and scale the counts."""
    model = _Drawn(_accepted(config, result))
    drawn = {name: each.rules_yield for name, each in TRAITS.items()}
    rules = RulesBackend(load_lexicon(), Vocabulary(), config.min_sense) if real else _Drawn(drawn)
    backends: dict[BackendName, Backend] = {name: rules if name in ("rules", "choice") else model for name in config.attempts}
    asking = Asking(config, [backends[name] for name in config.attempts], lambda rows: [None] * len(rows))
    scale = result.captions / max(len(sample), 1)
    reasons = Counter(each.unusable.partition(":")[0] for each in sample if each.unusable)
    result.not_asked = Counter({reason: round(count * scale) for reason, count in reasons.items()})
    with_four = 0
    for _, rows in asking.answered(iter(sample)):
        texts = {row.text for row in rows if row.status == "ok"}
        with_four += len(texts) >= _ENOUGH
        for row in rows:
            if row.status != "inapplicable":
                result.requests[config.attempts[row.request.turn]] += 1
    result.kept = asking.tally.usable.total() * scale
    result.share_with_four = with_four / max(len(sample), 1)
    result.requests = Counter({name: round(count * scale) for name, count in result.requests.items()})


def _count_tokens(config: GenerateConfig, prompts: Mapping[NegativeType, Prompt], result: Estimate) -> None:
    requests = sum(result.requests[name] for name in WITH_PROMPT)
    count, counted = _token_counter(config)
    lengths = [count(prompt.rule + shown_text(prompt.shown())) for prompt in prompts.values()]
    prefix = sum(lengths) / len(lengths)
    suffix = _CAPTION_TOKENS + count(question(""))
    in_blocks = prefix - prefix % _BLOCK
    result.prompt_tokens = requests * (prefix + suffix)
    result.computed_tokens = requests * (prefix + suffix - in_blocks) + sum(lengths)
    result.output_tokens = requests * _CAPTION_TOKENS
    result.hit_rate = 1 - result.computed_tokens / max(result.prompt_tokens, 1)
    result.assumptions.append(f"{prefix:,.0f} tokens of a prompt are shared, {suffix:.0f} are a caption's own ({counted})")
    if "openai" in config.attempts:
        result.assumptions.append("a server's GPU hours are not known; its tokens are counted")


def _count_hours(config: GenerateConfig, result: Estimate) -> None:
    """GPU hours of the model in this process: what is read and written, and the texts that `choice` scores."""
    if config.engine.model == TINY_MODEL:
        result.assumptions.append("the tiny model's hours are not estimated")
        return
    (model, name), here = _model(config), machine()
    scored = result.requests["choice"] * _SCORED_TEXTS * _CAPTION_TOKENS
    asked = sum(result.requests[each] for each in WITH_PROMPT)
    context, batch = result.prompt_tokens / max(asked, 1), config.engine.max_num_seqs
    result.machine = here.name if here.devices == 1 else f"{here.name}; {here.devices} of them share these hours"
    computed, without = result.computed_tokens + scored, result.prompt_tokens + scored
    result.hours = _hours(model, computed, result.output_tokens, context, batch, here)
    result.hours_without_cache = _hours(model, without, result.output_tokens, context, batch, here)
    result.assumptions.append(
        f"{name} reaches {here.flops / 1e9:,.0f} Gflop/s in prefill and {here.bandwidth / 1e9:,.0f} GB/s in decoding there,"
        f" within a factor of {here.spread:g}"
    )


def _token_counter(config: GenerateConfig) -> tuple[Callable[[str], float], str]:
    """Counts the tokens of a text: the model's own tokenizer, if it is at hand, or an estimate; and which of the two."""
    path = Path(config.engine.model) / "tokenizer.json"
    if WITH_ENGINE & set(config.attempts) and path.is_file():
        try:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(path))
        except Exception:  # tokenizers raises bare ones: without it, or with another version's file, the estimate does
            pass
        else:
            return lambda text: float(len(tokenizer.encode(text, add_special_tokens=False).ids)), "by its tokenizer"
    return lambda text: len(text) / _CHARACTERS_PER_TOKEN, f"at {_CHARACTERS_PER_TOKEN} characters a token"


def _check_context(
    config: GenerateConfig, prompts: Mapping[NegativeType, Prompt], sample: Sequence[Caption], result: Estimate
) -> None:
    """Say how many captions do not fit a local model's context. Raises ConfigError if a prompt does not."""
    path = Path(config.engine.model) / "config.json"
    said = json.loads(path.read_text()) if WITH_ENGINE & set(config.attempts) and path.is_file() else {}
    limit = config.engine.max_model_len or said.get("max_position_embeddings")
    if not isinstance(limit, int):
        return
    count, counted = _token_counter(config)
    longest = max(count(prompt.rule + shown_text(prompt.shown()) + question("")) for prompt in prompts.values())
    if limit < longest + LEAST_ROOM:
        raise ConfigError(
            f"the context of {config.engine.model} is {limit:,} tokens; the longest prompt has {longest:,.0f} ({counted}), and a"
            f" caption with its answer needs {LEAST_ROOM}. Raise generate.engine.max_model_len, shorten the prompts, or choose"
            " another model."
        )
    room = limit - longest - config.sampling.max_tokens
    too_long = sum(count(caption.text) > room for caption in sample)
    if too_long:
        share = too_long / len(sample)
        result.assumptions.append(
            f"{100 * share:.1f} % of the captions (about {share * result.captions:,.0f}) do not fit the model's context"
            f" ({limit:,} tokens): they are not asked of it"
        )


def _hours(
    model: Mapping[str, float], computed: float, output: float, context: float, batch: int, here: Machine
) -> tuple[float, float]:
    prefill = computed * (2 * model["parameters"] + 4 * model["layers"] * model["width"] * context) / here.flops
    decode = output * (2 * model["parameters"] / min(batch, 1024) + context * model["kv_bytes"]) / here.bandwidth
    hours = (prefill + decode) / 3600
    return hours / here.spread, hours * here.spread


def _model(config: GenerateConfig) -> tuple[Mapping[str, float], str]:
    """Size by the model's config.json; if it cannot be read, that of Llama 3.1 8B."""
    path = Path(config.engine.model) / "config.json"
    if not path.is_file():
        return _LLAMA_8B, f"{config.engine.model} is not a local folder; assumed to have 8 billion parameters"
    said: dict[str, Any] = json.loads(path.read_text())
    try:
        width, layers, heads = said["hidden_size"], said["num_hidden_layers"], said["num_attention_heads"]
        kv_width = said.get("num_key_value_heads", heads) * (said.get("head_dim") or width // heads)
        per_layer = 2 * width * width + 2 * width * kv_width + 3 * width * said["intermediate_size"]
        parameters = 2 * said["vocab_size"] * width + layers * per_layer
    except (KeyError, TypeError):
        return _LLAMA_8B, f"{path} lacks sizes; assumed to have 8 billion parameters"
    size = {"parameters": float(parameters), "layers": layers, "width": width, "kv_bytes": 4.0 * layers * kv_width}
    return size, f"{Path(config.engine.model).name} ({parameters / 1e9:.2g} billion parameters)"


def describe(result: Estimate) -> list[str]:
    """The estimate as lines of text."""
    asked = ", ".join(f"{name} {count:,}" for name, count in result.requests.items()) or "none (imports only)"
    not_asked = ", ".join(f"{reason} about {count:,}" for reason, count in result.not_asked.most_common())
    lines = [
        f"captions          {result.captions:,}{f'; not asked: {not_asked}' if not_asked else ''}",
        f"requests          {asked}",
        f"kept, expected    about {result.kept:,.0f} ({result.kept / max(result.captions, 1):.1f} a caption)",
        f"with 4 or more    {100 * result.share_with_four:.0f} % of the captions",
    ]
    if result.hit_rate is not None:
        lines += [
            f"prompt tokens     {_millions(result.prompt_tokens)}, of which {_millions(result.computed_tokens)} are computed"
            f" with the prefix cache (hit rate {result.hit_rate:.3f})",
            f"output tokens     {_millions(result.output_tokens)}",
        ]
    if result.hours and result.hours_without_cache:
        without = _range(result.hours_without_cache)
        lines.append(f"hours             {_range(result.hours)} of {result.machine}; without the prefix cache {without}")
    return [*lines, f"figures from      {result.sampled}", *(f"assumed           {each}" for each in result.assumptions)]


def _range(hours: tuple[float, float]) -> str:
    least, most = (f"{each:,.0f}" if each >= 10 else f"{each:.2g}" for each in hours)
    return f"{least} to {most}"


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f} M" if count < 1e9 else f"{count / 1e9:,.2f} G"


def _sample(captions: Path) -> list[Caption]:
    """Captions spread evenly over the table."""
    file = pq.ParquetFile(captions)
    each = max(1, _SAMPLE // file.num_row_groups)
    found = []
    for group in range(min(file.num_row_groups, _SAMPLE)):
        table = file.read_row_group(group, columns=["caption_id", "caption", "tokens", "tags"])
        step = max(1, table.num_rows // each)
        found += table.take(list(range(0, table.num_rows, step))[:each]).to_pylist()
    return [
        Caption(
            (row["caption_id"],), text := row["caption"], tuple(row["tokens"]), tuple(row["tags"]), unusable(text, row["tokens"])
        )
        for row in found
    ]


def _stand_ins() -> list[Caption]:
    """Captions without words, with parts of speech as frequent as in COCO val2017."""
    found: list[Caption] = []
    for (nouns, adjectives), share in _PARTS_OF_SPEECH.items():
        tags = ("NN1",) * nouns + ("AJ0",) * adjectives
        for _ in range(round(share * _SAMPLE)):
            number = len(found)
            found.append(Caption((number,), f"caption {number}", tags, tags))
    return found


class _Drawn:
    """A back end that answers with probability `chances[type]`."""

    capacity = least = 1
    enumerates = False

    def __init__(self, chances: Mapping[NegativeType, float]) -> None:
        self.usage = Usage()
        self._chances = chances
        self._rows: list[Rewrite] = []

    def origin(self, negative_type: NegativeType) -> Origin:
        return Origin("drawn", "")

    def submit(self, requests: Sequence[Request]) -> None:
        self._rows += map(self._answer, requests)

    def _answer(self, request: Request) -> Rewrite:
        if Random(request.seed).random() < self._chances[request.type]:
            return Rewrite(request, self.origin(request.type), "ok", f"{request.type} {request.candidate}")
        return Rewrite(request, self.origin(request.type), "failed")

    def collect(self) -> list[Rewrite]:
        rows, self._rows = self._rows, []
        return rows

    def close(self) -> None:
        self._rows = []
