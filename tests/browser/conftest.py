"""A headless Chromium for the tests of the exported page."""

import pytest

from idf_helpers.cli.doctor import find_chromium
from tests.fixtures.datasets import lacking

PROMISE = "IDF_REQUIRE_BROWSER"

# WebGL2 in software, no network of the browser's own, usable as root in a container.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="package")
def requires_chromium():
    """A running browser; skips loudly where Chromium or playwright is missing."""
    executable = find_chromium()
    if executable is None:
        lacking(PROMISE, "no Chromium, Chrome or Edge was found (or name it in IDF_CHROMIUM)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking(PROMISE, "playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()
