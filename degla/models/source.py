"""What a `ModelRef` names, found and checked before anything is built: architecture, activation, preprocessing, weights.

`lookup` finds, `claims` checks that all who say something of the weights agree, `architecture` says what a model can do.
Loads no torch, except through open_clip's table of weights.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degla.errors import ModelError
from degla.models.architecture import image_size, training_obstacle
from degla.models.claims import Preprocessing, agreed_preprocessing, check_activation, claims_of
from degla.models.lookup import Named, look_up, weights_of, with_activation
from degla.models.ref import ModelRef


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
    named, note = with_activation(look_up(ref, where, download), ref)
    weights = weights_of(ref, named, download)
    claims = claims_of(ref, named, weights)
    check_activation(ref, named, weights, claims)
    architecture = _at_size(named, ref.image_size)
    preprocessing = agreed_preprocessing(ref, named, weights, claims, image_size(architecture))
    return Source(named.name, architecture, preprocessing, weights, named.folder, named.file is not None, note)


def check_trainable(source: Source) -> None:
    """Raises ModelError if degla cannot fine-tune the model."""
    obstacle = training_obstacle(source.architecture)
    if obstacle:
        raise ModelError(
            f"{source.name} cannot be fine-tuned: {obstacle}. It can be scored (evaluate.models). What trains is listed in"
            f" docs/models.md."
        )


def _at_size(named: Named, size: int | None) -> dict[str, Any]:
    """The architecture, for images of this size."""
    architecture = deepcopy(named.architecture)
    if size is None or size == image_size(architecture):
        return architecture
    image = architecture["vision_cfg"]
    if "timm_model_name" in image or isinstance(image.get("layers"), list):
        raise ModelError(f"{named.where}.image_size={size}: {named.name} has no vision transformer of open_clip; leave it out")
    image["image_size"] = size
    return architecture
