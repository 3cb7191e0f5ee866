"""Studies: designs of many trainings, run in shares, gone on with, and collected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirfeat.cli import main
from mirfeat.cli import study as cli_study
from mirfeat.csvfiles import read_csv
from mirfeat.errors import ConfigError, MirfeatError, TrainingError, UnknownExtractorError
from mirfeat.evaluation.experiment import STRATEGIES, read_baselines, read_runs
from mirfeat.networks import checkpoint
from mirfeat.networks.checkpoint import digest
from mirfeat.store.jobarray import Shard
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import write_manifest
from mirfeat.training.preparation import Hardware
from mirfeat.training.recipes import make_recipe
from mirfeat.training.study import driver, scoring
from mirfeat.training.study.plan import Study, StudyRun, read_study
from mirfeat.training.study.results import collect
from mirfeat.training.targets.label_sources import SourceTargets
from tests.support.sounds import music, write_wav
from tests.support.training_data import rows, write_corpus

pytestmark = pytest.mark.usefixtures("small_runs")
CPU = Hardware(device="cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks to learn from, and twelve clips of two classes to be scored on."""
    folder = tmp_path_factory.mktemp("study")
    write_corpus(folder)
    table = rows()
    for number, row in enumerate(table):  # two genres in each data set
        row["genre"] = ("one", "two")[number % 2]
    write_manifest(folder / "genres.csv", table)
    for kind, level in (("loud", 0.9), ("soft", 0.02)):
        for number in range(6):
            path = folder / "clips" / kind / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, level * music(1.0, 22_050, seed=number), 22_050)
    return folder


KIM2019 = """
paper = "kim2019"
output = "{output}"
[design]
sources = ["tag", "bpm", "year"]
strategies = ["MS-SR@FC", "MS-CR@6"]
singles = 2
complete = 1
runs = 6
[training]
manifest = "tracks.csv"
[training.sources]
factors = 3
[training.optimiser]
batch = 4
steps = 1
[training.validation]
crops = 1
[targets.levels]
audio = "clips"
groups = "none"
folds = "3"
repeats = 1
"""
HAMEL2013 = """
paper = "hamel2013"
output = "{output}"
[training]
manifest = "genres.csv"
[training.optimiser]
batch = 4
steps = 1
[targets.alpha]
audio = "clips"
groups = "none"
folds = "3"
draws = 1
"""
SHARED = 'manifest = "tracks.csv"\ncache = "cache of jobs"'
KIM2018 = """
paper = "kim2018"
output = "{output}"
[design]
sources = ["genre", "mfcc"]
[training]
manifest = "tracks.csv"
[training.sources]
factors = 3
[training.optimiser]
batch = 4
steps = 1
[training.validation]
crops = 1
[targets.levels]
audio = "clips"
groups = "none"
folds = "3"
epochs = 1
"""


def study_of(corpus: Path, text: str, output: str = "out", **changes: str) -> Study:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = corpus / f"{output}.toml"
    path.write_text(text.format(output=output), encoding="utf-8")
    return read_study(path)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings and scores that cost nothing; names of what was trained, in order."""
    trained: list[str] = []

    def train(config: TrainConfig, *args: Any, **options: Any) -> Path:
        trained.append(config.output.name)
        path = config.output / f"{config.extractor}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        return path

    def score(study: Study, training: StudyRun, checkpoint: Path, name: str, **_: Any) -> Any:
        # More sources and less sharing are better; tag is the best of them.
        value = STRATEGIES.get(training.strategy, 0.5) + 0.1 * len(training.sources)
        value += 0.3 * ("tag" in training.sources) + 0.05 * (training.number % 7)
        value += 0.02 * training.number if name == "other" else 0.0
        scores = {"metric": "accuracy", "values": [value], "weights": None}
        scores["higher_is_better"] = True
        report = {"protocol": "mlp", "features": "x", "scores": [scores]}
        return [{**report, "settings": {}, "notes": []}]

    monkeypatch.setattr(driver, "train", train)
    monkeypatch.setattr(driver, "score", score)
    return trained


def test_kim2019_from_the_design_to_the_tables(
    corpus: Path,
    pretended: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = KIM2019 + '[targets.other]\naudio = "clips"\n'
    study = study_of(corpus, text, "whole", **{"runs = 6": "runs = 9"})
    strategies = [training.strategy for training in study.trainings]
    assert strategies[:8] == ["SS-R"] * 6 + ["MS-SR@FC", "MS-CR@6"]
    assert len(strategies) == 14  # there are six combinations of two of three
    assert {one.state for one in driver.status(study)} == {"open"}
    assert [one.name for one in study.baselines] == [
        "baseline-mfcc",
        "baseline-kim2019-ss-r-checkpoint-random-",
    ]
    real = driver.train

    def fails_once(config: TrainConfig, *args: Any, **options: Any) -> Path:
        path = real(config, *args, **options)
        if len(pretended) == 2:
            path.unlink()
            raise TrainingError("the loss is inf")
        return path

    # What fails is left out, and made by the next call; what is done is not made again.
    monkeypatch.setattr(driver, "train", fails_once)
    (failed,) = driver.run(study, CPU, progress=False)
    assert failed[0].number == 2
    path = str(study.path)
    assert main(["study", path]) == 0
    listed = capsys.readouterr()
    assert "14 trainings: 13 scored, 1 begun; 2 baselines: 2 scored" in listed.err
    assert "begun    002-kim2019-ss-r-bpm" in listed.out
    assert main(["study", path, "run", "--device", "cpu", "-q"]) == 0
    assert len(pretended) == 15
    assert pretended[-1] == "002-kim2019-ss-r-bpm"
    capsys.readouterr()
    monkeypatch.setattr(cli_study, "draw", lambda evaluation: {})  # so have figures
    assert main(["study", path, "collect", "--json", "-q"]) == 0
    titles = [table["title"] for table in json.loads(capsys.readouterr().out)["tables"]]
    for what in ("Fig. 7", "Fig. 8", "Fig. 9", "Fig. 10", "Fig. 13", "Fig. 14", "Table 6", "5.1"):
        assert any(what in title for title in titles), what
    assert "Not yet" not in titles
    runs = read_runs(study.output / "runs.csv")
    assert len(runs) == 28
    assert {run.dataset for run in runs} == {"levels", "other"}
    beside = read_baselines(study.output / "runs.csv")
    assert [(one.name, one.dataset) for one in beside] == [
        (name, dataset)
        for name in ("mfcc", "kim2019-ss-r(checkpoint=random)")
        for dataset in ("levels", "other")
    ]
    page = (study.output / "study.html").read_text(encoding="utf-8")
    assert "14 of 14 trainings are scored" in page


def test_jobs_make_shares_of_it(corpus: Path, pretended: list[str]) -> None:
    study = study_of(corpus, KIM2019, "shares", **{'manifest = "tracks.csv"': SHARED})
    with pytest.raises(ConfigError, match=r"no spectrograms .* First: mirfeat study .* cache"):
        driver.run(study, CPU, shard=Shard(1, 2), progress=False)
    assert driver.prepare(study, Shard(1, 2), progress=False) == 6
    assert driver.prepare(study, Shard(2, 2), progress=False) == 12
    driver.run(study, CPU, shard=Shard(2, 2), progress=False)
    states = [one.state for one in driver.status(study)]
    assert states == ["open", "scored"] * 8  # the last two are baselines
    (missing,) = [table for table in collect(study).tables if table.title == "Not yet"]
    assert missing.rows  # too few for some models, and said so
    driver.run(study, CPU, shard=Shard(1, 2), progress=False)
    assert {one.state for one in driver.status(study)} == {"scored"}
    assert sorted(pretended) == sorted(training.name for training in study.trainings)


def test_baselines_are_scored_as_they_are(
    corpus: Path, pretended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = KIM2019.replace("runs = 6", 'runs = 0\nbaselines = ["mfcc"]')
    study = study_of(corpus, text, "beside")
    scored: list[tuple[str, Path | None]] = []
    real, pretend = scoring.score, driver.score

    def score(study: Study, training: StudyRun, checkpoint: Path, name: str, **options: Any) -> Any:
        scored.append((training.extractor, checkpoint))
        if training.extractor == "mfcc":
            return real(study, training, checkpoint, name, **options)
        return pretend(study, training, checkpoint, name, **options)

    monkeypatch.setattr(driver, "score", score)
    driver.run(study, CPU, progress=False)
    assert scored[-1] == ("mfcc", None)
    (line,) = read_baselines(study.output / "runs.csv") if collect(study) else ()
    assert (line.name, line.dataset) == ("mfcc", "levels")
    assert 0.0 <= line.score <= 1.0
    with pytest.raises(UnknownExtractorError, match="mfccs"):
        study_of(corpus, text, "none", **{'"mfcc"': '"mfccs"'})
    with pytest.raises(ConfigError, match="baselines, which is of kim2019"):
        study_of(corpus, KIM2018.replace("[design]", '[design]\nbaselines = ["mfcc"]'), "no")


def test_a_study_grows_by_runs(corpus: Path, pretended: list[str]) -> None:
    few = study_of(corpus, KIM2019, "grown", **{"runs = 6": "runs = 2"})
    driver.run(few, CPU, progress=False)
    more = study_of(corpus, KIM2019, "grown")
    driver.run(more, CPU, progress=False)
    assert len(pretended) == len(set(pretended)) == 14


def test_kim2018_trains_every_combination_and_makes_tables_3_to_5(corpus: Path) -> None:
    study = study_of(corpus, KIM2018, "grid")
    made = [(one.strategy, one.sources, one.equal_to) for one in study.trainings]
    assert made == [
        ("STN", ("genre", "mfcc"), 0),
        ("MTN", ("genre", "mfcc"), 0),
        ("wSTN", ("genre",), 2),
    ]
    driver.run(study, CPU, progress=False)
    evaluation = collect(study)
    tables = {table.title: table for table in evaluation.tables}
    combinations = tables["Combinations of learning sources (Kim et al. 2018, Table 4)"]
    assert [row[0] for row in combinations.rows] == ["genre", "mfcc", "genre+mfcc"]
    row = dict(zip(combinations.columns, combinations.rows[2], strict=True))
    assert row["published MTN macro-F1"] == 0.6037
    assert None not in row.values()
    (wide,) = [table for title, table in tables.items() if "Table 5" in title]
    assert [row[:2] for row in wide.rows] == [(2, "log-loss"), (2, "macro-F1")]
    assert len([title for title in tables if "Table 3" in title]) == 1  # of MTN there is one


def test_hamel2013_leaves_out_each_data_set_that_it_is_scored_on(corpus: Path) -> None:
    text = HAMEL2013 + '[targets.beta]\naudio = "clips"\ngroups = "none"\nfolds = "3"\ndraws = 1\n'
    study = study_of(corpus, text, "left")
    assert [one.name for one in study.trainings] == [
        "001-hamel2013-base",
        "002-hamel2013-tag-tags",
        "003-hamel2013-genre-genre-without-alpha",
        "004-hamel2013-genre-genre-without-beta",
    ]
    driver.run(study, CPU, progress=False)
    assert {one.state for one in driver.status(study)} == {"scored"}
    # Genres of the one data set are learnt without the other.
    labels = {
        one.leave_out: checkpoint.read(study.folder(one) / "hamel2013-genre.safetensors").metadata
        for one in study.trainings[2:]
    }
    assert list(labels["alpha"]["labels"]) == ["beta:genre"]
    assert list(labels["beta"]["labels"]) == ["alpha:genre"]
    tables = {table.title: table for table in collect(study).tables}
    accuracy = tables["Accuracy (Hamel et al. 2013, Table 4)"]
    assert [row[0] for row in accuracy.rows] == ["alpha", "beta"]
    assert accuracy.columns[1::2] == ("base features", "tag embedding", "genre embedding")
    assert all(isinstance(cell, float) for row in accuracy.rows for cell in row[1::2])
    assert "Precision at 10 (Hamel et al. 2013, Table 5)" in tables
    assert any(title.startswith("Verdicts, linear") for title in tables)


def test_a_data_set_that_cannot_be_left_out_is_found_before_training(
    corpus: Path, pretended: list[str]
) -> None:
    study = study_of(corpus, HAMEL2013.replace("targets.alpha", "targets.gamma"), "gamma")
    with pytest.raises(ConfigError, match=r"leave_out has 'gamma'.*'dataset': alpha, beta"):
        driver.run(study, CPU, progress=False)
    assert pretended == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('audio = "clips"', 'audio = "nowhere"', "nowhere"),
        ('audio = "clips"', 'audio = "clips"\nlabels = "none.csv"', "none.csv"),
        ('manifest = "tracks.csv"', 'manifest = "none.csv"', "none.csv"),
    ],
)
def test_a_study_that_cannot_begin_leaves_nothing_behind(
    corpus: Path, pretended: list[str], old: str, new: str, message: str
) -> None:
    study = study_of(corpus, KIM2018, "nothing", **{old: new})
    with pytest.raises(MirfeatError, match=message):
        driver.run(study, CPU, progress=False)
    assert pretended == []
    assert not study.output.exists()


def test_the_whole_grid_of_the_paper(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        'paper = "kim2018"\noutput = "o"\n[training]\nmanifest = "t.csv"\n[targets.x]\n'
        'audio = "a"\n'
    )
    trainings = read_study(path).trainings
    strategies = [training.strategy for training in trainings]
    assert [strategies.count(name) for name in ("STN", "MTN", "wSTN")] == [1, 26, 4]
    assert {len(one.sources) for one in trainings if one.strategy == "MTN"} == {2, 3, 4, 5}
    assert len({training.name for training in trainings}) == 31


def test_scores_are_made_again_when_their_labels_change(
    corpus: Path, pretended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = corpus / "labels.csv"
    lines = [f"{kind}/{n}.wav,{kind}" for kind in ("loud", "soft") for n in range(6)]
    labels.write_text("id,label\n" + "\n".join(lines) + "\n")
    text = KIM2018.replace('audio = "clips"', 'audio = "clips"\nlabels = "labels.csv"')
    study = study_of(corpus, text, "labels")
    driver.run(study, CPU, progress=False)
    labels.write_text("id,label\n" + "\n".join(reversed(lines)) + "\n")
    assert {one.state for one in driver.status(study)} == {"trained"}
    monkeypatch.setattr(driver, "train", None)  # nothing is trained again
    driver.run(study, CPU, progress=False)
    assert {one.state for one in driver.status(study)} == {"scored"}
    assert len(pretended) == 3


def test_another_design_or_training_is_not_mixed_in(corpus: Path, pretended: list[str]) -> None:
    study = study_of(corpus, KIM2018, "mixed")
    driver.run(study, CPU, shard=Shard(3, 3), progress=False)
    other = study_of(corpus, KIM2018, "mixed", **{"steps = 1": "steps = 2"})
    with pytest.raises(ConfigError, match="003-kim2018-wstn-as-2-genre was trained with another"):
        driver.status(other)
    other = study_of(corpus, KIM2018, "mixed", **{'"genre", "mfcc"': '"genre", "dmfcc"'})
    with pytest.raises(ConfigError, match="lists other trainings"):
        driver.run(other, CPU)
    lines = list(read_csv(study.output / "design.csv", driver.COLUMNS))
    assert lines[2] == ["3", "kim2018-wstn", "wSTN", "genre", "2", ""]
    (study.output / "runs/003-kim2018-wstn-as-2-genre/scores.json").write_text("[]")
    with pytest.raises(ConfigError, match="not what a study writes"):
        driver.status(study)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[targets.levels]", "[target.levels]", "unknown key 'target'"),
        ('manifest = "tracks.csv"', 'manifest = "t.csv"\nseed = 3', "training has seed"),
        ("factors = 3", 'names = ["genre"]', r"training\.sources\.names: write design\.sources"),
        ("factors = 3", "factor = 3", "unknown key 'factor'"),
        ('["genre", "mfcc"]', '["mfcc"]', "genre and one or more others"),
        (
            '["genre", "mfcc"]',
            '["genre", "mfcc"]\nruns = 3',
            "design has runs, which is of kim2019",
        ),
        ("epochs = 1", "epochs = -1", "epochs = -1"),
        ('paper = "kim2018"', 'paper = "choi2017"', "one of hamel2013, kim2018, kim2019"),
    ],
)
def test_what_cannot_be_is_said(corpus: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study_of(corpus, KIM2018, "wrong", **{old: new})


def test_a_study_of_listeners_scores_by_recommendation(corpus: Path) -> None:
    plays = [
        f"u{user},{kind}/{n}.wav,{1 + user % 2}"
        for user in range(6)
        for kind in ("loud", "soft")
        for n in range(6)
    ]
    (corpus / "plays.csv").write_text("user,item,count\n" + "\n".join(plays) + "\n")
    text = KIM2019.replace('groups = "none"\nfolds = "3"\n', 'interactions = "plays.csv"\n')
    study = study_of(corpus, text.replace("singles = 2", "singles = 1"), "plays")
    (training, *_) = study.trainings
    checkpoint = driver.train(study.config(training), CPU, progress=False)
    (found,) = scoring.score(study, training, checkpoint, "levels", device="cpu", workers=1)
    assert scoring.report_of(found).main.metric == "nDCG@500"
    assert not list(study.output.glob("runs/*/features/*"))  # not asked to be kept


def test_every_training_draws_anew_with_the_same_labels(tmp_path: Path) -> None:
    folders = tmp_path / "tracks.csv", tmp_path / "run", tmp_path / "cache"
    target = SourceTargets(np.zeros((4, 3), np.float32), ("a", "b", "c"))
    configs = [TrainConfig("kim2019-ss-r", *folders, repeat=repeat) for repeat in (0, 1, 2)]
    digests = {digest(make_recipe(one, {"tag": target}).weights().tensors) for one in configs}
    assert len(digests) == 3
    assert {config.seed for config in configs} == {0}
    assert configs[0].draws == 0


def test_only_runs_and_caches_have_shares(corpus: Path) -> None:
    study = study_of(corpus, KIM2018, "none")
    assert main(["study", str(study.path), "collect", "--shard", "1/2"]) == 2
    assert main(["study", str(study.path), "run", "--shard", "3/2"]) == 2
