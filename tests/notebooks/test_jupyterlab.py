"""JupyterLab as `make lab` starts it, in a browser: the start page, and the menus of notebook 12."""

import contextlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.helpers import ROOT, environment, free_port

playwright = pytest.importorskip("playwright.sync_api", reason="the extra dev is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.full]

SECONDS = 120  # until a page, or a cell that reads all records, is there


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab with the options of the Makefile, on a copy of the notebooks: it saves them."""
    pytest.importorskip("jupyterlab", reason="the extra notebooks is not installed")
    (words,) = re.findall(r"-m (jupyterlab .*)", (ROOT / "Makefile").read_text())
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", "--IdentityProvider.token="]
    process = subprocess.Popen(
        [sys.executable, "-m", *words.split(), *options],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT), **{name: str(folder / name) for name in folders}),
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/lab"
    for _ in range(SECONDS):
        assert process.poll() is None, "JupyterLab has ended"
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(address)
            break
        time.sleep(1)
    yield address
    process.terminate()
    process.wait()


@pytest.fixture
def page(browser):
    """A page on which nothing asks or warns."""
    page = browser.new_page(viewport={"width": 1400, "height": 1200})
    page.set_default_timeout(1000 * SECONDS)
    yield page
    assert page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
    page.close()


def run_all(page):
    """Run all cells, once more if none begins: JupyterLab drops what is asked while a kernel connects."""
    began = page.locator(".jp-InputPrompt", has_text=re.compile(r"\[(\*|\d+)\]")).first
    for _ in range(SECONDS // 15):
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        with contextlib.suppress(playwright.TimeoutError):
            began.wait_for(timeout=15_000)
            return
    pytest.fail("no cell of the notebook began to run")


def test_the_start_page_leads_to_every_notebook(page, lab):
    page.goto(f"{lab}/tree/notebooks/README.md")
    links = page.locator(".jp-MarkdownViewer table a")
    links.first.wait_for()
    assert links.all_inner_texts() == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    links.first.click()
    page.locator(".jp-Notebook h1", has_text="Quickstart").wait_for()


def test_the_menus_of_notebook_12_show_what_is_chosen(page, lab):
    page.goto(f"{lab}/tree/notebooks/12_explore.ipynb?reset")
    page.locator(".jp-Notebook h1").wait_for()
    run_all(page)
    menus = page.locator(".jp-OutputArea-output select")
    menus.first.wait_for()
    assert menus.count() == 5
    page.locator("img.widget-image").nth(1).wait_for()
    for number, choice in ((0, "CIFAR-100, small net"), (1, "UCB"), (2, "70%")):
        before = page.locator("img.widget-image").first.get_attribute("src")
        menus.nth(number).select_option(choice)
        is_new = "before => ![before, undefined].includes(document.querySelector('img.widget-image')?.src)"
        page.wait_for_function(is_new, arg=before)
    page.get_by_text("no chosen run has selection counts").first.wait_for()
    assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
