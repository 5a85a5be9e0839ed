"""The README's picture of the browser: `python -m tests.screenshot` builds the sample world and takes it anew."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from curation import build, recipe
from tests.browser import chromium, serving, until

FILE = "browser.jpg"
TAXON = "#/taxon?in_kingdom=Animalia&in_phylum=Chordata&in_class=Aves"


def shoot(browser: Any, base: str, path: Path) -> None:
    """A taxon above one of its pictures' records, as a JPEG of 1,280 × 1,560 px."""
    page = browser.new_page(viewport={"width": 1280, "height": 780})
    page.goto(f"{base}/{TAXON}")
    page.wait_for_selector("html[data-ready]")
    page.wait_for_load_state("networkidle")
    shots = [page.screenshot()]
    page.click("#pictures .tile >> nth=3")
    until(page, "document.querySelector('figure img')?.naturalWidth > 100")
    page.wait_for_load_state("networkidle")
    shots.append(page.screenshot())
    page.close()
    sheet = Image.new("RGB", (1280, 1560))
    for i, shot in enumerate(shots):
        sheet.paste(Image.open(io.BytesIO(shot)), (0, 780 * i))
    sheet.save(path, quality=82)


def main() -> int:
    """Write the picture beside the README."""
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        if browser is None:
            sys.stderr.write("error: no Chromium on the path, or no Playwright (extra dev)\n")
            return 2
        made = build.build(recipe.read("sample"), Path(name))["shard"][0]
        with serving(made.dir) as base:
            shoot(browser, base, Path(__file__).parents[1] / FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
