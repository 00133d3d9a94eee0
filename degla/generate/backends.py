"""Builds the back ends that `attempts` names."""

from __future__ import annotations

from pathlib import Path

from degla.generate.backend import Backend
from degla.generate.config import TINY_MODEL, WITH_ENGINE, WITH_PROMPT, BackendName, GenerateConfig
from degla.generate.language_models.prompts import Prompt, load_prompt
from degla.generate.rules.rules_backend import RulesBackend
from degla.generate.rules.vocabulary import Vocabulary
from degla.negative_types import NegativeType
from degla.text.lexicon import load_lexicon


def make_backends(config: GenerateConfig, vocabulary: Vocabulary) -> dict[BackendName, Backend]:
    """The back ends that `config.attempts` names; `vllm` and `choice` share one engine.

    Raises:
        InputError: a prompt or model is missing or broken.
    """
    wanted = set(config.attempts)
    made: dict[BackendName, Backend] = {}
    rules = RulesBackend(load_lexicon(), vocabulary, config.min_sense)
    if "rules" in wanted:
        made["rules"] = rules
    prompts = load_prompts(config) if WITH_PROMPT & wanted else {}
    if "openai" in wanted:
        from degla.generate.language_models.openai_server import OpenAIBackend

        made["openai"] = OpenAIBackend(config.server, prompts, config.sampling)
    if WITH_ENGINE & wanted:
        from degla.generate.language_models.engine_backends import ChoiceBackend, VllmBackend
        from degla.generate.language_models.vllm_engine import VllmEngine

        engine = VllmEngine(config.engine, prompts if "vllm" in wanted else {}, config.sampling)
        if "vllm" in wanted:
            made["vllm"] = VllmBackend(engine)
        if "choice" in wanted:
            made["choice"] = ChoiceBackend(engine, rules)
    return made


def load_prompts(config: GenerateConfig) -> dict[NegativeType, Prompt]:
    """The prompt of each type asked for."""
    return {each: load_prompt(config.prompts_path(), each) for each in config.types}


def resolve_model(config: GenerateConfig, models: Path) -> GenerateConfig:
    """The settings with the commit of a model on the hub, or the path of the tiny model, which is made below `models`."""
    if not WITH_ENGINE & set(config.attempts):
        return config
    if config.engine.on_hub():
        return config.model_copy(update={"engine": config.engine.model_copy(update={"revision": config.engine.commit()})})
    if config.engine.model != TINY_MODEL:
        return config
    from degla.generate.language_models.tiny_model import make_tiny_model

    folder = make_tiny_model(models / TINY_MODEL)
    return config.model_copy(update={"engine": config.engine.model_copy(update={"model": str(folder)})})
