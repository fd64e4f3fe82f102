# Development. To run the proxy, nothing here is needed: python3 spiffproxy.py
PYTHON ?= python3
DIST = dist
VENV = .venv/$(shell $(PYTHON) -c 'import platform; print(platform.python_version())')
PYTHONS = $(shell ls -d "$$(pyenv root 2>/dev/null)"/versions/3.*/bin/python 2>/dev/null | grep -vE '/3\.[0-8]\.')

# bytecode and the files of Hypothesis are written into the virtual environment, not into the tree
export PYTHONDONTWRITEBYTECODE =
export PYTHONPYCACHEPREFIX = $(abspath $(VENV))/pycache
export HYPOTHESIS_STORAGE_DIRECTORY = $(abspath $(VENV))/hypothesis

.PHONY: help run test test-all lint types minimum check bench soak zip pyz wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

run: ## run the proxy, as python3 spiffproxy.py does
	$(PYTHON) spiffproxy.py

# more workers than cores, because many tests wait; a file stays in one worker, which starts PostgreSQL or moto once;
# tests/conftest.py says which files begin
test: $(VENV)/test ## run the tests (TESTS=… names files); the first time, install what they need into .venv
	$(VENV)/bin/python -m pytest -q $(or $(TESTS),-n 4 --dist loadfile --no-loadscope-reorder)

test-all: ## run the tests on every Python from 3.9 up that pyenv has
	@for python in $(PYTHONS); do $(MAKE) --no-print-directory test PYTHON=$$python || exit 1; done
	@echo "test-all ran on: $(or $(PYTHONS),no other Python; pyenv has none)"

lint: $(VENV)/check ## look for mistakes, and for files that are not formatted
	$(VENV)/bin/ruff check --no-cache .
	$(VENV)/bin/ruff format --no-cache --check .

types: $(VENV)/check ## check the types
	$(VENV)/bin/mypy --cache-dir $(VENV)/mypy

minimum: $(VENV)/check ## check that nothing needs more than Python 3.9
	$(VENV)/bin/vermin --target=3.9- --violations --no-tips --quiet spiffproxy.py connectors

check: lint types minimum test test-all ## all of the above except run: what must pass

bench: $(VENV)/test ## measure what the proxy costs: the numbers in the README
	$(VENV)/bin/python tests/bench.py

soak: $(VENV)/test ## load the server in every way at once, for ten minutes (SECONDS=… for another time)
	$(VENV)/bin/python tests/soak.py

zip: ## make dist/spiffproxy-lambda.zip for AWS Lambda, with bytecode for PYTHON (CONNECTORS=… names a folder of your own)
	$(PYTHON) spiffproxy.py pack "$(DIST)/spiffproxy-lambda.zip" $(if $(CONNECTORS),--connectors "$(CONNECTORS)")

pyz: ## make dist/spiffproxy.pyz, the proxy in one file (CONNECTORS=… as above)
	$(PYTHON) spiffproxy.py pack "$(DIST)/spiffproxy.pyz" $(if $(CONNECTORS),--connectors "$(CONNECTORS)")

# from a copy, so that files of an earlier build are not included
wheel: $(VENV)/test ## make dist/spiffproxy-<version>-py3-none-any.whl
	rm -rf build/wheel
	mkdir -p build/wheel
	cp -R pyproject.toml README.md spiffproxy.py connectors build/wheel
	find build/wheel -type f -exec chmod 644 {} +
	umask 022; SOURCE_DATE_EPOCH=315532800 $(VENV)/bin/python -m pip wheel --quiet --no-deps --no-index \
		--no-build-isolation --wheel-dir "$(DIST)" build/wheel
	rm -rf build/wheel

clean: ## remove what the tools wrote
	rm -rf .venv build dist .hypothesis .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# a stamp for each group of dependencies, installed again when pyproject.toml changes; bytecode is written at imports
$(VENV)/test $(VENV)/check: pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --no-compile --group $(@F)
	touch $@
