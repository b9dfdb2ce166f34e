# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: demo test test-core test-long check bench docs host clean

demo: host
	$(BIN)/nidus demo $(if $(ONCE),--once)

test: host
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadgroup

test-core: $(VENV)/.installed
	$(BIN)/python -m pytest -m "core and not long" -q

test-long: host
	$(BIN)/python -m pytest -m long --timeout=900

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: host
	$(BIN)/python -m bench $(BENCH)

docs: $(VENV)/.installed
	$(BIN)/python -m schemas.docs

# The embedded host's tools: built once a machine, then found in the cache.
host: $(VENV)/.installed
	$(BIN)/nidus host build

# The stamp is renewed when a dependency changes; the editable install needs nothing for a changed source file.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	@touch $@

clean:
	rm -rf $(VENV) .nidus build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
