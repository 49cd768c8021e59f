"""The notebooks: as committed, and executed on the smoke profile. (nbval executes them as committed.)"""

import base64
import io
import re
import sys

import nbformat
import papermill
import pytest
from PIL import Image

from dynprune_lib.errors import NotebookError, StoreNotWritable
from dynprune_lib.experiments.profile import RECORDED, load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import root
from dynprune_lib.report.claims import load_claims
from dynprune_lib.report.notebooks import choose_notebooks, clean, notebook_paths, render_notebooks, reproduce_notebooks

pytestmark = pytest.mark.slow

NOTEBOOKS = notebook_paths()
HOW_TO = {"08_your_own_training_loop", "12_explore"}  # have no study: no parameters, no verdict
PARAMETERS = {"profile", "train", "seeds", "dataset", "data_dir", "results"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_cell_was_executed_in_order_and_none_failed_or_complained(path, notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [each for each in outputs if each.output_type == "error" or each.get("name") == "stderr"]
    pngs = [base64.b64decode(each["data"]["image/png"]) for each in outputs if "image/png" in each.get("data", {})]
    assert {Image.open(io.BytesIO(png)).mode for png in pngs} <= {"P"}  # of 256 colours, which are small
    before = nbformat.writes(notebook)
    clean(notebook)
    assert nbformat.writes(notebook) == before  # nothing of the machine is kept
    assert notebook.metadata.kernelspec.name == "python3"
    assert str(root()) not in path.read_text()


def test_parameters_are_those_that_reproduce_gives_and_train_nothing_as_committed(path):
    default = {name: value["default"].strip("\"'") for name, value in papermill.inspect_notebook(path).items()}
    assert default.keys() == (set() if path.stem in HOW_TO else PARAMETERS)
    if path.stem == "00_quickstart":  # which trains in seconds
        assert (default["profile"], default["train"]) == ("smoke", "True")
    elif default:
        assert default["profile"] in RECORDED
        assert default["train"] == "False"


def test_every_experiment_names_a_notebook_that_loads_it():
    for name, experiment in load_profile("smoke").experiments.items():
        text = (root() / "notebooks" / f"{experiment.notebook}.ipynb").read_text()
        assert re.search(rf'\(?\\"{name}\\"', text), f"{experiment.notebook} does not load {name}"


def test_every_claim_is_decided_in_its_notebook(path, notebook):
    decided = set(re.findall(r'\.decide\(\s*"([^"]+)"', "".join(cell.source for cell in code_cells(notebook))))
    assert decided == {claim.claim for claim in load_claims() if claim.notebook == path.stem}


def test_every_decimal_number_of_a_sentence_stands_in_an_output(path, notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    shown = [each.get("text", "") or each.get("data", {}).get("text/plain", "") for each in outputs]
    shown += [str(number["shown"]) for claim in load_claims() for number in claim.numbers]
    values = [abs(float(number)) for number in re.findall(r"\d+\.\d+", "\n".join(shown))]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"`[^`]*`|\]\([^)]*\)|arXiv:\S+|Hastie 10\.2", " ", cell.source)
            for number in re.findall(r"(?<![\w.])\d+\.\d+(?!\.\d)", text):
                digits = len(number.partition(".")[2])
                assert number in {f"{value:.{digits}f}" for value in values}, f"{path.stem}: no output has {number}"


def test_all_notebooks_run_on_the_smoke_profile(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dynprune_lib.report.notebooks.root", lambda: tmp_path)
    (tmp_path / "notebooks").symlink_to(root() / "notebooks")
    reproduce_notebooks("smoke", results=tmp_path / "results")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [path.name for path in NOTEBOOKS]
    folder = tmp_path / "reproduced" / "smoke"
    made = {path.name for path in folder.iterdir()}
    assert made == {path.name for path in NOTEBOOKS} | {path.stem + ".html" for path in NOTEBOOKS}
    for name in ("03_accuracy_vs_pruning_rate", "05_time_to_accuracy"):
        text = (folder / f"{name}.ipynb").read_text()
        assert "digits (8x8), tiny net" in text  # the caption is that of the runs, the readings are of the profile
        assert "too few seeds" in text
    specs = load_profile("smoke").runs()
    assert all(Store(tmp_path / "results" / "smoke").load(spec) for spec in specs)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a notebook for each source: a cell with the parameters, and one with the source. `name` is that
    of the first."""
    monkeypatch.setattr("dynprune_lib.report.notebooks.root", lambda: tmp_path)

    def make(*sources, parameters='profile = "smoke"', name="small"):
        (tmp_path / "notebooks").mkdir()
        metadata = nbformat.read(NOTEBOOKS[0], as_version=4).metadata
        for number, source in enumerate(sources):
            cells = [
                nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
                nbformat.v4.new_code_cell(source),
            ]
            path = tmp_path / "notebooks" / f"{number:02d}_{'small' if number else name}.ipynb"
            nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return tmp_path

    return make


def made_in(folder):
    return sorted(path.name for path in (folder / "reproduced" / "smoke").iterdir())


FAILS = 'raise RuntimeError("my own words")'
DIES = "import os; os._exit(1)"


@pytest.mark.parametrize(("source", "message"), [(FAILS, "RuntimeError: my own words"), (DIES, "Kernel died")])
def test_a_notebook_that_fails_is_reported_in_a_line_and_what_was_made_is_kept(checkout, source, message):
    folder = checkout("1 + 1", f"print('so far', flush=True); {source}", "2 + 2")
    older = folder / "reproduced" / "smoke" / "01_small.html"  # of an execution that went well
    older.parent.mkdir(parents=True)
    older.touch()
    told = f"^01_small.ipynb, cell 3: {message}.*smoke/01_small.ipynb has its output; --from 01 resumes"
    with pytest.raises(NotebookError, match=told):
        reproduce_notebooks("smoke")
    assert made_in(folder) == ["00_small.html", "00_small.ipynb", "01_small.ipynb"]
    copy = older.with_suffix(".ipynb").read_text()
    # a kernel that dies may take its last words with it
    assert ("so far\\n" in copy and '"evalue": "my own words"' in copy) == (source == FAILS)


def test_a_notebook_that_fails_is_not_rendered(checkout):
    path = checkout(FAILS) / "notebooks" / "00_small.ipynb"
    before = path.read_bytes()
    with pytest.raises(NotebookError, match=r"^00_small.ipynb, cell 2: RuntimeError: my own words"):
        render_notebooks()
    assert path.read_bytes() == before


def test_the_kernel_is_the_running_interpreter_whichever_kernels_are_installed(checkout, tmp_path, monkeypatch):
    other = tmp_path / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"argv": ["/usr/bin/false"], "display_name": "other", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    folder = checkout("import sys; print(sys.executable)")
    reproduce_notebooks("smoke")
    assert sys.executable in (folder / "reproduced" / "smoke" / "00_small.ipynb").read_text()


def test_a_bar_shows_the_runs_then_the_notebooks_and_copies_have_results_and_nothing_of_it(
    checkout, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # there is no bar in a file
    source = "import sys; from tqdm import tqdm; list(tqdm(range(3))); print('a result')"
    folder = checkout(source, "", "2 + 2", parameters="seeds = None", name="quickstart")
    reproduce_notebooks("smoke", {"seeds": [7]}, results=folder / "kept")
    done = capsys.readouterr()
    names = ["00_quickstart.ipynb", "01_small.ipynb", "02_small.ipynb"]
    assert [line.split()[0] for line in done.out.splitlines()[:-1]] == names
    for shown in ("1 of 2 runs:", "0 of 3 notebooks: +0 %.*, 00_quickstart", "2 of 3 notebooks: +67 %.*, 02_small"):
        assert re.search(shown, done.err)
    store, specs = Store(folder / "kept" / "smoke"), load_profile("smoke").runs("quickstart", [7])
    assert {record.spec.name for record in store.records()} == {spec.name for spec in specs}
    for name in ("00_quickstart.html", "00_quickstart.ipynb"):
        text = (folder / "reproduced" / "smoke" / name).read_text()
        assert "a result" in text
        assert not re.search(r"it/s|papermill\"|WARNING", text)


def test_notebooks_are_chosen_by_number(checkout):
    checkout(*["1 + 1"] * 4)
    for only, start, chosen in (
        ((), None, ["00", "01", "02", "03"]),
        (["03", "01"], None, ["01", "03"]),
        ((), "02", ["02", "03"]),
        (["00", "03"], "02", ["03"]),
    ):
        assert [path.name[:2] for path in choose_notebooks(only, start)] == chosen
    for only, start, message in (
        (["3"], None, "no notebook has the number '3': choose from 00, 01"),
        ((), "05", "no notebook has the number '05': choose from 00, 01"),
        (["00"], "01", "notebook 00 comes before --from 01: drop one of the two"),
    ):
        with pytest.raises(NotebookError, match=message):
            choose_notebooks(only, start)


def test_a_notebook_of_which_a_profile_has_no_runs_is_skipped_and_told(checkout, capsys):
    folder = checkout("1 + 1", name="quickstart")
    reproduce_notebooks("resnet18")
    assert capsys.readouterr().out.splitlines()[0] == "skipped, because resnet18 does not train their runs: 00"
    assert list((folder / "reproduced" / "resnet18").iterdir()) == []


def test_only_what_is_chosen_and_asked_for_is_trained_and_executed(checkout, monkeypatch):
    folder = checkout("1 + 1", "2 + 2", parameters="seeds = None", name="quickstart")
    (folder / "notebooks" / "01_small.ipynb").rename(folder / "notebooks" / "01_full_data_baselines.ipynb")
    swept = []
    monkeypatch.setattr("dynprune_lib.report.notebooks.sweep", lambda *given: swept.append(given))
    reproduce_notebooks("smoke", {"seeds": [7]}, results=folder / "kept", jobs=2, only=["00"])
    assert made_in(folder) == ["00_quickstart.html", "00_quickstart.ipynb"]
    ((specs, plan),) = swept
    assert specs == load_profile("smoke").runs("quickstart", [7])
    assert (plan.jobs, plan.store.folder) == (2, folder / "kept" / "smoke")


def test_a_checkout_that_cannot_be_written_is_reported_before_anything_runs(checkout, monkeypatch):
    (checkout("1 + 1") / "reproduced").touch()  # where there should be a folder
    monkeypatch.setattr("dynprune_lib.report.notebooks.sweep", lambda *_: pytest.fail("trained"))
    with pytest.raises(StoreNotWritable, match=r"cannot make the folder .*/reproduced/smoke"):
        reproduce_notebooks("smoke")
