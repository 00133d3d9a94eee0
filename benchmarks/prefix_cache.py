"""What the prefix cache and prompts as token ids save: CPU seconds per request, with and without, in turns.

    python benchmarks/prefix_cache.py

The real prompts (about 1,600 tokens) on vLLM's own engine with a random LLaMA of 29 M parameters, large enough that reading
a prompt costs something. Two engines live in two child processes of one thread each, one with the cache and one without; a
round measures one after the other. Every round of the first begins with an empty cache. Writes nothing; takes minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from degla.generate.backend import Request, row_seed
from degla.generate.config import EngineConfig, Sampling
from degla.generate.language_models.engine_backends import VllmBackend
from degla.generate.language_models.prompts import load_prompt
from degla.generate.language_models.tiny_model import Size, make_tiny_model
from degla.generate.language_models.vllm_engine import VllmEngine
from degla.home import prompts_dir
from degla.negative_types import NegativeType

ROUNDS = 3
FRONT_END_ROUNDS = 7
TYPES: tuple[NegativeType, ...] = ("swap_nouns", "replace_adjectives")
CAPTIONS_CACHED, CAPTIONS_UNCACHED, CAPTIONS_FRONT_END = 40, 3, 100  # a type
OUTPUT_TOKENS = 20
SIZE = Size(layers=8, width=512, heads=8, inner_width=1408)

_engine: VllmEngine  # of the child process


def main() -> None:
    """Measure, and print a table and the line of figures."""
    with tempfile.TemporaryDirectory() as folder, _child(folder, cached=True) as cached, _child(folder, cached=False) as uncached:
        front_end = [cached(_front_end) for _ in range(FRONT_END_ROUNDS)]
        rounds = [(cached(_generate, CAPTIONS_CACHED), uncached(_generate, CAPTIONS_UNCACHED)) for _ in range(ROUNDS)]
    on, off = (median(each[side][0] for each in rounds) for side in (0, 1))
    hit_rate = median(each[0][1] for each in rounds)
    text, ids = (1000 * median(each[side] for each in front_end) for side in (0, 1))
    cpu_ratio = median(each[1][0] / each[0][0] for each in rounds)
    ids_ratio = median(a / b for a, b in front_end)
    print(f"{'':34}{'without':>10}{'with':>10}{'ratio':>8}")
    print(f"{'prefix cache: CPU s per request':34}{off:10.3f}{on:10.3f}{cpu_ratio:8.2f}")
    print(f"{'token ids: front-end CPU ms':34}{text:10.3f}{ids:10.3f}{ids_ratio:8.2f}")
    print(f"hit rate from {CAPTIONS_CACHED} captions a type, cache empty at first: {hit_rate:.3f}")
    print(f"prefix_cache cpu_ratio={cpu_ratio:.2f} hit_rate={hit_rate:.3f} token_ids_ratio={ids_ratio:.2f}")


@contextmanager
def _child(folder: str, cached: bool) -> Iterator[Callable]:
    """A process with an engine of its own; yields a function that calls another in it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _begin, (folder, cached)) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def _begin(folder: str, cached: bool) -> None:
    global _engine
    os.environ |= {"OMP_NUM_THREADS": "1", "DEGLA_HOME": folder}
    model = make_tiny_model(Path(folder) / "model", SIZE)
    config = EngineConfig(model=str(model), dtype="float32", max_num_seqs=16, options={"enable_prefix_caching": cached})
    prompts = {name: load_prompt(prompts_dir(), name) for name in TYPES}
    _engine = VllmEngine(config, prompts, Sampling(max_tokens=OUTPUT_TOKENS))
    _run(_requests(1, "warm up"))


def _generate(captions: int) -> tuple[float, float]:
    """CPU seconds per request, and the share of prompt tokens that came from the cache."""
    _engine.llm.reset_prefix_cache()
    requests = _requests(captions, f"{time.monotonic_ns()}")
    started = time.process_time()
    usage = _run(requests).usage
    return (time.process_time() - started) / len(requests), sum(usage.cached_tokens.values()) / usage.prompt_tokens


def _run(requests: list[Request]) -> VllmBackend:
    backend, answered = VllmBackend(_engine), 0
    backend.submit(requests)
    while answered < len(requests):
        answered += len(backend.collect())
    return backend


def _front_end() -> tuple[float, float]:
    """CPU seconds per request until the engine has it: as one text, then as the ids of the shared prefix and the caption's."""
    requests = _requests(CAPTIONS_FRONT_END, f"{time.monotonic_ns()}")
    return _add(requests, _as_text), _add(requests, _as_ids)


def _add(requests: list[Request], prompt_of: Callable[[Request], dict]) -> float:
    vllm, names = _engine.llm.llm_engine, []
    started = time.process_time()
    for number, request in enumerate(requests):
        params = _engine.params(request.seed, 1.0, OUTPUT_TOKENS)
        names.append(vllm.add_request(str(number), prompt_of(request), params, tokenization_kwargs={"add_special_tokens": False}))
    seconds = time.process_time() - started
    vllm.abort_request(names, internal=True)
    return seconds / len(requests)


def _as_text(request: Request) -> dict:
    prompt = _engine.prompts[request.type]
    return {"prompt": f"{prompt.head} {request.caption}{prompt.tail}"}


def _as_ids(request: Request) -> dict:
    prompt = _engine.prompts[request.type]
    return {"prompt_token_ids": [*prompt.prefix, *prompt.after_prefix(request.caption)]}


def _requests(captions: int, salt: str) -> list[Request]:
    texts = [f"A dog with {number} hats runs along beach {salt}." for number in range(captions)]
    pairs = [(number, text, name) for name in TYPES for number, text in enumerate(texts)]
    return [Request(number, text, (), (), name, 0, 1, row_seed(0, text, name, 0, 1)) for number, text, name in pairs]


if __name__ == "__main__":
    main()
