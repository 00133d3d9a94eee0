"""Load a CLIP strictly: every key and shape must match what `degla.models.source` found, and every weight must be a number.

open_clip only warns of a wrong activation and resizes position embeddings that do not fit; both give silently worse models,
so the first is an error here and the second is done only if asked for. Knows nothing of stages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import resize_pos_embed
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

from degla.errors import MissingInputError, ModelError, first_few
from degla.models import hf_clip
from degla.models.architecture import activation_of, image_size, read_architecture
from degla.models.claims import Preprocessing
from degla.models.hub import tag_weights
from degla.models.lookup import TOKENIZER_FILES
from degla.models.ref import LOCAL_DIR, RANDOM, Activation, ModelRef
from degla.models.source import Source, check_trainable, find
from degla.models.towers import Clip
from degla.models.weights import check_finite, like, read_weights

logger = logging.getLogger(__name__)

Tokenizer = Callable[..., Tensor]
"""From texts, and a `context_length` if it is not the model's, to int64 (texts, context length), padded."""


@dataclass(frozen=True)
class LoadedClip:
    """A CLIP in eval mode with everything that belongs to its weights."""

    model: Clip
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    preprocess: Callable[[Image.Image], Tensor]
    """For evaluation: from an image to float32 (3, height, width)."""
    architecture: dict[str, Any]
    """open_clip's `model_cfg`."""
    tokenizer_files: tuple[Path, ...]
    """Empty if the tokenizer is open_clip's own BPE."""
    note: str = ""
    """What a reader of the model's scores has to know; empty if nothing."""

    def cuts(self, texts: Sequence[str], token_TL: Tensor) -> np.ndarray:
        """Which of these texts, given with their token rows, are longer than the context, bool (T,): one more place changes the
        tokens before it."""
        cut_T = (token_TL[:, -1] != 0).numpy()
        full = np.flatnonzero(cut_T)
        if len(full):
            longer = self.tokenizer([texts[row] for row in full], context_length=token_TL.shape[1] + 1)
            cut_T[full] = (longer[:, :-1] != token_TL[full]).any(dim=1).numpy()
        return cut_T

    @property
    def activation(self) -> Activation:
        return activation_of(self.architecture)

    @property
    def context_length(self) -> int:
        """Tokens per text."""
        return self.architecture["text_cfg"].get("context_length", 77)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.logit_scale.device


def load(ref: ModelRef, device: str | torch.device = "cpu", seed: int = 0, any_tower: bool = False) -> LoadedClip:
    """Build the model that `ref` names and load its weights, in float32 and eval mode.

    Args:
        ref: architecture and weights.
        device: where the model goes.
        seed: for `random` weights.
        any_tower: take models too that can be scored, but not fine-tuned (SigLIP, text towers of transformers).

    Raises:
        MissingInputError: a folder or file does not exist, or a download fails.
        ModelError: weights and architecture differ in keys, shapes, activation or preprocessing; a weight is not finite; the
            architecture is unknown, or cannot be fine-tuned (without `any_tower`).
    """
    source = find(ref)
    if not any_tower:
        check_trainable(source)
    model = _build(source, seed)
    if isinstance(source.weights, Path):
        _load_file(model, source.weights, source, resize=ref.image_size is not None)
    elif source.weights != RANDOM:
        _load_tag(model, source, source.weights)
    return LoadedClip(
        model=model.to(device).eval(),
        tokenizer=_tokenizer(source),
        preprocessing=source.preprocessing,
        preprocess=image_transform_v2(PreprocessCfg(**source.preprocessing.as_config()), is_train=False),
        architecture=source.architecture,
        tokenizer_files=_tokenizer_files(source),
        note=source.note,
    )


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
    return [f"{len(keys)} {kind}: {first_few(keys)}" for kind, keys in faults if keys]


def _build(source: Source, seed: int) -> Clip:
    architecture = deepcopy(source.architecture)
    kind: type[Clip] = open_clip.CLIP
    if architecture.pop("custom_text", False) or "hf_model_name" in architecture["text_cfg"]:
        kind = open_clip.CustomTextCLIP
    if "multimodal_cfg" in architecture:
        kind = open_clip.CoCa
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = kind(**architecture)
            if isinstance(model, open_clip.CoCa):  # open_clip 3.3.0 leaves it as the memory was, NaN included
                projection = model.text_decoder.text_projection
                torch.nn.init.normal_(projection, std=projection.shape[0] ** -0.5)
            return model
    except OSError as error:  # a text tower by transformers wants its config from the hub
        raise MissingInputError(
            f"{source.name} needs a file of the hub that is not in the cache: {error}. Run once with access to the hub."
        ) from error
    except (TypeError, ValueError, AssertionError, ZeroDivisionError) as error:
        raise ModelError(f"{source.name} is not an architecture open_clip can build: {error}") from error


def _load_file(model: Clip, path: Path, source: Source, resize: bool) -> None:
    state = read_weights(path)
    if hf_clip.is_named_so(state):
        state = hf_clip.from_transformers(state)
    check_finite(state, str(path))
    _fit_image_positions(state, model, str(path), resize)
    load_strictly(model, state, str(path), source.name)


_POSITIONS = "visual.positional_embedding"


def _fit_image_positions(state: dict[str, Tensor], model: Clip, what: str, resize: bool) -> None:
    """Resize the image position embeddings in place if they are of another size and that was asked for.

    Raises:
        ModelError: they are of another size, and it was not.
    """
    grid, patches = getattr(model.visual, "grid_size", None), state.get("visual.conv1.weight")
    if _POSITIONS not in state or grid is None or patches is None or patches.shape != model.visual.conv1.weight.shape:
        return  # another tower, which `load_strictly` refuses
    if len(state[_POSITIONS]) == grid[0] * grid[1] + 1:
        return
    before, patch = round((len(state[_POSITIONS]) - 1) ** 0.5), patches.shape[-1]
    here = grid[0] * patch
    if not resize:
        raise ModelError(
            f"{what} was trained on images of {before * patch} pixels ({before} x {before} patches), the model looks at {here}."
            f" Set model.image_size={before * patch} to keep their size, or model.image_size={here} to resize the image position"
            f" embeddings."
        )
    resize_pos_embed(state, model)
    logger.warning("%s: image position embeddings resized from %d to %d pixels", what, before * patch, here)


def _load_tag(model: Clip, source: Source, tag: str) -> None:
    path = tag_weights(source.name, tag)
    size, trained = image_size(source.architecture), image_size(read_architecture(source.name))
    if size != trained:
        logger.warning("%s: image position embeddings resized from %s to %s pixels", tag, trained, size)
    open_clip.load_checkpoint(model, str(path), strict=True)
    check_finite(model.state_dict(), str(path))


def _tokenizer(source: Source) -> Tokenizer:
    text = source.architecture["text_cfg"]
    name, context_length = text.get("hf_tokenizer_name"), text.get("context_length", 77)
    options = text.get("tokenizer_kwargs") or {}
    if name and source.from_file:
        raise ModelError(f"{source.name} names a tokenizer of its own; give its whole folder as {LOCAL_DIR}PATH")
    if name:
        where = source.folder if _tokenizer_files(source) else name
        try:
            return HFTokenizer(str(where), context_length, tokenizer_mode=text.get("tokenizer_mode"), **options)
        except (OSError, ValueError) as error:  # transformers' tokenizers come from the hub
            raise MissingInputError(
                f"the tokenizer of {source.name} was not found and could not be downloaded: {error}"
            ) from error
    tokenizer = SimpleTokenizer(context_length=context_length, **options)
    size = text.get("vocab_size", 49408)
    if size < tokenizer.vocab_size:
        raise ModelError(f"{source.name}: vocab_size {size} is less than the {tokenizer.vocab_size} of open_clip's tokenizer")
    if size > tokenizer.vocab_size:
        logger.warning(
            "%s has %d tokens and names no tokenizer (text_cfg.hf_tokenizer_name): taking open_clip's, of %d",
            *(source.name, size, tokenizer.vocab_size),
        )
    return tokenizer


def _tokenizer_files(source: Source) -> tuple[Path, ...]:
    if source.folder is None or not source.architecture["text_cfg"].get("hf_tokenizer_name"):
        return ()
    return tuple(source.folder / name for name in TOKENIZER_FILES if (source.folder / name).is_file())
