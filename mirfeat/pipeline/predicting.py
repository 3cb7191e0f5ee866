"""What an extractor can be asked beside its vector: tags, factors, labels."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mirfeat.audio.clip import AudioLike, Source
from mirfeat.pipeline import predictions
from mirfeat.pipeline.predictions import LabelSpace, NamedFactors, Neighbour, Tag, TagsOverTime
from mirfeat.pipeline.unit import Unit
from mirfeat.results.embedding import Embedding


class Predicting(ABC):
    """The predictions of an extractor; :class:`mirfeat.Extractor` says which network and clip."""

    max_seconds: float | None

    @abstractmethod
    def _only(self, what: str) -> Unit:
        """The one unit; an error that names ``what`` where there are several."""

    @abstractmethod
    def _source(self, audio: AudioLike, sample_rate: int | None) -> Source:
        """What is to be decoded."""

    @abstractmethod
    def embed(self, audio: AudioLike, sample_rate: int | None = None) -> Embedding:
        """All rows of one clip."""

    def tags(
        self,
        audio: AudioLike,
        sample_rate: int | None = None,
        *,
        top: int = 10,
        unheard: bool = False,
    ) -> tuple[Tag, ...]:
        """The ``top`` most probable tags of one clip, averaged over its segments.

        A checkpoint may say which of its tags it cannot hear (``unheard_tags`` in its metadata):
        they are left out unless ``unheard`` is set.

        >>> extractor.tags(song, top=2)
        (Tag(name='...', probability=...), Tag(name='...', probability=...))

        Raises:
            OptionError: the network has no tag head.
        """
        unit, source = self._only("tags"), self._source(audio, sample_rate)
        return predictions.tags(unit, source, self.max_seconds, top, unheard)

    def tags_over_time(
        self,
        audio: AudioLike,
        sample_rate: int | None = None,
        *,
        top: int = 10,
        hop_seconds: float | None = None,
    ) -> TagsOverTime:
        """The ``top`` most probable tags of one clip, in each of its segments.

        A new segment begins every ``hop_seconds``; by default the extractor's own hop or 3 s,
        whichever is less. Each is as long as ever (``segment_seconds``).

        >>> extractor.tags_over_time(song, top=5)
        TagsOverTime(1 segments x 5 tags, 10.0 s)

        Raises:
            OptionError: the network has no tag head, or a hop that is no part of a segment.
        """
        unit, source = self._only("tags"), self._source(audio, sample_rate)
        return predictions.tags_over_time(unit, source, self.max_seconds, top, hop_seconds)

    def factors(self, audio: AudioLike, sample_rate: int | None = None) -> dict[str, NamedFactors]:
        """What each learning source's head predicts: a distribution over its factors, by name.

        ``factors(song)["tag"].strongest(3)`` is the words of three factors with their shares.
        Averaged over segments; for explanations. The head of ``self`` compares two clips and is
        left out.

        >>> factors = mirfeat.load_extractor("kim2019-mss-cr").factors(song)
        >>> factors["tag"].strongest(1)
        [('...', 0...)]

        Raises:
            OptionError: the network was not trained on factors.
        """
        unit = self._only("factors")
        return predictions.factors(unit, self._source(audio, sample_rate), self.max_seconds)

    @property
    def factor_names(self) -> dict[str, tuple[str, ...]]:
        """Names of what :meth:`factors` predicts, by source: words of the factor, or a number.

        >>> list(mirfeat.load_extractor("kim2019-mss-cr").factor_names)
        ['bpm', 'tag', 'artist']

        Raises:
            OptionError: the network was not trained on factors.
        """
        return predictions.factor_names(self._only("factors"))

    @property
    def labels(self) -> LabelSpace:
        """Labels embedded beside music (hamel2013), with the nearest ones of each.

        >>> mirfeat.load_extractor("hamel2013-genre").labels.nearest("music:genre/folk", top=1)
        (Neighbour(name='...', distance=...),)

        Raises:
            OptionError: the checkpoint has none.
        """
        return predictions.labels(self._only("labels"))

    def nearest_labels(
        self, audio: AudioLike, sample_rate: int | None = None, *, top: int = 10
    ) -> tuple[Neighbour, ...]:
        """Labels nearest to a clip, by L1 distance to its mean embedded frame.

        >>> mirfeat.load_extractor("hamel2013-genre").nearest_labels(song, top=1)
        (Neighbour(name='...', distance=...),)
        """
        labels, embedding = self.labels, self.embed(audio, sample_rate)
        return labels.nearest(embedding.summary(("mean",))[embedding.blocks["mean"]], top)
