"""The Hub (huggingface.co): fetching checkpoints, uploading them, model cards.

The one module that imports ``huggingface_hub``, inside its functions: a program that never speaks
to the Hub does not pay for it. Cache, tokens, endpoint and progress bars are that library's, with
its environment variables (``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT``,
``HF_HUB_DISABLE_PROGRESS_BARS``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirfeat.checkpoints import downloads
from mirfeat.errors import CheckpointError, CheckpointUnavailableError, OptionError
from mirfeat.version import __version__

logger = logging.getLogger("mirfeat")

SCHEME = "hf://"
WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(.+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOG_IN = "Set HF_TOKEN or run 'hf auth login'"


def parse(address: str) -> tuple[str, str | None]:
    """Repository and revision of ``hf://org/repo[@revision]``; None is the main branch.

    Raises:
        OptionError: it has another form.
    """
    if (match := _ADDRESS.fullmatch(address)) is None:
        raise OptionError(f"{address!r}: an address on the Hub is hf://org/repo[@revision].")
    return match[1], match[2]


def fetch(address: str, filenames: Sequence[str]) -> tuple[Path, str]:
    """The first of ``filenames`` that the repository has, in the Hub's cache, and its commit.

    A full commit id needs no request once its file is cached; a branch or tag is asked for each
    time, and its last known commit serves when the Hub cannot be reached.

    Raises:
        OptionError: no address, or one that the Hub does not take.
        CheckpointUnavailableError: not cached, and offline or not to be had.
    """
    repo, revision = parse(address)
    path = None
    if offline := downloads.offline():
        path = _cached(repo, revision, filenames)
    elif revision is not None and _COMMIT.fullmatch(revision):
        path = _cached(repo, revision, filenames, sure=True)
    if path is None and offline:
        raise CheckpointUnavailableError(
            f"{address} is not in the Hub's cache and HF_HUB_OFFLINE is set. Load it once online, "
            f"or run 'hf download {repo}' on another machine and copy its cache ({_cache()})."
        )
    path = path or _download(address, repo, revision, filenames)
    # The cache's documented layout: snapshots/<commit>/<file>.
    return path, path.parent.name


def _cached(
    repo: str, revision: str | None, filenames: Sequence[str], sure: bool = False
) -> Path | None:
    """What the cache has; if it must be ``sure``, only if earlier names are known not to exist."""
    from huggingface_hub import try_to_load_from_cache

    for filename in filenames:
        found = try_to_load_from_cache(repo, filename, revision=revision)
        if isinstance(found, str):
            return Path(found)
        if found is None and sure:
            return None
    return None


def _download(address: str, repo: str, revision: str | None, filenames: Sequence[str]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for filename in filenames:
        try:
            path = hf_hub_download(
                repo,
                filename,
                revision=revision,
                library_name="mirfeat",
                library_version=__version__,
            )
            return Path(path)
        except LocalEntryNotFoundError as error:
            # The library looked for this name only; the cache may have the next one.
            if (cached := _cached(repo, revision, filenames)) is None:
                raise _unavailable(address, error) from error
            logger.warning("%s: the Hub cannot be reached; taking the cached %s", address, cached)
            return cached
        except EntryNotFoundError:
            continue
        # What a broken connection raises differs between the HTTP clients of its versions.
        except Exception as error:
            raise _unavailable(address, error) from error
    raise CheckpointUnavailableError(
        f"{address} has neither {' nor '.join(filenames)}: it holds no mirfeat checkpoint for this "
        "extractor, or it does at another revision."
    )


def _unavailable(address: str, error: Exception) -> CheckpointError | OptionError:
    from huggingface_hub.errors import HFValidationError

    if isinstance(error, HFValidationError):
        return OptionError(f"{address!r}: {error}")
    return CheckpointUnavailableError(f"{address} {_problem(error)}")


def _problem(error: Exception) -> str:
    """What went wrong at the Hub and what to do, to be put after the address."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # Wrapped by the library in "cannot be found in the cache"; the reason is inside.
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if isinstance(cause, GatedRepoError):
        return f"is gated: ask for access on its page. {_LOG_IN} with an account that has it."
    if isinstance(cause, RepositoryNotFoundError):
        return f"does not exist, or is private and your token may not read it. {_LOG_IN}."
    if isinstance(cause, RevisionNotFoundError):
        return "does not exist: the repository has no such branch, tag or commit."
    if status in (401, 403):
        return (
            f"was refused (HTTP {status}): your token is not valid or may not do this. {_LOG_IN}."
        )
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"cannot be stored: {cause}. HF_HOME names another cache folder."
    reason = next(iter(str(cause or error).splitlines()), "") or type(cause).__name__
    return f"could not be had, and is not cached: {reason} Check the connection and try again."


def _cache() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)


@dataclass(frozen=True)
class HubRepository:
    """Where to push; None is the Hub's own default. ``revision`` is a branch or a pull request."""

    repo: str
    private: bool | None = None
    token: str | None = None
    revision: str | None = None
    message: str | None = None


def create(to: HubRepository) -> HubRepository:
    """Make the repository, and its branch, unless they exist; the same with its full name.

    Raises:
        CheckpointError: offline, or the Hub refuses.
    """
    from huggingface_hub import HfApi

    if downloads.offline():
        raise CheckpointError(f"{to.repo} cannot be pushed to: HF_HUB_OFFLINE is set.")
    api = HfApi(token=to.token, library_name="mirfeat", library_version=__version__)
    try:
        full_name = api.create_repo(to.repo, private=to.private, exist_ok=True).repo_id
        # "refs/pr/1" is no branch, and exists or does not.
        if to.revision is not None and not to.revision.startswith("refs/"):
            api.create_branch(full_name, branch=to.revision, exist_ok=True)
    except Exception as error:
        raise _not_pushed(to.repo, error) from error
    return replace(to, repo=full_name)


def upload(folder: Path, to: HubRepository, message: str) -> str:
    """Put the files of ``folder`` into the repository in one commit; the commit's address.

    Raises:
        CheckpointError: the Hub refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi(token=to.token, library_name="mirfeat", library_version=__version__)
        commit = api.upload_folder(
            repo_id=to.repo,
            folder_path=folder,
            commit_message=to.message or message,
            revision=to.revision,
        )
    except Exception as error:
        raise _not_pushed(to.repo, error) from error
    return str(commit.commit_url)


def _not_pushed(repo: str, error: Exception) -> CheckpointError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError":
        advice = f"{_LOG_IN} with a token that may write there."
    else:
        advice = "Nothing was changed there, or an empty repository was made."
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return CheckpointError(f"{repo} could not be pushed to: {reason} {advice}")


def card(data: Mapping[str, Any], body: str) -> str:
    """A model card: YAML front matter by the Hub's own class, then ``body``."""
    from huggingface_hub import ModelCard, ModelCardData

    front = ModelCardData(**data).to_yaml()
    return str(ModelCard(f"---\n{front}\n---\n\n{body}"))
