"""`python -m degla.artifacts`: what was made, why a stage would run again, from what an artifact was made, and what may go.

python -m degla.artifacts list [STAGE ...]              finished and unfinished artifacts, with their size
python -m degla.artifacts why EXPERIMENT [-o KEY=VALUE] what differs from the nearest finished artifact of each stage
python -m degla.artifacts tree FOLDER ...               what artifacts were made from
python -m degla.artifacts verify [FOLDER ...]           compare all files with their checksums
python -m degla.artifacts remove [FOLDER ...] [--yes]   delete these, or all that no experiment uses; asks first
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from degla.artifacts import Artifact
from degla.artifacts.collection import Shelf, differences, lineage, made_from, read_shelf, remove, size_of, unused
from degla.errors import ConfigError, DataError, InputError, MissingInputError, Problems
from degla.experiments.cli import parse_given, run_command
from degla.experiments.experiment import STAGES, load_experiment
from degla.experiments.plan import StagePlan, plan
from degla.home import artifact_root

_SHOWN = 12


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(argv)
    return run_command("artifacts", lambda: options.do(options))


def list_(options: argparse.Namespace) -> None:
    """Finished and unfinished artifacts, with their size."""
    unknown = [stage for stage in options.stage if stage not in STAGES]
    if unknown:
        raise ConfigError(f"no stage {unknown[0]!r}; there are: {', '.join(STAGES)}")
    root = _root(options)
    shelf = read_shelf(root, options.stage or STAGES)
    for each in shelf.finished:
        counts = ", ".join(f"{name} {value:,}" for name, value in list(each.counts.items())[:4])
        print(f"{each.stage:<9} {each.fingerprint}  {each.manifest.started[:16]}  {_size(each.path):>8}  {counts}")
    for path in shelf.unfinished:
        print(f"{path.parent.name:<9} {path.name}  unfinished        {_size(path):>8}")
    for text in shelf.damaged:
        print(f"damaged: {text}")
    print(f"{root}: {len(shelf.finished)} finished, {len(shelf.unfinished)} unfinished, {len(shelf.damaged)} damaged")


def why(options: argparse.Namespace) -> None:
    """What differs from the nearest finished artifact of each stage."""
    experiment = load_experiment(options.experiment, options.override)
    given = parse_given(options.input)
    shelf = read_shelf(experiment.artifact_root(), STAGES)
    plans = plan(experiment, given)
    for stage, planned in plans.items():
        first, *details = _reasons(planned, shelf, plans)
        print(f"{stage:<9} {first}", *(f"{'':<10}{each}" for each in details), sep="\n")


def _reasons(planned: StagePlan, shelf: Shelf, plans: Mapping[str, StagePlan]) -> list[str]:
    """Why a stage is reused, continued or run, in lines."""
    if planned.finished:
        return [f"reuse: {planned.path}"]
    if planned.begun:
        return [f"resume: {planned.path} is unfinished"]
    others = shelf.of(planned.stage)
    if not others:
        return ["run: there is no finished artifact of this stage"]
    config = planned.config
    inputs, raw = {name: plans[name].fingerprint for name in planned.inputs}, config.raw_inputs()
    found = [(differences(each.manifest, config, inputs, raw), each) for each in others]
    nearest, artifact = min(found, key=lambda each: len(each[0]))  # of equally near ones the newest, which stands first
    left = len(nearest) - _SHOWN
    more = [f"and {left} more"] if left > 0 else []
    return [f"run: these differ from {artifact.path}:", *map(str, nearest[:_SHOWN]), *more]


def tree(options: argparse.Namespace) -> None:
    """What artifacts were made from."""
    for folder in options.folder:
        _print_tree(Artifact.load(folder.absolute()))


def _print_tree(artifact: Artifact) -> None:
    known = read_shelf(artifact.path.parents[1], STAGES).by_fingerprint()
    for depth, mark, each in lineage(artifact, known):
        if each is None:
            print(f"{'  ' * depth}{mark}: not there")
            continue
        inputs = ", ".join(f"{name} {value}" for name, value in each.manifest.inputs.items())
        print(f"{'  ' * depth}{each.stage} {mark}, made {each.manifest.started[:16]} in {each.manifest.seconds:,.0f} s")
        read = ", ".join(f"{name} {checksum[:16]}" for name, checksum in each.manifest.raw.items())
        for text in filter(None, (inputs and f"reads {inputs}", read and f"files and cards: {read}")):
            print(f"{'  ' * depth}    {text}")


def verify(options: argparse.Namespace) -> None:
    """Compare all files with their checksums."""
    root = _root(options)
    shelf = read_shelf(root, STAGES)
    artifacts = [Artifact.load(path.absolute()) for path in options.folder] or list(shelf.finished)
    problems = Problems()
    for text in () if options.folder else shelf.damaged:
        with problems.noted():
            raise DataError(text)
    for each in artifacts:
        with problems.noted():
            each.verify()
            print(f"{each.stage:<9} {each.fingerprint}  {len(each.manifest.files)} files are as they were made", flush=True)
    problems.raise_any()


def remove_(options: argparse.Namespace) -> None:
    """Delete artifacts that nothing needs; asks first."""
    root = _root(options)
    shelf, used = read_shelf(root, STAGES), _used(root)
    if options.folder:
        unwanted = list(dict.fromkeys(path.absolute() for path in options.folder))
        _refuse_needed(unwanted, root, shelf, used)
    else:
        unwanted = unused(shelf, used)
    if not unwanted:
        print(f"{root}: every artifact belongs to an experiment of {root / 'experiments'}")
        return
    made = {each.path: each.manifest.started[:16] for each in shelf.finished}
    for path in unwanted:
        print(f"{path.parent.name:<9} {path.name}  {made.get(path, 'unfinished'):<16}  {_size(path):>8}")
    print(
        f"no experiment of {root / 'experiments'} uses these {len(unwanted)} as degla is now, and nothing that is used read them"
    )
    if not options.yes:
        if not sys.stdin.isatty():
            raise ConfigError("nothing was deleted: nobody can be asked here. Say --yes to delete them")
        if input(f"delete these {len(unwanted)} folders? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was deleted")
            return
    busy = [path for path in unwanted if not remove(path)]
    print(f"deleted {len(unwanted) - len(busy)}")
    for path in busy:
        print(f"kept {path}: a process is making it, or reads it")


def _refuse_needed(folders: Collection[Path], root: Path, shelf: Shelf, used: Mapping[Path, Path]) -> None:
    """Raises InputError for each folder that is no artifact below the root, or that an experiment or another artifact needs."""
    read = made_from(shelf, [each for each in shelf.finished if each.path not in folders])
    problems = Problems()
    for folder in folders:
        with problems.noted():
            if folder.parents[1] != root or folder.parent.name not in STAGES or not folder.is_dir():
                raise MissingInputError(f"{folder} is no artifact below {root}: `list` shows those; --root takes another root")
            if folder in used:
                raise ConfigError(f"{folder} belongs to an experiment: delete {used[folder]} if that is given up")
            if folder in read:
                raise ConfigError(f"{folder}: {read[folder].path} was made from it; name that too if it may go")
    problems.raise_any()


def _used(root: Path) -> dict[Path, Path]:
    """The folders of all experiments that ran below a root, as they would be planned now, with the experiment's file.

    Raises:
        InputError: an experiment cannot be planned, so that nobody knows which folders are its own.
    """
    used: dict[Path, Path] = {}
    problems = Problems()
    for path in sorted((root / "experiments").glob("*.yaml")):
        with problems.noted(), _named(path):
            experiment = load_experiment(str(path)).model_copy(update={"root": str(root)})
            used |= {each.path: path for each in plan(experiment).values()}
    problems.raise_any()
    return used


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of which experiment an InputError is."""
    try:
        yield
    except InputError as error:
        raise DataError(
            f"{path} cannot be planned, so that nobody knows its artifacts: {error} If it is given up, delete {path.name}."
        ) from error


def _root(options: argparse.Namespace) -> Path:
    root = options.root.absolute() if options.root else artifact_root()
    if not root.is_dir():
        raise MissingInputError(f"there is no folder {root}: nothing was made there. Set DEGLA_HOME, or give --root")
    return root


def _size(path: Path) -> str:
    size = float(size_of(path))
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m degla.artifacts", description="What was made, and why it would be again.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[argparse.Namespace], None], root: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=do.__doc__, description=do.__doc__, allow_abbrev=False)
        made.set_defaults(do=do)
        if root:
            made.add_argument("--root", type=Path, help="folder of the artifacts; default DEGLA_HOME or artifacts/")
        return made

    command("list", list_).add_argument("stage", nargs="*", metavar="STAGE", help="only these stages")
    explained = command("why", why, root=False)
    explained.add_argument("experiment", help="a preset of flows/experiments/ by name, or the path of a YAML file")
    explained.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.lr=1e-5")
    explained.add_argument("--input", action="append", default=[], metavar="STAGE=PATH", help="read this artifact instead")
    command("tree", tree, root=False).add_argument("folder", nargs="+", type=Path, help="of artifacts")
    command("verify", verify).add_argument("folder", nargs="*", type=Path, help="of artifacts; default all")
    removed = command("remove", remove_)
    removed.add_argument("folder", nargs="*", type=Path, help="of artifacts; default all that no experiment uses")
    removed.add_argument("--yes", action="store_true", help="delete without asking")
    return parser


if __name__ == "__main__":
    sys.exit(main())
