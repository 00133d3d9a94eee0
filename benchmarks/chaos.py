"""Kill the pipeline at random, recover as an operator does, and compare what it made with an undisturbed run.

    make chaos KILLS=6 [SEED=1]
    python -m benchmarks.chaos --kills 6 [--seed 1] [--stages prepare generate] [-o train.steps=200] [--keep FOLDER]

A server, a serving process and a small `pipeline/demo` with a home, a port and artifacts of their own. First the pipeline runs
undisturbed, then with kills (SIGKILL) of processes of every kind in every stage, at random moments of their lives; what is killed
when is drawn from the seed. The operator does what the docs say and no more: `make up` if the server or the serving process is
gone, Retry if the run has ended without success. Ends with a table, and with exit code 0 only if every artifact is the same byte
by byte (`benchmarks.equal_artifacts`), no run was stuck and no process was left.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos_site import EVERYWHERE, ONLY_IN, SERVICES, Member, Place, Site
from benchmarks.equal_artifacts import differences
from degla.experiments.experiment import STAGES
from degla.markdown import markdown_table

SMALL = (
    "prepare.options={num_scenes: 200}",
    "prepare.unit_size=10",
    "generate.unit_size=40",
    "train.steps=60",
    "train.batch_size=16",
    "train.warmup_steps=5",
    "train.checkpoint_every=5",
    "train.log_every=5",
    "evaluate.benchmarks=[{name: miniworld_composition, options: {size: 60}}, {name: miniworld_order, options: {size: 60}},"
    " {name: miniworld_zeroshot, options: {size: 128}}, {name: miniworld_retrieval, options: {size: 60}}]",
)
"""Makes the demo a run of about a minute, of many units."""
ENGINE = ("generate.attempts=[choice]", "generate.engine.model=tiny-random-llama", "generate.engine.max_num_seqs=64")

POLL = 0.3  # seconds
MOST_A_ROUND = 15  # kills of one run of the pipeline: more would find it finished
PATIENCE = 5.0  # seconds that an operator gives the product before acting
STUCK = 150.0  # seconds in which a run says that it goes on and no process of it does
LONGEST = 2400.0  # seconds for one run


@dataclass
class Kill:
    """One kill, drawn from the seed; what came of it is filled in."""

    kind: str
    stage: str
    share: float
    """Of the life that such a process had in the undisturbed run."""
    pid: int = 0
    at: float = 0.0
    """Seconds since the run began."""
    child: int = 0
    """The stage's child at the kill."""
    before: Place | None = None
    back_after: float | None = None
    """Seconds until the stage was again where it had been."""
    operator: list[str] = field(default_factory=list)


def draw(kills: int, seed: int, stages: Sequence[str], engine: bool) -> list[list[Kill]]:
    """The rounds of kills: kinds and stages each as evenly as they go, in the order of the stages."""
    rng = random.Random(seed)
    kinds = [kind for kind in (*EVERYWHERE, *ONLY_IN) if ONLY_IN.get(kind, stages[0]) in stages and (engine or kind != "engine")]
    drawn_kinds, drawn_stages = _evenly(rng, kinds, kills), iter(_evenly(rng, stages, kills))
    made = [Kill(kind, ONLY_IN.get(kind) or next(drawn_stages), rng.random()) for kind in drawn_kinds]
    rounds = [made[start : start + MOST_A_ROUND] for start in range(0, kills, MOST_A_ROUND)]
    return [sorted(each, key=lambda kill: (stages.index(kill.stage), kill.share)) for each in rounds]


def _evenly(rng: random.Random, names: Sequence[str], count: int) -> list[str]:
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += rng.sample(names, len(names))
    return drawn[:count]


@dataclass
class Run:
    """One run of the pipeline that is watched, killed and looked after."""

    site: Site
    root: Path
    stages: Sequence[str]
    overrides: Sequence[str]
    rng: random.Random
    kills: list[Kill] = field(default_factory=list)
    lives: dict[tuple[str, str], float] = field(default_factory=dict)
    """Kind and stage to the longest life of such a process, in seconds."""
    problems: list[str] = field(default_factory=list)
    retries: int = 0
    _since: dict[str, float] = field(default_factory=dict)

    def follow(self) -> float:
        """Run to the end; returns the seconds it took."""
        self.site.plan([*self.overrides, f"root={self.root}"], self.stages)
        self.site.start([*self.overrides, f"root={self.root}"], self.stages)
        begin, left, current = time.monotonic(), list(self.kills), None
        while (now := time.monotonic()) - begin < LONGEST:
            members = self.site.members()
            for member in members:
                key = member.kind, member.stage
                self.lives[key] = max(self.lives.get(key, 0.0), member.age)
            state = self.site.state()
            if state == "COMPLETED":
                break
            self._tend(members, state, now, current)
            if current and self._is_back(current, members, state):
                current.back_after, current = time.monotonic() - begin - current.at, None
            if left and not current and (target := self._target(left[0], members)):
                current = left.pop(0)
                self._kill(current, target, members, begin)
            time.sleep(POLL)
        else:
            self.problems.append(f"the run was not finished after {LONGEST:.0f} s")
        if current:
            current.back_after = time.monotonic() - begin - current.at
        self.kills = [kill for kill in self.kills if kill.pid]
        return time.monotonic() - begin

    def _target(self, kill: Kill, members: Sequence[Member]) -> Member | None:
        """The process to kill now, if its time has come. If its stage is over, what runs then is killed."""
        place = self.site.finished()
        if place >= len(self.stages):
            return None
        if self.stages.index(kill.stage) < place:
            kill.stage, kill.share = self.stages[place], kill.share / 2  # the run is faster than the undisturbed one was
            if kill.kind in ONLY_IN and ONLY_IN[kill.kind] != kill.stage:
                kill.kind = "child"
        working = [member for member in members if member.stage == kill.stage]
        found = [member for member in working if member.kind == kill.kind]
        if not any(member.kind == "child" for member in working) or not found:
            return None
        reference = max(found, key=lambda member: member.pid) if kill.kind not in (*SERVICES, "flow") else None
        child = next(member for member in working if member.kind == "child")
        age = (reference or child).age
        life = self.lives.get((kill.kind if reference else "child", kill.stage), 5.0)
        return self.rng.choice(sorted(found, key=lambda member: member.pid)) if age >= 0.9 * kill.share * life else None

    def _kill(self, kill: Kill, target: Member, members: Sequence[Member], begin: float) -> None:
        child = next(member for member in members if member.kind == "child")
        kill.pid, kill.child = target.pid, child.pid
        kill.at, kill.before = time.monotonic() - begin, self.site.place(child.age)
        target.process.kill()
        print(f"{kill.at:7.1f} s  killed {kill.kind} {kill.pid} in {kill.stage} at {kill.before}", flush=True)

    def _is_back(self, kill: Kill, members: Sequence[Member], state: str | None) -> bool:
        """Whether the work is again where it was at the kill, or further, with a server and a serving process. The stage's child
        outlives them alone; if another process is killed it ends, and a new one goes on."""
        kinds = {member.kind for member in members}
        assert kill.before is not None
        if state is None or not {*SERVICES} <= kinds:
            return False
        same = kill.kind in SERVICES
        ages = [each.age for each in members if each.kind == "child" and (same or each.pid != kill.child)]
        return self.site.place(max(ages, default=0.0)).reaches(kill.before)

    def _tend(self, members: Sequence[Member], state: str | None, now: float, kill: Kill | None) -> None:
        """What an operator does."""
        kinds = {member.kind for member in members}
        gone = [name for name in SERVICES if name not in kinds]
        ended = state in ("FAILED", "CRASHED", "CANCELLED")
        idle = state in ("RUNNING", "PENDING", "SCHEDULED", "CANCELLING") and not gone and not kinds & {"flow", "child"}
        for name, is_so in (("gone", bool(gone) and not self.site.is_starting()), ("ended", ended), ("idle", idle)):
            if is_so:
                self._since.setdefault(name, now)
            else:
                self._since.pop(name, None)
        if self._for(now, "gone") > PATIENCE:
            self._did(kill, f"make up ({' and '.join(gone)} gone)")
            self.site.begin_up()
        elif self._for(now, "ended") > 3 * PATIENCE:
            self._did(kill, f"Retry ({state.lower() if state else ''})")
            self.site.retry()
            self.retries += 1
            del self._since["ended"]
        elif self._for(now, "idle") > STUCK:
            self.problems.append(f"stuck: {state} for {STUCK:.0f} s without a process, after {kill.kind if kill else 'no kill'}")
            self._did(kill, "marked it Crashed by hand")
            self.site.crash()
            del self._since["idle"]
        for text in self.site.failed_starts():
            self._did(kill, text)

    def _for(self, now: float, name: str) -> float:
        """Seconds since something has been so."""
        return now - self._since.get(name, now)

    def _did(self, kill: Kill | None, what: str) -> None:
        print(f"{'':11} operator: {what}", flush=True)
        if kill:
            kill.operator.append(what)


def chaos(options: argparse.Namespace, folder: Path) -> int:
    """Run everything below `folder`; returns the exit code."""
    stages = [stage for stage in STAGES if stage in options.stages]
    overrides = [*SMALL, *(ENGINE if options.generator == "vllm" else ()), *options.override]
    rounds = draw(options.kills, options.seed, stages, options.generator == "vllm")
    print(f"seed {options.seed}, {options.kills} kills, in {folder}", flush=True)
    begin, runs, problems, unequal = time.monotonic(), [], [], []
    with Site(folder, _free_port()) as site:
        calm = Run(site, folder / "undisturbed", stages, overrides, random.Random(options.seed))
        undisturbed = calm.follow()
        problems += calm.problems
        print(f"undisturbed: {undisturbed:.1f} s", flush=True)
        while rounds:
            kills, number = rounds.pop(0), len(runs) + 1
            run = Run(
                site, folder / f"killed-{number}", stages, overrides, random.Random(options.seed + number), kills, calm.lives
            )
            seconds = run.follow()
            runs.append((run, seconds))
            missed = [kill for kill in kills if not kill.pid]
            if missed and not run.problems:
                rounds.append(missed)
                for kill in missed:
                    kill.share /= 2
            print(f"run {number}: {seconds:.1f} s, {len(run.kills)} kills", flush=True)
            problems += run.problems + site.left_stage_processes() + site.open_tasks()
            unequal += [f"run {number}: {text}" for text in differences(calm.root, run.root, stages)]
    problems += site.left
    kills = [kill for run, _ in runs for kill in run.kills]
    print("\n" + markdown_table(("kill", "process", "stage", "at", "progress", "back after", "operator"), _rows(kills)) + "\n")
    for text in problems + unequal:
        print(f"problem: {text}")
    lost = sum(seconds - undisturbed for _, seconds in runs)
    print(
        f"chaos kills={len(kills)} seed={options.seed} equal={not unequal} problems={len(problems)}"
        f" undisturbed_s={undisturbed:.0f} lost_s_per_kill={lost / max(len(kills), 1):.1f}"
        f" retries={sum(run.retries for run, _ in runs)} seconds={time.monotonic() - begin:.0f}"
    )
    return 1 if problems or unequal else 0


def _rows(kills: Iterable[Kill]) -> list[list[str]]:
    return [
        [
            str(number),
            kill.kind,
            kill.stage,
            f"{kill.at:.0f} s",
            str(kill.before),
            "never" if kill.back_after is None else f"{kill.back_after:.1f} s",
            "; ".join(kill.operator) or "nothing",
        ]
        for number, kill in enumerate(kills, start=1)
    ]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, recover, compare; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=None, help="of what is killed when; drawn and printed")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="of the pipeline, from the first on")
    parser.add_argument("--generator", choices=("rules", "vllm"), default="rules", help="vllm: a tiny model in the real engine")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="such as train.steps=200")
    parser.add_argument("--keep", type=Path, help="folder for everything, which stays; else a temporary one")
    options = parser.parse_args(argv)
    options.seed = random.randrange(10_000) if options.seed is None else options.seed
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        return chaos(options, options.keep.absolute())
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        return chaos(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
