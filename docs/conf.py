"""The site, which `make site` builds from the pages and the notebooks of the checkout, without executing anything.

The source folder is the checkout itself, so that a relative link leads to the same page on GitHub and on the site.
"""

from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

import dynprune_lib

ROOT = Path(__file__).parent.parent


project = "dynprune"
author = "The dynprune authors"
release = dynprune_lib.__version__

root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/api/*.rst", "figures/README.md"]
include_patterns += ["notebooks/README.md", "notebooks/*.ipynb"]
exclude_patterns = ["docs/index.md"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
nb_execution_mode = "off"
myst_heading_anchors = 3
default_role = "py:obj"  # names in docstrings become links where they are documented
autodoc_inherit_docstrings = False  # a sampler documents only what differs from the contract
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"dynprune {release}"
html_extra_path = ["start"]  # index.html leads to the start page
html_show_search_summary = False  # summaries are fetched, which browsers refuse for pages opened as files
html_copy_source = False


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the contents of the site to the start page, which is the README."""
    if page == root_doc:
        contents = ROOT / "docs" / "index.md"
        app.env.note_dependency(contents)
        source[0] += f"\n{contents.read_text(encoding='utf-8')}"


def unlink_folders(app: Sphinx, page: nodes.document) -> None:
    """Turn links to folders of the checkout into plain text: the site has no page for them."""
    for link in list(page.findall(pending_xref)):
        target = Path(app.env.doc2path(app.env.docname)).parent / link["reftarget"]
        if link["reftype"] == "myst" and target.is_dir():
            link.replace_self(link.children)


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("doctree-read", unlink_folders)
