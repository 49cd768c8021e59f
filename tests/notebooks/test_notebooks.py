"""The notebooks: as committed, and executed on the smoke profile. (nbval executes them as committed.)"""

import errno
import re

import nbformat
import papermill
import pytest

from dynprune_lib.errors import NotebookError, StoreNotWritable
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import root
from dynprune_lib.report.notebooks import clean, notebook_paths, render_notebooks, reproduce_notebooks

pytestmark = pytest.mark.slow

NOTEBOOKS = notebook_paths()
HOW_TO = {"08_your_own_training_loop"}  # has no study: no parameters, no verdict
PARAMETERS = {"profile", "dataset", "data_dir", "results", "seeds"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_cell_was_executed_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_failed_or_complained(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


def test_nothing_of_the_machine_is_kept(path, notebook):
    before = nbformat.writes(notebook)
    clean(notebook)
    assert nbformat.writes(notebook) == before
    assert notebook.metadata.kernelspec.name == "python3"
    assert str(root()) not in path.read_text()


def test_cells_are_short_and_led_by_a_sentence(notebook):
    assert notebook.cells[0].source.startswith("# ")
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 12


def test_parameters_are_those_that_reproduce_gives(path, notebook):
    tagged = [cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == (path.stem not in HOW_TO)
    assert set(papermill.inspect_notebook(path)) == (set() if path.stem in HOW_TO else PARAMETERS)


def test_the_default_profile_is_the_best_there_is_or_takes_seconds(path):
    if path.stem in HOW_TO:
        return
    default = papermill.inspect_notebook(path)["profile"]["default"].strip("\"'")
    assert default == ("smoke" if path.stem == "00_quickstart" else "None")


def test_every_notebook_has_a_verdict(path, notebook):
    if path.stem != "00_quickstart" and path.stem not in HOW_TO:
        assert ".record_verdict(" in "".join(cell.source for cell in code_cells(notebook))


def test_every_notebook_ends_with_a_takeaway_and_its_limits(notebook):
    headings = re.findall("^## (.*)", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    assert headings[-2:] == ["Takeaway", "What this does not show"]


def test_all_notebooks_run_on_the_smoke_profile(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dynprune_lib.report.notebooks.root", lambda: tmp_path)
    (tmp_path / "notebooks").symlink_to(root() / "notebooks")
    reproduce_notebooks("smoke", results=tmp_path / "results")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [path.name for path in NOTEBOOKS]
    made = {path.name for path in (tmp_path / "reproduced" / "smoke").iterdir()}
    assert made == {path.name for path in NOTEBOOKS} | {path.stem + ".html" for path in NOTEBOOKS}
    specs = load_profile("smoke").runs()
    assert all(Store(tmp_path / "results" / "smoke").load(spec) for spec in specs)


def test_a_mistyped_parameter_is_an_error():
    with pytest.raises(NotebookError, match="no notebook has the parameter sedes: there are data_dir, dataset,"):
        reproduce_notebooks("smoke", {"sedes": [0]})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one notebook, of the parameters and the cell that are passed."""
    monkeypatch.setattr("dynprune_lib.report.notebooks.root", lambda: tmp_path)

    def make(source, parameters='profile = "smoke"'):
        cells = [
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(source),
        ]
        (tmp_path / "notebooks").mkdir()
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=nbformat.read(NOTEBOOKS[0], as_version=4).metadata)
        nbformat.write(notebook, tmp_path / "notebooks" / "00_small.ipynb")
        return tmp_path

    return make


FAILS = 'raise RuntimeError("my own words")'
DIES = "import os; os._exit(1)"


@pytest.mark.parametrize(
    ("source", "message"),
    [(FAILS, "00_small.ipynb, cell 3: RuntimeError: my own words"), (DIES, "00_small.ipynb: Kernel died")],
)
def test_a_notebook_that_fails_is_reported_in_a_line(checkout, source, message):
    folder = checkout(source)
    with pytest.raises(NotebookError, match=message) as caught:
        reproduce_notebooks("smoke")
    assert "\n" not in str(caught.value)
    assert [path.name for path in (folder / "reproduced" / "smoke").iterdir()] == ["00_small.ipynb"]


@pytest.mark.parametrize(
    ("source", "message"),
    [(FAILS, "00_small.ipynb: RuntimeError: my own words"), (DIES, "00_small.ipynb: Kernel died")],
)
def test_a_notebook_that_fails_is_not_rendered(checkout, source, message):
    path = checkout(source) / "notebooks" / "00_small.ipynb"
    before = path.read_bytes()
    with pytest.raises(NotebookError, match=message) as caught:
        render_notebooks()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("run", [render_notebooks, lambda: reproduce_notebooks("smoke")])
def test_what_is_written_on_a_full_disk_is_the_old_one(checkout, monkeypatch, run):
    folder = checkout("1 + 1")
    reproduce_notebooks("smoke")
    files = [folder / "notebooks" / "00_small.ipynb", *(folder / "reproduced" / "smoke").iterdir()]
    before = [file.read_bytes() for file in files]

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreNotWritable, match="No space left"):
        run()
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize("name", ["reproduced", "figures"])
def test_a_checkout_that_cannot_be_written_is_reported_before_anything_runs(checkout, monkeypatch, name):
    (checkout("1 + 1") / name).touch()  # where there should be a folder
    monkeypatch.setattr("dynprune_lib.report.notebooks.sweep", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr("dynprune_lib.report.notebooks._execute", lambda *_: pytest.fail("executed"))
    with pytest.raises(NotebookError, match=f"cannot write .*/{name}/smoke .*: use a checkout of your own"):
        reproduce_notebooks("smoke", jobs=2)


def test_several_jobs_train_what_the_parameters_ask_for(checkout, monkeypatch):
    folder = checkout("1 + 1", 'profile = "smoke"\nseeds = None\nresults = None')
    swept = []
    monkeypatch.setattr("dynprune_lib.report.notebooks.sweep", lambda *given: swept.append(given))
    reproduce_notebooks("smoke", {"seeds": [7]}, results=folder / "kept", jobs=2)
    ((specs, plan),) = swept
    assert specs == load_profile("smoke").runs(seeds=[7])
    assert (plan.jobs, plan.store.folder) == (2, folder / "kept" / "smoke")


def test_a_kernel_is_reached_where_the_path_of_temporary_files_is_long(checkout, monkeypatch):
    folder = checkout("1 + 1")
    (folder / ("x" * 100)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / ("x" * 100)))
    reproduce_notebooks("smoke")
