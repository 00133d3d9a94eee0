"""A stage whose code changed needs a new version, or a line that says why its artifact stays the same.

`stage_code.txt` has a line for each file that a stage runs: stage, file, hash, and why this hash was accepted. Only what can
change the artifact counts: the functions, classes and constants reached by name from `degla.<stage>.run`, without docstrings,
comments, annotations, log lines and the texts of errors; and the data files that they name. A reader of benchmarks is a part
of its own (`evaluate.pairs`): its version stands in `READER_VERSIONS` and redoes the benchmarks that it reads, no others.
If this test fails, raise the version of the stage or reader if the artifact changes, and in any case run

    python tests/foundation/test_stage_versions.py --accept "why the artifact stays the same, or what changed in it"

Run it again after a merge of two branches that changed the same file; the record itself merges without conflicts.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from degla.evaluate.config import READER_VERSIONS, BenchmarkRef
from degla.evaluate.readers import known_readers
from degla.experiments.experiment import STAGES, Experiment

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("stage_code.txt")
DATA_SUFFIXES = (".html", ".parquet", ".sql", ".yaml")  # a model's files are in the fingerprint
WITHOUT_EFFECT = ("degla.progress", "degla.errors")  # what a stage reports, and how it fails
DYNAMIC_IMPORTS = {"import_module", "iter_modules", "walk_packages"}
ALL, MAIN, OTHER = "*", "__main__", "other statements"

Record = dict[tuple[str, str], tuple[str, str]]
"""(Part, file or `version`) to (hash or number, why it was accepted)."""


class Name(NamedTuple):
    """A top-level name of a module; ALL for everything in it."""

    module: str
    name: str


class WithoutTalk(ast.NodeTransformer):
    """Drops docstrings, annotations, log lines and the texts of errors."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        talk = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith(("logger.", "warnings.", "print"))
        return None if talk or isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


class Module:
    """The top-level definitions of a module, and where its imported names come from."""

    def __init__(self, name: str, source: str):
        self.name = name
        self.definitions: dict[str, list[ast.stmt]] = defaultdict(list)
        self.field_types: dict[str, list[ast.expr]] = {}
        self.imports: dict[str, Name] = {}
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                self.imports |= {alias.asname or alias.name: Name(node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                self.imports |= {alias.asname or alias.name: Name(alias.name, ALL) for alias in node.names}
            elif isinstance(node, ast.ClassDef):
                self.field_types[node.name] = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        for statement in WithoutTalk().visit(tree).body:
            for bound in _bound(statement):
                self.definitions[bound].append(statement)

    def code(self, names: Iterable[str]) -> bytes:
        """What these definitions do, without what they say."""
        return "".join(ast.dump(statement) for name in sorted(names) for statement in self.definitions[name]).encode()

    def texts(self, names: Iterable[str]) -> set[str]:
        """The strings in these definitions."""
        nodes = (node for name in names for statement in self.definitions[name] for node in ast.walk(statement))
        return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}

    def mentions(self, name: str) -> Iterator[Name]:
        """What a definition refers to; a class's fields refer to their types."""
        pending: list[ast.AST] = [*self.definitions[name], *self.field_types.get(name, [])]
        while pending:
            node = pending.pop()
            target = self._resolve(node)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                target = self._resolve(node.value)
                if target and target.name == ALL:
                    target = resolve(target._replace(name=node.attr))
            else:
                pending += ast.iter_child_nodes(node)
            if target:
                yield target
            if isinstance(node, ast.Name) and node.id in DYNAMIC_IMPORTS:
                yield from (Name(name, ALL) for name in siblings(self.name))
        yield from (Name(text, ALL) for text in self.texts([name]) if re.fullmatch(r"degla(\.\w+)+", text))  # python -m ...

    def _resolve(self, node: ast.AST) -> Name | None:
        known = isinstance(node, ast.Name) and (node.id in self.definitions or node.id in self.imports)
        return resolve(Name(self.name, node.id)) if known else None


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement defines; MAIN or OTHER if it does something else."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
        yield MAIN
    elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield OTHER


@cache
def module(name: str) -> Module | None:
    """A module of `degla`; None for any other and for those without effect."""
    path = ROOT / name.replace(".", "/")
    file = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    return Module(name, file.read_text()) if file and name.startswith("degla") and name not in WITHOUT_EFFECT else None


def siblings(name: str) -> list[str]:
    """The modules of the package that a module is or lies in: what a dynamic import there may load."""
    folder = ROOT / name.replace(".", "/")
    folder = folder if folder.is_dir() else folder.parent
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in folder.glob("*.py") if file.stem != "__init__"]


def resolve(name: Name) -> Name | None:
    """Where a name is defined in `degla`, through any number of imports; None if it is not."""
    home = module(name.module)
    if home is None:
        return None
    if name.name == ALL or name.name in home.definitions:
        return name
    source = home.imports.get(name.name, name)
    inner = f"{source.module}.{source.name}"
    return (resolve(source) if source != name else None) or (Name(inner, ALL) if module(inner) else None)


def reached(roots: Iterable[Name], stop: Iterable[Name] = ()) -> set[Name]:
    """Every definition of `degla` that may run once the roots do."""
    pending, seen = [target for root in roots if (target := resolve(root))], set(stop)
    while pending:
        name = pending.pop()
        home = module(name.module)
        if name in seen or home is None:
            continue
        seen.add(name)
        if name.name == ALL:
            pending += [Name(home.name, each) for each in home.definitions]
        else:
            pending += [*home.mentions(name.name), *([Name(home.name, OTHER)] if OTHER in home.definitions else [])]
    return {name for name in seen.difference(stop) if name.name != ALL}


@cache
def parts() -> dict[str, set[Name]]:
    """What each stage reaches, and what each reader of benchmarks reaches beyond that."""
    found, experiment = {}, Experiment(name="x")
    for stage in STAGES:
        config = type(experiment.stage_config(stage))
        roots = [Name(f"degla.{stage}", "run"), Name(config.__module__, config.__name__)]
        found[stage] = reached(roots, [Name("degla.evaluate.readers", "known_readers")])
    for name, (read, *_) in known_readers().items():
        found[f"evaluate.{name}"] = reached([Name(read.__module__, read.__name__)]) - found["evaluate"]
    return found


@cache
def current() -> Record:
    experiment = Experiment(name="x")
    record: Record = {}
    for part, names in parts().items():
        stage, _, reader = part.partition(".")
        version = READER_VERSIONS.get(reader, 1) if reader else experiment.stage_config(stage).version
        record[part, "version"] = str(version), ""
        texts: set[str] = set()
        for home in {each: module(each) for each, _ in names}.values():
            own = {name.name for name in names if name.module == home.name}
            texts |= home.texts(own)
            record[part, home.name] = _hash(home.code(own)), ""
        record |= {(part, file): (_hash((ROOT / file).read_bytes()), "") for file in data_files(names, texts)}
    return record


def data_files(names: Iterable[Name], texts: Iterable[str]) -> Iterator[str]:
    """The data files that these definitions name, and those of their folders that no code names."""
    folders = {ROOT / name.module.replace(".", "/") for name in names}
    folders |= {folder.parent for folder in folders}
    for file, is_named in _data_files().items():
        if file.name in texts if is_named else {file.parent, file.parent.parent} & folders:
            yield file.relative_to(ROOT).as_posix()


@cache
def _data_files() -> dict[Path, bool]:
    """Every data file of the library, and whether some code names it."""
    sources = "".join(file.read_text() for file in (ROOT / "degla").rglob("*.py"))
    return {file: file.name in sources for suffix in DATA_SUFFIXES for file in (ROOT / "degla").rglob(f"*{suffix}")}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def recorded() -> Record:
    lines = (line.split(" ", 3) for line in RECORD.read_text().splitlines())
    return {(part, file): (mark, why) for part, file, mark, why in lines}


def changes(now: Record, before: Record) -> list[tuple[str, str]]:
    return sorted(key for key in now.keys() | before.keys() if now.get(key, "")[:1] != before.get(key, "")[:1])


def accept(why: str) -> None:
    """Record the code as it is; what changed gets this reason."""
    now, before = current(), recorded() if RECORD.exists() else {}
    new = changes(now, before)
    reasons = {key: why if key in new else before[key][1] for key in now}
    lines = sorted(f"{part} {file} {mark} {reasons[part, file]}" for (part, file), (mark, _) in now.items())
    RECORD.write_text("\n".join(lines) + "\n")
    print(f"accepted {len(new)} changes: {', '.join(f'{part} {file}' for part, file in new)}")


@pytest.mark.parametrize("part", [*STAGES, *(f"evaluate.{name}" for name in known_readers())])
def test_a_part_whose_code_changed_has_a_new_version_or_was_accepted(part: str) -> None:
    changed = [file for each, file in changes(current(), recorded()) if each == part]
    assert not changed, f"the code that {part} runs has changed; see the top of {Path(__file__).name}"


def test_no_part_is_recorded_that_is_gone() -> None:
    assert {part for part, _ in recorded()} == {part for part, _ in current()}


LIBRARY = '''
from degla.errors import DataError

def run(x: int) -> int:
    """Doubles."""
    if x < 0:
        raise DataError(f"{x} is negative")
    return _twice(x)  # always

def _twice(x): return FACTOR * x

def unused(): return 1

FACTOR = 2
'''


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("FACTOR = 2", "FACTOR = 3", True),
        ("FACTOR * x", "x", True),
        ("x < 0", "x < 1", True),
        ("DataError(", "ValueError(", True),
        ("Doubles", "Multiplies", False),
        ("is negative", "is below 0", False),
        ("# always", "# by FACTOR", False),
        ("(x: int) -> int", "(x: float) -> float", False),
        ("unused(): return 1", "unused(): return 2", False),
        ("def run(", "import logging\nlogger = logging.getLogger()\n\ndef run(", False),
        ("    return _twice", "    logger.info(x)\n    return _twice", False),
    ],
)
def test_only_what_can_change_the_artifact_counts(old: str, new: str, counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(source: str) -> bytes:
        home = Module("degla.toy", source)
        monkeypatch.setitem(globals(), "module", {"degla.toy": home}.get)
        return home.code(name.name for name in reached([Name("degla.toy", "run")]))

    assert LIBRARY.count(old) >= 1
    assert (hashed(LIBRARY) != hashed(LIBRARY.replace(old, new, 1))) == counts


def test_a_stage_reaches_what_it_runs_in_child_processes_and_no_other_stage() -> None:
    modules = {part: {name.module for name in names} for part, names in parts().items()}
    assert {"degla.prepare.stage", "degla.text.tokens", "degla.artifacts", "degla.miniworld.dataset"} <= modules["prepare"]
    assert {"degla.train.worker", "degla.models.loading"} <= modules["train"]
    assert "degla.generate.worker" in modules["generate"]
    for stage in STAGES:
        others = tuple(f"degla.{other}." for other in STAGES if other != stage)
        assert not [name for name in modules[stage] if name.startswith((*others, "degla.experiments"))]


def test_a_reader_of_benchmarks_is_a_part_of_its_own() -> None:
    found = parts()
    assert not {name.module for name in found["evaluate"]} & {"degla.evaluate.readers.pairs", "degla.evaluate.readers.aro"}
    assert {name.module for name in found["evaluate.pairs"]} >= {"degla.evaluate.readers.pairs"}
    assert "degla.evaluate.readers.pairs" not in {name.module for name in found["evaluate.aro_order"]}


def test_a_readers_version_changes_its_benchmarks_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = BenchmarkRef(name="miniworld_composition")
    own = BenchmarkRef(name="sugarcrepe")
    before = drawn.checksum(), own.checksum()
    monkeypatch.setitem(READER_VERSIONS, "sugarcrepe", 2)
    assert (drawn.checksum() == before[0], own.checksum() == before[1]) == (True, False)


def test_accepting_needs_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "record.txt"
    record.write_text(RECORD.read_text().replace("prepare version ", "prepare version 9"))
    monkeypatch.setitem(globals(), "RECORD", record)
    with pytest.raises(SystemExit, match="why"):
        main(["--accept", " "])
    with pytest.raises(SystemExit, match="why"):
        main(["--accept"])
    main(["--accept", "the same rows"])
    reasons = {key: why for key, (_, why) in recorded().items()}
    assert reasons["prepare", "version"] == "the same rows"
    assert list(reasons.values()).count("the same rows") == 1


def main(arguments: list[str]) -> None:
    match arguments:
        case ["--accept", why] if why.strip():
            accept(" ".join(why.split()))
        case _:
            sys.exit(f'{Path(__file__).name} --accept "why": say why the artifact stays the same, or what changed in it')


if __name__ == "__main__":
    main(sys.argv[1:])
