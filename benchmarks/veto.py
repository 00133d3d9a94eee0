"""How well the filter's image-text veto tells true rewrites from false ones, and how many texts it compares a second.

    python benchmarks/veto.py [--scenes 6000] [--model ARCHITECTURE] [--weights WEIGHTS]

The mini world knows the truth. In each of its captions one noun, and one adjective, gives way to any other word of its kind, as
a careless generator would have it; two nouns, and two adjectives, change places. Some of that is true of the image: a synonym, or
what the caption left unsaid. Shown is which share of the true and of the false ones each margin refuses, and how often the gap of
a true one exceeds that of a false one (AUC; 0.5 is chance). CPU time is that of the comparison, model loading left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from degla.artifacts import Artifact
from degla.database import connect
from degla.filter.config import ImageVeto
from degla.filter.veto import measure_gaps
from degla.images import IMAGES_FILE
from degla.miniworld.language import ADJECTIVE_WORDS, NOUN_WORDS, tidy, words_of
from degla.miniworld.scenes import Scene
from degla.miniworld.truth import judge
from degla.models import ModelRef
from degla.models.loading import load
from degla.prepare import PrepareConfig
from degla.prepare import run as prepare
from degla.schemas import CAPTIONS, GAPS, SCENES, read_table

MARGINS = (1.0, 0.5, 0.0, -0.1, -0.25, -0.5, -1.0, -2.0)
_NOUNS, _ADJECTIVES = ([word for words in table.values() for word in words] for table in (NOUN_WORDS, ADJECTIVE_WORDS))
_COLUMNS = ("caption_id", "type", "candidate", "attempt", "image_id", "caption", "text")


def careless(caption: str, rng: Random) -> Iterator[tuple[str, str]]:
    """Rewrites of a caption, with their types."""
    words = words_of(caption)
    for kind, known in (("nouns", _NOUNS), ("adjectives", _ADJECTIVES)):
        places = [place for place, word in enumerate(words) if word in known]
        if places:
            yield f"replace_{kind}", _with(words, {rng.choice(places): rng.choice(known)})
        if len(places) > 1:
            one, other = rng.sample(places, 2)
            yield f"swap_{kind}", _with(words, {one: words[other], other: words[one]})


def _with(words: list[str], changes: dict[int, str]) -> str:
    return tidy(" ".join(changes.get(place, word) for place, word in enumerate(words)))


def candidates(prepared: Artifact) -> pa.Table:
    rng, rows = Random(0), []
    for caption in read_table(prepared.file("captions.parquet"), CAPTIONS).to_pylist():
        for kind, text in careless(caption["caption"], rng):
            if text != caption["caption"]:
                rows.append({**caption, "type": kind, "candidate": 0, "attempt": 1, "text": text})
    return pa.Table.from_pylist([{name: row[name] for name in _COLUMNS} for row in rows])


def truths(prepared: Artifact, rows: pa.Table) -> dict[tuple[int, str], str]:
    """By caption and type: true, false or unreadable."""
    table = read_table(prepared.file("scenes.parquet"), SCENES).to_pylist()
    scenes = {row["image_id"]: Scene.from_json(json.loads(row["scene"])) for row in table}
    return {(row["caption_id"], row["type"]): judge(row["text"], scenes[row["image_id"]]) for row in rows.to_pylist()}


def gaps(prepared: Artifact, rows: pa.Table, veto: ImageVeto, folder: Path) -> list[dict[str, Any]]:
    with connect() as database:
        database.register("candidates", rows)
        parts = measure_gaps(database, veto, prepared.file(IMAGES_FILE), folder / "veto").paths()
        return [row for part in parts for row in read_table(part, GAPS).to_pylist()]


def auc(true: np.ndarray, false: np.ndarray) -> float:
    """How often a true one's gap is the larger; a tie counts half."""
    false = np.sort(false)
    return float(np.mean(np.searchsorted(false, true) + np.searchsorted(false, true, side="right")) / 2 / len(false))


def run(options: argparse.Namespace, folder: Path) -> None:
    veto = ImageVeto(model=ModelRef(architecture=options.model, weights=options.weights))
    config = PrepareConfig(dataset="miniworld", options={"num_scenes": options.scenes})
    prepared = prepare(config, {}, folder / "prepare")
    rows = candidates(prepared)
    start = time.process_time()
    load(veto.model)
    loaded = time.process_time()
    found = gaps(prepared, rows, veto, folder)
    cpu = time.process_time() - loaded - (loaded - start)
    texts = len({*rows["text"].to_pylist(), *rows["caption"].to_pylist()})
    verdicts, areas = truths(prepared, rows), {}
    print(f"{'type':>19} {'true':>6} {'false':>6} {'AUC':>5}   true / false refused at margin")
    print(" " * 41 + "".join(f"{margin:>14}" for margin in MARGINS))
    for kind in ("replace_nouns", "replace_adjectives", "swap_nouns", "swap_adjectives"):
        of_kind = [(verdicts[row["caption_id"], kind], row["gap"]) for row in found if row["type"] == kind]
        true, false = (np.array([gap for verdict, gap in of_kind if verdict == wanted]) for wanted in ("true", "false"))
        areas[kind] = auc(true, false)
        shares = "".join(f"{(true > m).mean():8.2f} /{(false > m).mean():4.2f}" for m in MARGINS)
        print(f"{kind:>19} {len(true):6,} {len(false):6,} {areas[kind]:5.2f}   {shares}")
    named = " ".join(f"auc_{kind}={area:.3f}" for kind, area in areas.items())
    print(f"{texts:,} texts and {options.scenes:,} images in {cpu:.1f} CPU s")
    print(f"veto texts_per_cpu_s={texts / cpu:.0f} {named}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=6_000)
    parser.add_argument("--model", default="miniworld", help="as filter.veto.model.architecture")
    parser.add_argument("--weights", default="", help="as filter.veto.model.weights")
    with tempfile.TemporaryDirectory() as folder:
        run(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
