# `make demo` and `make test` set everything up by themselves: Python >= 3.11, make and git are all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= auto
# What is compiled is kept, also where Python is told not to: every worker would compile all tests and the package anew.
SUITE := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: demo test quick test-kernels matrix mutants lint bench notebooks figures docs clean

demo: $(READY)
	$(BIN)/tlesion demo --out demo-report

test: $(READY)
	$(SUITE)

# Under a minute on two cores: what is marked slow, in the tests' own files, stays out.
quick: $(READY)
	$(SUITE) -m 'not slow'

# torch and OpenBLAS choose their kernels by the processor, and every kernel rounds in its own way. Three runs that have
# each of torch's kernels and both of OpenBLAS's choices (its own for this processor; Haswell's, which every AVX2 processor
# can run): default with its own, avx2 with Haswell's, avx512 with its own. A processor without AVX-512 leaves the last out.
test-kernels: $(READY)
	env -u OPENBLAS_CORETYPE ATEN_CPU_CAPABILITY=default $(SUITE)
	env OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 $(SUITE)
	if env -u ATEN_CPU_CAPABILITY $(BIN)/python -c \
	  'import sys, torch; sys.exit(torch.backends.cpu.get_cpu_capability() != "AVX512")'; \
	then env -u OPENBLAS_CORETYPE ATEN_CPU_CAPABILITY=avx512 $(SUITE); \
	else echo 'this processor has no AVX-512: not run with it'; fi

# Every architecture, made tiny, under every plan and kind of lesion, and long histories of hooks and patches: minutes, without
# the shapes' checks, which `make test` has and which take most of the time. Writes benchmarks/results/architectures.md.
matrix: $(READY)
	rm -f matrix.jsonl
	env JAXTYPING_DISABLE=1 $(SUITE) -m matrix tests/matrix --cells=matrix.jsonl
	$(BIN)/python -m benchmarks.architectures matrix.jsonl
	rm matrix.jsonl

# Which share of 200 sampled faults the tests notice, and which they do not; SAMPLE='--since main' looks at changed modules.
mutants: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,mutants]'
	$(BIN)/python -m benchmarks.mutants $(SAMPLE)

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
	$(BIN)/python -m benchmarks.contributing

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
