"""The tools that ``benchmarks.peers`` times, and the environments it builds for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirfeat.errors import OptionError

ROOT = Path(__file__).parents[1]
WORKERS = "benchmarks.peer_workers"
BASELINE, REFERENCE = "decode + resample, threads of mirfeat", "mirfeat choi2017"
# Where a requirement of torch goes; the user says which build.
TORCH = "TORCH"


@dataclass(frozen=True)
class Tool:
    """One row of the tables.

    ``worker`` is a module of ``benchmarks/peer_workers``, ``options`` its arguments;
    ``environment`` a key of ENVIRONMENTS, or "" for the one this process runs in. Slow tools get
    at most ``most_clips`` of the clips in at most ``most_rounds``. ``note`` is printed.
    """

    name: str
    worker: str
    options: tuple[str, ...] = ()
    environment: str = ""
    most_clips: int = 6
    most_rounds: int = 100
    long_file: bool = True
    note: str = ""


TOOLS = (
    Tool(BASELINE, "run_decoding", most_clips=1000, note="no features: what reading alone takes"),
    Tool("decode + resample, a thread a core", "run_decoding", ("all",), most_clips=1000),
    Tool(REFERENCE, "run_mirfeat", ("choi2017",), most_clips=1000, note="the weights it ships"),
    Tool(
        *("mirfeat kim2019-ss-r", "run_mirfeat", ("kim2019-ss-r", "random")),
        most_clips=1000,
        note="random weights",
    ),
    Tool("mirfeat mfcc", "run_mirfeat", ("mfcc",), most_clips=1000),
    Tool(
        *("mirfeat musicnn", "run_mirfeat", ("musicnn", "mtt")),
        most_clips=1000,
        note="the same weights as musicnn MTT_musicnn",
    ),
    Tool(
        *("musicnn MTT_musicnn", "run_musicnn", (), "tensorflow"),
        note="the weights of its wheel; its call loads the model for every file",
    ),
    Tool("opensmile eGeMAPSv02", "run_opensmile", (), "signal", note="left channel only"),
    Tool(
        *("opensmile, 2 processes", "run_opensmile", ("2",), "signal"),
        long_file=False,
        note="num_workers=2, multiprocessing=True; memory of the process tree",
    ),
    Tool("essentia MusicExtractor", "run_essentia", (), "signal", note="one thread"),
    Tool(
        "torchvggish", "run_torchvggish", (), "torch", note="random weights; a vector each 0.96 s"
    ),
    Tool("panns_inference Cnn14", "run_panns", (), "torch", note="random weights"),
    Tool(
        *("torchopenl3, hop 1 s", "run_torchopenl3", ("1.0",), "torch"),
        most_clips=1,
        most_rounds=1,
        note="random weights; its default hop of 0.1 s means ten times the windows",
    ),
)

# Steps of ``pip install``, in order. musicnn pins numpy<1.17 and torchopenl3 resampy<0.3, which
# no current Python has; both run without their pins.
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "tensorflow": (
        ("tensorflow-cpu==2.15.*", "numpy<2", "librosa<0.11"),
        ("--no-deps", "musicnn==0.1.0"),
    ),
    "signal": (("opensmile==2.6.0", "essentia==2.1b6.dev1389"),),
    "torch": (
        (TORCH,),
        ("librosa", "matplotlib", "torchlibrosa", "resampy", "soundfile", "julius", "six"),
        ("--no-deps", "torchvggish==0.2", "panns-inference==0.1.1", "torchopenl3==1.0.1"),
    ),
}
# Run in the environment when its packages are there.
_PREPARE = {"torch": ("run_panns", "--prepare")}


def select(names: Iterable[str]) -> list[Tool]:
    """Tools whose name contains one of ``names``, and always the two that others refer to.

    Raises:
        OptionError: a name that no tool contains.
    """
    chosen = {BASELINE, REFERENCE}
    for name in names:
        found = {tool.name for tool in TOOLS if name in tool.name}
        if not found:
            known = ", ".join(tool.name for tool in TOOLS)
            raise OptionError(f"--tools {name}: no tool's name contains that. There are: {known}.")
        chosen |= found
    return [tool for tool in TOOLS if tool.name in chosen]


def build(folder: Path, names: Iterable[str], torch: str, python: str) -> dict[str, str]:
    """Make the environments that are not there yet; what went wrong, by environment.

    ``torch`` is the requirement to install it with, ``python`` the interpreter. A finished
    environment lists its steps in ``built.json``; it is used again while they are the same.
    """
    failures = {}
    for name in names:
        steps = [[torch if word == TORCH else word for word in step] for step in ENVIRONMENTS[name]]
        marker = folder / name / "built.json"
        if marker.is_file() and json.loads(marker.read_text()) == steps:
            continue
        try:
            _build(folder / name, steps, _PREPARE.get(name), python)
        except (subprocess.CalledProcessError, OSError) as error:
            said = getattr(error, "stderr", None) or str(error)
            failures[name] = f"not installed: {last_line(said)}"
            continue
        marker.write_text(json.dumps(steps))
    return failures


def _build(
    folder: Path, steps: Sequence[Sequence[str]], prepare: Sequence[str] | None, python: str
) -> None:
    print(f"building {folder}", file=sys.stderr)
    _call([python, "-m", "venv", "--clear", str(folder)])
    for step in steps:
        _call([str(interpreter(folder)), "-m", "pip", "install", "--quiet", *step])
    (folder / "home").mkdir()
    if prepare:
        worker, *options = prepare
        command = [str(interpreter(folder)), "-m", f"{WORKERS}.{worker}", *options]
        _call(command, {**os.environ, "HOME": str(folder / "home")})


def _call(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)


def interpreter(folder: Path) -> Path:
    """Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def last_line(text: str) -> str:
    """What a failed process said last, short enough for a table; pip's notices left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("[notice]", "WARNING"))] or ["(silent)"]
    return lines[-1].replace("|", "/")[:160]
