VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Without a GPU the CPU build of torch: a local wheel folder if pip knows one, else PyTorch's index.
TORCH := torch==2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu
FAST := not (network or gpu or slow or shared or ray or docs or long)

.PHONY: help demo test test-fast test-all pyright test-lowest test-newest lint format fuzz goldens docs linkcheck bench wheel try-wheel clean
help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed ## Feature vectors of real music, and a map of it to click and hear, in demo/.
	$(BIN)/python examples/demo.py
	$(BIN)/mirfeat demo -o demo

test-fast: $(VENV)/.test ## The same without tests that train, start processes or go through every extractor (tests/long.txt).
	$(BIN)/python -m pytest -n auto --dist worksteal -m '$(FAST)'

test: $(VENV)/.test ## Tests that need no network, no GPU and no other data.
	$(BIN)/python -m pytest -n auto --dist worksteal

test-all: $(VENV)/.test ## All tests that this machine can run.
	$(BIN)/python -m pytest -n auto --dist worksteal -m ''

test-lowest: ## What test-fast tests, with the lowest versions that pyproject.toml allows, in .venv-lowest.
	bash tests/with_versions.sh lowest -m '$(FAST)'

test-newest: ## The same with the newest versions that there are, in .venv-newest.
	bash tests/with_versions.sh newest -m '$(FAST)'

lint: $(VENV)/.lint ## Style, types, import contracts, spelling.
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/codespell
	$(BIN)/mypy --strict tests/consumer/uses_mirfeat.py

pyright: $(VENV)/.lint ## A consumer's types by pyright, which fetches itself with npm.
	$(PIP) install 'pyright>=1.1.390' && $(BIN)/pyright --pythonpath $(BIN)/python tests/consumer/uses_mirfeat.py

format: $(VENV)/.lint ## Rewrite the code in the project's style.
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

fuzz: $(VENV)/.test ## Mutated files and hostile servers for hours: as many as FUZZ_INPUTS says.
	$(BIN)/python -m benchmarks.mutated_files --inputs $$(( $${FUZZ_INPUTS:-200000} / 2 ))
	FUZZ_INPUTS=$${FUZZ_INPUTS:-200000} $(BIN)/python -m pytest tests/fuzz

goldens: $(VENV)/.test ## Rewrite the golden vectors; review the difference.
	$(BIN)/python -m tests.support.make_goldens

docs: $(VENV)/.docs ## The site: its code is run, then built into docs/_build/index.html. Warnings are errors.
	$(BIN)/python -m pytest -m docs tests/docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build

linkcheck: $(VENV)/.docs ## Whether the addresses that pages link to answer: needs the internet.
	MIRFEAT_GALLERY=0 $(BIN)/python -m sphinx --keep-going -b linkcheck docs docs/_build/linkcheck

bench: $(VENV)/.test ## Print the tables of benchmarks/.
	$(BIN)/python -m benchmarks.run_all

wheel: $(VENV)/.lint ## Source archive and, from that, the wheel: in dist/.
	rm -rf dist && $(BIN)/python -m build --outdir dist . && $(BIN)/twine check --strict dist/*

try-wheel: wheel ## Install the wheel into an environment of its own and use it without a network.
	bash tests/try_wheel.sh dist/*.whl

clean: ## Remove what make created.
	rm -rf $(VENV) .venv-lowest .venv-newest demo dist docs/_build docs/generated docs/gallery docs/sg_execution_times.rst .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	nvidia-smi >/dev/null 2>&1 && $(PIP) install torch || $(PIP) install --no-index --no-deps $(TORCH) 2>/dev/null || $(PIP) install $(TORCH) --index-url $(CPU_INDEX) || $(PIP) install torch
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) install -e '.[msd]'
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(PIP) install --upgrade 'pip>=25.1' && $(PIP) install --group test
	touch $@

$(VENV)/.docs: $(VENV)/.test
	$(PIP) install --group docs
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) install --group lint
	touch $@
