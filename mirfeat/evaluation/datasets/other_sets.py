"""The data sets with anything but genres: speech, emotion, singing, sounds, instruments, tags."""

from __future__ import annotations

from mirfeat.evaluation.datasets import folders, jamendo, tables
from mirfeat.evaluation.datasets.record import Dataset

MUSIC_SPEECH = Dataset(
    name="gtzan-music-speech",
    title="the GTZAN music/speech collection",
    papers=("choi2017",),
    kind="classification",
    targets=("label",),
    classes=("music", "speech"),
    clips={"choi2017": 128},
    clip_length="30 s",
    terms="No licence is stated.",
    where=("http://marsyas.info/downloads/datasets.html",),
    citation="G. Tzanetakis. GTZAN music/speech collection. 1999.",
    layout="music_wav/bagpipe.wav, speech_wav/voices.wav and so on.",
    read=folders.read_music_speech,
)

EMOMUSIC = Dataset(
    name="emomusic",
    title="emoMusic (1000 songs for emotional analysis)",
    papers=("choi2017", "kim2019"),
    kind="regression",
    targets=("arousal", "valence"),
    clips={"choi2017, kim2019": 744},
    clip_length="45 s, of which choi2017 uses the first 29 s",
    terms="Songs are from the Free Music Archive; see the page for the terms of the package.",
    where=("http://cvml.unige.ch/databases/emoMusic/",),
    citation=(
        "M. Soleymani, M. N. Caro, E. M. Schmidt, C.-Y. Sha, Y.-H. Yang. 1000 songs for emotional "
        "analysis of music. CrowdMM 2013."
    ),
    layout=(
        "annotations/static_annotations.csv, annotations/songs_info.csv and clips_45seconds/2.mp3 "
        "and so on."
    ),
    read=tables.read_emomusic,
    notes=(
        "Ratings are means on a scale from 1 to 9. choi2017 divides them by 9, which matters to a "
        "regression with a fixed tolerance.",
        "The split is that of MediaEval 2013 (619 development, 125 evaluation), used by kim2019; "
        "choi2017 takes ten folds of all.",
    ),
)

JAMENDO = Dataset(
    name="jamendo-vocal",
    title="clips of the Jamendo corpus for singing voice detection",
    papers=("choi2017",),
    kind="classification",
    targets=("label",),
    classes=jamendo.LABELS,
    clips={"choi2017": 4086},
    clip_length="between changes of singing, many shorter than 29 s",
    terms="Songs from Jamendo, which publishes under Creative Commons licences.",
    where=("http://www.mathieuramona.com/wp/data/jamendo/",),
    citation=(
        "M. Ramona, G. Richard, B. David. Vocal detection in music with support vector machines. "
        "ICASSP 2008."
    ),
    layout=(
        "train/sing/*.wav, train/nosing/*.wav, and so for valid and test, as "
        "mirfeat.evaluation.datasets.cut_jamendo cuts them from the songs."
    ),
    read=jamendo.read_jamendo,
    notes=("The corpus is meant for detection in time; choi2017 classifies clips cut beforehand.",),
)

URBANSOUND8K = Dataset(
    name="urbansound8k",
    title="UrbanSound8K",
    papers=("choi2017",),
    kind="classification",
    targets=("label",),
    classes=(
        "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
        "engine_idling", "gun_shot", "jackhammer", "siren", "street_music",
    ),
    clips={"choi2017": 8732},
    clip_length="up to 4 s",
    terms="CC BY-NC, non-commercial use only; attribution in FREESOUNDCREDITS.txt.",
    where=("https://zenodo.org/record/1203745",),
    citation=(
        "J. Salamon, C. Jacoby, J. P. Bello. A dataset and taxonomy for urban sound research. "
        "ACM Multimedia 2014."
    ),
    layout="metadata/UrbanSound8K.csv and audio/fold1/*.wav to audio/fold10/*.wav.",
    package="soundata:urbansound8k",
    read=tables.read_urbansound8k,
    notes=("Its ten folds are to be used as they are; recordings do not cross them.",),
)  # fmt: skip

IRMAS = Dataset(
    name="irmas",
    title="the training set of IRMAS",
    papers=("kim2019",),
    kind="classification",
    targets=("label",),
    classes=folders.IRMAS_INSTRUMENTS,
    clips={"kim2019": 6705},
    clip_length="3 s",
    terms="CC BY-NC-SA 3.0, non-commercial use only.",
    where=("https://www.upf.edu/web/mtg/irmas", "https://zenodo.org/record/1290750"),
    citation=(
        "J. J. Bosch, J. Janer, F. Fuhrmann, P. Herrera. A comparison of sound segregation "
        "techniques for predominant instrument recognition in musical audio signals. ISMIR 2012."
    ),
    layout="a folder an instrument: cel/[cel][cla]0001__1.wav and so on.",
    package="mirdata:irmas",
    read=folders.read_irmas,
    notes=(
        "cello, clarinet, flute, acoustic guitar, electric guitar, organ, piano, saxophone, "
        "trumpet, violin, human voice.",
        "Up to three clips are of one song; the column song has the number in their names.",
        "Its own test set has several instruments a clip and is not used by kim2019.",
    ),
)

LASTFM_1K = Dataset(
    name="lastfm-1k",
    title="the Last.fm dataset of 1K users",
    papers=("kim2019",),
    kind="recommendation",
    targets=("count",),
    clips={"kim2019": 27093},
    clip_length="no audio; kim2019 fetched previews of 30 s",
    terms="With permission of Last.fm, for non-commercial use.",
    where=("http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html",),
    citation="Ò. Celma. Music recommendation and discovery in the long tail. Springer 2010.",
    layout="userid-timestamp-artid-artname-traid-traname.tsv.",
    read=tables.read_lastfm_1k,
    notes=(
        "It has no audio. Items are MusicBrainz numbers of tracks; plays without one are left out.",
        "kim2019 keeps users and tracks with five or more of the other, and tracks it had audio "
        "for: 985 users, 27093 tracks, 961416 pairs.",
    ),
)

MAGNATAGATUNE = Dataset(
    name="magnatagatune",
    title="MagnaTagATune",
    papers=("hamel2013",),
    kind="multi-label",
    targets=("tags",),
    clips={"hamel2013": 22787, "Law et al. 2009": 25863},
    clip_length="30 s",
    terms="CC BY-NC-SA 3.0.",
    where=("http://tagatune.org/Magnatagatune.html",),
    citation=(
        "E. Law, K. West, M. Mandel, M. Bay, J. S. Downie. Evaluation of algorithms using games: "
        "the case of music tagging. ISMIR 2009."
    ),
    layout=(
        "annotations_final.csv, clip_info_final.csv and the audio at the paths they name, such as "
        "f/american_bach_soloists-….mp3."
    ),
    read=tables.read_magnatagatune,
    notes=(
        f"Tags of a clip are separated by {tables.TAG_SEPARATOR!r}; clips without tags have "
        "an empty cell.",
        "hamel2013 takes 160 tags and 22787 clips, and does not say how they were chosen.",
    ),
)

OTHER_SETS = (MUSIC_SPEECH, EMOMUSIC, JAMENDO, URBANSOUND8K, IRMAS, LASTFM_1K, MAGNATAGATUNE)
