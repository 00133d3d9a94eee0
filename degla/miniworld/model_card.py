"""The model card of a mini-world CLIP, with that model's scores.

Measures the folder as plain open_clip loads it, so that the card describes what users get.
Knows nothing of training.
"""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from statistics import mean

import open_clip

from degla.miniworld.benchmarks import CLASSIFICATION_SIZES, Split
from degla.miniworld.model_folder import WEIGHTS_NAME
from degla.miniworld.pretraining import scores as probe

_CARD = """# A CLIP of the mini world

An image-text model with {num_parameters:,} parameters ({kilobytes:,} kB in half precision) for 48x48 images drawn by
`degla.miniworld`. It stands in for a web-trained CLIP where downloads, GPUs and hours are not at hand: it recognises
nouns, colours and places. It is useless on photographs.

```python
model, preprocess = open_clip.create_model_from_pretrained("local-dir:{folder}")
tokenizer = open_clip.get_tokenizer("local-dir:{folder}")
```

ViT 48/16 with {image[layers]} layers of width {image[width]}, text transformer with {text[layers]} layers of width
{text[width]}, embeddings of {image[width]}, plain GELU. The
tokenizer is a list of {vocab_size} whole words, 20 tokens a text; all other words are read as one unknown word.
open_clip reads it through `transformers`, which must be installed.

## How it was made

`{command}`, {day}:
{history} on images and captions drawn as they
were needed.
**The loss is not pure InfoNCE.** Beside it each image is classified among texts of all nouns, colours, textures and places,
which stands in for the many thousand pairs that a batch of a real CLIP holds.

## Scores

In percent, measured on the weights in this folder as plain open_clip loads them. Chance is 3.1 for the 32 nouns, 8.3
for the 12 colours, 12.5 for the 8 places and 25 for the 4 textures; 50 for choosing one of two captions, and 20 in
aro_order, where it is one of five. Sets named unseen_* show nouns that fine-tuning data does not; pretraining showed
all.

| zero-shot classification | validation | test |
|---|---|---|
{zero_shot}

| choosing the true caption | validation | test |
|---|---|---|
{composition}

Retrieval, R@1 among 400 pairs, mean of both directions: {recall_validation:.1f} validation, {recall_test:.1f} test.

{binding}

## Data and licence

No photograph, no text from elsewhere, no other model. MIT, as the code that drew the data.
"""

_SPLITS: tuple[Split, ...] = ("validation", "test")
_CHOICES_AVERAGED = ("replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att")

Scores = Mapping[str, float]


def write_card(folder: Path, command: str, history: str, binding: str, device: str) -> None:
    """Measures the model in `folder` on a device and writes its README.md: how it was made, its scores, what it makes of word
    order."""
    model = open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False, device=device).eval()
    architecture = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    text = _CARD.format(
        image=architecture["vision_cfg"],
        text=architecture["text_cfg"],
        num_parameters=sum(p.numel() for p in model.parameters()),
        kilobytes=round((folder / WEIGHTS_NAME).stat().st_size / 1000),
        vocab_size=model.vocab_size,
        command=command,
        day=date.today().isoformat(),
        folder=folder,
        history=history,
        binding=binding,
        zero_shot=_rows([_with_mean(probe.zero_shot(model, split), tuple(CLASSIFICATION_SIZES)) for split in _SPLITS]),
        composition=_rows([_with_mean(probe.composition(model, split), _CHOICES_AVERAGED) for split in _SPLITS]),
        recall_validation=probe.recall_at_1(model, "validation"),
        recall_test=probe.recall_at_1(model, "test"),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _with_mean(scores: Scores, averaged: tuple[str, ...]) -> Scores:
    return {**scores, f"mean of {averaged[0]} to {averaged[-1]}": mean(scores[name] for name in averaged)}


def _rows(columns: list[Scores]) -> str:
    """Markdown table rows: a name, then its score in each column."""
    return "\n".join(f"| {name} | " + " | ".join(f"{column[name]:.1f}" for column in columns) + " |" for name in columns[0])
