"""What ``mirfeat evaluate`` does: files and options in, an evaluation out.

Protocols over features and labels are in ``evaluation/protocols.py``; those that start from
something else (interactions, runs of an experiment, networks) are run here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.cli.labels import clips_of_features, labels_of
from mirfeat.cli.output import shown_progress
from mirfeat.errors import OptionError
from mirfeat.evaluation import comparison, hamel2013, maps
from mirfeat.evaluation.experiment import EXTRACTORS, read_baselines, read_runs
from mirfeat.evaluation.experiment_tables import experiment_tables
from mirfeat.evaluation.inputs import Features, read_features
from mirfeat.evaluation.material import Options, Progress, Tick
from mirfeat.evaluation.pages.drawing import need_matplotlib
from mirfeat.evaluation.pages.gallery import draw
from mirfeat.evaluation.protocols import check_protocol, evaluate
from mirfeat.evaluation.recommendation import filter_interactions, read_interactions, recommend
from mirfeat.evaluation.records import Evaluation, Table
from mirfeat.files import replacing
from mirfeat.runs.progress import Steps


def run(arguments: argparse.Namespace) -> Evaluation:
    """Run the protocol that the command line asks for, and write what it wants written."""
    check_protocol(arguments.protocol, OTHERS)
    if arguments.figures:
        need_matplotlib()
    other = OTHERS.get(arguments.protocol)
    evaluation = other(arguments) if other else _on_labels(arguments)
    if arguments.output:
        write_json(evaluation, arguments.output)
    if arguments.figures:
        for name, drawing in draw(evaluation).items():
            drawing.save(arguments.figures, name)
    return evaluation


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write results as JSON, whole or not at all."""
    with replacing(path) as temporary:
        text = json.dumps(evaluation.to_dict(), indent=1, ensure_ascii=False)
        # A name of a file that is not UTF-8 becomes \udcff, which JSON reads back.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def options_of(arguments: argparse.Namespace) -> Options:
    """Choices that every protocol over labels shares."""
    return Options(
        target=arguments.target,
        kind=arguments.task,
        groups=arguments.groups,
        folds=arguments.folds,
        shuffle=arguments.shuffle,
        seed=arguments.seed,
        workers=arguments.workers,
        nested=arguments.nested,
    )


def progress_of(arguments: argparse.Namespace, name: str) -> Progress:
    """What shows each long piece of the work called ``name``."""

    def start(total: int, what: str) -> Tick:
        return Steps(name, total, what, shown_progress(arguments), leave=False)

    return start


def _on_labels(arguments: argparse.Namespace) -> Evaluation:
    options = replace(
        options_of(arguments),
        scaling=arguments.scaling,
        strategies=arguments.strategies,
        examples=_numbers(arguments.examples),
        draws=arguments.draws,
        solver=arguments.solver,
        k=arguments.k,
        sources=arguments.sources.split(",") if arguments.sources else None,
        epochs=arguments.epochs,
        device=arguments.device,
        standardise=arguments.standardise,
        repeats=arguments.repeats,
        published=arguments.published,
        predictions=arguments.predictions,
    )
    labels = labels_of(arguments, lambda: clips_of_features(arguments.features))
    bars = progress_of(arguments, arguments.protocol)
    return evaluate(arguments.protocol, arguments.features, labels, options, bars)


def _recommendation(arguments: argparse.Namespace) -> Evaluation:
    fewest = arguments.fewest
    every = read_interactions(_needed(arguments, "interactions"))
    interactions = filter_interactions(every, fewest, fewest)
    reports = []
    for specs in _needed(arguments, "features"):
        features = read_features(specs)
        values = features.in_order_of(interactions.items)
        tick = progress_of(arguments, "recommendation")(arguments.repeats, "repeats")
        reports.append(
            recommend(
                interactions,
                values,
                name=features.name,
                repeats=arguments.repeats,
                seed=arguments.seed,
                variant=arguments.variant,
                progress=lambda repeat, score, tick=tick: tick(),  # type: ignore[misc]
            )
        )
    return Evaluation(tuple(reports))


def _comparison(arguments: argparse.Namespace) -> Evaluation:
    table = _needed(arguments, "runs")
    runs, baselines = read_runs(table), read_baselines(table)
    intervals = {"bootstrap": arguments.bootstrap, "seed": arguments.seed}
    strategies = comparison.strategy_model(runs, **intervals)
    tables = [
        strategies.table(),
        comparison.strategy_differences(strategies),
        comparison.size_model(runs, **intervals).table(),
        comparison.variance_components(runs),
        comparison.correlation(runs)[1],
        *experiment_tables(runs, baselines),
    ]
    return Evaluation(tables=tuple(tables))


def _nearest_labels(arguments: argparse.Namespace) -> Evaluation:
    from mirfeat.loading import load_extractor  # torch and a network: only here

    name = _needed(arguments, "extractor")
    with load_extractor(name, checkpoint=arguments.checkpoint) as extractor:
        labels = extractor.labels
    return Evaluation(tables=(hamel2013.nearest_classes(labels.names, labels.vectors),))


def _compactness(arguments: argparse.Namespace) -> Evaluation:
    """Parameters and dimension of the sharing strategies with all sources of the paper."""
    from mirfeat.networks import kim2019
    from mirfeat.networks.registry import get_spec

    every = {source: 2 if source == "self" else kim2019.FACTORS for source in kim2019.SOURCES}
    networks = {}
    for name in EXTRACTORS:
        single = name == "kim2019-ss-r"
        factors = {"tag": every["tag"]} if single else every
        network = kim2019.network(0 if single else kim2019.BRANCH_POINTS[name], factors)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        networks[name] = (parameters, 2 * sum(get_spec(name).blocks.values()))
    rows = tuple(
        (EXTRACTORS[name], count, _parameters(name, sources, every))
        for name in EXTRACTORS
        for count, sources in enumerate(_growing(every), start=1)
        if count > 1 or name == "kim2019-ss-r"
        if count == 1 or name != "kim2019-ss-r"
    )
    title = "Parameters by number of sources (Kim et al. 2019, Fig. 15)"
    growth = Table(title, ("strategy", "sources", "parameters"), rows)
    return Evaluation(tables=(comparison.compactness(networks), growth))


def _growing(every: Mapping[str, int]) -> list[list[str]]:
    """One source, two, … of all, in the paper's order but for self, which is the last."""
    names = [*(name for name in every if name != "self"), "self"]
    return [names[:count] for count in range(1, len(names) + 1)]


def _parameters(name: str, sources: Sequence[str], every: Mapping[str, int]) -> int:
    from mirfeat.networks import kim2019

    point = 0 if name == "kim2019-ss-r" else kim2019.BRANCH_POINTS[name]
    network = kim2019.network(point, {source: every[source] for source in sources})
    return sum(parameter.numel() for parameter in network.parameters())


def _map(arguments: argparse.Namespace) -> Evaluation:
    features = read_features(_needed(arguments, "features")[0])
    names, shares = _topics(arguments, features)
    positions = maps.tsne_map(features.values, seed=arguments.seed)
    topics = maps.strongest_topics(shares, names, positions)
    clips = features.ids or tuple(map(str, range(len(features))))
    strongest = [names[topic] for topic in topics.strongest]
    rows = tuple(
        (id, x, y, topic)
        for id, (x, y), topic in zip(clips, positions.tolist(), strongest, strict=True)
    )
    every = Table(f"Map of {features.name}", ("clip", "x", "y", "topic"), rows, detail=True)
    return Evaluation(tables=(topics.table(), every))


def _topics(arguments: argparse.Namespace, features: Features) -> tuple[Sequence[str], np.ndarray]:
    """Names of topics and their shares in each clip: of a table, or what a network predicts."""
    if arguments.topics:
        return maps.read_topics(arguments.topics, features)
    if not arguments.extractor:
        raise OptionError(
            "map needs --topics FILE.csv (a column id, and for each topic a column with its share),"
            " or --extractor NAME whose factors are the topics. A map coloured by labels is part "
            "of 'mirfeat report'."
        )
    from mirfeat.loading import load_extractor  # torch and a network: only here

    files = clips_of_features(arguments.features[:1])
    with load_extractor(arguments.extractor, checkpoint=arguments.checkpoint) as extractor:
        names = extractor.factor_names
        source = arguments.sources or ("tag" if "tag" in names else next(iter(names)))
        if source not in names:
            raise OptionError(f"--sources {source}: {arguments.extractor} has {', '.join(names)}.")
        shares = [extractor.factors(file or id)[source].shares for id, file in files.items()]
    return names[source], np.stack(shares)


def _needed(arguments: argparse.Namespace, option: str) -> Any:
    if not getattr(arguments, option):
        raise OptionError(f"{arguments.protocol} needs --{option}; see 'mirfeat evaluate --help'.")
    return getattr(arguments, option)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"examples {text!r}: whole numbers, such as 1,2,5,10.") from error


OTHERS: dict[str, Callable[[argparse.Namespace], Evaluation]] = {
    "recommendation": _recommendation,
    "comparison": _comparison,
    "nearest-labels": _nearest_labels,
    "compactness": _compactness,
    "map": _map,
}
