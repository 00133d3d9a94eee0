"""The card of an exported dataset: what is in it, from whom, by which rules, under which licence, and what to mind.

Written from the manifests and summaries of the artifacts behind it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from degla.artifacts import MANIFEST, Artifact
from degla.markdown import markdown_table
from degla.negative_types import NEGATIVE_TYPES, TRAITS

# The hub's names of licences that may be given as they are; others are `other`, with their words.
_LICENCES = {"MIT": "mit", "CC BY 4.0": "cc-by-4.0", "CC0 1.0": "cc0-1.0", "Apache-2.0": "apache-2.0"}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))

_LIMITS = """\
- The rules look at words, not at pictures. Some negatives will be true of their image, above all where its captions do not
  mention what is there, and some are not fluent. Judge a sample before relying on them.
- What can be told from the text alone can be learned from the text alone: negatives may be recognisable without the image.
- The types are not evenly frequent: most captions have too few adjectives for `swap_adjectives`.
- English only. Images are not included; `image_id` names them in the source.
- Texts by a language model may be bound by that model's licence, and imported ones by their source's: see the generators above.
- Do not evaluate on images that are in here; look at the source for overlaps with benchmarks."""


@dataclass(frozen=True)
class CardFacts:
    """What a card says; None where the artifact that knows it is not at hand."""

    name: str
    captions: int
    negatives: int
    without_negatives: int
    by_type: Counter[tuple[str, str]]
    rules: Sequence[Mapping[str, Any]]
    audited: Sequence[Mapping[str, Any]]
    source: Mapping[str, Any] | None
    origins: Sequence[Mapping[str, Any]] | None
    made_by: str

    @classmethod
    def read(
        cls, artifact: Artifact, captions: int, negatives: int, without_negatives: int, by_type: Counter[tuple[str, str]]
    ) -> CardFacts:
        """From a filter artifact and, where they lie in the same artifact root, the two that it was made from."""
        source = _json_of(_behind(artifact, "prepare"), "card.json")
        generation = _json_of(_behind(artifact, "generate"), "generation.json")
        summary = json.loads(artifact.file("summary.json").read_text(encoding="utf-8"))
        return cls(
            name=f"{source['name'] if source else 'captions'} with DeGLA negatives",
            captions=captions,
            negatives=negatives,
            without_negatives=without_negatives,
            by_type=by_type,
            rules=summary["rules"],
            audited=summary["audit"]["rows"],
            source=source,
            origins=generation["origins"] if generation else None,
            made_by=f"degla {artifact.manifest.versions.get('degla', '')}, filter artifact {artifact.fingerprint},"
            f" {artifact.manifest.started[:10]}",
        )


def dataset_card(facts: CardFacts) -> str:
    """The card as Markdown with the hub's YAML front matter."""
    sections = (
        ("What is in it", _contents(facts)),
        ("Negatives by type and generator", _counts_table(facts)),
        ("Generators and prompts", _origins_table(facts)),
        ("Rules that every negative passed", _rules_table(facts)),
        ("What is told without the image", _audit_table(facts)),
        ("Source and licence", _source(facts)),
        ("Known limits", _LIMITS),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n# {facts.name}\n\n{body}\n\nMade by {facts.made_by}.\n"


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    words = facts.source["licence"] if facts.source else "unknown: see the source"
    known = _LICENCES.get(words)
    return {
        "pretty_name": facts.name,
        "language": ["en"],
        "license": known or "other",
        **({} if known else {"license_details": words}),
        "task_categories": ["zero-shot-image-classification", "image-to-text"],
        "tags": ["clip", "hard-negatives", "compositionality"],
        "size_categories": [_size(facts.captions)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }


def _size(captions: int) -> str:
    return next((name for limit, name in _SIZES if captions < limit), "10M<n<100M")


def _contents(facts: CardFacts) -> str:
    types = "\n".join(f"- `{name}`: {traits.summary}" for name, traits in TRAITS.items())
    return (
        f"{facts.captions:,} captions with {facts.negatives:,} negatives: texts that differ from the caption in a word or two, or"
        f" in their order, and are false of its image. {facts.without_negatives:,} captions have none.\n\n"
        "| column | content |\n| --- | --- |\n"
        "| `caption_id` | number of the caption in the source's order |\n"
        "| `image_id` | the image's name in the source |\n"
        "| `caption` | the caption |\n"
        "| `negatives` | list of `{text, type, generator, candidate, attempt, seed, model_sha, prompt_sha}` |\n\n"
        f"{types}"
    )


def _counts_table(facts: CardFacts) -> str:
    generators = sorted({generator for _, generator in facts.by_type})
    counts = {name: [facts.by_type[name, generator] for generator in generators] for name in NEGATIVE_TYPES}
    rows = [(f"`{name}`", *(f"{count:,}" for count in [*own, sum(own)])) for name, own in counts.items()]
    return markdown_table(("type", *(f"`{name}`" for name in generators), "all"), rows)


def _origins_table(facts: CardFacts) -> str:
    if facts.origins is None:
        return "The generate artifact behind this was not at hand when the card was written."
    used = {(generator, name) for name, generator in facts.by_type}
    header = ("generator", "type", "model fingerprint", "prompt fingerprint")
    names = ("generator", "type", "model_sha", "prompt_sha")
    shown = [each for each in facts.origins if (each["generator"], each["type"]) in used]
    return markdown_table(header, ([f"`{each[name]}`" if each[name] else "-" for name in names] for each in shown), header)


def _rules_table(facts: CardFacts) -> str:
    header = ("rule", "types", "why")
    return markdown_table(header, ((f"`{rule['name']}`", _types(rule["types"]), rule["why"]) for rule in facts.rules), header)


def _types(names: Sequence[str]) -> str:
    return "all" if len(names) == len(NEGATIVE_TYPES) else ", ".join(f"`{name}`" for name in names)


def _audit_table(facts: CardFacts) -> str:
    rows = [
        (f"`{row['type']}`", f"`{row['generator']}`", f"{row['pairs']:,}", f"{100 * row['blind_accuracy']:.1f} %")
        for row in facts.audited
    ]
    return (
        "Blind accuracy: accuracy of a text-only classifier on (caption, negative) pairs; 50 % = no artefact.\n\n"
        + markdown_table(("type", "generator", "pairs", "blind accuracy"), rows, ("type", "generator"))
    )


def _source(facts: CardFacts) -> str:
    if facts.source is None:
        return "The prepare artifact behind this was not at hand when the card was written: add source and licence by hand."
    source = facts.source
    lines = [
        f"Captions: `{source['name']}`, revision {source['revision']}. {' '.join(source['description'].split())}",
        f"Source: {source['source']}",
        f"Licence of the source: {source['licence']}",
    ]
    return "\n\n".join([*lines, f"Citation: {source['citation']}"] if source.get("citation") else lines)


def _behind(artifact: Artifact, stage: str) -> Path:
    """Where the artifact lies that this one was made from, in the same artifact root."""
    return artifact.path.parent.parent / stage / artifact.manifest.inputs.get(stage, "unknown")


def _json_of(folder: Path, name: str) -> dict[str, Any] | None:
    if not (folder / MANIFEST).is_file():
        return None
    artifact = Artifact.load(folder)
    return json.loads(artifact.file(name).read_text(encoding="utf-8")) if artifact.has(name) else None
