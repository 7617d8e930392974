# Each target builds the virtual environment that it needs, from the constraints file alone.
PYTHON ?= python3
PYTHON_OLDEST ?= python3.12
# `make demo TORCH=cpu` installs torch without CUDA's 7 GB; cu126 and others: see pytorch.org.
TORCH ?=
TORCH_INDEX = $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))
ENV := .venv
OLDEST := .venv-oldest
# Two at once, a file's tests together: much of the time is other processes starting.
QUICK := -m "not full and not soak and not cluster" -n 2 --dist loadfile
PACKAGES := sightline.py flows tasks models reports benchmarks tests examples

.PHONY: demo test test-full test-cluster soak test-oldest check format bench clean

demo: $(ENV)/ready
	$(ENV)/bin/sightline demo --out demo

test: $(ENV)/ready
	$(ENV)/bin/python -m pytest $(QUICK)

# Needs two browsers of Debian's, and npm for axe-core: apt-get install chromium firefox-esr npm
test-full: $(ENV)/ready
	$(ENV)/bin/python -m pytest -m "not soak and not cluster"

# Needs root, Linux, and programs of Debian's: apt-get install iproute2 nftables postgresql faketime
test-cluster: $(ENV)/ready
	$(ENV)/bin/python -m pytest -m "cluster and not soak"

soak: $(ENV)/ready
	$(ENV)/bin/python -m pytest -m soak

test-oldest: $(OLDEST)/ready
	$(OLDEST)/bin/python -m pytest $(QUICK)

check: $(ENV)/ready
	$(ENV)/bin/ruff format --check $(PACKAGES)
	$(ENV)/bin/ruff check $(PACKAGES)
	$(ENV)/bin/mypy
	$(ENV)/bin/python -m pytest $(QUICK)

format: $(ENV)/ready
	$(ENV)/bin/ruff format $(PACKAGES)
	$(ENV)/bin/ruff check --fix $(PACKAGES)

bench: $(ENV)/ready
	$(ENV)/bin/python -m benchmarks

clean:
	rm -rf $(ENV) $(OLDEST) build *.egg-info

$(ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(ENV)
	$(ENV)/bin/python -m pip install --quiet $(TORCH_INDEX) --constraint constraints.txt --editable ".[test,check]"
	touch $@

$(OLDEST)/ready: pyproject.toml constraints-oldest.txt
	$(PYTHON_OLDEST) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet $(TORCH_INDEX) --constraint constraints-oldest.txt --editable ".[test]"
	touch $@
