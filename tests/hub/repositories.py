"""Repositories, their branches, tags and history."""

from __future__ import annotations

import json
import secrets

from tests.hub.answers import Answer, Asking
from tests.hub.state import Repo, Stored, git_sha1


class Repositories(Asking):
    """Endpoints about repositories."""

    def create(self, data):
        asked = json.loads(data)
        if not self._is_known():
            raise Answer(401, {"error": "Invalid credentials"})
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        name = name if "/" in name else f"me/{name}"
        private = asked.get("private", asked.get("visibility") == "private")
        url = f"{self.server.url}/{asked.get('type', 'model')}s/{name}"
        with self.server.lock:
            if name in self.server.repos:
                return Answer(409, {"error": "exists", "url": url})
            self.server.repos[name] = Repo(f"{asked.get('type', 'model')}s", bool(private))
            first = self.server.put(b"* text=auto\n")
            git = Stored(12, first, git_sha1(b"* text=auto\n"), False)
            self.server.add_commit(name, "main", "initial commit", "", {".gitattributes": git})
        return Answer(200, {"url": url, "name": name, "id": secrets.token_hex(12)})

    def whoami(self, data):
        if not self._is_known():
            raise Answer(401, {"error": "Invalid credentials"})
        return Answer(200, {"name": "me", "type": "user", "orgs": [{"name": "org"}],
                             "auth": {"type": "access_token", "accessToken": {"role": "write"}}})  # fmt: skip

    def validate_yaml(self, data):
        return Answer(200, {"errors": [], "warnings": []})

    def settings(self, data, repo):
        asked = json.loads(data)
        found = self._repo(repo, must_write=True)
        found.private = asked.get("private", asked.get("visibility") == "private")
        return Answer(200, {"private": found.private})

    def info(self, data, kind, repo, rev="main"):
        commit, found = self._commit(repo, rev), self._repo(repo)
        return Answer(200, {
            "id": repo, "_id": "0" * 24, "author": repo.split("/")[0], "sha": commit.id, "private": found.private,
            "gated": False, "disabled": False, "lastModified": commit.date, "createdAt": found.commits[0].date,
            "tags": [], "downloads": 0, "likes": 0, "cardData": {},
            "siblings": [{"rfilename": path, "size": f.size} for path, f in sorted(commit.files.items())]})  # fmt: skip

    def refs(self, data, kind, repo):
        found = self._repo(repo)
        return Answer(200, {
            kind_: [{"name": n, "ref": f"refs/{prefix}/{n}", "targetCommit": c} for n, c in sorted(refs.items())]
            for kind_, prefix, refs in (("branches", "heads", found.branches), ("tags", "tags", found.tags))
        } | {"converts": []})  # fmt: skip

    def commits(self, data, kind, repo, rev):
        last, found = self._commit(repo, rev), self._repo(repo)
        upto = found.commits[: found.commits.index(last) + 1]
        return Answer(200, [{"id": c.id, "title": c.title, "message": c.message, "date": c.date,
                              "authors": [{"user": "me"}]} for c in reversed(upto)])  # fmt: skip

    def add_tag(self, data, kind, repo, rev):
        asked, found = json.loads(data), self._repo(repo, must_write=True)
        with self.server.lock:
            if asked["tag"] in found.tags:
                raise Answer(409, {"error": "tag exists"})
            found.tags[asked["tag"]] = self._commit(repo, rev).id
        return Answer(200, {})

    def drop_tag(self, data, kind, repo, rev):
        self._repo(repo, must_write=True).tags.pop(rev, None)
        return Answer(200, {})

    def add_branch(self, data, kind, repo, rev):
        start, found = (
            json.loads(data or b"{}").get("startingPoint", "main"),
            self._repo(repo, must_write=True),
        )
        if rev in found.branches:
            raise Answer(409, {"error": "branch exists"})
        found.branches[rev] = self._commit(repo, start).id
        return Answer(200, {})
