"""Listings and downloads."""

from __future__ import annotations

import json
import re
import urllib.parse

from tests.hub.answers import Answer, Asking, missing

PAGE = 1000


class Files(Asking):
    """Endpoints that read."""

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
            raise missing("EntryNotFound", f"{path} does not exist on {rev}")
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
        return Answer(200, listed[start : start + PAGE], **headers)

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
        return Answer(200, listed)

    def resolve(self, data, repo, rev, path):
        commit = self._commit(repo, rev)
        stored = commit.files.get(path)
        if stored is None:
            raise missing("EntryNotFound", f"{path} is not in {rev}", X_Repo_Commit=commit.id)
        headers = {"X_Repo_Commit": commit.id, "ETag": f'"{stored.oid}"', "Accept_Ranges": "bytes",
                   "Content_Type": "application/octet-stream"}  # fmt: skip
        if stored.is_lfs:
            headers |= {"X_Linked_Size": stored.size, "X_Linked_Etag": f'"{stored.sha256}"'}
            if name := self.server.xet_hash(stored.sha256):
                token = f"{self.server.url}/api/datasets/{repo}/xet-read-token/{commit.id}"
                headers |= {"X_Xet_Hash": name, "Link": f'<{token}>; rel="xet-auth"'}
        if self.command == "HEAD":
            return Answer(200, b"", **{**headers, "Content_Length": stored.size})
        whole = self.server.bytes_of(stored)
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first, last = asked.groups()
            start = int(first) if first else max(0, len(whole) - int(last))
            end = min(int(last) + 1 if first and last else len(whole), len(whole))
            if start >= len(whole):
                raise Answer(416, b"", **headers, Content_Range=f"bytes */{len(whole)}")
            headers["Content_Range"] = f"bytes {start}-{end - 1}/{len(whole)}"
            return Answer(206, whole[start:end], **headers)
        return Answer(200, whole, **headers)
