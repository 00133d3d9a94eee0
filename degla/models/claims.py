"""What is said of how weights were trained, and whether all who say it agree: activation and preprocessing.

Weights computed with another activation, or on images prepared in another way, than in training give a model that works,
only worse. So all that is said about them (in the config, the weights file, its folder, open_clip's table) must agree,
and what nobody says is asked for. Loads no torch, except through open_clip's table of weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from degla.config import validate
from degla.errors import ModelError, first_few
from degla.models.architecture import activation_of, list_architectures, named_for
from degla.models.lookup import Named, warn_once
from degla.models.ref import RANDOM, Channels, ModelRef, StatedPreprocessing


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

Claims = list[tuple[str, dict[str, Any]]]
"""Who says it, and the settings: `activation`, `size` and those of preprocessing."""


def claims_of(ref: ModelRef, named: Named, weights: Path | str) -> Claims:
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
        return dict(json.loads(text)) if text else {}
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} has preprocess_cfg {text!r} in its metadata, which is no JSON object: {error}") from error


def check_activation(ref: ModelRef, named: Named, weights: Path | str, claims: Claims) -> None:
    """Raises ModelError if anybody says another activation than the architecture computes, or nobody says one."""
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


def _right_activation(named: Named, trained: str) -> str:
    if named.folder or named.file:
        return f"Set quick_gelu to {str(trained == 'quickgelu').lower()} in its model config."
    right = named_for(named.name, trained)
    if right not in list_architectures():
        return f"open_clip has no {right}: give a .json model config with quick_gelu as it was trained."
    return f"Use {named.where}.architecture={right}."


def agreed_preprocessing(
    ref: ModelRef, named: Named, weights: Path | str, claims: Claims, size: int | tuple[int, int]
) -> Preprocessing:
    """How images are prepared, on which all agree; open_clip's published values or defaults for what nobody says.

    Raises:
        ModelError: two do not agree, or nobody says it and open_clip's weights of the architecture differ.
    """
    said = _agreed([*claims, (f"the architecture {named.name}", {} if ref.image_size else {"size": size})])
    settings = {key: value for key, value in said.items() if key in _SETTINGS}
    if isinstance(weights, Path) and not settings.keys() >= {"mean", "std"}:
        published = _published(named)
        if len(published) > 1:
            raise _ask(named, weights, published)
        if not published:
            default = _as_yaml(Preprocessing(size).as_config())
            warn_once(
                f"Neither {weights} nor {named.folder or named.file or named.name} says how images were prepared: taking"
                f" open_clip's default, {default}. If it was trained otherwise, state {named.where}.preprocessing."
            )
        settings = {**(json.loads(next(iter(published))) if published else {}), **settings}
    whole = {**Preprocessing(size).as_config(), **settings}
    stated = {key: whole[key] for key in StatedPreprocessing.model_fields}
    checked = validate(StatedPreprocessing, stated, f"preprocess_cfg of {named.folder or named.file or weights}")
    return Preprocessing(size=size, fill_color=settings.get("fill_color") or 0, **checked.model_dump())


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


def _published(named: Named) -> dict[str, list[str]]:
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


def _ask(named: Named, weights: Path, published: Mapping[str, Sequence[str]]) -> ModelError:
    options = "; or ".join(
        f"{named.where}.preprocessing='{_as_yaml(json.loads(kind))}' (as its {first_few(tags, 3)})"
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


def metadata_of(architecture: Mapping[str, Any], preprocessing: Preprocessing) -> dict[str, str]:
    """Metadata of an exported weights file, so that it is not loaded into a model that computes otherwise."""
    preprocess = json.dumps(preprocessing.as_config(), sort_keys=True)
    return {"format": "pt", "activation": activation_of(architecture), "preprocess_cfg": preprocess}
