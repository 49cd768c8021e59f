# make reproduce | test | quick | lab | render | docs | site | bench | clean: each works in a fresh clone.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= smoke
JOBS ?= 2

BIN = $(VENV)/bin
SINCE = $(VENV)/notebooks-since

.PHONY: reproduce test full quick floor check style lab render docs site bench install clean

reproduce: install  ## execute every notebook on PROFILE; the runs of smoke are trained first
	"$(BIN)/python" -m dynprune_lib reproduce --profile $(PROFILE) --jobs $(JOBS)

test: check  ## style, types, the tests, the notebooks as committed and on the smoke profile
	@touch "$(SINCE)"
	"$(BIN)/python" -m pytest -n auto --dist loadfile --nbval-lax -m "not full" tests dynprune_lib notebooks
	NOTEBOOKS_SINCE="$(SINCE)" "$(BIN)/python" -m pytest -q tests/golden/tables.py

full: install  ## the other tests: more cases of the frameworks, Slurm, the site and JupyterLab in a browser
	"$(BIN)/python" -m pytest -n auto --dist loadfile -m full tests

quick: style  ## style, the fast tests
	"$(BIN)/python" -m pytest -n auto -m "not slow" tests dynprune_lib

floor:  ## the tests of the samplers on the oldest torch that is allowed; on Linux, pip installs its gigabytes of CUDA
	"$(PYTHON)" -m venv .venv-floor
	.venv-floor/bin/python -m pip install -q torch==2.4.1 numpy pytest hypothesis
	.venv-floor/bin/python -m pytest -q --confcutdir tests/samplers tests/samplers

check: style
	"$(BIN)/mypy"

style: install
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

lab: install  ## open JupyterLab on the start page of the notebooks
	"$(BIN)/python" -m jupyterlab --LabApp.app_settings_dir=notebooks/lab --ServerApp.root_dir=. notebooks/README.md

render: install  ## execute the notebooks in place, as they are committed
	"$(BIN)/python" -m dynprune_lib render

docs: install  ## update README, results, gallery and sampler cards from the records
	"$(BIN)/python" -m dynprune_lib docs

site: install  ## build the site in site/html from the pages and notebooks as committed, without executing them
	"$(BIN)/python" -m sphinx -q -W --keep-going -c docs -d site/doctrees . site/html

bench: install  ## measure samplers and training loop on this machine, which must do nothing else; needs CIFAR-10
	"$(BIN)/python" benchmarks/samplers.py > benchmarks/samplers.md
	"$(BIN)/python" benchmarks/training.py > benchmarks/training.md

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit("dynprune needs Python 3.11 or later, this is %s: make PYTHON=..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "installing into $(VENV): some minutes on a first time"
	@"$(PYTHON)" -m venv "$(VENV)"
	@"$(BIN)/python" -m pip install --quiet -c constraints.txt pip
	@"$(BIN)/python" -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch "$@"

clean:  ## remove what can be made again; results, figures and data stay
	rm -rf "$(VENV)" .venv-floor reproduced site build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis results/smoke figures/smoke
