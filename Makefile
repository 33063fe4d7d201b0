# make train: a virtual environment, minicnn in it, and a small CNN trained on the embedded digits.
# make test:  the test extra, and all tests.      make lint: ruff and mypy.
# make gpu-check: on a machine with an NVIDIA GPU, all that only a GPU can show: tests, compute-sanitizer, times beside cuDNN.
# make bench: the peers (torch, JAX, ONNX Runtime), every benchmark (an hour or so), and README's tables and plots from it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: train test lint bench smoke gpu-check clean

train: $(VENV)/installed
	$(BIN)/minicnn train

test: $(VENV)/installed-test
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)    # a process a core, a thread a process

bench: $(VENV)/installed-peers
	$(BIN)/minicnn bench all benchmarks/results
	$(BIN)/minicnn bench report

# A small case of every benchmark, with every peer: everything runs, nothing is measured. README's tables must fit the committed results.
smoke: $(VENV)/installed-test
	$(BIN)/minicnn bench all build/smoke --quick
	$(BIN)/minicnn bench report --check

# Results go to build/gpu. Without a GPU it says what is missing, and fails.
gpu-check: $(VENV)/installed-cuda
	$(BIN)/python -m minicnn.benchmarks.gpu_check $(ARGS)

# kernels/ is imported as minicnn.kernels: mypy, which reads files, is shown the tree as it is installed.
lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	rm -rf build/types && mkdir -p build/types/minicnn
	ln -s $(CURDIR)/minicnn/* $(CURDIR)/kernels $(CURDIR)/benchmarks build/types/minicnn/
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "minicnn needs Python 3.11 or newer; this is %d.%d (choose one: make PYTHON=python3.12)" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[bench,inspect]'
	touch $@

$(VENV)/installed-peers: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[peers,inspect]'
	touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[test]'
	touch $@

$(VENV)/installed-cuda: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[test,cuda]'
	touch $@

$(VENV)/installed-lint: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[test,lint]'
	touch $@
