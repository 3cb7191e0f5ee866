"""A server on 127.0.0.1 that speaks as much of the Hub's protocol as its own client needs.

Repositories with commits, branches, private and gated ones; files by ``resolve`` (large ones by a
redirect, as the Hub's own storage does), and commits by ``preupload``, LFS and NDJSON.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_thetokenofthetests"


@dataclass
class Repository:
    """Files of each commit, and where branches and tags stand."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        """Add ``files`` to what ``ref`` has; the id of the commit."""
        before = self.commits.get(self.refs.get(ref, ""), {})
        identity = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[identity] = {**before, **files}
        self.refs[ref] = identity
        return identity

    def resolve(self, revision: str) -> str | None:
        revision = self.refs.get(revision, revision)
        return revision if revision in self.commits else None


class RefusalError(Exception):
    """An answer other than 200, with the code that the client makes its errors of."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: "LocalHub"
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._handle(b"")

    def do_GET(self) -> None:
        self._handle(b"")

    def do_POST(self) -> None:
        self._handle(self._body())

    do_PUT = do_POST  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _handle(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, unquote(path), headers))
        try:
            if self.server.broken:
                raise RefusalError(self.server.broken)
            for method, pattern, answer in ROUTES:
                if self.command in method and (match := re.fullmatch(pattern, path)):
                    answer(self, body, *map(unquote, match.groups()))
                    return
            raise RefusalError(404, message=f"no route for {self.command} {path}")
        except RefusalError as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self.send({"error": refusal.message}, refusal.status, **headers)

    def send(self, content: Any, status: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def repository(self, name: str) -> Repository:
        """A repository that this token may read; the Hub hides private ones behind a 401."""
        if self.token not in ("", TOKEN):
            raise RefusalError(401, message="Invalid credentials in Authorization header")
        found = self.server.repositories.get(name)
        if found is None or (found.private and self.token != TOKEN):
            raise RefusalError(404 if self.token else 401, "RepoNotFound", "Repository not found")
        if found.gated and self.token != TOKEN:
            raise RefusalError(403, "GatedRepo", f"Access to model {name} is restricted.")
        return found

    def writable(self, name: str) -> Repository:
        if self.token != TOKEN:
            raise RefusalError(401, message="Invalid username or password.")
        return self.repository(name)

    # What the routes lead to.

    def info(self, body: bytes, name: str, revision: str = "main") -> None:
        repository = self.repository(name)
        commit = repository.resolve(revision)
        files = [{"rfilename": path} for path in repository.commits.get(commit or "", {})]
        self.send({"id": name, "modelId": name, "sha": commit, "siblings": files, "tags": []})

    def file(self, body: bytes, name: str, revision: str, path: str) -> None:
        repository = self.repository(name)
        if (commit := repository.resolve(revision)) is None:
            raise RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        known = {"X_Repo_Commit": commit}
        if (data := repository.commits[commit].get(path)) is None:
            self.send(
                b"", 404, **known, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found"
            )
            return
        etag = hashlib.sha256(data).hexdigest()
        if not path.endswith(".safetensors"):
            self.send(data, **known, ETag=f'"{etag}"')
            return
        self.server.storage[etag] = data
        known |= {"X_Linked_Etag": f'"{etag}"', "X_Linked_Size": str(len(data))}
        self.send(b"", 302, **known, Location=f"{self.server.elsewhere}/storage/{etag}")

    def stored(self, body: bytes, oid: str) -> None:
        self.send(self.server.storage[oid])

    def store(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise RefusalError(400)
        self.server.storage[oid] = body
        self.send({})

    def create(self, body: bytes) -> None:
        if self.token != TOKEN:
            raise RefusalError(401, message="Invalid username or password.")
        wanted = json.loads(body)
        name = f"{wanted['organization'] or 'tester'}/{wanted['name']}"
        if name in self.server.repositories:
            self.send({"error": "exists", "url": f"{self.server.address}/{name}"}, 409)
            return
        private = wanted.get("private", False) or wanted.get("visibility") == "private"
        repository = self.server.repositories[name] = Repository(private)
        repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.send({"url": f"{self.server.address}/{name}", "name": name, "id": name})

    def branch(self, body: bytes, name: str, branch: str) -> None:
        repository = self.writable(name)
        if branch in repository.refs:
            raise RefusalError(409, message="Reference already exists")
        repository.refs[branch] = repository.refs["main"]
        self.send({})

    def check_card(self, body: bytes) -> None:
        card = json.loads(body)["content"]
        self.server.cards.append(card)
        self.send({"errors": [], "warnings": []})

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        if self.writable(name).resolve(revision) is None:
            raise RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        answers = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self.send({"files": answers})

    def batch(self, body: bytes, name: str) -> None:
        self.writable(name)
        objects: list[dict[str, Any]] = json.loads(body)["objects"]
        for item in objects:
            if item["oid"] not in self.server.storage:
                address = f"{self.server.address}/storage/{item['oid']}"
                item["actions"] = {"upload": {"href": address}}
        self.send({"transfer": "basic", "objects": objects})

    def commit(self, body: bytes, name: str, revision: str) -> None:
        assert "create_pr" not in parse_qs(urlsplit(self.path).query)
        repository, files = self.writable(name), {}
        header, *operations = map(json.loads, body.splitlines())
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "lfsFile":
                files[value["path"]] = self.server.storage[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        self.server.messages.append(header["value"]["summary"])
        oid = repository.commit(files, revision)
        address = f"{self.server.address}/{name}/commit/{oid}"
        self.send({"success": True, "commitOid": oid, "commitUrl": address, "hookOutput": ""})


NAME = "([^/]+/[^/]+)"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", f"/api/models/{NAME}", Handler.info),
    ("GET", f"/api/models/{NAME}/revision/([^/]+)", Handler.info),
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.check_card),
    ("POST", f"/api/models/{NAME}/branch/([^/]+)", Handler.branch),
    ("POST", f"/api/models/{NAME}/preupload/([^/]+)", Handler.preupload),
    ("POST", f"/api/models/{NAME}/commit/([^/]+)", Handler.commit),
    ("POST", rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/storage/([^/]+)", Handler.store),
    ("GET HEAD", "/storage/([^/]+)", Handler.stored),
    ("GET HEAD", f"/{NAME}/resolve/([^/]+)/(.+)", Handler.file),
]


class LocalHub(ThreadingHTTPServer):
    """Context manager: a thread answers until the block ends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.storage: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.cards: list[str] = []
        self.messages: list[str] = []
        self.broken = 0
        """Status that every request is answered with, if any."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def elsewhere(self) -> str:
        """The same server under another name, as the Hub's storage is on another host."""
        return f"http://localhost:{self.server_port}"

    def repository(self, name: str, files: dict[str, bytes], **kind: bool) -> str:
        """Publish a repository; the id of its commit."""
        self.repositories[name] = Repository(**kind)
        return self.repositories[name].commit(files)

    def __enter__(self) -> "LocalHub":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""
