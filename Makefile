# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: demo test test-long check bench docs host clean

# The stamp is rebuilt when a dependency changes; the editable install needs nothing for a changed source file.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	touch $@

demo: $(VENV)/.installed
	$(BIN)/nidus host build
	$(BIN)/nidus demo $(if $(ONCE),--once)

test: $(VENV)/.installed
	$(BIN)/nidus host build
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadgroup

test-long: $(VENV)/.installed
	$(BIN)/nidus host build
	$(BIN)/python -m pytest -m long --timeout=900

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

host: $(VENV)/.installed
	$(BIN)/nidus host build

bench: $(VENV)/.installed
	$(BIN)/nidus host build
	$(BIN)/python -m bench $(BENCH)

docs: $(VENV)/.installed
	$(BIN)/python -m schemas.docs

clean:
	rm -rf $(VENV) .nidus build dist .pytest_cache .mypy_cache .ruff_cache
