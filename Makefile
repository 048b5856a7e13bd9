# Two commands for a person who has only Python 3.11 or later, make and git: `make demo` and `make test`.
# Everything is installed into .venv here; nothing outside this folder is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LEDGER ?= demo.adl

# Other Pythons that the roots must agree on; those that this machine lacks are skipped, saying so.
OTHERS := 3.12 3.13

.PHONY: demo test lint types unit pythons bench clean help

help:
	@echo "make demo    record, verify, replay and audit an ADL incident, from nothing"
	@echo "make test    lint, types, import rules, every test"
	@echo "make bench   ratios of speed, measured in one run"
	@echo "make clean   remove .venv, caches and the demo ledger"

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "adl-ledger needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The package itself, with what the command line needs. --constraint pins what builds it, too.
$(VENV)/package: $(VENV)/created pyproject.toml constraints.txt
	@PIP_CONSTRAINT=constraints.txt $(PIP) install --quiet --constraint constraints.txt --editable '.[archives]'
	@touch $@

$(VENV)/tools: $(VENV)/package
	@PIP_CONSTRAINT=constraints.txt $(PIP) install --quiet --constraint constraints.txt --editable '.[archives,test]'
	@touch $@

demo: $(VENV)/package
	@$(BIN)/adl demo --ledger $(LEDGER)

# A virtual environment for each other Python that is there, also for one that only pyenv knows.
pythons: $(VENV)/created
	@for version in $(OTHERS); do \
		home=$(VENV)/others/$$version; \
		test -e $$home/ready && cmp -s constraints.txt $$home/ready && continue; \
		for python in "python$$version" "$$(pyenv root 2>/dev/null)/versions/$$version".*/bin/python; do \
			"$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
			"$$python" -m venv --clear $$home \
				&& PIP_CONSTRAINT=constraints.txt $$home/bin/python -m pip --disable-pip-version-check install --quiet \
					--constraint constraints.txt --editable '.[archives]' \
				&& cp constraints.txt $$home/ready; \
			break; \
		done; \
		test -e $$home/ready || echo "python$$version is not here: the test of its roots will skip"; \
	done

test: lint types unit

lint: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/tools
	$(BIN)/mypy

unit: $(VENV)/tools pythons
	$(BIN)/pytest -n 2 --dist loadgroup

bench: $(VENV)/tools
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/plan.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo.adl demo.adl-lock
