# `make up` and `make test` need a Python 3.11 or newer and nothing else. Both make .venv when it is missing or old.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The first Python on PATH that is new enough; PYTHON=… on the command line overrides it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Parallel test processes; each starts its own PostgreSQL, Redis and Kafka.
TEST_PROCESSES ?= 2

.PHONY: up test soak lint playground schema bench bench-growth bench-report bench-read bench-mixed bench-fuzz check-python

PLAYGROUND := fcgraph/api/playground
PLAYGROUND_BUILT := $(PLAYGROUND)/dist/playground.js

up: $(INSTALLED)
	@test -f $(PLAYGROUND_BUILT) || { command -v npm >/dev/null && $(MAKE) --no-print-directory playground; } || \
		echo "the playground at /graphql is not built (it needs Node.js 20 and npm: make playground); everything else works"
	@exec $(BIN)/python -m fcgraph up

test: lint
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

# The fault suite at its full length, on Apache Kafka: more than half an hour, with a table of the cases at the end.
# A failed case is reported with its seed; FCGRAPH_FAULTS_SEED=… repeats its choices.
soak: $(INSTALLED)
	FCGRAPH_SOAK=1 KAFKA_EMBEDDED=apache $(BIN)/python -m pytest tests/faults

# GraphiQL and its dependencies, pinned, from npm; served by the API.
playground: $(PLAYGROUND_BUILT)

$(PLAYGROUND_BUILT): $(addprefix $(PLAYGROUND)/,package-lock.json build.mjs playground.js playground.css) | check-python
	@$(PYTHON) -I fcgraph/embedded/npm.py $(PLAYGROUND)
	@cd $(PLAYGROUND) && node build.mjs

# The schema as the code defines it; a test compares the committed file with it.
schema: $(INSTALLED)
	$(BIN)/python -c 'from fcgraph.api.graphql.schema import sdl; print(sdl(), end="")' > fcgraph/api/schema.graphql

# Rows per second of both channels relative to plain COPY of the clean rows, three rounds each, and peak memory.
bench: $(INSTALLED)
	$(BIN)/python -m tests.bench.csv_intake
	$(BIN)/python -m tests.bench.kafka_intake

# Ten million rows, a million at a time, then the same with COPY; and the memory used to import a file of 1 GB.
bench-growth: $(INSTALLED)
	$(BIN)/python -m tests.bench.csv_intake --rounds 0 --growth 10 --gigabyte

# Requests per second compared with PostGraphile on the same database (Node.js 22 or newer comes from npm).
bench-read: $(INSTALLED)
	$(BIN)/python -m tests.bench.read

# An operation that SQL and Strawberry answer together, over the sum of its parts.
bench-mixed: $(INSTALLED)
	$(BIN)/python -m tests.bench.mixed

# 5,000 generated documents and 5,000 mutated bodies: no 5xx, no traceback, and the time of the slowest refusal.
bench-fuzz: $(INSTALLED)
	$(BIN)/python -m tests.bench.fuzz

# Static checks.
lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A month of 2,000,000 payments: the report's time relative to COPY of the same SELECT, and its memory.
bench-report: $(INSTALLED)
	$(BIN)/python -m tests.bench.report

$(INSTALLED): requirements.txt fcgraph/embedded/install.py | check-python
	@echo "making $(VENV) and installing requirements.txt into it"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/python -I fcgraph/embedded/install.py requirements.txt
	@touch $@

check-python:
	@test -n "$(PYTHON)" || { echo "fcgraph needs Python 3.11 or newer; python3 here is: $$(python3 --version 2>&1)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fcgraph needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; exit 1; }
