"""The notebooks: as they are committed, and run on the smoke profile. (nbval runs them as they are, beside this.)"""

import nbformat
import papermill
import pytest

from dynprune_lib.errors import NotebookError
from dynprune_lib.paths import root
from dynprune_lib.profile import load_profile
from dynprune_lib.reproduce import clean, notebook_paths, reproduce_notebooks
from dynprune_lib.store import Store

NOTEBOOKS = notebook_paths()
HOW_TO = {"08_your_own_training_loop"}  # has no study, and so no parameters and no verdict
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


def test_every_notebook_ends_with_its_verdict(path, notebook):
    if path.stem != "00_quickstart" and path.stem not in HOW_TO:
        assert ".conclude(" in "".join(cell.source for cell in code_cells(notebook))


def test_all_notebooks_run_on_the_smoke_profile(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dynprune_lib.reproduce.root", lambda: tmp_path)
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


def test_a_notebook_that_fails_fails_with_its_own_error(tmp_path, monkeypatch):
    cells = [
        nbformat.v4.new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell('raise RuntimeError("my own words")'),
    ]
    (tmp_path / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=nbformat.read(NOTEBOOKS[0], as_version=4).metadata)
    nbformat.write(notebook, tmp_path / "notebooks" / "00_broken.ipynb")
    monkeypatch.setattr("dynprune_lib.reproduce.root", lambda: tmp_path)
    with pytest.raises(NotebookError, match=r"00_broken.ipynb, cell 3: RuntimeError: my own words"):
        reproduce_notebooks("smoke")
