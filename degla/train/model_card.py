"""The README.md of a model folder: the model, how to load it, its data, recipe, limits and licence.

There are no scores yet when a model is made; the report stage adds them to a copy. Knows no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from degla.artifacts import Artifact
from degla.config import effective
from degla.images import IMAGES_FILE, read_images
from degla.markdown import markdown_table
from degla.schemas import TRAINING, read_table
from degla.train.config import TrainConfig

CARD_FILE = "README.md"

_CARD = """# A CLIP fine-tuned for composition

It started as `{architecture}`{weights} and was fine-tuned to tell a caption from the same words in another order or with
one of them replaced. Made by degla, the pipeline of DeGLA (arXiv 2504.16801).

```python
import open_clip

model, preprocess = open_clip.create_model_from_pretrained("local-dir:FOLDER")  # the folder of this file
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")
```

Architecture, activation, preprocessing and, if it is not open_clip's own, tokenizer are in the folder; open_clip reads such a
tokenizer through `transformers`, which must be installed. The weights are float32. `training.json` has the settings.

- degla: `architecture: "local-dir:FOLDER"` in `train.model` or `evaluate.models`.
- transformers (plain CLIPs): another folder, by `python -m degla.models export local-dir:FOLDER OUT`; then
  `CLIPModel.from_pretrained("OUT")` and `CLIPProcessor.from_pretrained("OUT")`.

## Scores

Not measured yet when the model was made. The report stage writes this card with the scores as `model_card.md` in its artifact.

## Data

{description}

{captions:,} captions of {images:,} images{left_out}, {negatives:,} negatives of these types, written by these generators:

{types}

| stage | fingerprint |
|---|---|
{lineage}

## Recipe

{steps:,} steps, {samples:,} samples; the losses at the end: {losses}. Starting weights: checksum `{start}`.

```yaml
{recipe}```

## Limits

- It was fine-tuned on the captions of one dataset, in their language and style; others were not evaluated.
- The negatives are machine-written. Rules reject false negatives, but some of those kept may be true of their image.
- Better composition can cost zero-shot accuracy: compare the scores before and after. The starting model's biases and
  its limits of use hold for this one too.

## Licence and source of the data

{source}. Licence: {licence}.{citation} The licence of the starting weights holds as well.
"""


def model_card(
    config: TrainConfig,
    inputs: Mapping[str, Artifact],
    lineage: Mapping[str, str],
    start: str,
    counts: Mapping[str, int],
    summary: Mapping[str, Any],
) -> str:
    """The card as Markdown.

    Args:
        config: the recipe.
        inputs: `prepare` and `filter`.
        lineage: stage name to fingerprint.
        start: checksum of the model that training started from.
        counts: of the joined data (`degla.train.batches.data.JoinCounts`).
        summary: `steps`, `samples` and `final_losses` of the run.
    """
    source = json.loads(inputs["prepare"].file("card.json").read_text(encoding="utf-8"))
    missing = counts["captions_without_image"]
    losses = summary["final_losses"]
    return _CARD.format(
        architecture=config.model.architecture,
        weights=f" with the weights `{config.model.weights}`" if config.model.weights else "",
        description=source["description"].strip(),
        **{name: counts[name] for name in ("captions", "images", "negatives")},
        left_out=f" ({missing:,} more had no usable image)" if missing else "",
        types=_types_table(config, inputs),
        lineage="\n".join(f"| {stage} | `{mark}` |" for stage, mark in lineage.items()),
        steps=summary["steps"],
        samples=summary["samples"],
        losses=", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in losses.items()),
        start=start,
        recipe=yaml.safe_dump(effective(config), sort_keys=False),
        source=source["source"].strip().removesuffix("."),
        licence=source["licence"].strip().removesuffix("."),
        citation=f" Please cite: {source['citation'].strip()}." if source.get("citation") else "",
    )


def _types_table(config: TrainConfig, inputs: Mapping[str, Artifact]) -> str:
    """How many negatives of each type, of captions with an image, by generator."""
    counts = count_negatives(config, inputs)
    generators = sorted({generator for _, generator in counts})
    rows = [[each, *(f"{counts.get((each, name), 0):,}" for name in generators)] for each in config.types]
    return markdown_table(["type", *generators], rows)


def count_negatives(config: TrainConfig, inputs: Mapping[str, Artifact]) -> dict[tuple[str, str], int]:
    """(type, generator) to the negatives that training can draw: of the configured types, of captions with an image."""
    images = read_images(inputs["prepare"].file(IMAGES_FILE), ["image_id", "status"])
    usable = images.filter(pc.equal(images["status"], "ok"))["image_id"]
    training = read_table(inputs["filter"].file("training.parquet"), TRAINING, ["image_id", "negatives"])
    training = training.filter(pc.is_in(training["image_id"], usable.combine_chunks()))
    negatives = training["negatives"].combine_chunks().flatten()
    columns = {name: pc.struct_field(negatives, name) for name in ("type", "generator")}
    grouped = pa.table(columns).group_by(["type", "generator"]).aggregate([([], "count_all")])
    return {(row["type"], row["generator"]): row["count_all"] for row in grouped.to_pylist() if row["type"] in config.types}
