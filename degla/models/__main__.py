"""`python -m degla.models`: what open_clip's architectures can do here, what a model is, and its export to transformers.

    python -m degla.models architectures                    the table of docs/models.md
    python -m degla.models show local-dir:FOLDER            what is known of a model before it is loaded
    python -m degla.models export local-dir:FOLDER OUT      a folder for transformers' CLIPModel

A model is named as in a config: ARCHITECTURE [-o weights=FILE] [-o preprocessing={...}].
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from degla.config import validate
from degla.errors import ConfigError
from degla.experiments.cli import run_command
from degla.models import ModelRef
from degla.overrides import apply_overrides


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command("models", lambda: options.run(options))


def _architectures(_options: argparse.Namespace) -> None:
    from degla.models.support import table

    print(table())


def _show(options: argparse.Namespace) -> None:
    from degla.models.architecture import activation_of, training_obstacle
    from degla.models.source import find

    source = find(_ref(options), download=False)
    text = source.architecture["text_cfg"]
    facts = {
        "architecture": source.name,
        "weights": str(source.weights),
        "activation": activation_of(source.architecture),
        "preprocessing": source.preprocessing.as_config(),
        "context_length": text.get("context_length", 77),
        "tokenizer": text.get("hf_tokenizer_name") or "open_clip",
        "fine-tuned": training_obstacle(source.architecture) or "yes",
    }
    print(yaml.safe_dump(facts, sort_keys=False, default_flow_style=None), end="")


def _export(options: argparse.Namespace) -> None:
    from degla.models import hf_clip
    from degla.models.loading import load

    if options.out.exists() and not options.out.is_dir():
        raise ConfigError(f"{options.out} is a file: name a new folder")
    if options.out.exists() and any(options.out.iterdir()):
        raise ConfigError(f"{options.out} is not empty: name a new folder")
    files = hf_clip.export(options.out, load(_ref(options), any_tower=True))
    print(f"{options.out}: {', '.join(files)}")


def _ref(options: argparse.Namespace) -> ModelRef:
    return validate(ModelRef, apply_overrides(ModelRef, {"architecture": options.architecture}, options.override), "model")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m degla.models", description="Look at CLIP models, and export them.")
    commands = parser.add_subparsers(required=True)
    listed = commands.add_parser("architectures", help="which of open_clip's architectures can be fine-tuned")
    listed.set_defaults(run=_architectures)
    shown = commands.add_parser("show", help="what is known of a model before it is loaded")
    shown.set_defaults(run=_show)
    exported = commands.add_parser("export", help="write a folder that transformers' CLIPModel loads")
    exported.set_defaults(run=_export)
    for command in (shown, exported):
        command.add_argument(
            "architecture", help="as in a config: local-dir:FOLDER, hf-hub:NAME, an open_clip name, a .json file"
        )
        command.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as weights=FILE")
    exported.add_argument("out", type=Path, help="the folder to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
