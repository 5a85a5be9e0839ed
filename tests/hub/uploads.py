"""Uploads by LFS and Xet, and commits."""

from __future__ import annotations

import base64
import hashlib
import json
import time

from tests.hub.answers import Answer, Asking
from tests.hub.state import Stored, git_sha1

CHUNKED_BYTES = 1 << 20  # a larger LFS object goes up in parts


class Uploads(Asking):
    """Endpoints that write."""

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
        return Answer(200, {"files": answers})

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
        return Answer(200, {"transfer": kind, "objects": listed})

    def put_object(self, data, oid, part=""):
        with self.server.lock:
            self.server.n_received += len(data)
        if part:
            (self.server.objects / f"{oid}.part{part}").write_bytes(data)
            return Answer(200, b"", ETag=f'"{hashlib.md5(data).hexdigest()}"')
        if hashlib.sha256(data).hexdigest() != oid:
            raise Answer(400, {"error": "other bytes than announced"})
        self.server.put(data)
        return Answer(200, b"", ETag=f'"{oid}"')

    def complete(self, data, oid):
        numbers = [part["partNumber"] for part in json.loads(data)["parts"]]
        whole = b"".join((self.server.objects / f"{oid}.part{n}").read_bytes() for n in numbers)
        for n in numbers:
            (self.server.objects / f"{oid}.part{n}").unlink()
        if self.server.put(whole) != oid:
            raise Answer(400, {"error": "other bytes than announced"})
        return Answer(200, {})

    def verify(self, data):
        if not self.server.object(json.loads(data)["oid"]).exists():
            raise Answer(404, {"error": "no such object"})
        return Answer(200, {})

    def xet_token(self, data, kind, repo, mode, rev):
        self._repo(repo, must_write=mode == "write")
        where, until = f"local://{self.server.chunks}", int(time.time()) + 3600
        return Answer(200, {"casUrl": where, "accessToken": "none", "exp": until}, X_Xet_Cas_Url=where,
                       X_Xet_Access_Token="none", X_Xet_Token_Expiration=until)  # fmt: skip

    def commit(self, data, kind, repo, rev):
        found = self._repo(repo, must_write=True)
        lines = [json.loads(line) for line in data.splitlines() if line.strip()]
        head = next(line["value"] for line in lines if line["key"] == "header")
        with self.server.lock:
            files = dict(found.commit(rev).files)
            if head.get("parentCommit") not in (None, found.branches[rev]):
                raise Answer(412, {"error": "the branch has moved"})
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    content = base64.b64decode(value["content"])
                    stored = Stored(
                        len(content), self.server.put(content), git_sha1(content), False
                    )
                    files[value["path"]] = stored
                elif line["key"] == "lfsFile":
                    oid = value["oid"]
                    there = self.server.object(oid).exists() or self.server.xet_hash(oid)
                    if not there:
                        raise Answer(
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
        return Answer(200, {"success": True, "commitOid": made.id, "hookOutput": "",
                             "commitUrl": f"{self.server.url}/{found.kind}/{repo}/commit/{made.id}"})  # fmt: skip
