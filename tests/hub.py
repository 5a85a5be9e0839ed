"""A Hub on loopback, for the real clients: repositories, commits, LFS and Xet transfers, downloads, faults.

It speaks the part of the Hub's HTTP protocol that `huggingface_hub` and `datasets` use. Commits are immutable
listings of files, contents lie by sha256 in a folder. For Xet its token names a folder on disk as the store
of chunks (`local://…`), which the Xet client writes itself; the files are then found by the shards it leaves
there. `fail` makes requests fail on purpose.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import re
import secrets
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "hf_of_this_test"
PAGE = 1000
CHUNKED_BYTES = 1 << 20  # a larger LFS object goes up in parts


@dataclass(frozen=True)
class Stored:
    """A file of a commit: where its bytes are, and whether by LFS."""

    size: int
    sha256: str
    sha1: str  # of the git blob, for a file that lies in git itself
    is_lfs: bool

    @property
    def oid(self):
        return self.sha256 if self.is_lfs else self.sha1


@dataclass
class Commit:
    """An immutable state of a repository."""

    id: str
    title: str
    message: str
    date: str
    files: dict[str, Stored]


@dataclass
class Repo:
    """A repository: its commits, what its branches and tags point to."""

    kind: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, revision):
        """The commit of a branch, tag or id; None when there is none."""
        revision = revision.removeprefix("refs/heads/")
        wanted = self.branches.get(revision) or self.tags.get(revision) or revision
        return next((c for c in reversed(self.commits) if c.id == wanted), None)


@dataclass
class Fault:
    """What happens to matching requests: a status, a cut connection (0) or a pause."""

    method: str
    pattern: re.Pattern
    status: int
    times: int
    wait_s: float


class Hub(ThreadingHTTPServer):
    """The server; `url` is its HF_ENDPOINT. Used as a context."""

    request_queue_size, daemon_threads, block_on_close = 128, True, False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects, self.chunks = folder / "objects", folder / "chunks"
        self.objects.mkdir(parents=True)
        self.chunks.mkdir()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.n_received = 0  # bytes of LFS objects
        self.heads: list[tuple[float, str]] = []  # every commit of every main
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def fail(self, method, pattern, status=503, times=1, wait_s=0.0):
        """The next `times` requests that match answer `status` (0: the connection is cut), after `wait_s`."""
        self.faults.append(Fault(method, re.compile(pattern), status, times, wait_s))

    def fault_of(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.pattern.search(path):
                    fault.times -= 1
                    return fault
        return None

    def put(self, data: bytes) -> str:
        """Keep an object; return its sha256."""
        name = hashlib.sha256(data).hexdigest()
        self.object(name).write_bytes(data)
        return name

    def object(self, sha256) -> Path:
        """Where an object lies."""
        return self.objects / sha256

    def bytes_of(self, stored: Stored) -> bytes:
        """The contents of a file, from the objects or put together from chunks by the Xet client."""
        place = self.object(stored.sha256)
        if not place.exists():
            import hf_xet

            whole = place.with_suffix(f".{secrets.token_hex(4)}")
            wanted = hf_xet.PyXetDownloadInfo(str(whole), self.xet_hash(stored.sha256), stored.size)
            hf_xet.download_files([wanted], f"local://{self.chunks}", ("none", 2**40), None, None)
            whole.replace(place)
        return place.read_bytes()

    def xet_hash(self, sha256):
        """The Xet hash of the file of this sha256; None when no shard of the store tells it."""
        for shard in sorted(self.chunks.rglob("*.mdb")):
            if found := shard_files(shard.read_bytes()).get(sha256):
                return found
        return None

    def add_commit(self, name, branch, title, message, files):
        """A new commit on a branch."""
        repo = self.repos[name]
        now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        made = Commit(secrets.token_hex(20), title, message, now, files)
        repo.commits.append(made)
        repo.branches[branch] = made.id
        if branch == "main":
            self.heads.append((time.monotonic(), made.id))
        return made


def shard_files(data: bytes) -> dict[str, str]:
    """sha256 to Xet hash of the files that a shard (.mdb) lists.

    Records of 48 bytes after a header of 48: a file's hash, flags and number of segments; its segments; as
    many verification records when bit 31 of the flags is set; one with the sha256 when bit 30 is.
    """
    found, at = {}, 48
    while at + 48 <= len(data) and data[at : at + 32] != b"\xff" * 32:
        name, flags = _hex(data[at : at + 32]), int.from_bytes(data[at + 32 : at + 36], "little")
        n_segments = int.from_bytes(data[at + 36 : at + 40], "little")
        at += 48 * (1 + n_segments * (2 if flags >> 31 else 1))
        if flags >> 30 & 1:
            found[_hex(data[at : at + 32])] = name
            at += 48
    return found


def _hex(raw: bytes) -> str:
    return "".join(f"{int.from_bytes(raw[i : i + 8], 'little'):016x}" for i in range(0, 32, 8))


class _Answer(Exception):
    """An answer that ends a request: status, body (JSON unless bytes), headers."""

    def __init__(self, status, body=None, **headers):
        super().__init__(status)
        self.status, self.body = status, {} if body is None else body
        self.headers = {k.replace("_", "-"): str(v) for k, v in headers.items()}


def _missing(code, message="not found", **headers):
    return _Answer(404, {"error": message}, X_Error_Code=code, X_Error_Message=message, **headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Hub

    def _serve(self):
        parsed = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(parsed.query)
        with self.server.lock:
            self.server.asked.append((self.command, self.path))
        data = self._body()
        fault = self.server.fault_of(self.command, self.path)
        if fault is not None:
            time.sleep(fault.wait_s)
            if fault.status == 0:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if fault.status != 200:
                self._say(_Answer(fault.status, {"error": "on purpose"}, Retry_After=0))
                return
        try:
            answer = self._route(parsed.path, data)
        except _Answer as said:
            answer = said
        self._say(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, answer):
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **answer.headers,
        }
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    def _route(self, path, data):
        for method, pattern, work in ROUTES:
            asked = "GET" if self.command == "HEAD" else self.command
            if method == asked and (found := re.fullmatch(pattern, path)):
                parts = {k: urllib.parse.unquote(v) for k, v in found.groupdict().items() if v}
                return getattr(self, work)(data, **parts)
        raise _Answer(404, {"error": f"no such endpoint: {self.command} {path}"})

    # who asks, and for what

    def _is_known(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repo(self, name, must_write=False):
        if must_write and not self._is_known():
            raise _Answer(
                401, {"error": "Invalid credentials"}, X_Error_Message="Invalid credentials"
            )
        with self.server.lock:
            repo = self.server.repos.get(name)
        if repo is None or (repo.private and not self._is_known()):
            raise _missing("RepoNotFound", "Repository not found")
        return repo

    def _commit(self, name, revision):
        commit = self._repo(name).commit(revision)
        if commit is None:
            raise _missing("RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # repositories

    def create(self, data):
        asked = json.loads(data)
        if not self._is_known():
            raise _Answer(401, {"error": "Invalid credentials"})
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        name = name if "/" in name else f"me/{name}"
        private = asked.get("private", asked.get("visibility") == "private")
        url = f"{self.server.url}/{asked.get('type', 'model')}s/{name}"
        with self.server.lock:
            if name in self.server.repos:
                return _Answer(409, {"error": "exists", "url": url})
            self.server.repos[name] = Repo(f"{asked.get('type', 'model')}s", bool(private))
            first = self.server.put(b"* text=auto\n")
            git = Stored(12, first, _git_sha1(b"* text=auto\n"), False)
            self.server.add_commit(name, "main", "initial commit", "", {".gitattributes": git})
        return _Answer(200, {"url": url, "name": name, "id": secrets.token_hex(12)})

    def whoami(self, data):
        if not self._is_known():
            raise _Answer(401, {"error": "Invalid credentials"})
        return _Answer(200, {"name": "me", "type": "user", "orgs": [{"name": "org"}],
                             "auth": {"type": "access_token", "accessToken": {"role": "write"}}})  # fmt: skip

    def validate_yaml(self, data):
        return _Answer(200, {"errors": [], "warnings": []})

    def settings(self, data, repo):
        asked = json.loads(data)
        found = self._repo(repo, must_write=True)
        found.private = asked.get("private", asked.get("visibility") == "private")
        return _Answer(200, {"private": found.private})

    def info(self, data, kind, repo, rev="main"):
        commit, found = self._commit(repo, rev), self._repo(repo)
        return _Answer(200, {
            "id": repo, "_id": "0" * 24, "author": repo.split("/")[0], "sha": commit.id, "private": found.private,
            "gated": False, "disabled": False, "lastModified": commit.date, "createdAt": found.commits[0].date,
            "tags": [], "downloads": 0, "likes": 0, "cardData": {},
            "siblings": [{"rfilename": path, "size": f.size} for path, f in sorted(commit.files.items())]})  # fmt: skip

    def refs(self, data, kind, repo):
        found = self._repo(repo)
        return _Answer(200, {
            kind_: [{"name": n, "ref": f"refs/{prefix}/{n}", "targetCommit": c} for n, c in sorted(refs.items())]
            for kind_, prefix, refs in (("branches", "heads", found.branches), ("tags", "tags", found.tags))
        } | {"converts": []})  # fmt: skip

    def commits(self, data, kind, repo, rev):
        last, found = self._commit(repo, rev), self._repo(repo)
        upto = found.commits[: found.commits.index(last) + 1]
        return _Answer(200, [{"id": c.id, "title": c.title, "message": c.message, "date": c.date,
                              "authors": [{"user": "me"}]} for c in reversed(upto)])  # fmt: skip

    def add_tag(self, data, kind, repo, rev):
        asked, found = json.loads(data), self._repo(repo, must_write=True)
        with self.server.lock:
            if asked["tag"] in found.tags:
                raise _Answer(409, {"error": "tag exists"})
            found.tags[asked["tag"]] = self._commit(repo, rev).id
        return _Answer(200, {})

    def drop_tag(self, data, kind, repo, rev):
        self._repo(repo, must_write=True).tags.pop(rev, None)
        return _Answer(200, {})

    def add_branch(self, data, kind, repo, rev):
        start, found = (
            json.loads(data or b"{}").get("startingPoint", "main"),
            self._repo(repo, must_write=True),
        )
        if rev in found.branches:
            raise _Answer(409, {"error": "branch exists"})
        found.branches[rev] = self._commit(repo, start).id
        return _Answer(200, {})

    # files

    def _entry(self, path, stored, expand=False):
        entry = {
            "type": "file",
            "path": path,
            "size": stored.size,
            "oid": stored.sha1 or stored.sha256[:40],
        }
        if stored.is_lfs:
            entry["lfs"] = {"oid": stored.sha256, "size": stored.size, "pointerSize": 130}
            if name := self.server.xet_hash(stored.sha256):
                entry["xetHash"] = name
        return entry

    def tree(self, data, kind, repo, rev, path=""):
        commit, prefix = self._commit(repo, rev), f"{path.strip('/')}/" if path.strip("/") else ""
        inside = {p: f for p, f in commit.files.items() if p.startswith(prefix)}
        if prefix and not inside:
            raise _missing("EntryNotFound", f"{path} does not exist on {rev}")
        folders = set()
        for name in inside:
            steps = name[len(prefix) :].split("/")[:-1]
            folders |= {prefix + "/".join(steps[: i + 1]) for i in range(len(steps))}
        if "recursive" not in self.query or self.query["recursive"][0].lower() in ("false", "0"):
            inside = {p: f for p, f in inside.items() if "/" not in p[len(prefix) :]}
            folders = {p for p in folders if "/" not in p[len(prefix) :]}
        listed = [
            {"type": "directory", "path": p, "size": 0, "oid": "0" * 40} for p in sorted(folders)
        ]
        listed += [self._entry(p, f) for p, f in sorted(inside.items())]
        start = int(self.query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(listed):
            query = {**{k: v[0] for k, v in self.query.items()}, "cursor": start + PAGE}
            link = (
                self.server.url + self.path.partition("?")[0] + "?" + urllib.parse.urlencode(query)
            )
            headers["Link"] = f'<{link}>; rel="next"'
        return _Answer(200, listed[start : start + PAGE], **headers)

    def paths_info(self, data, kind, repo, rev):
        commit = self._commit(repo, rev)
        if "json" in self.headers.get("Content-Type", ""):
            wanted = json.loads(data)["paths"]
        else:
            wanted = urllib.parse.parse_qs(data.decode()).get("paths", [])
        listed = []
        for path in [p.strip("/") for p in ([wanted] if isinstance(wanted, str) else wanted)]:
            if path in commit.files:
                listed.append(self._entry(path, commit.files[path]))
            elif any(p.startswith(path + "/") for p in commit.files):
                listed.append({"type": "directory", "path": path, "size": 0, "oid": "0" * 40})
        return _Answer(200, listed)

    def resolve(self, data, repo, rev, path):
        commit = self._commit(repo, rev)
        stored = commit.files.get(path)
        if stored is None:
            raise _missing("EntryNotFound", f"{path} is not in {rev}", X_Repo_Commit=commit.id)
        headers = {"X_Repo_Commit": commit.id, "ETag": f'"{stored.oid}"', "Accept_Ranges": "bytes",
                   "Content_Type": "application/octet-stream"}  # fmt: skip
        if stored.is_lfs:
            headers |= {"X_Linked_Size": stored.size, "X_Linked_Etag": f'"{stored.sha256}"'}
            if name := self.server.xet_hash(stored.sha256):
                token = f"{self.server.url}/api/datasets/{repo}/xet-read-token/{commit.id}"
                headers |= {"X_Xet_Hash": name, "Link": f'<{token}>; rel="xet-auth"'}
        if self.command == "HEAD":
            return _Answer(200, b"", **{**headers, "Content_Length": stored.size})
        whole = self.server.bytes_of(stored)
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first, last = asked.groups()
            start = int(first) if first else max(0, len(whole) - int(last))
            end = min(int(last) + 1 if first and last else len(whole), len(whole))
            if start >= len(whole):
                raise _Answer(416, b"", **headers, Content_Range=f"bytes */{len(whole)}")
            headers["Content_Range"] = f"bytes {start}-{end - 1}/{len(whole)}"
            return _Answer(206, whole[start:end], **headers)
        return _Answer(200, whole, **headers)

    # uploads

    def preupload(self, data, kind, repo, rev):
        commit = self._repo(repo, must_write=True).commit(rev)
        answers = []
        for file in json.loads(data)["files"]:
            is_lfs = (
                file["path"].endswith((".parquet", ".jpg", ".png")) or file["size"] > 10 * 2**20
            )
            there = commit.files.get(file["path"])
            answers.append({"path": file["path"], "uploadMode": "lfs" if is_lfs else "regular",
                            "shouldIgnore": False, "oid": there.oid if there else None})  # fmt: skip
        return _Answer(200, {"files": answers})

    def lfs_batch(self, data, repo):
        self._repo(repo, must_write=True)
        asked = json.loads(data)
        listed = []
        for item in asked["objects"]:
            place, one = self.server.object(item["oid"]), {"oid": item["oid"], "size": item["size"]}
            href = f"{self.server.url}/upload/{item['oid']}"
            if asked["operation"] == "upload" and not place.exists():
                upload = {"href": href, "header": {}}
                if item["size"] > CHUNKED_BYTES and "multipart" in asked.get("transfers", []):
                    size = -(-item["size"] // 3)
                    parts = {str(k): f"{href}/{k}" for k in range(1, 4)}
                    upload["header"] = {"chunk_size": str(size), **parts}
                one["actions"] = {"upload": upload, "verify": {"href": f"{self.server.url}/verify"}}
            listed.append(one)
        kind = (
            "multipart"
            if any(o.get("actions", {}).get("upload", {}).get("header") for o in listed)
            else "basic"
        )
        return _Answer(200, {"transfer": kind, "objects": listed})

    def put_object(self, data, oid, part=""):
        with self.server.lock:
            self.server.n_received += len(data)
        if part:
            (self.server.objects / f"{oid}.part{part}").write_bytes(data)
            return _Answer(200, b"", ETag=f'"{hashlib.md5(data).hexdigest()}"')
        if hashlib.sha256(data).hexdigest() != oid:
            raise _Answer(400, {"error": "other bytes than announced"})
        self.server.put(data)
        return _Answer(200, b"", ETag=f'"{oid}"')

    def complete(self, data, oid):
        numbers = [part["partNumber"] for part in json.loads(data)["parts"]]
        whole = b"".join((self.server.objects / f"{oid}.part{n}").read_bytes() for n in numbers)
        for n in numbers:
            (self.server.objects / f"{oid}.part{n}").unlink()
        if self.server.put(whole) != oid:
            raise _Answer(400, {"error": "other bytes than announced"})
        return _Answer(200, {})

    def verify(self, data):
        if not self.server.object(json.loads(data)["oid"]).exists():
            raise _Answer(404, {"error": "no such object"})
        return _Answer(200, {})

    def xet_token(self, data, kind, repo, mode, rev):
        self._repo(repo, must_write=mode == "write")
        where, until = f"local://{self.server.chunks}", int(time.time()) + 3600
        return _Answer(200, {"casUrl": where, "accessToken": "none", "exp": until}, X_Xet_Cas_Url=where,
                       X_Xet_Access_Token="none", X_Xet_Token_Expiration=until)  # fmt: skip

    def commit(self, data, kind, repo, rev):
        found = self._repo(repo, must_write=True)
        lines = [json.loads(line) for line in data.splitlines() if line.strip()]
        head = next(line["value"] for line in lines if line["key"] == "header")
        with self.server.lock:
            files = dict(found.commit(rev).files)
            if head.get("parentCommit") not in (None, found.branches[rev]):
                raise _Answer(412, {"error": "the branch has moved"})
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    content = base64.b64decode(value["content"])
                    stored = Stored(
                        len(content), self.server.put(content), _git_sha1(content), False
                    )
                    files[value["path"]] = stored
                elif line["key"] == "lfsFile":
                    oid = value["oid"]
                    there = self.server.object(oid).exists() or self.server.xet_hash(oid)
                    if not there:
                        raise _Answer(
                            400, {"error": f"the bytes of {value['path']} have not been uploaded"}
                        )
                    size = value.get("size") or self.server.object(oid).stat().st_size
                    files[value["path"]] = Stored(size, oid, "", True)
                elif line["key"] == "deletedFile":
                    files.pop(value["path"], None)
                elif line["key"] == "deletedFolder":
                    prefix = value["path"].strip("/") + "/"
                    files = {p: f for p, f in files.items() if not p.startswith(prefix)}
            made = self.server.add_commit(
                repo, rev, head.get("summary", ""), head.get("description", ""), files
            )
        return _Answer(200, {"success": True, "commitOid": made.id, "hookOutput": "",
                             "commitUrl": f"{self.server.url}/{found.kind}/{repo}/commit/{made.id}"})  # fmt: skip

    def log_message(self, *_):
        pass


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


_API = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)"
_REV = r"/(?P<rev>[^/]+)"
_FILE = r"/(?:datasets/|spaces/)?(?P<repo>[^/]+/[^/]+)"
ROUTES = (
    ("POST", r"/api/repos/create", "create"),
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("PUT", r"/api/(?:models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)/settings", "settings"),
    ("GET", _API, "info"),
    ("GET", _API + "/revision" + _REV, "info"),
    ("GET", _API + "/refs", "refs"),
    ("GET", _API + "/commits" + _REV, "commits"),
    ("POST", _API + "/tag" + _REV, "add_tag"),
    ("DELETE", _API + "/tag" + _REV, "drop_tag"),
    ("POST", _API + "/branch" + _REV, "add_branch"),
    ("GET", _API + "/tree" + _REV + r"(?:/(?P<path>.*))?", "tree"),
    ("POST", _API + "/paths-info" + _REV, "paths_info"),
    ("POST", _API + "/preupload" + _REV, "preupload"),
    ("POST", _API + "/commit" + _REV, "commit"),
    ("GET", _API + r"/xet-(?P<mode>read|write)-token" + _REV, "xet_token"),
    ("POST", _FILE + r"\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/upload/(?P<oid>[0-9a-f]{64})(?:/(?P<part>\d+))?", "put_object"),
    ("POST", r"/upload/(?P<oid>[0-9a-f]{64})", "complete"),
    ("POST", r"/verify", "verify"),
    ("GET", _FILE + "/resolve" + _REV + r"/(?P<path>.+)", "resolve"),
)
