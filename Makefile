# make reproduce | test | lab | render | bench | clean: each works in a fresh clone.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= smoke
JOBS ?= 2

BIN = $(VENV)/bin

.PHONY: reproduce test lab render bench install clean

reproduce: install  ## every notebook on PROFILE, training what is missing
	"$(BIN)/python" -m dynprune_lib reproduce --profile $(PROFILE) --jobs $(JOBS)

test: install  ## style, unit tests, notebooks as committed, notebooks on the smoke profile
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/python" -m pytest -n auto --dist loadfile --nbval-lax tests notebooks

lab: install  ## the notebooks in JupyterLab
	"$(BIN)/jupyter" lab notebooks

render: install  ## the notebooks in place, as they are committed
	"$(BIN)/python" -m dynprune_lib render

bench: install  ## what the samplers and the training loop cost on this machine, alone on it; needs CIFAR-10
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

clean:  ## what can be made again; results, figures and data stay
	rm -rf "$(VENV)" reproduced build *.egg-info .pytest_cache .ruff_cache .hypothesis results/smoke figures/smoke
