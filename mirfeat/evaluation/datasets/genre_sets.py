"""The data sets with genres: nine, two of them the same files chosen in two ways."""

from __future__ import annotations

from mirfeat.evaluation.datasets import folders, gtzan, tables
from mirfeat.evaluation.datasets.record import Dataset

_MARSYAS = "http://marsyas.info/downloads/datasets.html"
_GTZAN_PAPER = (
    "G. Tzanetakis, P. Cook. Musical genre classification of audio signals. IEEE Transactions on "
    "Speech and Audio Processing 10(5), 2002."
)
_GTZAN_LAYOUT = (
    "a folder a genre, blues/blues.00000.au (or .wav) and so on, up to two folders below."
)
_GTZAN_TERMS = "No licence is stated."
_FMA_PAPER = (
    "M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson. FMA: a dataset for music analysis. "
    "ISMIR 2017. arXiv:1612.01840."
)
_FMA_TERMS = "Metadata: CC BY 4.0. Audio: the licence each artist chose. Meant for research."
_FMA_GENRES = (
    "Blues", "Classical", "Country", "Easy Listening", "Electronic", "Experimental", "Folk",
    "Hip-Hop", "Instrumental", "International", "Jazz", "Old-Time / Historic", "Pop", "Rock",
    "Soul-RnB", "Spoken",
)  # fmt: skip
_FMA_SMALL_GENRES = (
    "Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop",
    "Rock",
)  # fmt: skip

GTZAN = Dataset(
    name="gtzan-genre",
    title="the GTZAN genre collection",
    papers=("choi2017", "hamel2013", "kim2019"),
    kind="classification",
    targets=("label",),
    classes=gtzan.GENRES,
    clips={"choi2017, hamel2013, kim2019": 1000},
    clip_length="30 s",
    terms=_GTZAN_TERMS,
    where=(_MARSYAS, "https://huggingface.co/datasets/marsyas/gtzan"),
    citation=_GTZAN_PAPER,
    layout=_GTZAN_LAYOUT,
    package="mirdata:gtzan_genre",
    read=gtzan.read_all,
    notes=(
        "It holds repetitions, distorted files and many clips by one artist (Sturm 2013); scores "
        "on random folds are too high.",
        "The column artist names artists as Sturm found them, and is empty for 52 repetitions and "
        "distorted files.",
        "kim2019: the paper says fault-filtered; the lists in its code have all 1000 files.",
    ),
)

GTZAN_FAULT_FILTERED = Dataset(
    name="gtzan-genre-fault-filtered",
    title="the fault-filtered split of the GTZAN genre collection",
    papers=("kim2019",),
    kind="classification",
    targets=("label",),
    classes=gtzan.GENRES,
    clips={"Kereliuk, Sturm, Larsen 2015": 930},
    clip_length="30 s",
    terms=_GTZAN_TERMS,
    where=(_MARSYAS, "https://huggingface.co/datasets/marsyas/gtzan"),
    citation=(
        f"{_GTZAN_PAPER} Split: C. Kereliuk, B. L. Sturm, J. Larsen. Deep learning and music "
        "adversaries. IEEE Transactions on Multimedia 17(11), 2015. arXiv:1507.04761."
    ),
    layout=_GTZAN_LAYOUT,
    read=gtzan.read_fault_filtered,
    notes=(
        "443 clips to train on, 197 to validate, 290 to test.",
        "One artist of the column artist (five disco clips) is in train and test.",
        "kim2019: the paper says fault-filtered; the lists in its code have all 1000 files.",
    ),
)

EXTENDED_BALLROOM = Dataset(
    name="extended-ballroom",
    title="the Extended Ballroom dataset",
    papers=("choi2017", "kim2019"),
    kind="classification",
    targets=("label",),
    classes=folders.BALLROOM_DANCES,
    clips={"choi2017": 4180, "kim2019": 3390},
    clip_length="30 s",
    terms=(
        "No licence is stated. Its makers give metadata and a script that fetches the audio, which "
        "they do not own."
    ),
    where=("http://anasynth.ircam.fr/home/media/ExtendedBallroom",),
    citation="U. Marchand, G. Peeters. The Extended Ballroom Dataset. ISMIR 2016, late-breaking.",
    layout=(
        "a folder a dance: Chacha/100701.mp3 and so on; with extendedballroom_v1.1.xml beside "
        "them, artists too."
    ),
    read=folders.read_ballroom,
    notes=(
        "Copies differ: choi2017 had 4180 clips, kim2019 3390.",
        "The metadata marks repetitions and versions of one song.",
    ),
)

HOMBURG = Dataset(
    name="homburg",
    title="the Homburg (Garageband) benchmark dataset",
    papers=("hamel2013",),
    kind="classification",
    targets=("label",),
    classes=folders.HOMBURG_GENRES,
    clips={"hamel2013": 1886},
    clip_length="10 s",
    terms="Called freely available by its makers; no licence is stated.",
    where=("http://www-ai.cs.uni-dortmund.de/audio.html",),
    citation=(
        "H. Homburg, I. Mierswa, B. Möller, K. Morik, M. Wurst. A benchmark dataset for audio "
        "classification and clustering. ISMIR 2005."
    ),
    layout="a folder a genre, blues/*.mp3 and so on: unpack each archive into one of its name.",
    read=folders.read_homburg,
)

UNIQUE = Dataset(
    name="unique",
    title="the Unique dataset",
    papers=("hamel2013",),
    kind="classification",
    targets=("label",),
    clips={"hamel2013": 3115},
    clip_length="30 s",
    terms="No terms are known to us.",
    where=("http://www.seyerlehner.info/index.php?p=1_3_Download",),
    citation=(
        "K. Seyerlehner, G. Widmer, T. Pohle. Fusing block-level features for music similarity "
        "estimation. DAFx 2010."
    ),
    layout="a folder a genre, 14 of them, whatever they are called.",
    read=folders.read_any_classes,
    notes=(
        "Genres in hamel2013: blues, country, dance, electronica, hip-hop, jazz, klassik, reggae, "
        "rock, schlager, soul rnb, volksmusik, world, wort.",
        "How it lies on disk is not confirmed; any folders of classes are read.",
    ),
)

ARTISTS_1517 = Dataset(
    name="1517-artists",
    title="the 1517-Artists dataset",
    papers=("hamel2013",),
    kind="classification",
    targets=("label",),
    clips={"hamel2013": 3180},
    clip_length="full songs, of which hamel2013 uses the first 30 s",
    terms="No terms are known to us.",
    where=("http://www.seyerlehner.info/index.php?p=1_3_Download",),
    citation=(
        "K. Seyerlehner, G. Widmer, P. Knees. Frame level audio similarity: a codebook approach. "
        "DAFx 2008."
    ),
    layout="a folder a genre, 19 of them: Hip-Hop/*.mp3 and so on.",
    read=folders.read_any_classes,
    notes=("Names of folders are taken as they are; artists are not read.",),
)


def _fma(size: str, clips: dict[str, int], papers: tuple[str, ...]) -> Dataset:
    return Dataset(
        name=f"fma-{size}",
        title=f"the {size} subset of FMA",
        papers=papers,
        kind="classification",
        targets=("label",),
        classes=_FMA_GENRES if size == "medium" else _FMA_SMALL_GENRES,
        clips=clips,
        clip_length="30 s",
        terms=_FMA_TERMS,
        where=("https://github.com/mdeff/fma",),
        citation=_FMA_PAPER,
        layout=(
            f"fma_metadata/tracks.csv and fma_{size}/000/000002.mp3 and so on, both below the same "
            "folder."
        ),
        read=tables.read_fma_medium if size == "medium" else tables.read_fma_small,
        notes=(
            "The split of its makers keeps each artist on one side.",
            "kim2018 splits 85/15 stratified by genre instead, without regard to artists.",
        ),
    )


FMA_MEDIUM = _fma("medium", {"kim2018, kim2019": 25000}, ("kim2018", "kim2019"))
FMA_SMALL = _fma("small", {"Defferrard et al. 2017": 8000}, ())

GENRE_SETS = (
    GTZAN,
    GTZAN_FAULT_FILTERED,
    EXTENDED_BALLROOM,
    FMA_MEDIUM,
    FMA_SMALL,
    HOMBURG,
    UNIQUE,
    ARTISTS_1517,
)
