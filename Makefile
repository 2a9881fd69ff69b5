# The platform's few commands. Everything a machine lacks is installed by them.
# Needs: Debian or a relative of it, root, Python >= 3.11, and package registries.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS := gateway servers backup infra cli bench dev
STACK  ?= dev
WORKERS ?= 2
REAL   := tests/cluster tests/engine tests/images tests/docker tests/end_to_end tests/infra/test_api_server.py

# Containers often set it; then each of the suite's thousand processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up down test fuzz nightly lint bench bench-gateway lock docs clean

up: $(VENV)/.ready ## bring stack dev up, make one tool call, say what is running
	$(BIN)/mcpctl up --stack $(STACK) --yes

down: $(VENV)/.ready ## take the stack and the embedded Kubernetes down; data stays
	$(BIN)/mcpctl down --stack $(STACK) --yes
	$(BIN)/mcpctl cluster down

# The first half runs in the order of the folders: by the number of a file's tests, the default, the longest come last.
# Those that build images and run clusters come at the end. They wait more than they compute, and each file has
# clusters, engines and folders of its own, so WORKERS of them run at a time, too: about 3 GiB of memory for each.
# The first time, one builds programs or images for which the other waits: hence the time limit.
test: $(VENV)/.ready lint ## the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -m "not cluster and not images and not nightly"
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --timeout=2400 \
	  -m "(cluster or images) and not nightly" $(REAL)

# FLAGS are pytest's, such as FLAGS="-k wire".
fuzz: $(VENV)/.ready ## some ten minutes of odd input for the gateway, other each time
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz --timeout=3600 $(FLAGS)

nightly: $(VENV)/.ready ## the faults that last a minute or more
	$(BIN)/python -m pytest -m nightly --timeout=3600 $(FLAGS)

lint: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

bench: $(VENV)/.ready ## measure; prints a table. FLAGS=--fresh also builds everything anew
	$(BIN)/python -m bench.platform $(FLAGS)

# FLAGS are options of its own, such as FLAGS="--with fastmcp,contextforge"; --help lists them.
bench-gateway: $(VENV)/.ready ## measure the gateway; tables, JSON below bench/results/, plots in docs/benchmarks/
	$(BIN)/python -m bench.gateway $(FLAGS)

# Hashed locks, one per extra; they hold no download addresses, which uv.lock would.
lock: $(VENV)/.ready
	for extra in $(EXTRAS); do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --extra $$extra pyproject.toml -o requirements/$$extra.txt || exit 1; \
	done
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  infra/cluster/tools/requirements.in -o infra/cluster/tools/requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url tests/linters/requirements.in -o tests/linters/requirements.txt
	cp infra/cluster/tools/requirements.txt infra/images/otelcol/requirements.txt

docs: $(VENV)/.ready ## the pages that are made from the code
	$(BIN)/python -m cli.settings_reference > docs/settings.md
	$(BIN)/python -m services.gateway.metrics_page > docs/metrics.md
	$(BIN)/python -m cli.policy_reference > docs/policies.md
	$(BIN)/python -m cli.cost_reference > docs/costs.md

clean:
	rm -rf $(VENV) build rendered

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	scripts/bootstrap $(PYTHON) $(VENV)
	touch $@
