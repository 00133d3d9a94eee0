"""Load a CLIP strictly: every key and shape must match, and so must the activation and the preprocessing.

open_clip only warns about a wrong activation and resizes position embeddings that do not fit; both give silently worse
models, so here both are errors. Knows nothing of stages.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

from degla.errors import MissingInputError, ModelError
from degla.models.hub import model_config, tag_config, tag_weights
from degla.models.ref import LOCAL_DIR, RANDOM, WEIGHTS_SUFFIXES, ModelRef
from degla.models.weights import like, read_metadata, read_weights

logger = logging.getLogger(__name__)

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
)

Activation = Literal["quickgelu", "gelu"]
Tokenizer = Callable[..., Tensor]
"""From texts, and a `context_length` if it is not the model's, to int64 (texts, context length), padded."""


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its images: side or (height, width) in pixels, and the mean and deviation of [0, 1] colours."""

    size: int | tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"

    @property
    def height_width(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def as_config(self) -> dict[str, Any]:
        """The settings as open_clip's `preprocess_cfg`."""
        size = self.size if isinstance(self.size, int) else list(self.size)
        settings = {"size": size, "mean": list(self.mean), "std": list(self.std)}
        return settings | {"interpolation": self.interpolation, "resize_mode": self.resize_mode}


@dataclass(frozen=True)
class LoadedClip:
    """A CLIP in eval mode with everything that belongs to its weights."""

    model: open_clip.CLIP
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    preprocess: Callable[[Image.Image], Tensor]
    """For evaluation: from an image to float32 (3, height, width)."""
    architecture: dict[str, Any]
    """open_clip's `model_cfg`."""
    tokenizer_files: tuple[Path, ...]
    """Empty if the tokenizer is open_clip's own BPE."""

    @property
    def activation(self) -> Activation:
        return activation_of(self.architecture)

    @property
    def context_length(self) -> int:
        """Tokens per text."""
        return self.model.context_length

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.logit_scale.device


@dataclass(frozen=True)
class _Source:
    """Where a model comes from, before anything is built."""

    name: str
    architecture: dict[str, Any]
    preprocess_cfg: dict[str, Any]
    folder: Path | None = None
    from_file: bool = False


def load(ref: ModelRef, device: str | torch.device = "cpu", seed: int = 0, any_tower: bool = False) -> LoadedClip:
    """Build the model that `ref` names and load its weights, in float32 and eval mode.

    Args:
        ref: architecture and weights.
        device: where the model goes.
        seed: for `random` weights.
        any_tower: take models with another text tower too (SigLIP, CoCa): they can be scored, not fine-tuned.

    Raises:
        MissingInputError: a folder or file does not exist, or a download fails.
        ModelError: weights and architecture differ in keys, shapes, activation or preprocessing; or the architecture is
            unknown, or is not a CLIP with open_clip's own text transformer (without `any_tower`).
    """
    source = _find(ref)
    weights = _weights(ref, source)
    preprocess_cfg = source.preprocess_cfg
    if isinstance(weights, str) and weights != RANDOM:
        preprocess_cfg = _tag_config(source, weights) | preprocess_cfg
    model = _build(source, seed, any_tower)
    preprocessing = _preprocessing(model, preprocess_cfg)
    if isinstance(weights, Path):
        _check_metadata(weights, source, preprocessing)
        load_strictly(model, read_weights(weights), str(weights), source.name)
    elif weights != RANDOM:
        open_clip.load_checkpoint(model, str(tag_weights(source.name, weights)), strict=True)
    return LoadedClip(
        model=model.to(device).eval(),
        tokenizer=_tokenizer(source),
        preprocessing=preprocessing,
        preprocess=image_transform_v2(PreprocessCfg(**preprocessing.as_config()), is_train=False),
        architecture=source.architecture,
        tokenizer_files=_tokenizer_files(source),
    )


def activation_of(architecture: Mapping[str, Any]) -> Activation:
    """The activation that a `model_cfg` asks for."""
    return "quickgelu" if architecture.get("quick_gelu", False) else "gelu"


def load_strictly(model: torch.nn.Module, state: Mapping[str, Tensor], what: str, name: str) -> None:
    """Copy `state` into `model`; the logit scale may be 0-d or of shape (1,).

    Raises:
        ModelError: a key is missing or unexpected, or a shape differs; `what` (the file) and `name` (the model) are named.
    """
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    state = {key: value.reshape(expected[key]) if _is_scale(key, value, expected) else value for key, value in state.items()}
    faults = _differences(expected, {key: tuple(value.shape) for key, value in state.items()})
    if faults:
        raise _mismatch(faults, what, name, like(state))
    model.load_state_dict(state)


def check_shapes(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], what: str, name: str) -> None:
    """Raises ModelError if keys or shapes differ; `what` (the file) and `name` (the model) are named."""
    faults = _differences(expected, found)
    if faults:
        raise _mismatch(faults, what, name)


def _mismatch(faults: Sequence[str], what: str, name: str, hint: str = "") -> ModelError:
    return ModelError(
        f"{what} does not match the model {name}: {'; '.join(faults)}. Name the architecture that these weights were"
        f" trained with{f' ({hint})' if hint else ''}, or other weights."
    )


def _is_scale(key: str, value: Tensor, expected: Mapping[str, tuple[int, ...]]) -> bool:
    return key in ("logit_scale", "logit_bias") and key in expected and value.numel() == 1


def _differences(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    shapes = [
        f"{key} is {found[key]}, expected {shape}" for key, shape in expected.items() if key in found and found[key] != shape
    ]
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    faults = [("missing keys", missing), ("unexpected keys", unexpected), ("shapes", shapes)]
    return [f"{len(keys)} {kind}: {_first(keys)}" for kind, keys in faults if keys]


def _first(items: Sequence[str], limit: int = 4) -> str:
    return ", ".join(items[:limit]) + (", ..." if len(items) > limit else "")


def _find(ref: ModelRef) -> _Source:
    folder = ref.folder()
    if folder is not None:
        architecture, preprocess_cfg = _read_config(folder / CONFIG_FILE)
        return _Source(ref.architecture, architecture, preprocess_cfg, folder=folder)
    config_file = ref.config_file()
    if config_file is not None:
        architecture, preprocess_cfg = _read_config(config_file)
        return _Source(ref.architecture, architecture, preprocess_cfg, from_file=True)
    return _Source(ref.architecture, model_config(ref.architecture), {})


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} does not exist; a model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}") from error
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a readable JSON file: {error}") from error
    architecture = data.get("model_cfg", data) if isinstance(data, dict) else {}
    lacking = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in architecture]
    if lacking:
        raise ModelError(f"{path} is not an open_clip model config: {', '.join(lacking)} missing")
    return architecture, data.get("preprocess_cfg", {})


def _weights(ref: ModelRef, source: _Source) -> Path | str:
    """A weights file, an open_clip tag, or `random`."""
    if ref.weights == RANDOM:
        return RANDOM
    if ref.weights.endswith(WEIGHTS_SUFFIXES):
        return _existing(Path(ref.weights))
    if source.folder is not None and not ref.weights:
        return _existing(source.folder / WEIGHTS_FILE)
    if source.folder is not None or source.from_file or not ref.weights:
        allowed = "a weights file" if source.folder or source.from_file else "an open_clip tag, a weights file"
        raise ModelError(f"model.weights={ref.weights!r} for {source.name!r}: expected {allowed} or {RANDOM!r}")
    return ref.weights


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissingInputError(f"weights file {path} does not exist")
    return path


def _tag_config(source: _Source, tag: str) -> dict[str, Any]:
    config = tag_config(source.name, tag)
    asked, trained = activation_of(source.architecture), activation_of(config)
    if asked != trained:
        base = source.name.removesuffix("-quickgelu")
        right = f"{base}-quickgelu" if trained == "quickgelu" else base
        raise ModelError(
            f"{source.name} computes {asked}, but its weights {tag!r} were trained with {trained}:"
            f" the model would load and be silently worse. Use model.architecture={right}."
        )
    return config


def _build(source: _Source, seed: int, any_tower: bool) -> open_clip.CLIP:
    architecture = deepcopy(source.architecture)
    kind: type[torch.nn.Module] = open_clip.CLIP
    if architecture.pop("custom_text", False) or "hf_model_name" in architecture["text_cfg"]:
        kind = open_clip.CustomTextCLIP
    if "multimodal_cfg" in architecture:
        kind = open_clip.CoCa
    if kind is not open_clip.CLIP and not any_tower:
        raise ModelError(f"{source.name} has another text tower than open_clip's CLIP; degla can score it but not fine-tune it")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return kind(**architecture)
    except OSError as error:  # a text tower by transformers wants its config from the hub
        raise MissingInputError(
            f"{source.name} needs a file of the hub that is not in the cache: {error}. Run once with access to the hub."
        ) from error
    except (TypeError, ValueError, AssertionError, ZeroDivisionError) as error:
        raise ModelError(f"{source.name} is not an architecture open_clip can build: {error}") from error


def _preprocessing(model: open_clip.CLIP, preprocess_cfg: Mapping[str, Any]) -> Preprocessing:
    default = PreprocessCfg()
    return Preprocessing(
        size=_as_size(model.visual.image_size),
        mean=tuple(preprocess_cfg.get("mean") or default.mean),
        std=tuple(preprocess_cfg.get("std") or default.std),
        interpolation=preprocess_cfg.get("interpolation") or default.interpolation,
        resize_mode=preprocess_cfg.get("resize_mode") or default.resize_mode,
    )


def _as_size(size: Any) -> int | tuple[int, int]:
    if isinstance(size, int):
        return size
    height, width = size
    return height if height == width else (height, width)


def metadata_of(architecture: Mapping[str, Any], preprocessing: Preprocessing) -> dict[str, str]:
    """Metadata of an exported weights file, so that it is not loaded into a model that computes otherwise."""
    preprocess = json.dumps(preprocessing.as_config(), sort_keys=True)
    return {"format": "pt", "activation": activation_of(architecture), "preprocess_cfg": preprocess}


def _check_metadata(path: Path, source: _Source, preprocessing: Preprocessing) -> None:
    written = read_metadata(path)
    advice = {"activation": "set quick_gelu in the model config", "preprocess_cfg": "put it into the model config"}
    for key, asked in metadata_of(source.architecture, preprocessing).items():
        if key in advice and written.get(key, asked) != asked:
            raise ModelError(
                f"{path} was trained with {key} {written[key]}, but {source.name} asks for {asked}: {advice[key]} as trained."
            )
    quick = f"{source.name}-quickgelu"
    if "activation" not in written and activation_of(source.architecture) == "gelu" and quick in open_clip.list_models():
        logger.warning(
            "%s does not state its activation, and %s computes plain GELU. Weights that go back to"
            " OpenAI's (NegCLIP, CE-CLIP, DeGLA) need model.architecture=%s; otherwise they are silently worse.",
            *(path, source.name, quick),
        )


def _tokenizer(source: _Source) -> Tokenizer:
    text = source.architecture["text_cfg"]
    if source.from_file and "hf_tokenizer_name" in text:
        raise ModelError(f"{source.name} names a tokenizer of its own; give its whole folder as {LOCAL_DIR}PATH")
    if source.from_file:
        tokenizer = SimpleTokenizer(context_length=text.get("context_length", 77))
    else:
        try:
            tokenizer = open_clip.get_tokenizer(f"{LOCAL_DIR}{source.folder}" if source.folder else source.name)
        except OSError as error:  # transformers' tokenizers come from the hub
            raise MissingInputError(
                f"the tokenizer of {source.name} was not found and could not be downloaded: {error}"
            ) from error
    size = text.get("vocab_size", 49408)
    if isinstance(tokenizer, SimpleTokenizer) and size < tokenizer.vocab_size:
        raise ModelError(f"{source.name}: vocab_size {size} is less than the {tokenizer.vocab_size} of open_clip's tokenizer")
    return tokenizer


def _tokenizer_files(source: _Source) -> tuple[Path, ...]:
    if source.folder is None:
        return ()
    return tuple(source.folder / name for name in TOKENIZER_FILES if (source.folder / name).is_file())
