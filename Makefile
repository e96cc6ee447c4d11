# Two commands do all the set-up: `make demo` and `make test`. Both need git, make and Python 3.11 or newer, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Processes that run the tests: one a core, of a GB each.
JOBS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 8 ? cores : 8)))
# `make TORCH=2.11.0 test` takes another torch than constraints.txt pins.
TORCH ?=
PINS := $(if $(TORCH),$(VENV)/constraints-$(TORCH).txt,constraints.txt)

.PHONY: help demo test test-all check format stubs docs pictures bench clean
help: ## what this file can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ostinato needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch and triton belong together: with another torch its own choice of triton is left to pip.
$(VENV)/constraints-$(TORCH).txt: constraints.txt | $(BIN)/python
	sed -e 's/^torch==.*/torch==$(TORCH)/' -e '/^triton==/d' constraints.txt > $@

# A stamp a kind of installation: a second call installs nothing unless the requirements have changed.
$(VENV)/.run-installed: pyproject.toml $(PINS) | $(BIN)/python
	$(PIP) install --quiet --constraint $(PINS) --editable '.[tasks,plots,sweep]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml $(PINS) | $(BIN)/python
	$(PIP) install --quiet --constraint $(PINS) --editable '.[dev]'
# Beside the environment, not in it: torch imports Triton wherever it finds it, at the cost of every process.
	@[ "$$(uname -s)" != Linux ] || \
		$(PIP) install --quiet --no-deps --constraint $(PINS) --target $(VENV)/triton --upgrade triton
	@touch $@ $(VENV)/.run-installed $(VENV)/.bench-installed

$(VENV)/.bench-installed: pyproject.toml $(PINS) | $(BIN)/python
	$(PIP) install --quiet --constraint $(PINS) --editable '.[bench]'
	@touch $@ $(VENV)/.run-installed

demo: $(VENV)/.run-installed ## train a character language model on the standard library's source, and let it write
	$(BIN)/ostinato train lm $(ARGS)

# The tests start a hundred processes: where nothing compiled is kept, each compiles the package anew.
test test-all: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev-installed ## run the tests; of those that cross many factors, as many as have every two values meet
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --pairs

test-all: $(VENV)/.dev-installed ## run all tests, every combination of their factors
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(VENV)/.dev-installed ## format, lint, types, and the floors of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tests.rooms

format: $(VENV)/.dev-installed ## rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

stubs: $(VENV)/.dev-installed ## write what editors see of the cells that have a name, and their table in docs/catalogue.md
	$(BIN)/python -m tests.stubs
	$(BIN)/ruff format --quiet src/ostinato

docs: $(VENV)/.dev-installed ## build the site into site/
	$(BIN)/zensical build --clean --strict

pictures: $(VENV)/.dev-installed ## draw the pictures of README and site anew; ARGS="promise lab" for some
	$(BIN)/python -m pictures $(ARGS)

bench: $(VENV)/.bench-installed ## time the layers beside torch.nn and ONNX Runtime; ARGS="--only steps" for a part
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what was built, not the environment
	rm -rf site dist build .pytest_cache .ruff_cache .hypothesis .benchmarks
