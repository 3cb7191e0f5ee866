"""The published checkpoints of Kim 2019, from the 4TU.ResearchData repository. Experimental.

Nothing about the item's files is known here: names, sizes, md5 and addresses come from the
repository's public API (that of Figshare, version 2) when they are needed. Nobody has tried this
against the live site yet. The item and the naming of files: README.md and musmtl/train.py of
eldrin/MTLMusicRepresentation-PyTorch; experiment ids: its scripts/post_process_results.py.
"""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mirfeat.checkpoints import downloads
from mirfeat.errors import CheckpointUnavailableError, OptionError
from mirfeat.files import replacing, sha256_of
from mirfeat.networks import kim2019_scaler
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.kim2019_authors import SHARED_STAGES, read_authors

logger = logging.getLogger("mirfeat")

NAME = "4tu"
API = "https://data.4tu.nl"
ARTICLE = "12692300"
SCALER_ADDRESS = (
    "https://raw.githubusercontent.com/eldrin/MTLMusicRepresentation-PyTorch/"
    f"4869b47ec406e8fe2f6155022ba9f603f0fb0d3e/models/{kim2019_scaler.PUBLISHED}"
)
FOLDER = "kim2019"
_LISTING = "4tu-item.json"
_BRANCHES = {
    "kim2019-ss-r": "null",
    "kim2019-mss-cr": "null",
    "kim2019-ms-cr-2": "2",
    "kim2019-ms-cr-4": "4",
    "kim2019-ms-cr-6": "6",
    "kim2019-ms-sr-fc": "fc",
}
_FILE_NAME = re.compile(r"(.+)_checkpoint_it(\d+)\.pth\.tar")
_BY_HAND = "This way is experimental: fetch the checkpoint by hand and give its path."
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_MAX_JSON_BYTES, _MAX_SCALER_BYTES = 1 << 24, 1 << 20


@dataclass(frozen=True)
class File:
    """A file of the item, as the API describes it."""

    name: str
    size_bytes: int
    address: str
    md5: str

    def fetch(self, checkpoint: str) -> Path:
        """Verified local copy.

        Raises:
            CheckpointUnavailableError: not to be had, or nothing to check it with.
            ChecksumError: the bytes are not the published ones.
        """
        # urllib would open local files, too.
        web = urlsplit(self.address).scheme in ("http", "https")
        if not web or not re.fullmatch(r"[0-9a-f]{32}", self.md5):
            raise CheckpointUnavailableError(
                f"{self.name}: the 4TU item gives address {self.address!r} and md5 {self.md5!r}, "
                f"which is not enough to fetch it safely. {_BY_HAND}"
            )
        return downloads.fetch_file(
            downloads.PublishedFile(
                checkpoint, self.address, f"{FOLDER}/{self.name}", self.size_bytes, self.md5, "md5"
            )
        )


@dataclass(frozen=True)
class Item:
    """What the repository says about the published checkpoints."""

    title: str
    doi: str
    licence: str
    files: tuple[File, ...]


def takes(extractor: str) -> bool:
    """Whether checkpoints of this extractor are published there."""
    return extractor in _BRANCHES


def experiment(extractor: str, checkpoint: str) -> str:
    """Experiment id in ``4tu:<id>``; without one, the first that has all sources.

    Raises:
        OptionError: an id of no possible form.
    """
    _, colon, wanted = checkpoint.partition(":")
    if not colon:
        ss_r = extractor == "kim2019-ss-r"
        return "tag0" if ss_r else f"allsrc{_BRANCHES[extractor]}0"
    if not re.fullmatch(r"\w+", wanted, re.ASCII):
        raise OptionError(f"checkpoint={checkpoint!r}: an id is letters and digits, as 4tu:232.")
    return wanted


def converted_path(extractor: str, version: int, wanted: str) -> Path:
    """Where the conversion of an experiment is kept."""
    return downloads.cache_folder() / FOLDER / f"{extractor}-{wanted}-v{version}.safetensors"


def fetch(extractor: str, wanted: str) -> Weights:
    """Weights of an experiment, with the scaler they were trained with.

    Raises:
        CheckpointUnavailableError: offline and not cached, not listed, or not to be had.
        ChecksumError: a file is not the one that was published.
        CheckpointMismatchError: it is for another extractor, or not of the authors' format.
    """
    name = f"{NAME}:{wanted}"
    item = _item()
    file = pick(item.files, wanted)
    path = file.fetch(name)
    logger.warning("%s %r: licence %s; %s", extractor, name, item.licence, item.title)

    def find(folder: Path, named: str) -> Path:
        return _scaler(item, name, folder, named)

    weights = read_authors(extractor, SHARED_STAGES[_BRANCHES[extractor]], path, find)
    origin = {
        "licence": item.licence,
        "title": item.title,
        "doi": item.doi,
        "experiment": wanted,
        "file": file.name,
        "md5": file.md5,
    }
    return replace(weights, metadata={**weights.metadata, **origin}, sha256=sha256_of(path))


def pick(files: Sequence[File], wanted: str) -> File:
    """The last checkpoint of an experiment.

    Raises:
        CheckpointUnavailableError: there is none, or the id fits several.
    """
    found = [(match, file) for file in files if (match := _FILE_NAME.fullmatch(file.name))]
    # "config.tag0_checkpoint_it199" is tag0. The authors' scripts end an id at its first "_", which
    # makes "cdr" of cdr_tag0 and "self" of self_0: taken where it is not ambiguous.
    whole = [(match[1].rpartition(".")[2], int(match[2]), file) for match, file in found]
    short = [(name.partition("_")[0], epoch, file) for name, epoch, file in whole]
    ids = sorted({name for name, _, _ in whole})
    for named in (whole, short):
        fitting = [(epoch, file) for name, epoch, file in named if name == wanted]
        origins = {_FILE_NAME.sub(r"\1", file.name) for _, file in fitting}
        if len(origins) > 1:
            raise CheckpointUnavailableError(
                f"'{NAME}:{wanted}' may be any of {', '.join(sorted(origins))}. Fetch one by hand "
                "and give its path."
            )
        if fitting:
            return max(fitting, key=lambda pair: pair[0])[1]
    raise CheckpointUnavailableError(_none(files, ids, wanted))


def _none(files: Sequence[File], ids: Sequence[str], wanted: str) -> str:
    """Why there is no such experiment."""
    if ids:
        near = ", ".join(difflib.get_close_matches(wanted, ids, 5, 0.0))
        return f"the 4TU item has no experiment {wanted!r} among its {len(ids)}. Nearest: {near}."
    archives = [file.name for file in files if file.name.lower().endswith(_ARCHIVES)]
    if archives:
        return (
            f"the 4TU item consists of archives ({', '.join(archives)}), which mirfeat does not "
            "unpack. Fetch and unpack them by hand, and give the path of a .pth.tar file as "
            "checkpoint."
        )
    return f"the 4TU item has no file of the form <name>.{wanted}_checkpoint_it<epoch>.pth.tar."


def _item() -> Item:
    """The item as the API describes it now; offline, as it did when it was last asked."""
    kept = downloads.cache_folder() / FOLDER / _LISTING
    if downloads.offline() and kept.is_file():
        with downloads.cache_errors(kept):
            return _of_record(_parsed(kept.read_bytes(), str(kept)), str(kept))
    address = f"{API}/v2/articles/{ARTICLE}"
    record = _ask(address)
    listed = (record.get("files") or []) if isinstance(record, dict) else None
    if not isinstance(listed, list):
        raise _malformed(address, "no object with a list of files")
    # Older servers of this API list the first ten files here, and all of them there.
    if len(listed) <= 10:
        try:
            record["files"] = _ask(f"{address}/files?page_size=1000") or listed
        except CheckpointUnavailableError:
            if not listed:
                raise
    item = _of_record(record, address)
    with downloads.cache_errors(kept), replacing(kept) as temporary:
        text = json.dumps({**asdict(item), "license": item.licence}, indent=1)
        temporary.write_text(text, encoding="utf-8")
    return item


def _ask(address: str) -> Any:
    # The repository's server refuses requests that do not say that they take JSON.
    try:
        content = downloads.fetch_small(address, _MAX_JSON_BYTES, "application/json")
    except CheckpointUnavailableError as error:
        raise CheckpointUnavailableError(f"{error} {_BY_HAND}") from error
    return _parsed(content, address)


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed(where, str(error)) from error


def _of_record(record: Any, where: str) -> Item:
    """Item of an article's record."""
    try:
        licence = record.get("license") or "not stated"
        if isinstance(licence, Mapping):
            licence = " ".join(str(licence[key]) for key in ("name", "url") if licence.get(key))
        files = tuple(_file(entry) for entry in record["files"] if not entry.get("is_link_only"))
        texts = [str(record.get(key) or "not stated") for key in ("title", "doi")]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(where, f"{type(error).__name__}: {error}") from error
    if not files:
        raise _malformed(where, "no files")
    return Item(texts[0], texts[1], str(licence), files)


def _file(entry: Mapping[str, Any]) -> File:
    """File of an entry of the API, or of the listing that is kept."""
    name = str(entry["name"]).replace("\\", "/").rpartition("/")[2]
    address = str(entry.get("download_url") or entry.get("address"))
    md5 = str(entry.get("computed_md5") or entry.get("supplied_md5") or entry.get("md5")).lower()
    return File(name, int(entry.get("size_bytes") or entry["size"]), address, md5)


def _malformed(where: str, problem: str) -> CheckpointUnavailableError:
    return CheckpointUnavailableError(
        f"{where}: not the list of files that mirfeat expects ({problem}). " + _BY_HAND
    )


def _scaler(item: Item, checkpoint: str, folder: Path, named: str) -> Path:
    """The scaler that a checkpoint names: from the item, from the authors' repository, or there."""
    name = kim2019_scaler.scaler_name(named)
    for file in item.files:
        if file.name == name:
            return file.fetch(checkpoint)
    target = folder / name
    if name == kim2019_scaler.PUBLISHED:
        if not target.exists():
            _fetch_scaler(target)
        kim2019_scaler.check_published(target)
    return kim2019_scaler.find_scaler(folder, named)


def _fetch_scaler(target: Path) -> None:
    try:
        content = downloads.fetch_small(SCALER_ADDRESS, _MAX_SCALER_BYTES)
    except CheckpointUnavailableError as error:
        raise CheckpointUnavailableError(
            f"the scaler of the checkpoint: {error} Fetch it by hand and put it into "
            f"{target.parent}."
        ) from error
    with downloads.cache_errors(target), replacing(target) as temporary:
        temporary.write_bytes(content)
        kim2019_scaler.check_published(temporary)
