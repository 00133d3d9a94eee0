"""Settings of the generate stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from degla.catalog import path_checksum, paths_checksum
from degla.config import NO_EFFECT, Config, StageConfig, validate
from degla.errors import MissingInputError
from degla.home import prompts_dir
from degla.negative_types import NEGATIVE_TYPES, NegativeType
from degla.network import hub_unreachable, unreachable
from degla.sources.options import Column, SourceOptions

BackendName = Literal["rules", "choice", "vllm", "openai"]
ImportColumn = Literal["image_id", "caption", "negative", "type"]

WITH_PROMPT: frozenset[BackendName] = frozenset(("vllm", "openai"))
WITH_ENGINE: frozenset[BackendName] = frozenset(("choice", "vllm"))
WITH_MODEL = WITH_PROMPT | WITH_ENGINE

TINY_MODEL = "tiny-random-llama"
"""Name of the model that is made on the spot: a real architecture with random weights, to try the engine without a download."""


GGUF = (
    'convert it to a folder with config.json, tokenizer.json and safetensors (docs/generation.md, "Which model"), or'
    " serve it with llama.cpp or Ollama and use attempts=[openai]"
)
"""What to do with a model in llama.cpp's form, which the engine in this process does not load."""


class Sampling(Config):
    """How a language model samples."""

    temperature: float = Field(0.7, ge=0)
    """Temperature of the first attempt of `vllm` and `openai`."""

    retry_temperature: float = Field(1.0, ge=0)
    """Temperature of every later attempt, which also has a new seed."""

    top_p: float = Field(0.9, gt=0, le=1)
    """Probability mass of nucleus sampling."""

    max_tokens: int = Field(64, ge=4)
    """Largest number of tokens in an answer; one that reaches it is refused as truncated."""


class EngineConfig(Config):
    """The model that vLLM runs, one copy per GPU."""

    model: str = ""
    """Folder of the model, or its name on the Hugging Face hub."""

    revision: str | None = None
    """Commit, branch or tag of a model from the hub. The fingerprint holds the commit, which is what is loaded too: a branch
    that moves makes a new artifact."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations. In float32 a row does not depend on its batch; see `max_num_seqs`."""

    kv_cache_dtype: str = "auto"
    """Number format of the key-value cache; `fp8` halves the bytes that decoding reads."""

    max_model_len: int | None = Field(None, ge=64)
    """Context length in tokens; empty takes what the prompts need."""

    tensor_parallel_size: int = Field(1, ge=1)
    """GPUs that share one copy of the model. More than one needs as many free GPUs for each worker."""

    max_num_seqs: int = Field(1024, ge=1, json_schema_extra=NO_EFFECT)
    """Rows that the engine computes at once. Not in the fingerprint: it changes logits by rounding only, as do the number of GPUs
    and a restart. In bfloat16 and float16 rounding can flip a sampled token, so that a few rows read differently; in float32, or
    with VLLM_BATCH_INVARIANT=1 in the environment, they do not."""

    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, json_schema_extra=NO_EFFECT)
    """Share of a GPU's memory that vLLM takes."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of `vllm.LLM`."""

    @model_validator(mode="after")
    def _loadable(self) -> EngineConfig:
        if self.model.lower().endswith(".gguf"):
            raise ValueError(f"model={self.model!r} is a GGUF file: {GGUF}")
        return self

    def check_folder(self) -> None:
        """Look whether a folder holds a model that vLLM loads. Raises MissingInputError if it holds only GGUF files."""
        folder = Path(self.model)
        if not folder.is_dir():
            return
        suffixes = {path.suffix.lower() for path in folder.iterdir()}
        if ".gguf" in suffixes and not {".safetensors", ".bin"} & suffixes:
            raise MissingInputError(f"generate.engine.model={self.model!r} holds only GGUF files: {GGUF}")

    def on_hub(self) -> bool:
        """Whether the model is a name on the hub, and not a folder or the tiny model."""
        return self.model.count("/") == 1 and not self.model.startswith((".", "/")) and not Path(self.model).is_dir()

    def commit(self) -> str:
        """The commit of a model on the hub: `revision` if it is one, else what the hub, or the cache if it is out of reach, says.

        Raises:
            MissingInputError: neither the hub nor the cache knows the model or the revision.
        """
        if re.fullmatch("[0-9a-f]{40}", self.revision or ""):
            return str(self.revision)
        from huggingface_hub import constants, hf_hub_download  # 0.3 s to import

        cached = bool(hub_unreachable(constants.ENDPOINT))
        try:
            file = hf_hub_download(self.model, "config.json", revision=self.revision, local_files_only=cached)
            return Path(file).parent.name
        except Exception as error:  # of many types: network, access, cache
            gguf = f" If it holds GGUF files only: {GGUF}." if "gguf" in self.model.lower() else ""
            raise MissingInputError(
                f"generate.engine.model: the commit of {self.model!r} ({self.revision or 'main'}) is unknown: {error}{gguf} Give"
                " engine.revision a commit (40 hex digits), run once with access to the hub, or give a folder."
            ) from error


class ServerConfig(Config):
    """An OpenAI-compatible server that answers for `openai`."""

    url: str = Field("http://localhost:8000/v1", json_schema_extra=NO_EFFECT)
    """Base URL, such as `http://localhost:8000/v1`."""

    model: str = ""
    """The model's name on the server."""

    api_key_variable: str = Field("OPENAI_API_KEY", json_schema_extra=NO_EFFECT)
    """Environment variable that holds the API key; if it is not set, no key is sent."""

    concurrency: int = Field(256, ge=1, json_schema_extra=NO_EFFECT)
    """Largest number of requests in flight."""

    timeout: float = Field(60.0, gt=0, json_schema_extra=NO_EFFECT)
    """Seconds before a request is aborted and retried."""

    retries: int = Field(5, ge=0, json_schema_extra=NO_EFFECT)
    """Retries of a request after a timeout, a broken connection or a server error."""

    forced_start: bool | None = None
    """Whether the model continues an answer that we began with `Output:`. Empty: if the server says that it is vLLM."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Further fields of a request, such as `reasoning_effort: none`. They replace ours (`temperature`, `stop`, `max_tokens`,
    `seed`, ...); an empty value leaves a field out."""


_COLUMNS = {
    "image_id": "image_column",
    "caption": "caption_column",
    "negative": "negative_column",
    "type": "type_column",
}


class Import(Config):
    """Negatives that others wrote, filtered like our own."""

    path: str
    """The file, a folder or a pattern: any form of `docs/data.md` that holds negatives."""

    format: str = ""
    """Name of its format, such as `degla` or `negclip`; empty or `table` recognises it."""

    name: str = ""
    """The rows' generator is `import:<name>`; empty takes the file's name."""

    columns: dict[ImportColumn, Column | tuple[Column, ...]] = Field(default_factory=dict)
    """Our column to the file's, several for `negative`; others are recognised. Without `type` it is inferred."""

    options: dict[str, Any] = Field(default_factory=dict)
    """How the file is read, such as `{separator: ";"}` (`docs/data.md`)."""

    def files(self) -> list[Path]:
        """The files that `path` means. Raises MissingInputError if there is none."""
        from degla.sources.source import find_files

        try:
            return find_files(self.path)
        except MissingInputError as error:
            raise MissingInputError(f"{error}; check generate.imports") from error

    def source_options(self) -> SourceOptions:
        """The format, columns and options as one. Raises ConfigError at an option that there is not."""
        named = {_COLUMNS[name]: column for name, column in self.columns.items()}
        given = {} if self.format in ("", "table") else {"format": self.format}
        return validate(SourceOptions, {**given, **named, **self.options}, f"generate.imports, {self.path}, options")


class GenerateConfig(StageConfig):
    """Generate: which types of negatives, how many, and by which back ends."""

    stage: ClassVar[str] = "generate"
    version: ClassVar[int] = 7
    needs: ClassVar[tuple[str, ...]] = ("prepare",)

    types: tuple[NegativeType, ...] = NEGATIVE_TYPES
    """The negative types to ask for."""

    attempts: tuple[BackendName, ...] = ("rules",)
    """Back ends asked for a rewrite, in this order until one passes the judge. `rules`: tags and lexicons, on the CPU.
    `vllm`: a language model. `choice`: of the rules' rewrites, the one that a language model finds likeliest. `openai`: a
    server. List a back end twice to retry with a new seed at `retry_temperature`. Empty: imports only."""

    per_caption: int = Field(5, ge=1)
    """Target number of rewrites for a caption: if fewer types fit, a type gives several."""

    max_per_type: int = Field(5, ge=1)
    """Largest number of rewrites of one type for a caption."""

    min_sense: float | None = -2.0
    """Rewrites by rules must say what captions say: who does what, what is where and what is described how must all be at least
    this much likelier than by chance, in nats (a dog on a couch 0.4, a couch on a dog -7.9). Unset, all are proposed."""

    vocabulary: Literal["corpus", "lexicon"] = "corpus"
    """Words that the rules may put in: those that the dataset's own captions use, or the whole lexicon."""

    sampling: Sampling = Sampling()
    """How a language model samples."""

    prompts: str | None = Field(None, json_schema_extra=NO_EFFECT)
    """Folder of the prompt files; empty takes the checkout's `prompts/`. Their content is part of the fingerprint."""

    engine: EngineConfig = EngineConfig()
    """The model of `vllm` and `choice`."""

    server: ServerConfig = ServerConfig()
    """The server of `openai`."""

    imports: tuple[Import, ...] = ()
    """Negatives made by others, added to the generated ones; they do not count towards `per_caption`."""

    min_hit_rate: float = Field(0.9, ge=0, le=1, json_schema_extra=NO_EFFECT)
    """Fail if, after 2,000 rows of a type, a smaller share of its prompt tokens came from the prefix cache."""

    useless_answers: int = Field(200, ge=0, json_schema_extra=NO_EFFECT)
    """Fail if that many answers of a back end have come and none of them can be used; 0 never fails."""

    seed: int = 0
    """Seed of every draw; a row's own seed is a hash of it, the caption, the type, the candidate and the attempt."""

    unit_size: int | None = Field(None, ge=1, json_schema_extra=NO_EFFECT)
    """Captions per resumable unit, which is what a kill loses at most of each worker's; the rows are the same. Empty: 2,000, or
    200 with a language model."""

    workers: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Number of processes; 0 takes every core for rules, every GPU for an engine, one for a server."""

    @model_validator(mode="after")
    def _complete(self) -> GenerateConfig:
        if not self.attempts and not self.imports:
            raise ValueError("attempts and imports are both empty: nothing to generate; set one of them")
        if WITH_ENGINE & set(self.attempts) and not self.engine.model:
            raise ValueError(f"attempts {list(self.attempts)} need engine.model: a folder, a hub name, or {TINY_MODEL!r}")
        if "openai" in self.attempts and not self.server.model:
            raise ValueError("attempts with openai need server.model: the model's name on the server")
        return self

    def captions_per_unit(self) -> int:
        """`unit_size`, or what suits the back ends: rules rewrite 2,000 captions in 3 s, a model 200 in seconds or an hour."""
        return self.unit_size or (200 if WITH_MODEL & set(self.attempts) else 2000)

    def prompts_path(self) -> Path:
        """The folder of the prompt files. Raises MissingInputError if it does not exist."""
        path = Path(self.prompts).absolute() if self.prompts else prompts_dir()
        if not path.is_dir():
            raise MissingInputError(f"no prompts folder at {path}; set generate.prompts, or run from the checkout")
        return path

    def raw_inputs(self) -> dict[str, str]:
        raw = {f"import:{number}": paths_checksum(each.files()) for number, each in enumerate(self.imports)}
        if WITH_PROMPT & set(self.attempts):
            folder = self.prompts_path()
            raw |= {f"prompt:{name}": path_checksum(_existing(str(folder / f"{name}.yaml"))) for name in self.types}
        if WITH_ENGINE & set(self.attempts) and Path(self.engine.model).is_dir():
            self.engine.check_folder()
            raw["model"] = path_checksum(Path(self.engine.model))
        elif WITH_ENGINE & set(self.attempts) and self.engine.on_hub():
            raw["model"] = self.engine.commit()
        elif WITH_ENGINE & set(self.attempts) and self.engine.model.startswith((".", "/", "~")):
            raise MissingInputError(f"generate.engine.model={self.engine.model!r}: there is no such folder")
        return raw

    def estimate(self, root: Path) -> str:
        """Looks whether the model server is there."""
        if "openai" in self.attempts and (reason := unreachable(self.server.url)):
            raise MissingInputError(
                f"generate.server.url={self.server.url}: no server answers there ({reason}). Start it, give another URL, or"
                f" choose other generate.attempts."
            )
        return ""


def _existing(path: str) -> Path:
    found = Path(path).absolute()
    if not found.is_file():
        raise MissingInputError(f"no file at {found}; check generate.prompts")
    return found
