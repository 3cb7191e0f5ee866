"""What commands say one may do next is a command."""

import shlex

import pytest

from mirfeat.cli.commands import COMMANDS
from mirfeat.cli.next_steps import next_steps
from mirfeat.cli.parser import get_parser

GIVEN = [
    "list",
    "info choi2017",
    "extract music -m choi2017 -o feats",
    "check music",
    "tags song.mp3",
    "tags song.mp3 --plot",
    "similar song.mp3 feats",
    "map feats",
    "demo",
    "download choi2017 --checkpoint msd",
    "download --all",
    "evaluate svm-grid --features feats --features a=a.npy --labels genres.csv",
    "report --features feats --labels genres.csv -o report",
    "report -m mfcc --audio music --labels genres.csv -o report",
    "reproduce choi2017 --data sets -o out",
    "datasets",
    "datasets gtzan-genre music -o labels.csv",
    "export choi2017 --onnx choi2017.onnx",
    "completion bash",
    "manifest music -o tracks.csv",
    "cache run.toml",
    "targets run.toml",
    "train run.toml",
    "study design.toml",
    "study design.toml run --shard 1/2",
    "calibrate music -o statistics.json",
    "calibrate music -o mine.safetensors",
]


@pytest.mark.parametrize("given", GIVEN)
def test_the_next_step_is_a_command_that_parses(given: str) -> None:
    parser = get_parser()
    steps = next_steps(parser.parse_args(shlex.split(given)))
    assert steps
    for program, *words in steps:
        assert program == "mirfeat"
        parser.parse_args([str(word) for word in words])


def test_every_command_has_one() -> None:
    assert {line.split()[0] for line in GIVEN} == set(COMMANDS)
