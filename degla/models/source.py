"""What a `ModelRef` names, found and checked before anything is built: architecture, activation, preprocessing, weights.

Weights computed with another activation, or on images prepared in another way, than in training give a model that works,
only worse. So all that is said about them (in the config, the weights file, its folder, open_clip's table) must agree,
and what nobody says is asked for. Loads no torch, except through open_clip's table of weights.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from degla.config import validate
from degla.errors import MissingInputError, ModelError
from degla.models import hf_clip
from degla.models.ref import HUB, RANDOM, WEIGHTS_SUFFIXES, Activation, Channels, ModelRef, StatedPreprocessing

logger = logging.getLogger(__name__)

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
CONFIG_FILES = (CONFIG_FILE, hf_clip.CONFIG_FILE, hf_clip.PROCESSOR_FILE)
WEIGHTS_FILES = (
    WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
"""In a model folder the first that is there counts; open_clip's order."""
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
_QUICK = "-quickgelu"


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its images: side or (height, width) in pixels, and the mean and deviation of [0, 1] colours."""

    size: int | tuple[int, int]
    # open_clip's defaults (PreprocessCfg), which are OpenAI's
    mean: Channels = (0.48145466, 0.4578275, 0.40821073)
    std: Channels = (0.26862954, 0.26130258, 0.27577711)
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0
    """Of the padding, 0 to 255; for `longest`."""

    @property
    def height_width(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def as_config(self) -> dict[str, Any]:
        """The settings as open_clip's `preprocess_cfg`."""
        size = self.size if isinstance(self.size, int) else list(self.size)
        settings = {"size": size, "mean": list(self.mean), "std": list(self.std)}
        fill = {"fill_color": self.fill_color} if self.resize_mode == "longest" else {}
        return settings | {"interpolation": self.interpolation, "resize_mode": self.resize_mode} | fill


_SETTINGS = ("mean", "std", "interpolation", "resize_mode", "fill_color")


@dataclass(frozen=True)
class Source:
    """A model before it is built."""

    name: str
    """As named, or the architecture that was taken for it because of the activation."""
    architecture: dict[str, Any]
    """open_clip's `model_cfg`."""
    preprocessing: Preprocessing
    weights: Path | str
    """A weights file, an open_clip tag, or `random`."""
    folder: Path | None
    """Where config and tokenizer lie; None for open_clip's own architectures and config files."""
    from_file: bool
    note: str
    """What a reader of the model's scores has to know; empty if nothing."""


@dataclass(frozen=True)
class _Named:
    """What the architecture's name alone gives."""

    name: str
    architecture: dict[str, Any]
    preprocess_cfg: dict[str, Any]
    folder: Path | None = None
    file: Path | None = None
    where: str = "model"
    """The settings' place in the config, for errors."""

    @property
    def says_activation(self) -> bool:
        """Whether the config or the name decides the activation: a name that open_clip has with either does not."""
        return self.folder is not None or self.file is not None or f"{self.name}{_QUICK}" not in list_architectures()


def find(ref: ModelRef, where: str = "model", download: bool = True) -> Source:
    """Find and check what `ref` names.

    Args:
        ref: architecture, weights, and what is stated about them.
        where: its place in the config, for errors: `train.model`.
        download: fetch the weights of a hub model; else only its configs are looked at.

    Raises:
        MissingInputError: a folder or file is not there, or a hub model cannot be fetched.
        ModelError: an unknown architecture or tag; two sources disagree about the model; or nobody says how its weights were
            trained.
    """
    named, note = _with_activation(replace(_named(ref, download), where=where), ref)
    weights = _weights(ref, named, download)
    claims = _claims(ref, named, weights)
    _check_activation(ref, named, weights, claims)
    architecture = _at_size(named, ref.image_size)
    preprocessing = _preprocessing(ref, named, weights, claims, image_size(architecture))
    return Source(named.name, architecture, preprocessing, weights, named.folder, named.file is not None, note)


def activation_of(architecture: Mapping[str, Any]) -> Activation:
    """The activation that a `model_cfg` asks for."""
    return "quickgelu" if architecture.get("quick_gelu", False) else "gelu"


def image_size(architecture: Mapping[str, Any]) -> int | tuple[int, int]:
    """Side or (height, width) of the images of a `model_cfg`."""
    size = architecture["vision_cfg"].get("image_size", 224)
    if isinstance(size, int):
        return size
    height, width = size
    return height if height == width else (height, width)


def training_obstacle(architecture: Mapping[str, Any]) -> str:
    """Why degla cannot fine-tune a `model_cfg`; empty if it can."""
    if "hf_model_name" in architecture["text_cfg"]:
        return "its text tower is a model of transformers (text_cfg.hf_model_name), not open_clip's transformer"
    if architecture.get("init_logit_bias") is not None:
        return "it was trained with the sigmoid loss (SigLIP: a logit bias, pairs judged alone); degla's losses are a softmax"
    return ""


_BLOCKS = ("block_type", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")


def has_plain_blocks(tower: Mapping[str, Any]) -> bool:
    """Whether a `vision_cfg` or `text_cfg` is open_clip's transformer of plain blocks."""
    other = "timm_model_name" in tower or "hf_model_name" in tower or isinstance(tower.get("layers"), list)
    return not other and not tower.get("embed_cls") and not any(tower.get(key) for key in _BLOCKS)


def parts_obstacle(architecture: Mapping[str, Any]) -> str:
    """Why the towers of a `model_cfg` have no patches or tokens that can be compared; empty if they do."""
    image, text = architecture["vision_cfg"], architecture["text_cfg"]
    pooled = image.get("attentional_pool") or image.get("output_tokens") or image.get("pool_type", "tok") != "tok"
    if pooled or not has_plain_blocks(image):
        return "the image tower has no patches beside a class token"
    ends = not text.get("no_causal_mask") and text.get("pool_type", "argmax") in ("argmax", "eos")
    if not ends or "hf_model_name" in text or text.get("embed_cls"):
        return "the text tower does not end its texts with the token it pools"
    return ""


def check_trainable(source: Source) -> None:
    """Raises ModelError if degla cannot fine-tune the model."""
    obstacle = training_obstacle(source.architecture)
    if obstacle:
        raise ModelError(
            f"{source.name} cannot be fine-tuned: {obstacle}. It can be scored (evaluate.models). What trains is listed in"
            f" docs/models.md."
        )


def metadata_of(architecture: Mapping[str, Any], preprocessing: Preprocessing) -> dict[str, str]:
    """Metadata of an exported weights file, so that it is not loaded into a model that computes otherwise."""
    preprocess = json.dumps(preprocessing.as_config(), sort_keys=True)
    return {"format": "pt", "activation": activation_of(architecture), "preprocess_cfg": preprocess}


def list_architectures() -> tuple[str, ...]:
    """The names of open_clip's architectures, in its order."""
    return tuple(sorted(_open_clip_configs()))


def read_architecture(name: str) -> dict[str, Any]:
    """The `model_cfg` of an open_clip architecture. Raises ModelError if there is none; near names are given."""
    if name not in _open_clip_configs() and Path(name).is_dir():
        raise ModelError(f"architecture {name!r} is a folder: give local-dir:{name}")
    if name not in _open_clip_configs():
        raise ModelError(
            f"unknown architecture {name!r}: give miniworld, local-dir:PATH, hf-hub:OWNER/NAME, a .json model config or a name"
            f" of open_clip ({_first(_near_names(name))})"
        )
    return _read_json(_open_clip_configs()[name])


@cache
def _open_clip_configs() -> dict[str, Path]:
    found = importlib.util.find_spec("open_clip")
    assert found is not None
    assert found.origin is not None
    return {path.stem: path for path in (Path(found.origin).parent / "model_configs").glob("*.json")}


def _named(ref: ModelRef, download: bool) -> _Named:
    folder, config_file = ref.folder(download), ref.config_file()
    if folder is not None and not (folder / CONFIG_FILE).is_file() and (folder / hf_clip.CONFIG_FILE).is_file():
        return _Named(ref.architecture, *hf_clip.read_config(folder), folder=folder)
    if folder is not None:
        return _Named(ref.architecture, *_read_config(folder / CONFIG_FILE), folder=folder)
    if config_file is not None:
        return _Named(ref.architecture, *_read_config(config_file), file=config_file)
    return _Named(ref.architecture, read_architecture(ref.architecture), {})


def _near_names(name: str) -> list[str]:
    known = list_architectures()
    prefix = name.split("-")[0].lower()
    return [each for each in known if each.lower().startswith(prefix)] or list(known)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if not path.is_file():
        raise MissingInputError(
            f"{path} does not exist; a model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, or transformers'"
            f" {hf_clip.CONFIG_FILE} and model.safetensors"
        )
    data = _read_json(path)
    architecture = data.get("model_cfg", data) if isinstance(data, dict) else {}
    kinds = {"embed_dim": int, "vision_cfg": dict, "text_cfg": dict}
    lacking = [key for key, kind in kinds.items() if not isinstance(architecture.get(key), kind)]
    if lacking:
        raise ModelError(f"{path} is not an open_clip model config: {', '.join(lacking)} missing")
    return architecture, data.get("preprocess_cfg") or {}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a readable JSON file: {error}") from error


def _with_activation(named: _Named, ref: ModelRef) -> tuple[_Named, str]:
    """The architecture that computes the stated activation, and a note if it is another than was named."""
    base, stated = named.name.removesuffix(_QUICK), ref.activation
    wanted = f"{base}{_QUICK}" if stated == "quickgelu" else base
    if not stated or named.folder or named.file or wanted == named.name or wanted not in list_architectures():
        return named, ""
    note = f"{named.name} was replaced by {wanted}, as its weights were trained with {stated}"
    _warn(f"{ref.weights}: {note}")
    return replace(named, name=wanted, architecture=read_architecture(wanted)), note


def _weights(ref: ModelRef, named: _Named, download: bool) -> Path | str:
    """A weights file, an open_clip tag, or `random`."""
    file = ref.weights_file()
    if file is not None or ref.weights == RANDOM:
        return file or RANDOM
    if named.folder is not None and not ref.weights:
        on_hub = not download and ref.architecture.startswith(HUB)
        return named.folder / WEIGHTS_FILE if on_hub else _weights_in(named.folder)
    if named.folder is not None or named.file is not None or not ref.weights:
        tag = "" if named.folder or named.file else "an open_clip tag, "
        leave = f"; leave it out for the weights in the folder (-o {named.where}.weights=)" if named.folder else ""
        raise ModelError(
            f"{named.where}.weights={ref.weights!r} for {named.name!r}: expected {tag}a weights file"
            f" ({', '.join(WEIGHTS_SUFFIXES)}) or {RANDOM!r}{leave}"
        )
    return ref.weights


def _weights_in(folder: Path) -> Path:
    found = next((folder / name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    if found is None:
        there = sorted(path.name for path in folder.iterdir() if path.is_file())
        raise MissingInputError(
            f"{folder} holds no weights: expected one of {', '.join(WEIGHTS_FILES)}; found {_first(there, 8) or 'nothing'}."
            f" Name another file as the model's weights."
        )
    return found


Claims = list[tuple[str, dict[str, Any]]]
"""Who says it, and the settings: `activation`, `size` and those of preprocessing."""


def _claims(ref: ModelRef, named: _Named, weights: Path | str) -> Claims:
    """All that is said of how the weights were trained."""
    claims: Claims = []
    if ref.activation or ref.preprocessing:
        stated = {"activation": ref.activation or None}
        claims.append(("the config", stated | (ref.preprocessing.model_dump() if ref.preprocessing else {})))
    if isinstance(weights, Path) and weights.is_file():
        written = read_metadata(weights)
        claims.append((str(weights), {"activation": written.get("activation"), **_json(written.get("preprocess_cfg"), weights)}))
    elif isinstance(weights, str) and weights != RANDOM:
        from degla.models.hub import tag_config

        config = tag_config(named.name, weights)
        claims.append((f"open_clip's table for {weights!r}", config | {"activation": activation_of(config)}))
    if named.preprocess_cfg:
        settings = {key: value for key, value in named.preprocess_cfg.items() if key in _SETTINGS}  # open_clip ignores size
        claims.append((f"the config of {named.name}", settings))
    return claims


def _json(text: str | None, path: Path) -> dict[str, Any]:
    try:
        return json.loads(text) if text else {}
    except ValueError as error:
        raise ModelError(f"{path} has preprocess_cfg {text!r} in its metadata, which is not JSON: {error}") from error


def _check_activation(ref: ModelRef, named: _Named, weights: Path | str, claims: Claims) -> None:
    asked = activation_of(named.architecture)
    for who, settings in claims:
        trained = settings.get("activation")
        if trained not in (None, asked):
            raise ModelError(
                f"{ref.weights or weights} was trained with activation {trained} ({who}), but {named.name} asks for {asked}:"
                f" the model would load and be silently worse. {_right_activation(named, trained)}"
            )
    says = named.says_activation or asked == "quickgelu" or any(settings.get("activation") for _, settings in claims)
    if isinstance(weights, Path) and not says:
        raise ModelError(
            f"{weights} does not say with which activation it was trained, and {named.name} computes gelu. Weights that go back"
            f" to OpenAI's (NegCLIP, CE-CLIP, DeGLA, FSC-CLIP) are quickgelu and would be silently worse. State it:"
            f" {named.where}.activation=quickgelu, or gelu."
        )


def _right_activation(named: _Named, trained: str) -> str:
    if named.folder or named.file:
        return f"Set quick_gelu to {str(trained == 'quickgelu').lower()} in its model config."
    base = named.name.removesuffix(_QUICK)
    right = f"{base}{_QUICK}" if trained == "quickgelu" else base
    if right not in list_architectures():
        return f"open_clip has no {right}: give a .json model config with quick_gelu as it was trained."
    return f"Use {named.where}.architecture={right}."


def _at_size(named: _Named, size: int | None) -> dict[str, Any]:
    """The architecture, for images of this size."""
    architecture = deepcopy(named.architecture)
    if size is None or size == image_size(architecture):
        return architecture
    image = architecture["vision_cfg"]
    if "timm_model_name" in image or isinstance(image.get("layers"), list):
        raise ModelError(f"{named.where}.image_size={size}: {named.name} has no vision transformer of open_clip; leave it out")
    image["image_size"] = size
    return architecture


def _preprocessing(
    ref: ModelRef, named: _Named, weights: Path | str, claims: Claims, size: int | tuple[int, int]
) -> Preprocessing:
    said = _agreed([*claims, (f"the architecture {named.name}", {} if ref.image_size else {"size": size})])
    settings = {key: value for key, value in said.items() if key in _SETTINGS}
    if isinstance(weights, Path) and not settings.keys() >= {"mean", "std"}:
        published = _published(named)
        if len(published) > 1:
            raise _ask(named, weights, published)
        if not published:
            default = _as_yaml(Preprocessing(size).as_config())
            _warn(
                f"Neither {weights} nor {named.folder or named.file or named.name} says how images were prepared: taking"
                f" open_clip's default, {default}. If it was trained otherwise, state {named.where}.preprocessing."
            )
        settings = {**(json.loads(next(iter(published))) if published else {}), **settings}
    whole = {**Preprocessing(size).as_config(), **settings}
    stated = {key: whole[key] for key in StatedPreprocessing.model_fields}
    checked = validate(StatedPreprocessing, stated, f"preprocess_cfg of {named.folder or named.file or weights}")
    return Preprocessing(size=size, fill_color=settings.get("fill_color") or 0, **checked.model_dump())


@cache
def _warn(message: str) -> None:
    """Once a process: a plan looks at the same model several times."""
    logger.warning("%s", message)


def _agreed(claims: Claims) -> dict[str, Any]:
    """Each setting's value, which all who state it agree on."""
    said: dict[str, tuple[str, Any]] = {}
    for who, settings in claims:
        for key, value in settings.items():
            if key not in (*_SETTINGS, "size") or value is None:
                continue
            value = _comparable(key, value)
            first, known = said.setdefault(key, (who, value))
            if known != value:
                raise ModelError(
                    f"{first} says {key} {known} (preprocess_cfg), {who} says {value}: images would be prepared"
                    f" otherwise than in training. Correct the one that is wrong."
                )
    return {key: value for key, (_, value) in said.items()}


def _comparable(key: str, value: Any) -> Any:
    """Lists become tuples, one mean or deviation three, a (height, width) of equal sides one side."""
    if key in ("mean", "std") and isinstance(value, (int, float)):
        return (value,) * 3
    if key == "interpolation" and value == "random":
        return "bicubic"  # as open_clip evaluates
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    return value[0] if len(value) == 2 and value[0] == value[1] else tuple(value)


def _published(named: _Named) -> dict[str, list[str]]:
    """Preprocessing (as JSON) to the tags of open_clip's weights that have it; none for folders and files."""
    if named.folder or named.file:
        return {}
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    published: dict[str, list[str]] = {}
    for tag in list_pretrained_tags_by_model(named.name):
        config = get_pretrained_cfg(named.name, tag)
        kind = json.dumps({key: config[key] for key in _SETTINGS if key in config})
        published.setdefault(kind, []).append(tag)
    return published


def _ask(named: _Named, weights: Path, published: Mapping[str, Sequence[str]]) -> ModelError:
    options = "; or ".join(
        f"{named.where}.preprocessing='{_as_yaml(json.loads(kind))}' (as its {_first(tags, 3)})"
        for kind, tags in published.items()
    )
    return ModelError(
        f"{weights} does not say how its images were prepared, and open_clip's weights of {named.name} differ. State it:"
        f" {options}."
    )


def _as_yaml(settings: Mapping[str, Any]) -> str:
    """In one line, to be copied."""
    parts = (
        f"{key}: {list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value}"
        for key, value in settings.items()
        if key != "size"
    )
    return f"{{{', '.join(parts)}}}"


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; empty for other files. Raises ModelError if it is damaged."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, "np") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read as weights: {error}. Copy or download it again.") from error


def _first(items: Iterable[str], limit: int = 4) -> str:
    items = list(items)
    return ", ".join(items[:limit]) + (", ..." if len(items) > limit else "")
