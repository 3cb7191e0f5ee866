"""What a study found: the tables of its paper, from the scores there are so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mirfeat.csvfiles import write_csv
from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation import comparison
from mirfeat.evaluation.design import PlannedRun, alias_matrix, level_counts
from mirfeat.evaluation.experiment import COLUMNS, Baseline, ScoredRun
from mirfeat.evaluation.experiment_tables import experiment_tables
from mirfeat.evaluation.records import Evaluation, ScoreReport, Table
from mirfeat.evaluation.source_tables import combination_table, source_tables, wide_table
from mirfeat.evaluation.summaries import embedding_tables
from mirfeat.evaluation.verdicts import verdicts
from mirfeat.training.study.driver import scores_of
from mirfeat.training.study.plan import MTN, STN, WSTN, Study, StudyRun
from mirfeat.training.study.scoring import report_of

RUNS = "runs.csv"


def collect(study: Study, *, bootstrap: int = 0) -> Evaluation:
    """Tables of the paper; of kim2019 ``runs.csv`` too, which ``evaluate comparison`` takes.

    What there are too few scores for is in the last table, with the reason. ``bootstrap``: see
    :func:`mirfeat.evaluation.comparison.strategy_model`.
    """
    found = _scores(study, study.trainings)
    if study.file.paper == "kim2018":
        return _kim2018(study, found)
    if study.file.paper == "hamel2013":
        return _hamel2013(study, found)
    return _kim2019(study, found, bootstrap)


_Found = Mapping[StudyRun, Mapping[str, list[dict[str, Any]]]]


def _scores(study: Study, runs: Sequence[StudyRun]) -> _Found:
    return {one: scores_of(study, one) for one in runs}


def _kim2019(study: Study, found: _Found, bootstrap: int) -> Evaluation:
    lines = _first_reports(found)
    runs = [
        ScoredRun(training.strategy, training.sources, name, report.main.mean)
        for training, name, report in lines
    ]
    beside = _first_reports(_scores(study, study.baselines))
    baselines = [Baseline(one.extractor, name, report.main.mean) for one, name, report in beside]
    table = [
        (
            *(one.strategy, ";".join(one.sources) or one.extractor, name),
            *(report.main.mean, report.main.metric, one.name),
        )
        for one, name, report in (*lines, *beside)
    ]
    write_csv(study.output / RUNS, (*COLUMNS, "metric", "training"), table)
    done = [PlannedRun(one.strategy, one.sources) for one, scores in found.items() if scores]
    tables: list[Table] = [level_counts(done)]
    missing: list[tuple[str, str]] = []
    for what, make in _makers(study, done, runs, baselines, bootstrap).items():
        try:
            tables += make()
        except (LabelsError, OptionError) as error:
            missing.append((what, str(error)))
    if missing:
        tables.append(Table("Not yet", ("what", "why"), tuple(missing)))
    return Evaluation(tables=tuple(tables))


def _first_reports(found: _Found) -> list[tuple[StudyRun, str, ScoreReport]]:
    """One report for each representation and data set: kim2019's protocol has no more."""
    return [
        (one, name, report_of(reports[0]))
        for one, scores in found.items()
        for name, reports in scores.items()
    ]


def _makers(
    study: Study,
    done: list[PlannedRun],
    runs: list[ScoredRun],
    baselines: list[Baseline],
    bootstrap: int,
) -> dict[str, Callable[[], list[Table]]]:
    intervals: dict[str, Any] = {"bootstrap": bootstrap, "seed": study.file.seed}

    def strategies() -> list[Table]:
        model = comparison.strategy_model(runs, **intervals)
        return [model.table(), comparison.strategy_differences(model)]

    return {
        "Fig. 7: aliases": lambda: [alias_matrix(done, study.sources)],
        "Figs. 8 to 10, 13": lambda: list(experiment_tables(runs, baselines)),
        "Fig. 11: strategies": strategies,
        "Fig. 12: size": lambda: [comparison.size_model(runs, **intervals).table()],
        "Table 6: variance components": lambda: [comparison.variance_components(runs)],
        "Fig. 14: correlation": lambda: [comparison.correlation(runs)[1]],
    }


def _hamel2013(study: Study, found: _Found) -> Evaluation:
    reports = {
        name: [
            report_of(record, training.strategy, name)
            for training, scores in found.items()
            for record in scores.get(name, ())
        ]
        for name in study.file.targets
    }
    every = Evaluation(tuple(report for some in reports.values() for report in some))
    return Evaluation(every.reports, (*verdicts(every), *embedding_tables(reports)))


def _kim2018(study: Study, found: _Found) -> Evaluation:
    reports: list[ScoreReport] = []
    tables: list[Table] = []
    for name in study.file.targets:
        networks: dict[str, list[ScoreReport]] = {STN: [], MTN: []}
        wide: dict[int, ScoreReport] = {}
        for training, report in _reports(found, name):
            if training.strategy == WSTN:
                wide[training.equal_to] = report
            else:
                networks[training.strategy].append(report)
        own = [*networks[STN], *networks[MTN], *wide.values()]
        reports += own
        if not own:
            continue
        tables.append(combination_table(networks))
        for some in networks.values():
            tables += source_tables(some)
        if wide:
            tables.append(wide_table(wide, networks))
    return Evaluation(tuple(reports), tuple(tables))


def _reports(found: _Found, name: str) -> Iterator[tuple[StudyRun, ScoreReport]]:
    """Reports on a data set: of networks that share nothing, each combination of its branches."""
    for training, scores in found.items():
        for record in scores.get(name, ()):
            origin = f"{training.extractor}, {name}"
            if training.equal_to:
                origin = f"{training.extractor} as large as {training.equal_to} sources, {name}"
            features = "" if training.strategy == STN else "+".join(training.sources)
            yield training, report_of(record, features, origin)
