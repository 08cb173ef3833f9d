# `make study` and `make test` need nothing but Python (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := $(wildcard study hpgan_core tests benchmarks docs)

.DEFAULT_GOAL := help
.PHONY: help install study test test-cluster test-multinode coverage mutants fmt lint no-secrets types floors docs secrets sbom release-check bench clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv with the exact versions of constraints.txt

# torch is named with its exact version, so that pip prefers a CPU build lying in a local wheel folder.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo "$(PYTHON) cannot make virtual environments; install its venv module (python3-venv)" >&2; exit 1; }
	@echo 'Installing into $(VENV): some minutes, 3 GB'
	$(BIN)/python -m pip install -q -c constraints.txt "$$(grep '^torch==' constraints.txt)" -e '.[dev,docs,postgres]'
	@touch $@

study: install  ## run the main job: a three-arm study in a few minutes
	$(BIN)/study launch search_spaces/quick.yaml

# Tests of a file share servers and studies, so a file stays on one worker; the long ones (e2e) come first.
EACH_FILE_ON_ONE := -n auto --dist loadfile --no-loadscope-reorder --ignore tests/cluster --ignore tests/multinode
test: install  ## format, lint, types, floors, documentation, and all tests but those of the cluster
	$(BIN)/ruff format --check $(SOURCES)
	$(MAKE) --no-print-directory lint types floors docs
	$(BIN)/python -m pytest $(EACH_FILE_ON_ONE)

test-cluster: install  ## docker-compose.yml on a real engine (root; docker.io, mmdebstrap, iproute2)
	$(BIN)/python -m pytest tests/cluster -rs

test-multinode: install  ## a study on Ray nodes in network namespaces, one cut off (root; iproute2)
	$(BIN)/python -m pytest tests/multinode -rs

# Of commands, servers and training processes too: coverage puts itself into every Python that a test starts.
PACKAGES := hpgan_core hpgan_core/data study $(addprefix study/,commands execution report search tracking)
coverage: install  ## what those tests reach, lines and branches, by package, and the gaps
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest $(EACH_FILE_ON_ONE)
	$(BIN)/coverage combine --quiet
	@for package in $(PACKAGES); do \
		printf '%-18s %s %%\n' $$package $$($(BIN)/coverage report --format=total --precision=1 --include "$$package/*.py"); \
	done
	$(BIN)/coverage report --skip-covered --show-missing --precision=1

# From nothing each time: mutmut does not ask again about a mutant whose tests have changed.
JOBS ?= $(shell nproc)
mutants: install  ## change losses, metrics, statistics and record in small ways, and count what no test notices
	rm -rf mutants
	$(BIN)/mutmut run --max-children $(JOBS) $(if $(ONLY),'$(ONLY)')
	@$(BIN)/mutmut results --all true | awk '$$2 != "not" { module = $$1; sub(/\.[^.]*:$$/, "", module); \
			all[module]++; if ($$2 == "killed" || $$2 == "timeout") killed[module]++; else alive[module]++ } \
		END { for (module in all) printf "%-22s %5d mutants %5d killed %4d alive\n", \
			module, all[module], killed[module], alive[module] }' | sort
	@$(BIN)/mutmut results | grep -v 'not checked' || true

fmt: install  ## format the code and sort its imports
	$(BIN)/ruff check --fix --select I $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# Bandit knows what ruff does not: torch.load without weights_only.
lint: install no-secrets  ## ruff's rules, bandit's, no secret in any file, the Dockerfile
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/bandit --quiet --recursive --severity-level medium study hpgan_core benchmarks
	$(BIN)/hadolint --failure-threshold warning Dockerfile

# Without git there would be no files, and nothing found in them. What `make secrets` makes is random and has no name, so
# that detect-secrets does not know it. What tests take for a secret is named in their lines.
no-secrets: install
	@git ls-files --error-unmatch Makefile >/dev/null
	@! git ls-files | grep -E '(^|/)secrets/' || { echo 'git must not track these' >&2; exit 1; }
	@! git grep -nIE '^([A-Za-z_]+ *[=:] *)?[0-9a-f]{64}$$' || { echo 'these look like made by `make secrets`' >&2; exit 1; }
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --no-verify

types: install  ## mypy, strict
	$(BIN)/mypy

floors: install  ## who may import whom
	$(BIN)/lint-imports --no-logo

docs: install  ## the documentation site, into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

release-check: install  ## build the wheel, install it alone, and run the packaged quick study with it
	$(BIN)/python tests/release/check.py
# Random, hexadecimal, one a file; those that exist stay. Containers read them as another user: the folder guards them.
SECRETS := $(addprefix secrets/,postgres_password mlflow_db_password optuna_db_password reader_db_password \
	mlflow_admin_password mlflow_server_key ray_auth_token)
secrets: $(SECRETS)  ## make the passwords and tokens of docker-compose.yml

$(SECRETS):
	@mkdir -p -m 0700 secrets
	@head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' > $@ && chmod 0444 $@

# Of what is run and not of what it is developed with: what the image has, in an environment of its own.
sbom: install  ## list every package of the image with its licence in sbom.json (CycloneDX)
	$(PYTHON) -m venv --clear build/image
	build/image/bin/python -m pip install -q -c constraints.txt "$$(grep '^torch==' constraints.txt)" '.[cluster]'
	$(BIN)/cyclonedx-py environment build/image --pyproject pyproject.toml --output-reproducible --output-file sbom.json

bench: install  ## measure speed on this machine
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and caches; studies/ stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* mutants
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
