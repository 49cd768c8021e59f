"""The site as `make site` builds it: its files, its links, and its pages in a browser without a network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import pytest

from dynprune_lib import per_sample, samplers, unreduced
from dynprune_lib.scores import SCORES
from tests.helpers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.full]

PAGES = ["README", "CHANGELOG", "CONTRIBUTING", "figures/README"]
PAGES += [f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md") if path.stem != "index"]
PAGES += [f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
PAGES += [f"docs/api/{path.stem}" for path in (ROOT / "docs" / "api").glob("*.rst")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the site, built by the command of the Makefile."""
    pytest.importorskip("myst_nb", reason="the extra docs is not installed")
    pytest.importorskip("transformers", reason="the extra integrations is not installed")
    folder = tmp_path_factory.mktemp("site")
    (words,) = re.findall(r"-m (sphinx .*)", (ROOT / "Makefile").read_text())
    command = [sys.executable, "-m", *words.replace("site/", f"{folder}/").split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # with -W, any warning
    return folder / "html"


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = {""}, [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors.add(found.get("id"))
        if tag == "a":
            self.links.append(found.get("href", ""))
        elif found.get("rel") != "search":
            self.loaded += [found[name] for name in ("src", "href") if name in found]


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def is_outside(target):
    return re.match("[a-z]+:|//", target)


def test_every_page_is_there_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site, pages):
    assert [name for name in PAGES if site / f"{name}.html" not in pages] == []
    for path, page in pages.items():
        assert not [name for name in page.loaded if is_outside(name) and not name.startswith("data:")], path
        for link in [*page.links, *page.loaded]:
            if is_outside(link):
                continue
            name, anchor = urldefrag(unquote(link))
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            assert target.is_file(), f"{path}: {link}"
            if target.suffix == ".html":
                assert anchor in pages[target].anchors, f"{path}: {link}"


def test_every_public_name_is_in_the_reference(pages):
    anchors = set().union(*(page.anchors for page in pages.values()))
    wanted = [f"dynprune_lib.samplers.{name}" for name in samplers.__all__ if name != "SAMPLERS"]
    wanted += [f"{each.__module__}.{each.__name__}" for each in (per_sample, unreduced, *SCORES.values())]
    assert [name for name in wanted if name not in anchors] == []


@pytest.fixture(params=[390, 1280], ids=["phone", "desktop"])
def tab(browser, request):
    """A tab without a network, and what goes wrong in it."""
    clipboard = ["clipboard-read", "clipboard-write"]
    screen = {"width": request.param, "height": 900}
    context = browser.new_context(viewport=screen, offline=True, permissions=clipboard)
    tab, problems = context.new_page(), []
    tab.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("requestfailed", lambda failed: problems.append(failed.url))
    yield tab, problems
    context.close()
    assert problems == []


def test_pages_load_with_their_figures_and_fit_the_screen(site, tab):
    tab, problems = tab
    figures = {"README": 1, "figures/README": 10, "notebooks/05_time_to_accuracy": 1}
    for name in PAGES:
        tab.goto((site / f"{name}.html").as_uri())
        assert tab.locator("h1").first.is_visible(), name
        assert tab.evaluate("[...document.images].filter(each => !each.naturalWidth).map(each => each.src)") == [], name
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert tab.locator("article img").count() >= figures.get(name, 0), name
        assert problems == [], name


def test_the_start_page_leads_to_the_readme_whose_three_lines_can_be_copied(site, tab):
    tab, _ = tab
    (code,) = re.findall(r"```python\n(from dynprune_lib.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    tab.goto((site / "index.html").as_uri())
    tab.wait_for_url("**/README.html")
    block = tab.locator("div.highlight", has_text="from dynprune_lib import UCB, indexed")
    block.hover()
    block.locator("button.copybtn").click()
    assert tab.evaluate("navigator.clipboard.readText()").strip() == code.strip()


def test_the_search_finds_a_sampler_and_a_guide(site, tab):
    tab, _ = tab
    for words, target in {"UCB": "docs/samplers.html", "accelerate": "docs/adopting.html"}.items():
        tab.goto(f"{(site / 'search.html').as_uri()}?q={words}")
        tab.locator(f"#search-results a[href*='{target}']").first.wait_for()
