"""Which models are scored; checks the activation and preprocessing of each before anything is encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from degla.artifacts import Artifact
from degla.errors import MissingInputError, ModelError
from degla.evaluate.config import EvaluateConfig, EvaluatedModel
from degla.evaluate.references import check_known
from degla.models import ModelRef
from degla.models.loading import LoadedClip, load
from degla.models.lookup import CONFIG_FILE, WEIGHTS_FILE
from degla.models.ref import LOCAL_DIR
from degla.outcomes.scores import AFTER, BEFORE

MODEL_DIR = "model"
_QUICK = "-quickgelu"


@dataclass(frozen=True)
class ScoredModel:
    """A model to score: what to load, and what a reader of its scores must know."""

    name: str
    ref: ModelRef
    reference: str = ""
    """The published model whose scores it should have; see `degla.evaluate.references`."""
    note: str = ""
    source: str = ""
    """Where it is below the artifact root, if a stage made it: its reference holds a path of this machine."""


def scored_models(config: EvaluateConfig, inputs: Mapping[str, Artifact]) -> list[ScoredModel]:
    """The models of a run in their order: before and after training, then the further ones.

    Raises:
        InputError: a model's files are missing or have changed.
        ModelError: a further model does not say with which activation it was trained.
    """
    found = []
    if config.trained:
        base = base_model(inputs["train"])
        found += [ScoredModel(BEFORE, base, published(base)), end_of_training(inputs["train"], AFTER)]
    return found + [_further(name, model) for name, model in config.models.items()]


def base_model(train: Artifact) -> ModelRef:
    """The model that training started from.

    Raises:
        ModelError: its files are not those that training read.
    """
    ref = ModelRef.model_validate(train.manifest.config["model"])
    if ref.checksum() != train.manifest.raw.get("model"):
        raise ModelError(
            f"the model {ref.architecture!r} that {train.path} was trained from has changed since, so the scores before"
            f" training cannot be measured. Restore the model, or train again."
        )
    return ref


def fine_tuned_model(train: Artifact) -> ModelRef:
    """The model that training made.

    Raises:
        MissingInputError: the artifact has no model folder.
        DataError: a file of it is gone or was changed.
    """
    lacking = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not train.has(f"{MODEL_DIR}/{name}")]
    if lacking:
        raise MissingInputError(f"{train.path} holds no {MODEL_DIR}/{lacking[0]}; run the train stage again")
    for name in train.manifest.files:
        if name.startswith(f"{MODEL_DIR}/"):
            train.file(name)
    return ModelRef(architecture=f"{LOCAL_DIR}{train.path / MODEL_DIR}")


def end_of_training(train: Artifact, name: str) -> ScoredModel:
    """The model that training made, to be scored under this name. Raises as `fine_tuned_model`."""
    return ScoredModel(name, fine_tuned_model(train), source=f"{train.stage}/{train.fingerprint}/{MODEL_DIR}")


def load_scored(subject: ScoredModel, device: str) -> LoadedClip:
    """The model itself. Raises ModelError, with its name, if weights and architecture differ or it has no text tower."""
    try:
        return load(subject.ref, device, any_tower=True)
    except ModelError as error:
        raise ModelError(f"model {subject.name}: {error}") from error


def check_comparable(before: LoadedClip, after: LoadedClip) -> None:
    """Raises ModelError if the models differ in activation, preprocessing or context length."""
    for what in ("activation", "preprocessing", "context_length"):
        old, new = getattr(before, what), getattr(after, what)
        if old != new:
            raise ModelError(
                f"the fine-tuned model has {what} {new}, the one it was trained from has {old}: their scores are not comparable."
                f" Train again from a model folder that states its own."
            )


def published(ref: ModelRef) -> str:
    """The published model that a reference names by itself: OpenAI's weights by open_clip's tag; else empty."""
    if ref.weights != "openai":
        return ""
    return f"clip_{ref.architecture.removesuffix(_QUICK).replace('-', '_').lower()}"


def _further(name: str, model: EvaluatedModel) -> ScoredModel:
    check_known(model.reference)
    source = model.find(name)
    ref = ModelRef.model_validate(model.model_dump(include=set(ModelRef.model_fields)) | {"architecture": source.name})
    return ScoredModel(name, ref, model.reference or published(ref), source.note)
