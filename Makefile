# `make demo` and `make test` set everything up by themselves: Python >= 3.11, make and git are all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= auto

.PHONY: demo test lint bench notebooks figures docs clean

demo: $(READY)
	$(BIN)/tlesion demo --out demo-report

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m benchmarks

notebooks: $(READY)
	$(BIN)/python -m benchmarks.notebooks

figures: $(READY)
	$(BIN)/python -m benchmarks.figures
	$(BIN)/python -m benchmarks.readme

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -f notebooks/reference/mkdocs.yml
	@echo 'site/index.html'

clean:
	rm -rf $(VENV) demo-report site

# Made again only when what it is made from changes; the stamp is written last, so an interrupted
# installation is repeated instead of being taken for a finished one.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	  f"tlesion needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)
