"""A tiny LLaMA with random weights, made where it is needed, so that tests and demos run the real engine without a download.

Saved as safetensors, with a byte-level tokenizer trained on the prompts and with Llama-3's control tokens and turns. What it
writes is noise; picking among given texts (`choice`) works as with any model. The same prompts and size give the same bytes.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from degla.generate.language_models.prompts import load_prompt, shown_text
from degla.home import prompts_dir
from degla.negative_types import NEGATIVE_TYPES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CONTEXT = 8192
"""Context in tokens; the longest prompt has 1,793."""

BOS, HEADER_START, HEADER_END, TURN_END = "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
CONTROL_TOKENS = (BOS, "<|end_of_text|>", HEADER_START, HEADER_END, TURN_END)

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    f"{HEADER_START}{{{{ message.role }}}}{HEADER_END}\n\n{{{{ message.content | trim }}}}{TURN_END}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{HEADER_START}assistant{HEADER_END}\n\n{{% endif %}}"
)

# How Llama-3 splits: words with the space before them, up to three digits, punctuation with the line breaks after it.
_PIECES = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"


@dataclass(frozen=True)
class Size:
    """Size of the model; the default has each part at its smallest."""

    layers: int = 2
    width: int = 64
    heads: int = 2
    inner_width: int = 128
    vocabulary: int = 4096
    """Most tokens; a short text gives fewer."""


def make_tiny_model(folder: Path, size: Size = Size()) -> Path:
    """Make the model in `folder`, unless it exists; returns the folder.

    Raises:
        ConfigError, MissingInputError: the prompts, on which the tokenizer is trained, are missing or malformed.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".tmp-{os.getpid()}-{folder.name}")
    try:
        tokenizer = _tokenizer(_prompts_text(), size.vocabulary)
        tokenizer.save_pretrained(unfinished)
        _save_model(unfinished, tokenizer, size)
        _move(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _prompts_text() -> list[str]:
    prompts = [load_prompt(prompts_dir(), each) for each in NEGATIVE_TYPES]
    return [text for prompt in prompts for text in (prompt.rule, shown_text(prompt.shown()))]


def _tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    bytes_of_pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_PIECES), "isolated"), bytes_of_pieces])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - len(CONTROL_TOKENS), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=TURN_END,
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _save_model(folder: Path, tokenizer: PreTrainedTokenizerFast, size: Size) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.inner_width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def _move(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process made the same bytes first
            raise
