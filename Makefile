# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# more than two cores: tests of hosts wait for most of their time
JOBS   ?= 3
SUPPLY := .venv/supply
HELM   ?= helm
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' reconciler/__init__.py)
SBOM    = dist/nidus-$(VERSION).cdx.json
LOCK   := $(SUPPLY)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
          --constraints constraints.txt --custom-compile-command 'make lock'

# Python keeps what it compiled: hundreds of processes of a run would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-core test-long test-again check bench docs site host lock audit sbom charts image dist version clean

demo: host
	$(BIN)/nidus demo $(if $(ONCE),--once)

test: host .venv/s3/.installed
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadgroup

test-core: $(VENV)/.installed
	$(BIN)/python -m pytest -m "core and not long" -q --capture=sys

# A real node needs root and Debian's containerd: where it cannot run, its tests say what is missing.
test-long: host
	@[ "$$(id -u)" != 0 ] || ! command -v containerd >/dev/null || $(BIN)/nidus host build --node real
	$(BIN)/python -m pytest -m "long or hypothesis" --hypothesis-profile=long -n $(JOBS) --dist loadgroup --timeout=900

# What failed last, alone and one after the other (.ci/run says when).
test-again: $(VENV)/.installed
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --hypothesis-profile=$(or $(PROFILE),same) --timeout=900

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house/test_readme.py

bench: host
	$(BIN)/python -m bench $(BENCH)

docs: $(VENV)/.installed
	$(BIN)/python -m schemas.docs

# The pages as a site, in build/site. It fails on a broken link or anchor, and on a page that would ask another host for anything.
site: .venv/docs/.installed
	rm -rf build/pages build/site && mkdir -p build/pages
	git ls-files -z '*.md' 'docs/pictures/*.png' deploy .pre-commit-hooks.yaml LICENSE | xargs -0 cp --parents -t build/pages
	.venv/docs/bin/mkdocs build
	! grep -rEn '<(script|link|img|iframe|source)[^>]+(src|href)="?(https?:)?//' --include='*.html' build/site
	! grep -rEn '^(<p>)?(\||[-*] [^ ])' --include='*.html' build/site # a table or list that lacks the empty line before it
	! grep -rEn '(url\(|@import )["'"'"']?(https?:)?//' --include='*.css' build/site

# What the image is made of: every package with its version and the hashes of its files, for Linux on x86-64 and arm64.
lock: $(SUPPLY)/.installed
	$(LOCK) --extra identity --extra kustomize --extra sops --extra traces --output-file requirements.txt pyproject.toml
	$(PYTHON) .ci/lock.py requirements.txt
	$(LOCK) --output-file requirements-build.txt --group build

# Fails on a known weakness of a locked package; without data it says so and passes.
audit: $(SUPPLY)/.installed
	$(SUPPLY)/bin/python .ci/audit.py requirements.txt

# The bill of materials (CycloneDX) of an environment installed as the image's is.
sbom: $(SUPPLY)/.installed
	rm -rf build/image && $(PYTHON) -m venv build/image
	build/image/bin/pip install --quiet --only-binary :all: --require-hashes -r requirements.txt
	build/image/bin/pip uninstall --quiet -y pip setuptools
	mkdir -p dist
	sed 's/^dynamic = \["version"\]/version = "$(VERSION)"/' pyproject.toml > build/pyproject.toml
	$(SUPPLY)/bin/cyclonedx-py environment --pyproject build/pyproject.toml --output-reproducible -o $(SBOM) build/image

# The engine's chart as the image carries it: by the digest of its archive.
charts:
	mkdir -p build charts
	$(HELM) pull vcluster --repo https://charts.loft.sh --version "$(ENGINE)" --destination build
	echo "$(ENGINE_CHART_SHA256)  build/vcluster-$(ENGINE).tgz" | sha256sum --check --strict
	rm -rf "charts/vcluster-$(ENGINE)" && mkdir "charts/vcluster-$(ENGINE)"
	tar -xzf "build/vcluster-$(ENGINE).tgz" -C "charts/vcluster-$(ENGINE)" --strip-components=1

# The image NAME:VERSION on BASE (NAME@sha256:DIGEST), pushed; build/image.json has its digest.
image: charts
	docker buildx build --build-arg BASE="$(BASE)" --build-context charts=./charts --platform linux/amd64,linux/arm64 \
	  --sbom=true --provenance=mode=max --tag "$(NAME):$$($(MAKE) -s version)" --push --metadata-file build/image.json .

# What a release carries, in dist/: wheel, chart and install.yaml that name IMAGE (NAME@sha256:DIGEST), bill of materials, checksums.
dist: $(VENV)/.installed
	rm -rf dist build/wheel
	$(MAKE) sbom
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install --quiet --only-binary :all: --require-hashes -r requirements-build.txt
	build/wheel/bin/pip wheel --quiet --no-deps --no-build-isolation -w dist .
	PYTHONPATH=. $(BIN)/python .ci/dist.py "$(IMAGE)" "$(HELM)"

version:
	@echo $(VERSION)

# The embedded host's tools: built once a machine, or fetched with TOOLS=download, then found in the cache.
host: $(VENV)/.installed
	$(if $(filter-out download,$(TOOLS)),$(error TOOLS=$(TOOLS): write TOOLS=download, or nothing to build them))
	$(BIN)/nidus host build $(if $(TOOLS),--download)

# The stamp is renewed when a dependency changes; the editable install needs nothing for a changed source file.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	@touch $@

$(SUPPLY)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(SUPPLY)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --group supply
	@touch $@

.venv/docs/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv/docs
	.venv/docs/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.venv/docs/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --group docs
	@touch $@

# The object store of the tests: moto needs an older python-dateutil than we have, so it lives apart.
.venv/s3/.installed: pyproject.toml
	$(PYTHON) -m venv .venv/s3
	.venv/s3/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.venv/s3/bin/pip install --quiet --disable-pip-version-check --group s3
	@touch $@

clean:
	rm -rf $(VENV) .nidus build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
