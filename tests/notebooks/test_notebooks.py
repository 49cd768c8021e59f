"""The notebooks: as committed, and executed on the smoke profile. (nbval executes them as committed.)"""

import base64
import errno
import io
import re

import nbformat
import papermill
import pytest
from PIL import Image

from dynprune_lib.errors import NotebookError, StoreNotWritable
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import root
from dynprune_lib.report.notebooks import (
    choose_notebooks,
    clean,
    notebook_paths,
    render_notebooks,
    reproduce_notebooks,
)

pytestmark = pytest.mark.slow

NOTEBOOKS = notebook_paths()
HOW_TO = {"08_your_own_training_loop", "12_explore"}  # have no study: no parameters, no verdict
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
    folder = tmp_path / "reproduced" / "smoke"
    made = {path.name for path in folder.iterdir()}
    assert made == {path.name for path in NOTEBOOKS} | {path.stem + ".html" for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        for cell in code_cells(nbformat.read(folder / path.name, as_version=4)):
            assert not [output for output in cell.outputs if output.get("name") == "stderr"]
    specs = load_profile("smoke").runs()
    assert all(Store(tmp_path / "results" / "smoke").load(spec) for spec in specs)


def test_a_mistyped_parameter_is_an_error():
    with pytest.raises(NotebookError, match="no notebook has the parameter sedes: there are data_dir, dataset,"):
        reproduce_notebooks("smoke", {"sedes": [0]})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a notebook for each source: a cell with the parameters, and one with the source."""
    monkeypatch.setattr("dynprune_lib.report.notebooks.root", lambda: tmp_path)

    def make(*sources, parameters='profile = "smoke"', name="small"):
        (tmp_path / "notebooks").mkdir()
        metadata = nbformat.read(NOTEBOOKS[0], as_version=4).metadata
        for number, source in enumerate(sources):
            cells = [
                nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
                nbformat.v4.new_code_cell(source),
            ]
            path = tmp_path / "notebooks" / f"{number:02d}_{name}.ipynb"
            nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return tmp_path

    return make


def made_in(folder):
    return sorted(path.name for path in (folder / "reproduced" / "smoke").iterdir())


FAILS = 'raise RuntimeError("my own words")'
DIES = "import os; os._exit(1)"


@pytest.mark.parametrize(
    ("source", "message"),
    [(FAILS, "01_small.ipynb, cell 3: RuntimeError: my own words"), (DIES, "01_small.ipynb, cell 3: Kernel died")],
)
def test_a_notebook_that_fails_is_reported_in_a_line_and_what_was_made_is_kept(checkout, source, message):
    folder = checkout("1 + 1", source, "2 + 2")
    older = folder / "reproduced" / "smoke" / "01_small.html"  # of an execution that went well
    older.parent.mkdir(parents=True)
    older.touch()
    with pytest.raises(NotebookError, match=f"^{message}.*smoke/01_small.ipynb has its output; --from 01 resumes"):
        reproduce_notebooks("smoke")
    assert made_in(folder) == ["00_small.html", "00_small.ipynb", "01_small.ipynb"]


def test_a_failed_notebook_has_the_output_and_the_error_of_its_cell(checkout):
    folder = checkout(f"print('so far'); {FAILS}")
    with pytest.raises(NotebookError):
        reproduce_notebooks("smoke")
    executed = nbformat.read(folder / "reproduced" / "smoke" / "00_small.ipynb", as_version=4)
    printed, error = code_cells(executed)[-1].outputs
    assert printed.text == "so far\n"
    assert error.evalue == "my own words"


@pytest.mark.parametrize(
    ("source", "message"),
    [(FAILS, "00_small.ipynb, cell 2: RuntimeError: my own words"), (DIES, "00_small.ipynb, cell 2: Kernel died")],
)
def test_a_notebook_that_fails_is_not_rendered(checkout, source, message):
    path = checkout(source) / "notebooks" / "00_small.ipynb"
    before = path.read_bytes()
    with pytest.raises(NotebookError, match=message) as caught:
        render_notebooks()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_bar_shows_the_notebooks_and_each_has_a_line(checkout, capsys):
    checkout("1 + 1", "", "2 + 2")
    reproduce_notebooks("smoke")
    done = capsys.readouterr()
    assert [line.split()[0] for line in done.out.splitlines()[:-1]] == [f"0{number}_small.ipynb" for number in range(3)]
    assert "0 of 3 notebooks:" in done.err
    assert re.search(r"2 of 3 notebooks:.* 02_small, cell 3", done.err)
    shares = [int(share) for share in re.findall(r"notebooks: *(\d+) %", done.err)]
    assert shares == sorted(shares)


def test_committed_images_are_small(notebook):
    outputs = [output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs]
    images = [base64.b64decode(data["image/png"]) for data in outputs if "image/png" in data]
    assert {Image.open(io.BytesIO(image)).mode for image in images} <= {"P"}  # of 256 colours


def test_executed_copies_have_no_progress(checkout):
    folder = checkout("import sys; from tqdm import tqdm; list(tqdm(range(3))); print('a result')")
    reproduce_notebooks("smoke")
    for name in made_in(folder):
        text = (folder / "reproduced" / "smoke" / name).read_text()
        assert "a result" in text
        assert "it/s" not in text


def test_runs_are_trained_under_one_bar_before_the_notebooks(checkout, capsys):
    folder = checkout("1 + 1", parameters='profile = "smoke"\nseeds = None\nresults = None', name="quickstart")
    reproduce_notebooks("smoke", {"seeds": [7]}, results=folder / "kept")
    done = capsys.readouterr()
    assert "1 of 2 runs" in done.err
    assert "s of training" not in done.err
    assert len(done.out.splitlines()) == 2
    assert {record.spec.name for record in Store(folder / "kept" / "smoke").records()} == {
        spec.name for spec in load_profile("smoke").runs("quickstart", [7])
    }


@pytest.mark.parametrize(
    ("only", "start", "chosen"),
    [
        ((), None, ["00", "01", "02", "03"]),
        (["02"], None, ["02"]),
        (["03", "01"], None, ["01", "03"]),
        ((), "02", ["02", "03"]),
        (["00", "03"], "02", ["03"]),
    ],
)
def test_notebooks_are_chosen_by_number(checkout, only, start, chosen):
    checkout(*["1 + 1"] * 4)
    assert [path.name[:2] for path in choose_notebooks(only, start)] == chosen


@pytest.mark.parametrize(
    ("only", "start", "message"),
    [
        (["3"], None, "no notebook has the number '3': there are 00, 01"),
        ((), "05", "no notebook has the number '05': there are 00, 01"),
        (["00"], "01", "notebook 00 comes before 01: leave out --only or --from"),
    ],
)
def test_a_number_without_a_notebook_is_an_error(checkout, only, start, message):
    checkout(*["1 + 1"] * 2)
    with pytest.raises(NotebookError, match=message):
        reproduce_notebooks("smoke", only=only, start=start)


def test_only_what_is_chosen_is_trained_and_executed(checkout, monkeypatch):
    folder = checkout("1 + 1", "2 + 2", name="quickstart")
    (folder / "notebooks" / "01_quickstart.ipynb").rename(folder / "notebooks" / "01_full_data_baselines.ipynb")
    swept = []
    monkeypatch.setattr("dynprune_lib.report.notebooks.sweep", lambda specs, _: swept.extend(specs))
    reproduce_notebooks("smoke", only=["00"])
    assert made_in(folder) == ["00_quickstart.html", "00_quickstart.ipynb"]
    assert swept == load_profile("smoke").runs("quickstart")


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
    folder = checkout("1 + 1", parameters='profile = "smoke"\nseeds = None\nresults = None', name="quickstart")
    swept = []
    monkeypatch.setattr("dynprune_lib.report.notebooks.sweep", lambda *given: swept.append(given))
    reproduce_notebooks("smoke", {"seeds": [7]}, results=folder / "kept", jobs=2)
    ((specs, plan),) = swept
    assert specs == load_profile("smoke").runs("quickstart", [7])
    assert (plan.jobs, plan.store.folder) == (2, folder / "kept" / "smoke")


def test_a_kernel_is_reached_where_the_path_of_temporary_files_is_long(checkout, monkeypatch):
    folder = checkout("1 + 1")
    (folder / ("x" * 100)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / ("x" * 100)))
    reproduce_notebooks("smoke")
