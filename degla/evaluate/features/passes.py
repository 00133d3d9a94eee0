"""The encoding pass: for each model, the images and texts of the benchmarks that its store lacks.

Before and after training are loaded and compared first, so that models that are not comparable are refused before hours of work.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from degla.artifacts import Artifact
from degla.evaluate import units
from degla.evaluate.benchmark import BenchmarkImage
from degla.evaluate.config import EvaluateConfig
from degla.evaluate.features.encoding import FeatureEncoder, describe, folder_name, identity
from degla.evaluate.interpolation.candidates import Ends, load_candidates
from degla.evaluate.scored_models import ScoredModel, check_comparable, load_scored, scored_models
from degla.files import write_text_atomic
from degla.models.architecture import towers
from degla.models.features import default_batch_size
from degla.models.loading import LoadedClip
from degla.outcomes.scores import AFTER, BEFORE

logger = logging.getLogger(__name__)


def encode_all(
    config: EvaluateConfig,
    inputs: Mapping[str, Artifact],
    out_dir: Path,
    folder: Path,
    images: Sequence[BenchmarkImage],
    texts: Sequence[str],
    report: Callable[[str], None],
) -> None:
    """Encode for every model, and write what it is to `models/<name>.json`.

    Args:
        config: of the stage.
        inputs: the train artifact, if `config.trained`.
        out_dir: the artifact in the making.
        folder: where features are stored, one folder a model.
        images: of all benchmarks, with repetitions.
        texts: likewise.
        report: called with a line of progress.
    """
    for subject, clip in _models(config, inputs):
        name, described = subject.name, identity(clip)
        own = folder / folder_name(described)
        describe(own, described)
        batch_size = config.batch_size or default_batch_size(clip.device)
        encoder = FeatureEncoder(clip, name, own, batch_size, report)
        new_images, new_texts = encoder.images(images), encoder.texts(texts)
        logger.info("%s: encoded %s images and %s texts that were new", name, f"{new_images:,}", f"{new_texts:,}")
        content = {
            "model": name,
            "architecture": subject.source or subject.ref.architecture,
            "towers": towers(clip.architecture),
            "loaded_from": subject.ref.weights,
            "activation": clip.activation,
            "preprocessing": clip.preprocessing.as_config(),
            "weights": described["weights"],
            "reference": subject.reference,
            "note": subject.note,
            "features": own.name,
            "undecodable": encoder.undecodable,
        }
        write_text_atomic(out_dir / units.model_file(name), json.dumps(content, indent=1))


def _models(config: EvaluateConfig, inputs: Mapping[str, Artifact]) -> Iterator[tuple[ScoredModel, LoadedClip]]:
    """Every model, loaded when it is its turn; before and after are there together first, and compared."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {subject.name: subject for subject in scored_models(config, inputs)}
    loaded: dict[str, LoadedClip] = {}
    ends = None
    if BEFORE in found:
        loaded = {name: load_scored(found[name], device) for name in (BEFORE, AFTER)}
        check_comparable(loaded[BEFORE], loaded[AFTER])
        ends = Ends.of(loaded[BEFORE], loaded[AFTER]) if config.interpolate else None
    for name, subject in found.items():
        clip = loaded.pop(name, None)
        yield subject, clip or load_scored(subject, device)
    if ends and config.interpolate:
        yield from load_candidates(config.interpolate, inputs["train"], ends, device)
