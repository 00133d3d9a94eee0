"""Write a model folder that plain open_clip loads: `open_clip.create_model_from_pretrained("local-dir:FOLDER")` and
`open_clip.get_tokenizer("local-dir:FOLDER")`.

A model with open_clip's own BPE tokenizer needs no tokenizer files: open_clip uses it if the config names none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from degla.files import atomic_path, write_text_atomic
from degla.models.claims import metadata_of
from degla.models.loading import LoadedClip
from degla.models.lookup import CONFIG_FILE, WEIGHTS_FILE

TRAINING_FILE = "training.json"


def export(folder: Path, clip: LoadedClip, state: Mapping[str, Tensor], training: Mapping[str, Any]) -> list[str]:
    """Write config, weights in float32, tokenizer files and `training.json`.

    Args:
        folder: made if missing.
        clip: the model that training started from: architecture, preprocessing and tokenizer.
        state: the trained weights under open_clip's names.
        training: config and lineage, JSON values.

    Returns:
        The names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": clip.architecture, "preprocess_cfg": clip.preprocessing.as_config()}
    write_text_atomic(folder / CONFIG_FILE, json.dumps(config, indent=2))
    write_text_atomic(folder / TRAINING_FILE, json.dumps(training, indent=2))
    tokenizer = save_tokenizer(folder, clip)
    save_weights(folder / WEIGHTS_FILE, clip, state)
    return [CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE, *tokenizer]


def save_weights(path: Path, clip: LoadedClip, state: Mapping[str, Tensor]) -> None:
    """Write weights in float32 with what `clip` says of how they were trained: equal weights give equal bytes."""
    tensors = {key: value.detach().float().cpu().contiguous() for key, value in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata_of(clip.architecture, clip.preprocessing))
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order: it is written in that of a hash map, which each call draws anew."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= size
        file.seek(8)
        file.write(text.ljust(size))


def save_tokenizer(folder: Path, clip: LoadedClip) -> list[str]:
    """Write the tokenizer's files, if it is not open_clip's own; returns their names."""
    if not clip.architecture["text_cfg"].get("hf_tokenizer_name"):
        return []
    if not clip.tokenizer_files:  # it came from the hub by its name, but open_clip reads that of a folder from the folder
        before = set(folder.iterdir())
        clip.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
        return sorted(path.name for path in set(folder.iterdir()) - before)
    for path in clip.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    return [path.name for path in clip.tokenizer_files]
