"""Options of loading as data: one record each, for Python, the command line and scikit-learn alike.

What every extractor takes stands here; an extractor's own options stand in its record
(``ExtractorSpec.options``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from mirfeat.errors import OptionError, did_you_mean


@dataclass(frozen=True)
class Option:
    """One option: its value where none is given, what it may be, a line of help.

    ``check`` takes what was given, on a command line a string, and returns the value that is used
    and recorded; it raises ``ValueError`` or ``TypeError`` for what it does not take, an
    ``OptionError`` where its own words are to be read. ``choices`` is for options of few words.
    """

    name: str
    default: Any
    check: Callable[[Any], Any]
    help: str
    choices: tuple[str, ...] = ()

    def take(self, value: Any) -> Any:
        """``value`` as it is used.

        Raises:
            OptionError: it cannot be.
        """
        try:
            return self.check(value)
        except OptionError:
            raise
        except (ValueError, TypeError) as error:
            raise OptionError(f"{self.name}={value}: {error} ({self.help}).") from error


def defaults(options: Iterable[Option]) -> dict[str, Any]:
    """Name and default of each."""
    return {option.name: option.default for option in options}


def one_of(name: str, *words: str) -> Callable[[Any], str]:
    """A check for one of a few words."""
    # Not a function inside this one: extractors, and with them their options, are pickled.
    return partial(_one_of, name, words)


def _one_of(name: str, words: tuple[str, ...], value: Any) -> str:
    if value not in words:
        listed = " or ".join(map(repr, words)) if len(words) < 3 else ", ".join(words)
        raise OptionError(f"{name}={value!r}: it is {'' if len(words) < 3 else 'one of '}{listed}.")
    return str(value)


class Part(NamedTuple):
    """One of the extractors that a name joins: its name, and options for it alone, as text."""

    name: str
    options: dict[str, str]


# What all parts of a vector share.
_OF_THE_WHOLE = ("device", "max_seconds")


def parts_of(name: str) -> list[Part]:
    """The parts of ``"a+b"``, some with options: ``"a(sources=self,bpm)+b(hop_seconds=1)"``.

    A comma is followed by another option or, without ``=``, by more of a value.

    Raises:
        OptionError: brackets without an end, or something that is no ``option=value``.
    """
    parts, depth, start = list[str](), 0, 0
    for at, letter in enumerate(name):
        depth += (letter == "(") - (letter == ")")
        if letter == "+" and not depth:
            parts.append(name[start:at])
            start = at + 1
        if depth < 0:
            break
    if depth:
        raise OptionError(f"{name!r}: brackets that do not belong together. Write {_EXAMPLE}.")
    return [_part(text.strip()) for text in (*parts, name[start:])]


_EXAMPLE = "a(option=value,other=value)+b"


def _part(text: str) -> Part:
    name, bracket, inside = text.partition("(")
    options: dict[str, str] = {}
    if not bracket:
        return Part(name, options)
    if not inside.endswith(")"):
        raise OptionError(f"{text!r}: options stand at the end, in brackets: {_EXAMPLE}.")
    last = ""
    for item in inside[:-1].split(","):
        option, equals, value = item.partition("=")
        if equals:
            last = option.strip().replace("-", "_")
            if last in options:
                raise OptionError(f"{text!r}: {last} is given twice.")
            options[last] = value.strip()
        elif last:
            options[last] += f",{item.strip()}"
        else:
            raise OptionError(f"{text!r}: {item!r} is no option=value. Write {_EXAMPLE}.")
    if shared := options.keys() & set(_OF_THE_WHOLE):
        raise OptionError(
            f"{text!r}: {min(shared)} is the same for all parts. Give it beside them."
        )
    return Part(name, options)


def refuse_unknown(what: str, given: Iterable[str], own: Iterable[Option]) -> None:
    """Check that all of ``given`` are options of ``what`` or of every extractor.

    Raises:
        OptionError: with the nearest name and all there are.
    """
    known = [option.name for option in (*own, *COMMON)]
    for name in given:
        if name not in known:
            raise OptionError(
                f"{what} has no option {name!r}.{did_you_mean(name, known)} Its options: "
                f"{', '.join(known)}."
            )


def common(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options that every extractor takes, checked; defaults where nothing is given."""
    return {
        option.name: option.take(given[option.name]) if option.name in given else option.default
        for option in COMMON
    }


def _statistics(value: Any) -> Any:
    if isinstance(value, str) and value != "paper":
        return value.split(",")
    return value


def _max_seconds(value: Any) -> float | None:
    if value is not None and not float(value) > 0:
        raise OptionError(f"max_seconds={value}: it is more than 0, or None for all.")
    return None if value is None else float(value)


def _hop_seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _batch_size(value: Any) -> int | None:
    if value is not None and int(value) < 1:
        raise OptionError(f"batch_size={value}: it is 1 or more segments.")
    return None if value is None else int(value)


def as_given(value: Any) -> Any:
    """A check for a value that is looked at later."""
    return value


SHORT, PRECISIONS = ("tile", "error"), ("float32", "bfloat16", "float16")

COMMON = (
    Option(
        "checkpoint", None, as_given, "open, random[:SEED], a published one, hf://…, or a file"
    ),
    Option("statistics", ("mean", "std"), _statistics, "mean,std (default), mean, std or paper"),
    Option("hop_seconds", None, _hop_seconds, "between segments"),
    Option("max_seconds", None, _max_seconds, "only the start of each clip"),
    Option(
        "short", "tile", one_of("short", *SHORT),
        "clips below one segment: repeat (default) or refuse", SHORT,
    ),
    Option("device", "auto", as_given, "auto (default), cpu, cuda, cuda:1, …"),
    Option("batch_size", None, _batch_size, "segments at a time"),
    Option(
        "precision", "float32", one_of("precision", *PRECISIONS),
        "of the network; default: float32, less is faster and deviates", PRECISIONS,
    ),
)  # fmt: skip
