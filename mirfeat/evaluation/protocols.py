"""Protocols by name: what ``mirfeat evaluate`` runs on files of features and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mirfeat.errors import OptionError
from mirfeat.evaluation import on_files
from mirfeat.evaluation.beside import with_published
from mirfeat.evaluation.labels import LabelTable
from mirfeat.evaluation.material import Material, Options, Progress, silent
from mirfeat.evaluation.published import published_scores
from mirfeat.evaluation.records import Evaluation, join
from mirfeat.evaluation.verdicts import verdicts


@dataclass(frozen=True)
class Protocol:
    """A protocol: the paper it is from, a line about it, and what runs it."""

    paper: str
    summary: str
    run: Callable[[Material], Evaluation]


PROTOCOLS: Mapping[str, Protocol] = {
    "svm-grid": Protocol("choi2017", "best SVM of a grid, with a nested score", on_files.svm_grid),
    "layer-sweep": Protocol(
        "choi2017", "the same for combinations of layers", on_files.layer_sweep
    ),
    "linear": Protocol(
        "hamel2013", "linear regression on windows, averaged a song", on_files.linear
    ),
    "few-shot": Protocol("hamel2013", "accuracy against training clips a class", on_files.few_shot),
    "similarity": Protocol(
        "hamel2013", "precision at k of nearest neighbours", on_files.similarity
    ),
    "transfer-head": Protocol(
        "kim2018", "network on segments: macro-F1, log-loss", on_files.transfer_head
    ),
    "source-grid": Protocol(
        "kim2018", "the same for combinations of sources", on_files.source_grid
    ),
    "mlp": Protocol("kim2019", "two layers of 256, five repeats", on_files.mlp),
    "tagging": Protocol("", "several tags a clip: AUC-ROC and average precision", on_files.tagging),
}

PAPERS = tuple(dict.fromkeys(one.paper for one in PROTOCOLS.values() if one.paper))


def check_protocol(name: str, others: Iterable[str] = ()) -> None:
    """Whether there is such a protocol, among these, the papers' own, or ``others``.

    Raises:
        OptionError: there is none.
    """
    every = (*PROTOCOLS, *others)
    if name not in (*every, *PAPERS):
        raise OptionError(
            f"protocol {name!r}: it is one of {', '.join(every)}, or all that a paper did: "
            f"{', '.join(PAPERS)}."
        )


def _protocols_of(name: str, material: Material) -> tuple[str, ...]:
    """Names of protocols: one itself, or what a paper did with such features."""
    if name == "choi2017":
        return ("layer-sweep",) if material.features.layers else ("svm-grid",)
    if name == "hamel2013":
        return ("linear", "few-shot", "similarity")
    if name == "kim2018":
        return ("source-grid",) if len(material.rows.blocks) > 1 else ("transfer-head",)
    return ("mlp",) if name == "kim2019" else (name,)


def evaluate(
    name: str,
    sets: Sequence[Sequence[str]],
    labels: LabelTable,
    options: Options | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run a protocol, or all of a paper, on one or several sets of features.

    Args:
        name: one of :data:`PROTOCOLS`, or a paper.
        sets: for each set the files its features are in.
        labels: what to predict.
        options: choices; all as the papers by default.
        progress: makes what is called after each step.

    Returns:
        Reports and tables, those of one protocol together.
    """
    options = options or Options()
    return run(name, [Material(tuple(specs), labels, options, progress) for specs in sets])


def run(name: str, materials: Sequence[Material]) -> Evaluation:
    """:func:`evaluate` on material of the same options, which may have been read already."""
    if not materials:
        raise OptionError(
            "no features: give --features with a folder that 'mirfeat extract' wrote."
        )
    check_protocol(name)
    task = materials[0].options.published
    paper = PROTOCOLS[name].paper if name in PROTOCOLS else name
    if task:
        published_scores(paper, task)  # before anything long, whether there are any
    pairs = [(one, material) for material in materials for one in _protocols_of(name, material)]
    # Reports of one protocol together, whatever a paper did with each set.
    pairs.sort(key=lambda pair: list(PROTOCOLS).index(pair[0]))
    result = join(PROTOCOLS[one].run(material) for one, material in pairs)
    if task:
        result = with_published(result, paper, task)
    return replace(result, tables=(*verdicts(result), *result.tables))
