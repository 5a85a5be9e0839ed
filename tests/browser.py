"""The page of a dataset for tests and benchmarks: served, asked over HTTP, and in the distribution's Chromium."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catalog import browse
from catalog.shelf import Shelf

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATH = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's; None where there is no Chromium or no Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield None
        return
    if PATH is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Any, expression: str, seconds: float = 20) -> None:
    """Wait for a JavaScript expression to hold (Playwright's own way is `eval`, which the page forbids)."""
    over = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > over:
            raise TimeoutError(f"never true on the page: {expression}")
        time.sleep(0.03)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of a dataset folder."""
    shelf = Shelf(str(folder))
    there = browse.Server(shelf)
    threading.Thread(target=there.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{there.server_port}"
    finally:
        there.shutdown()
        there.server_close()
        shelf.close()


def get(base: str, path: str, **headers: str) -> Any:
    """The answer to a question."""
    return OPEN.open(urllib.request.Request(base + path, headers=headers))


def refused(base: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and text of an answer that must be an error."""
    try:
        get(base, path, **headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    raise AssertionError(f"{path} was answered")
