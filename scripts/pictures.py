"""The pictures of the documentation, taken in Chromium from a real run: python scripts/pictures.py [--folder DEMO]

After `scripts/demo.sh` it asks the demo's own videos (`mcn run results/demo/test.csv`, `mcn serve`) and photographs
the report of the run, the page's answers, the player and the map into docs/pictures/. Chromium must be installed
(Debian: `apt install chromium`), and the extra `browser`. The videos are rendered, so every picture is synthetic.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent.parent / "docs/pictures"
QUERY = "chop the onion"
SECONDS = 1000.0  # milliseconds
SEEN = "[...document.images].filter((one) => one.getBoundingClientRect().top < 800).every((one) => one.naturalWidth)"


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address of `mcn serve` over `directory`, while it runs."""
    command = ["mcn", "serve", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@contextlib.contextmanager
def browser_page() -> Iterator[Page]:
    """A page of an installed Chromium, 1280 x 800."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    sandbox = [] if os.getuid() else ["--no-sandbox"]
    with (
        sync_playwright() as playwright,
        contextlib.closing(
            playwright.chromium.launch(executable_path=chromium, args=sandbox)
        ) as browser,
    ):
        yield browser.new_page(viewport={"width": 1280, "height": 800})


def photograph(page: Page, name: str) -> None:
    """Write what the window shows to docs/pictures/`name`.png."""
    PICTURES.mkdir(exist_ok=True)
    page.wait_for_timeout(2 * SECONDS)  # pictures and films have come
    page.screenshot(path=PICTURES / f"{name}.png")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the demo ran (.)")
    results = parser.parse_args().folder / "results"
    answers = results / "demo_answers"
    subprocess.run(["mcn", "run", str(results / "demo/test.csv"), "--output", answers], check=True)
    with browser_page() as page:
        page.goto((results / "report.html").resolve().as_uri())
        photograph(page, "report")
        with served(answers) as address:
            page.goto(address)
            page.get_by_role("searchbox", name="What to look for").fill(QUERY)
            page.keyboard.press("Enter")
            page.locator("#results li").first.wait_for()
            page.wait_for_function(SEEN)
            photograph(page, "search")
            page.locator("#results li button, #results li a").first.click()
            photograph(page, "player")
            page.locator("#close").click()
            page.get_by_role("button", name="Map").click()
            photograph(page, "map")


if __name__ == "__main__":
    main()
