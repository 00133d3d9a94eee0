"""The mini world: drawn images, captions whose truth can be computed, and a small CLIP pretrained on them.

The embedded default data of degla: no downloads, no licences, a whole experiment in minutes on a CPU. Read in this order:

    scenes      what is in an image, and how it is drawn        icons       the silhouettes
    language    how a scene is described, and the vocabulary    truth       whether a caption holds of a scene
    edits       rewrites of a caption that make it false        dataset     the fine-tuning images and captions
    benchmarks  the evaluation sets                             pretraining how the models were made

Knows no stage of the pipeline. Importing it loads neither torch nor open_clip.
"""

from pathlib import Path

CLIP_DIR: Path = Path(__file__).parent / "clip"
"""Folder of the pretrained model; open_clip loads model and tokenizer from `local-dir:<this folder>`."""

CLIP_DIRS: dict[str, Path] = {"miniworld": CLIP_DIR, "miniworld-half-binding": CLIP_DIR.with_name("clip_half_binding")}
"""The pretrained models by the names of their architectures; the second tells some swapped captions apart."""
