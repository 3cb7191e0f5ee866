"""A repository on 127.0.0.1 that speaks the JSON of 4TU's public API, and the authors' scaler.

Each path has its answers (see ``local_server``); the last one answers all further requests.
"""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from tests.support.local_server import Answer, Handler, LocalServer, status, whole

ARTICLE = "/v2/articles/12692300"
LICENCE = {"value": 2, "name": "CC BY 4.0", "url": "https://example.org/by"}


class Repository(LocalServer):
    """Publishes files under the names they are given."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.paths: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.entries: list[dict[str, Any]] = []

    def _answer(self, request: Handler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(path)
        self.headers.append(dict(request.headers.items()))
        answers = self.paths.get(path, [status(404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    def put(self, name: str, data: bytes, **changes: Any) -> str:
        """Publish a file in the item; returns the path of its address."""
        path = f"/file/item/{len(self.entries)}"
        self.paths[path] = [whole(data)]
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        entry = {
            "id": None,
            "uuid": str(len(self.entries)),
            "name": name,
            "size": len(data),
            "is_link_only": False,
            "download_url": self.address + path,
            "supplied_md5": None,
            "computed_md5": md5,
        }
        self.entries.append({**entry, **changes})
        self.describe()
        return path

    def describe(self, inside: bool = True, **changes: Any) -> None:
        """Publish the record, with its list of files or with that list at ``/files`` only."""
        record = {
            "id": 12692300,
            "title": "MTL Music Representation",
            "doi": "10.4121/12692300.v1",
            "license": LICENCE,
        }
        if inside:
            record["files"] = self.entries[:10]
        self.json(ARTICLE, {**record, **changes})
        self.json(f"{ARTICLE}/files", self.entries)

    def json(self, path: str, record: Any) -> None:
        """Answer a path with JSON."""
        self.paths[path] = [whole(json.dumps(record).encode(), ranges=False)]

    def put_scaler(self, path: Path) -> None:
        """Publish the scaler at the authors' other repository."""
        self.paths["/raw/sclr_dbmel.dat.gz"] = [whole(path.read_bytes())]


def recompressed(path: Path) -> bytes:
    """The same pickle in other bytes."""
    return gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=7)
