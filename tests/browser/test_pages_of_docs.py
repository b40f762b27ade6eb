"""The README as GitHub lays it out, and the site's pages on a desktop and on a phone."""

import re

import mistune
import pytest

from docs import build

pytestmark = pytest.mark.browser
# what GitHub's own style sheet says of sizes and distances
GITHUB = """body { margin: 0; font: 16px/1.5 sans-serif; }
.box { width: 900px; margin: 0 auto; padding: 32px; box-sizing: border-box; }
img { max-width: 100%; } p, table, pre, ul { margin: 0 0 16px; }
h1 { font-size: 2em; margin: .67em 0 16px; padding-bottom: .3em; }
h2 { font-size: 1.5em; margin: 24px 0 16px; padding-bottom: .3em; line-height: 1.25; }
table { border-collapse: collapse; } td, th { padding: 6px 13px; border: 1px solid; }
pre { padding: 16px; font-size: 85%; line-height: 1.45; overflow: auto; }"""
SCREEN = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


def test_the_readme_has_three_screens_and_the_first_shows_what_counts(requires_chromium, tmp_path):
    text = (build.ROOT / "README.md").read_text(encoding="utf-8")
    body = mistune.create_markdown(escape=False, plugins=["table"])(text)
    body = re.sub(r'<img src="https:[^"]*"', '<img width="110" height="20" src=""', body)  # badges
    body = body.replace('src="assets', f'src="{build.ROOT.as_uri()}/assets')
    file = tmp_path / "readme.html"
    file.write_text(f"<meta charset=utf-8><style>{GITHUB}</style><div class=box>{body}</div>",
                    encoding="utf-8")
    page = requires_chromium.new_page(viewport=SCREEN)
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollHeight") <= 3 * SCREEN["height"]
    hero = page.locator("img[src$='hero.webp']")
    assert hero.evaluate("e => e.naturalWidth") >= 800
    last = page.get_by_text("idf make PHOTO VIDEO")  # picture, badges and both commands above it
    box = last.bounding_box()
    assert hero.bounding_box()["y"] < box["y"] < box["y"] + box["height"] < SCREEN["height"]
    page.close()


@pytest.mark.parametrize("screen", [SCREEN, PHONE], ids=["desktop", "phone"])
def test_pages_fit_the_width(screen, requires_chromium, tmp_path):
    build.write_docs(tmp_path)
    page = requires_chromium.new_page(viewport=screen, color_scheme="dark")
    for file in sorted(tmp_path.glob("*.html")):
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= screen["width"], file.name
        assert page.evaluate("[...document.images].every(i => i.loading === 'lazy' || i.complete)")
    page.close()
