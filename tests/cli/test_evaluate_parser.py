"""The options of each protocol of ``mirfeat evaluate``."""

import pytest

from mirfeat.cli.evaluate import OTHERS
from mirfeat.cli.evaluate_parser import ENTRIES
from mirfeat.cli.parser import get_parser
from mirfeat.evaluation.protocols import PAPERS, PROTOCOLS


def test_every_protocol_and_paper_has_options_of_its_own() -> None:
    assert set(ENTRIES) == {*PROTOCOLS, *OTHERS, *PAPERS}
    listed = {name: protocol.paper or "any" for name, protocol in PROTOCOLS.items()}
    assert {name: ENTRIES[name].paper for name in PROTOCOLS} == listed


@pytest.mark.parametrize(
    ("protocol", "shown", "hidden"),
    [
        ("few-shot", "--draws", "--interactions"),
        ("svm-grid", "--scaling", "--draws"),
        ("comparison", "--bootstrap", "--labels"),
        ("recommendation", "--fewest", "--labels"),
        ("nearest-labels", "--checkpoint", "--features"),
        ("hamel2013", "--solver", "--scaling"),
    ],
)
def test_help_shows_the_options_of_a_protocol_only(
    capsys: pytest.CaptureFixture[str], protocol: str, shown: str, hidden: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        get_parser().parse_args(["evaluate", protocol, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert shown in text
    assert hidden not in text


def test_an_option_of_another_protocol_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        get_parser().parse_args(["evaluate", "linear", "--draws", "3"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --draws 3" in capsys.readouterr().err


def test_no_such_protocol_is_answered_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        get_parser().parse_args(["evaluate", "polka"])
    err = capsys.readouterr().err
    assert all(name in err for name in ENTRIES)


@pytest.mark.parametrize("options", [["--json", "mlp", "-q"], ["mlp", "--json", "-q"]])
def test_what_all_commands_take_stands_on_either_side(options: list[str]) -> None:
    arguments = get_parser().parse_args(["evaluate", *options])
    assert (arguments.protocol, arguments.json, arguments.quiet) == ("mlp", True, True)
    assert (arguments.verbose, arguments.progress) == (False, "auto")
