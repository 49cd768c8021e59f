"""The site as `make site` builds it, and its search in a browser without a network."""

import re
import subprocess
import sys

import pytest

from dynprune_lib import per_sample, samplers, unreduced
from dynprune_lib.scores import SCORES
from tests.helpers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.full]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the site, built by the command of the Makefile: with -W, a link that leads nowhere fails it."""
    folder = tmp_path_factory.mktemp("site")
    (words,) = re.findall(r"-m (sphinx .*)", (ROOT / "Makefile").read_text())
    command = [sys.executable, "-m", *words.replace("site/", f"{folder}/").split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_and_every_public_name_is_there_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path.relative_to(site).with_suffix("").as_posix(): path.read_text() for path in site.rglob("*.html")}
    sources = [*ROOT.glob("docs/[!i]*.md"), *ROOT.glob("docs/api/*.rst"), *ROOT.glob("notebooks/*.ipynb")]
    assert "README" in pages
    assert [path for path in sources if path.relative_to(ROOT).with_suffix("").as_posix() not in pages] == []
    for name, text in pages.items():
        assert re.findall(r'<(?!a\s)[^>]+\s(?:src|href)="(?:[a-z]+:)?//[^"]*', text) == [], name
    wanted = [f"dynprune_lib.samplers.{name}" for name in samplers.__all__ if name != "SAMPLERS"]
    wanted += [f"{each.__module__}.{each.__name__}" for each in (per_sample, unreduced, *SCORES.values())]
    assert [name for name in wanted if f'id="{name}"' not in "".join(pages.values())] == []


def test_the_search_finds_a_sampler_and_a_guide_without_a_network(site, browser):
    context = browser.new_context(viewport={"width": 390, "height": 900}, offline=True)  # of a phone
    tab, problems = context.new_page(), []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("requestfailed", lambda failed: problems.append(failed.url))
    for words, target in {"UCB": "docs/samplers.html", "accelerate": "docs/adopting.html"}.items():
        tab.goto(f"{(site / 'search.html').as_uri()}?q={words}")
        tab.locator(f"#search-results a[href*='{target}']").first.click()
        assert tab.locator("h1").first.is_visible()
        assert tab.evaluate("[...document.images].filter(each => !each.naturalWidth).map(each => each.src)") == []
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    context.close()
    assert problems == []
