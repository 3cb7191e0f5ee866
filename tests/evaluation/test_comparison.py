"""Statistics of an experiment that compares strategies: simulated truth, and slow twins."""

import itertools
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec
from statsmodels.stats.multitest import multipletests

from mirfeat.errors import LabelsError, MissingPackageError, OptionError
from mirfeat.evaluation.comparison import (
    compactness,
    correlation,
    size_model,
    strategy_differences,
    strategy_model,
    variance_components,
)
from mirfeat.evaluation.experiment import (
    STRATEGIES,
    Baseline,
    ScoredRun,
    read_baselines,
    read_runs,
    standardise,
)
from mirfeat.evaluation.models import hierarchical
from mirfeat.evaluation.models.hierarchical import HierarchicalModel, holm

SOURCES = ("artist", "bpm", "cdr_tag", "lyrics", "self", "tag", "taste", "year")
MULTIPLE = tuple(STRATEGIES)[1:]
LEVELS = dict(zip(STRATEGIES, (-1.6, -0.8, -0.3, -0.2, 0.0, 0.1), strict=True))
GAINS = dict(zip(MULTIPLE, (0.0, 0.16, 0.17, 0.15, 0.16), strict=True))
RESIDUAL = 0.6


def papers_design(generator: np.random.Generator, repeats: int = 352) -> list[ScoredRun]:
    """Section 4.3: 48 single-source runs, 25 with all sources, 352 with two to seven."""
    runs = [ScoredRun("SS-R", (source,), "-", 0.0) for source in SOURCES for _ in range(6)]
    runs += [ScoredRun(name, SOURCES, "-", 0.0) for name in MULTIPLE for _ in range(5)]
    for number in range(repeats):
        count = 2 + number // 5 % 6
        chosen = generator.choice(SOURCES, count, replace=False)
        runs.append(ScoredRun(MULTIPLE[number % 5], tuple(map(str, chosen)), "-", 0.0))
    return runs


def simulated(
    generator: np.random.Generator,
    design: list[ScoredRun],
    datasets: int,
    level_spread: float = 0.3,
    gain_spread: float = 0.05,
) -> list[ScoredRun]:
    """Scores that follow equations 10 to 12."""
    runs = []
    for d in range(datasets):
        level = {n: x + generator.normal(0, level_spread) for n, x in LEVELS.items()}
        gain = {n: x + generator.normal(0, gain_spread) for n, x in GAINS.items()}
        for run in design:
            score = level[run.strategy] + gain.get(run.strategy, 0.0) * run.added_sources
            score += generator.normal(0, RESIDUAL)
            runs.append(replace(run, dataset=f"data{d}", score=score))
    return runs


def small_experiment(seed: int = 0) -> list[ScoredRun]:
    """Three strategies on five data sets, 82 runs on each."""
    generator = np.random.default_rng(seed)
    kept = ("SS-R", "MS-SR@FC", "MSS-CR")
    design = [run for run in papers_design(generator, 60) if run.strategy in kept]
    return simulated(generator, design, 5)


def estimates(model: HierarchicalModel) -> dict[str, float]:
    return dict(zip(model.names, model.coefficients.tolist(), strict=True))


def assert_same(first: HierarchicalModel, second: HierarchicalModel, **tolerance: float) -> None:
    assert first.names == second.names
    assert first.notes == second.notes
    for name in ("coefficients", "covariance", "intervals", "spreads", "residual"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), **tolerance)


# Runs and their file


def test_runs_are_read_with_either_name_and_separator(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(
        "\ufeffseed,strategy,sources,dataset,score\n"
        "1,SS-R,tag,GTZAN,0.7\n\n"
        "1,kim2019-ms-cr-2,self;tag,GTZAN,0.75\n"
        '1, MS-SR@FC,"tag self  bpm","a, b",-1e-1\n',
        encoding="utf-8",
    )
    assert read_runs(file) == (
        ScoredRun("SS-R", ("tag",), "GTZAN", 0.7),
        ScoredRun("MS-CR@2", ("tag", "self"), "GTZAN", 0.75),
        ScoredRun("MS-SR@FC", ("bpm", "self", "tag"), "a, b", -0.1),
    )


@pytest.mark.parametrize(
    ("extractor", "strategy"),
    [
        ("kim2019-ss-r", "SS-R"),
        ("kim2019-ms-sr-fc", "MS-SR@FC"),
        ("kim2019-ms-cr-6", "MS-CR@6"),
        ("kim2019-ms-cr-4", "MS-CR@4"),
        ("kim2019-ms-cr-2", "MS-CR@2"),
        ("kim2019-mss-cr", "MSS-CR"),
    ],
)
def test_extractors_are_strategies(extractor: str, strategy: str) -> None:
    sources = ("tag",) if strategy == "SS-R" else ("tag", "self")
    assert ScoredRun(extractor, sources, "GTZAN", 1.0).strategy == strategy


HEADER = "strategy,sources,dataset,score\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"\['strategy', 'sources', 'dataset', 'score'\] are missing"),
        ("strategy,sources,score\n", r"line 1 .*\['dataset'\] are missing"),
        (HEADER, "no runs"),
        (HEADER + "SS-R,tag,a,1\nSSR,tag,a,1\n", "line 3: strategy 'SSR': allowed are SS-R, MS-SR"),
        (HEADER + "SS-R,tag,a,good\n", "line 2: score 'good': a number"),
        (HEADER + "SS-R,tag,a,nan\n", "line 2: score nan: a finite number"),
        (HEADER + "SS-R,tag,a\n", "line 2: score ''"),
        (HEADER + "SS-R,tag,a,1,2\n", "line 2 has more cells"),
        (HEADER + "SS-R,tag,,1\n", "line 2: dataset ''"),
        (HEADER + "SS-R,,a,1\n", "line 2: sources .* exactly one"),
        (HEADER + "SS-R,tag;bpm,a,1\n", "line 2: sources .* exactly one"),
        (HEADER + "MSS-CR,tag,a,1\n", "line 2: sources .* two or more"),
        (HEADER + "baseline,,a,1\n", "line 2: a baseline needs a name"),
        (HEADER + "baseline,mfcc,a,inf\n", "line 2: score inf: a finite number"),
        (HEADER + "baseline,mfcc,a,1\n", "no runs"),
        (HEADER + "MSS-CR,tag;tag,a,1\n", "line 2: sources .* each once"),
    ],
)
def test_files_with_mistakes(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LabelsError, match=words) as error:
        read_runs(file)
    assert str(file) in str(error.value)


def test_baselines_are_lines_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(HEADER + "SS-R,tag,a,1\nbaseline,choi2017 (msd),a,0.5\n", encoding="utf-8")
    assert read_runs(file) == (ScoredRun("SS-R", ("tag",), "a", 1.0),)
    assert read_baselines(file) == (Baseline("choi2017 (msd)", "a", 0.5),)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"none\.csv"):
        read_runs(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"SS-R,tag,caf\xe9,1\n")
    with pytest.raises(LabelsError, match="UTF-8"):
        read_runs(tmp_path / "latin.csv")


def test_scores_are_standardised_within_data_sets() -> None:
    runs = small_experiment()
    scaled = standardise(runs)
    for name in {run.dataset for run in runs}:
        scores = [run.score for run in scaled if run.dataset == name]
        assert np.mean(scores) == pytest.approx(0, abs=1e-12)
        assert np.std(scores, ddof=1) == pytest.approx(1)
    assert [replace(run, score=0.0) for run in scaled] == [replace(run, score=0.0) for run in runs]


def test_sources_are_no_string() -> None:
    with pytest.raises(LabelsError, match="a tuple of names"):
        ScoredRun("MSS-CR", "tag", "GTZAN", 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("scores", [[0.1], [0.1] * 7])
def test_scores_that_cannot_be_standardised(scores: list[float]) -> None:
    other = [ScoredRun("SS-R", ("tag",), "b", score) for score in (1.0, 2.0)]
    runs = other + [ScoredRun("SS-R", ("tag",), "a", score) for score in scores]
    with pytest.raises(LabelsError, match=f"data set 'a': {len(scores)} runs, all with"):
        standardise(runs)


# Hierarchical models


def dense_twin(
    columns: np.ndarray, varies: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """REML by its definition: a covariance matrix for each group, variances bounded by 0.

    Returns coefficients, their covariance, spreads of the columns that vary, residual deviation.
    """
    parts = [(columns[groups == g], y[groups == g]) for g in np.unique(groups)]
    n, p = columns.shape

    def solved(ratios: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        logs, information, right, square = 0.0, np.zeros((p, p)), np.zeros(p), 0.0
        for X, scores in parts:
            V = np.eye(len(X)) + X[:, varies] @ np.diag(ratios) @ X[:, varies].T
            inverse = np.linalg.inv(V)
            logs += np.linalg.slogdet(V)[1]
            information += X.T @ inverse @ X
            right += X.T @ inverse @ scores
            square += scores @ inverse @ scores
        beta = np.linalg.solve(information, right)
        rest = square - right @ beta
        logs += np.linalg.slogdet(information)[1] + (n - p) * math.log(rest)
        return logs, beta, np.linalg.inv(information), rest / (n - p)

    best = minimize(
        lambda ratios: solved(ratios)[0],
        np.full(varies.sum(), 0.1),
        bounds=[(0, 10)] * int(varies.sum()),
        options={"ftol": 1e-13, "gtol": 1e-6},
    )
    _, beta, inverse, variance = solved(best.x)
    return beta, inverse * variance, np.sqrt(best.x * variance), math.sqrt(variance)


@pytest.mark.parametrize("seed", [0, 1])
def test_strategy_model_is_its_dense_twin(seed: int) -> None:
    runs = small_experiment(seed)
    model = strategy_model(runs)
    scaled = standardise(runs)
    n = np.array([len(run.sources) for run in scaled])
    single, shared, separate = (
        np.array([run.strategy == name for run in scaled]) for name in model.names[:3]
    )
    X = np.column_stack([single, shared, separate, shared * (n - 2), separate * (n - 2)])
    y = np.array([run.score for run in scaled])
    groups = np.array([int(run.dataset.removeprefix("data")) for run in scaled])
    beta, covariance, spreads, residual = dense_twin(X.astype(float), np.ones(5, bool), y, groups)
    assert model.names[3:] == ("MS-SR@FC per source", "MSS-CR per source")
    np.testing.assert_allclose(model.coefficients, beta, atol=1e-4)
    np.testing.assert_allclose(model.covariance, covariance, atol=1e-4)
    np.testing.assert_allclose(model.spreads, spreads, atol=2e-3)
    assert model.residual == pytest.approx(residual, rel=1e-4)


def test_size_model_is_its_dense_twin() -> None:
    runs = small_experiment()
    model = size_model(runs)
    scaled = standardise(runs)
    r = np.array([STRATEGIES[run.strategy] for run in scaled])
    n = np.array([max(0, len(run.sources) - 2) for run in scaled])
    X = np.column_stack([np.ones(len(r)), r, n, r * n])
    y = np.array([run.score for run in scaled])
    groups = np.array([int(run.dataset.removeprefix("data")) for run in scaled])
    varies = np.array([False, True, True, True])
    beta, covariance, spreads, residual = dense_twin(X, varies, y, groups)
    assert model.names == ("intercept", "size", "sources", "size × sources")
    np.testing.assert_allclose(model.coefficients, beta, atol=1e-4)
    np.testing.assert_allclose(model.covariance, covariance, atol=1e-4)
    np.testing.assert_allclose(model.spreads, [math.nan, *spreads], atol=2e-3)
    assert model.residual == pytest.approx(residual, rel=1e-4)
    assert model.table().rows[0][-1] is None


def test_balanced_design_gives_cell_means_and_anova_components() -> None:
    generator = np.random.default_rng(3)
    repeats, datasets, names = 12, 6, ("SS-R", "MS-CR@4", "MSS-CR")
    design = [
        ScoredRun(name, ("tag",) if name == "SS-R" else ("bpm", "tag"), "-", 0.0)
        for name in names
        for _ in range(repeats)
    ]
    runs = simulated(generator, design, datasets, level_spread=0.8)
    model = strategy_model(runs, standardised=True)
    scores = np.array([run.score for run in runs]).reshape(datasets, len(names), repeats)
    cells = scores.mean(axis=2)
    within = scores.var(axis=2, ddof=1).mean()
    between = cells.var(axis=0, ddof=1)
    np.testing.assert_allclose(model.coefficients, cells.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(model.residual**2, within, rtol=1e-4)
    np.testing.assert_allclose(model.spreads**2, between - within / repeats, rtol=1e-3)
    np.testing.assert_allclose(model.covariance, np.diag(between / datasets), atol=1e-5)
    assert [note for note in model.notes if "told apart" in note] == [
        f"not told apart from other effects by these runs: {name} per source" for name in names[1:]
    ]


def test_known_effects_and_spreads_are_recovered() -> None:
    generator = np.random.default_rng(5)
    design = [run for run in papers_design(generator, 60) if run.strategy in ("SS-R", "MSS-CR")]
    runs = simulated(generator, design, 60, level_spread=0.4, gain_spread=0.1)
    model = strategy_model(runs, standardised=True)
    truth = [LEVELS["SS-R"], LEVELS["MSS-CR"], GAINS["MSS-CR"]]
    assert (np.abs(model.coefficients - truth) < 3 * model.standard_errors).all()
    np.testing.assert_allclose(model.spreads, [0.4, 0.4, 0.1], rtol=0.25)
    assert model.residual == pytest.approx(RESIDUAL, rel=0.05)
    np.testing.assert_array_less(model.intervals[:, 0], model.coefficients)


@pytest.mark.parametrize("fit", [strategy_model, size_model])
def test_order_and_scale_of_scores_do_not_matter(fit) -> None:  # type: ignore[no-untyped-def]
    runs = small_experiment()
    shuffled = [runs[i] for i in np.random.default_rng(1).permutation(len(runs))]
    assert_same(fit(shuffled), fit(runs), rtol=0)
    rescaled = [
        replace(run, score=run.score * (10 if run.dataset == "data1" else 0.01) + len(run.dataset))
        for run in runs
    ]
    assert_same(fit(rescaled), fit(runs), atol=1e-5)


def test_spreads_of_zero_are_said() -> None:
    generator = np.random.default_rng(0)
    design = [run for run in papers_design(generator, 60) if run.strategy in ("SS-R", "MSS-CR")]
    model = strategy_model(simulated(generator, design, 4, 0.0, 0.0), standardised=True)
    still = [n for n, s in zip(model.names, model.spreads, strict=True) if s < 1e-3]
    assert still
    assert f"no spread between data sets found for {', '.join(still)}" in model.notes
    assert np.isfinite(model.standard_errors).all()


def test_fits_that_do_not_converge_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hierarchical, "MAX_ITERATIONS", 1)
    model = size_model(small_experiment(), bootstrap=2)
    assert "did not converge in 1 iterations" in model.notes[0]
    assert "2 of 2 bootstrap fits did not converge" in model.notes
    assert "did not converge" in model.table().note


def test_bootstrap_repeats_with_its_seed() -> None:
    runs = small_experiment()
    model, again, other = (size_model(runs, bootstrap=4, seed=seed) for seed in (7, 7, 8))
    assert_same(model, again, rtol=0)
    assert not np.array_equal(other.intervals, model.intervals)
    assert model.interval_kind == "percentiles of 4 parametric bootstrap fits, seed 7"


@pytest.mark.slow
def test_bootstrap_intervals_are_those_of_wald_where_data_sets_are_many() -> None:
    generator = np.random.default_rng(0)
    design = [run for run in papers_design(generator, 60) if run.strategy in ("SS-R", "MSS-CR")]
    runs = simulated(generator, design, 15)
    model, wald = (strategy_model(runs, bootstrap=count) for count in (100, 0))
    np.testing.assert_array_equal(model.coefficients, wald.coefficients)
    np.testing.assert_allclose(np.diff(model.intervals), np.diff(wald.intervals), rtol=0.25)
    assert (np.abs(model.intervals - wald.intervals) < 0.6 * wald.standard_errors[:, None]).all()


def test_wald_intervals_and_table() -> None:
    model = strategy_model(small_experiment())
    assert model.interval_kind == "Wald"
    half = norm.ppf(0.975) * model.standard_errors
    np.testing.assert_allclose(model.intervals[:, 1] - model.coefficients, half)
    table = model.table()
    assert [row[0] for row in table.rows] == list(model.names)
    assert table.rows[0][1:4] == (
        model.coefficients[0],
        model.standard_errors[0],
        model.intervals[0, 0],
    )


def test_differences_of_strategies() -> None:
    model = strategy_model(small_experiment())
    table = strategy_differences(model)
    pairs = [("MS-SR@FC", "SS-R"), ("MSS-CR", "SS-R"), ("MSS-CR", "MS-SR@FC")]
    assert [row[:2] for row in table.rows] == pairs
    value, c = estimates(model), model.covariance
    high, low, difference, error, p, _ = table.rows[2]
    assert difference == pytest.approx(value[high] - value[low])
    assert error == pytest.approx(math.sqrt(c[1, 1] + c[2, 2] - 2 * c[1, 2]))
    assert p == pytest.approx(2 * norm.sf(abs(difference) / error))
    assert table.rows[1][4] < 1e-6


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.6, 0.01, 0.011, 0.9]
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])
    assert holm([]) == []


def test_models_that_cannot_be_fitted() -> None:
    runs = small_experiment()
    one = [run for run in runs if run.dataset == "data0"]
    with pytest.raises(LabelsError, match="1 data sets"):
        strategy_model(one)
    with pytest.raises(LabelsError, match="no runs"):
        size_model([])
    with pytest.raises(LabelsError, match="more scores than effects"):
        strategy_model([run for run in runs if run.strategy == "MSS-CR"][:2], standardised=True)
    with pytest.raises(LabelsError, match="effects that can vary"):
        size_model([run for run in runs if run.strategy == "SS-R"])
    with pytest.raises(
        LabelsError, match=r"\['MSS-CR', 'MSS-CR per source'\]: seen on one data set"
    ):
        strategy_model([run for run in runs if run.strategy != "MSS-CR" or run.dataset == "data0"])
    with pytest.raises(OptionError, match="bootstrap=-1"):
        size_model(runs, bootstrap=-1)
    with pytest.raises(OptionError, match="no effects"):
        strategy_differences(size_model(runs))


def test_statsmodels_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.regression.mixed_linear_model", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[evaluation\]'"):
        size_model(small_experiment())


@pytest.mark.slow
def test_an_experiment_of_the_papers_size_takes_seconds() -> None:
    generator = np.random.default_rng(0)
    runs = simulated(generator, papers_design(generator), 7)
    assert len(runs) == 2975
    start = time.perf_counter()
    by_strategy, by_size = strategy_model(runs), size_model(runs)
    variance_components(runs)
    assert time.perf_counter() - start < 60
    assert not [note for note in (*by_strategy.notes, *by_size.notes) if "converge" in note]
    value = estimates(by_strategy)
    assert value["SS-R"] < value["MS-SR@FC"] < value["MSS-CR"]
    assert estimates(by_size)["size"] > 0


# Sources


def factorial(effects: Mapping[str, float], noise: float, repeats: int = 3) -> list[ScoredRun]:
    """Two strategies, all combinations of ``effects`` beside two sources that are always there."""
    generator = np.random.default_rng(0)
    runs = []
    for name, mask in itertools.product(
        ("MS-CR@6", "MSS-CR"), itertools.product((False, True), repeat=len(effects))
    ):
        chosen = [source for source, here in zip(effects, mask, strict=True) if here]
        level = LEVELS[name] + sum(effects[source] for source in chosen)
        for _ in range(repeats):
            score = level + generator.normal(0, noise)
            runs.append(ScoredRun(name, ("self", "year", *chosen), "GTZAN", score))
    return runs


def components_of(runs: list[ScoredRun], dataset: str = "GTZAN") -> dict[str, float | None]:
    table = variance_components(runs)
    column = table.columns.index(dataset)
    return {row[0]: row[column] for row in table.rows}


def test_known_components_are_recovered() -> None:
    # A difference δ between two levels is a variance of δ² / 2.
    shares = components_of(factorial({"bpm": 3.0, "tag": -1.0, "artist": 0.0}, noise=0.05))
    assert shares["bpm"] == pytest.approx(90, abs=1)
    assert shares["tag"] == pytest.approx(10, abs=1)
    assert shares["artist"] == pytest.approx(0, abs=0.1)
    assert shares["self"] is None


def test_balanced_components_are_those_of_reml() -> None:
    effects = {"bpm": 0.6, "tag": 0.5, "artist": 0.4}
    runs = list(standardise(factorial(effects, noise=0.3)))
    shares = components_of(runs)
    y = np.array([run.score for run in runs])
    level = np.array([run.strategy == "MSS-CR" for run in runs], dtype=float)
    factors = [np.array([source in run.sources for run in runs]) for source in effects]
    # Literally: each source a random factor with the levels "without" and "with".
    parts = [[np.column_stack([~factor, factor]).astype(float)] for factor in factors]
    names = [[[f"{source} without", f"{source} with"]] for source in effects]
    model = MixedLM(
        y,
        np.column_stack([np.ones(len(y)), level]),
        groups=np.zeros(len(y)),
        exog_vc=VCSpec(list(effects), names, parts),
    )
    variances = model.fit(method=["powell"], ftol=1e-10).vcomp
    expected = 100 * variances / variances.sum()
    np.testing.assert_allclose([shares[source] for source in effects], expected, rtol=1e-3)


def test_components_know_neither_order_nor_scale_nor_single_sources() -> None:
    generator = np.random.default_rng(2)
    runs = simulated(generator, papers_design(generator, 100), 2)
    table = variance_components(runs)
    assert table.columns == ("source", "data0", "data1")
    assert [row[0] for row in table.rows] == list(SOURCES)
    np.testing.assert_allclose(np.sum([row[1:] for row in table.rows], axis=0), 100)
    others = [replace(run, score=5 * run.score + 1) for run in runs if run.strategy != "SS-R"]
    again = variance_components(others[::-1])
    for row, same in zip(table.rows, again.rows, strict=True):
        assert same[1:] == pytest.approx(row[1:], abs=1e-6)


def test_components_that_cannot_be_estimated() -> None:
    pairs = [
        ScoredRun("MSS-CR", pair, "GTZAN", float(number))
        for number, pair in enumerate(list(itertools.combinations(SOURCES[:4], 2)) * 2)
    ]
    with pytest.raises(LabelsError, match="do not tell apart 1 strategies and 4 sources"):
        variance_components(pairs)
    with pytest.raises(LabelsError, match="all SS-R"):
        variance_components([ScoredRun("SS-R", ("tag",), "GTZAN", score) for score in (1.0, 2.0)])


def test_correlation_of_performance_and_component() -> None:
    # Components are 9 : 4 : 1 and single-source scores lie on a line with them.
    effects = {"bpm": 3.0, "tag": 2.0, "artist": 1.0}
    runs = factorial(effects, noise=1e-6)
    runs += [
        ScoredRun("SS-R", (source,), "GTZAN", effect**2 + repeat)
        for source, effect in effects.items()
        for repeat in (-0.1, 0.1)
    ]
    r, table = correlation(runs)
    assert r == pytest.approx(1, abs=1e-6)
    assert [row[0] for row in table.rows] == ["artist", "bpm", "tag"]
    scaled = standardise(runs)
    alone = [run.score for run in scaled if run.sources == ("bpm",)]
    assert table.rows[1][2] == pytest.approx(np.mean(alone))
    assert table.rows[1][3] == pytest.approx(components_of(runs)["bpm"])


def test_correlation_needs_three_points() -> None:
    with pytest.raises(LabelsError, match="0 pairs"):
        correlation(factorial({"bpm": 1.0, "tag": 0.5}, noise=0.1))


# Compactness


def test_compactness_is_relative_to_one_source() -> None:
    # With eight sources, and the paper's ratios of 6.3 and 1.2 (section 5.4).
    table = compactness(
        {
            "kim2019-ms-cr-6": (3_717_776, 2048, 0.8),
            "SS-R": (576_482, 256),
            "MS-SR@FC": (719_760, 256, 0.6),
        }
    )
    assert table.columns == ("strategy", "parameters", "ratio to SS-R", "dimension", "score")
    assert [row[0] for row in table.rows] == ["SS-R", "MS-SR@FC", "MS-CR@6"]
    assert [row[2] for row in table.rows] == pytest.approx([1, 1.2, 6.3], abs=0.2)
    assert [row[3:] for row in table.rows] == [(256, None), (256, 0.6), (2048, 0.8)]


def test_compactness_without_scores() -> None:
    table = compactness({"MSS-CR": (800, 20), "SS-R": (100, 10)})
    assert table.columns[-1] == "dimension"
    assert table.rows == (("SS-R", 100, 1.0, 10), ("MSS-CR", 800, 8.0, 20))


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ({"MSS-CR": (1, 1)}, "SS-R, which the others are compared with"),
        ({"SS-R": (0, 1)}, "must be positive"),
        ({"SS-R": (1, 1), "kim2019-ss-r": (1, 1)}, "named twice"),
        ({"vgg": (1, 1), "SS-R": (1, 1)}, "strategy 'vgg'"),
    ],
)
def test_compactness_that_cannot_be(networks: dict[str, tuple[int, int]], words: str) -> None:
    with pytest.raises(LabelsError, match=words):
        compactness(networks)
