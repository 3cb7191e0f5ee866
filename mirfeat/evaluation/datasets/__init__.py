"""The data sets the papers were evaluated on: what they are, where to get them, how to read them.

mirfeat holds no audio and downloads none. It knows how each data set lies on disk once its user has
it, and turns that into a table of labels, with the artists, songs, folds and splits that keep an
evaluation honest.
"""

from mirfeat.evaluation.datasets.catalogue import get_dataset, list_datasets
from mirfeat.evaluation.datasets.jamendo import cut_jamendo
from mirfeat.evaluation.datasets.reading import load_labels, write_labels
from mirfeat.evaluation.datasets.record import Dataset

__all__ = ["Dataset", "cut_jamendo", "get_dataset", "list_datasets", "load_labels", "write_labels"]
