"""Who asks, for which repository, and how a request ends."""

from __future__ import annotations

TOKEN = "hf_of_this_test"


class Answer(Exception):
    """An answer that ends a request: status, body (JSON unless bytes), headers."""

    def __init__(self, status, body=None, **headers):
        super().__init__(status)
        self.status, self.body = status, {} if body is None else body
        self.headers = {k.replace("_", "-"): str(v) for k, v in headers.items()}


def missing(code, message="not found", **headers):
    return Answer(404, {"error": message}, X_Error_Code=code, X_Error_Message=message, **headers)


class Asking:
    """What every part of the protocol asks first; the handler has the rest."""

    def _is_known(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repo(self, name, must_write=False):
        if must_write and not self._is_known():
            raise Answer(
                401, {"error": "Invalid credentials"}, X_Error_Message="Invalid credentials"
            )
        with self.server.lock:
            repo = self.server.repos.get(name)
        if repo is None or (repo.private and not self._is_known()):
            raise missing("RepoNotFound", "Repository not found")
        return repo

    def _commit(self, name, revision):
        commit = self._repo(name).commit(revision)
        if commit is None:
            raise missing("RevisionNotFound", f"Invalid rev id: {revision}")
        return commit
