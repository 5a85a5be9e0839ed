"""The distribution's Chromium, headless, for tests and benchmarks of the page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
