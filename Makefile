# Everything a newcomer needs, by `make help`. The environment is in .venv and is made when needed.
PYTHON ?= python3
DATA ?= synthetic
ARGS ?=
PORT ?= 5000
BIN := .venv/bin
ENV := .venv/installed
DEV := .venv/installed-dev

.DEFAULT_GOAL := help
.PHONY: help env dev run sweep report explore doctor test test-slow services-test screenshots notebooks lint format bench bench-quick docs docs-serve ui wheel release lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(ENV) ## make the environment from requirements.lock: what lvh needs

dev: $(DEV) ## add what tests, lint and the site need, from requirements-dev.lock

run: $(ENV) ## run the main job on generated records; DATA=ludb for LUDB, ARGS="model=cnn ..." for more
	$(BIN)/python -m lvh.run data=$(DATA) $(ARGS)

sweep: $(ENV) ## the joint search of kernel and stride, small enough to see in two minutes
	$(BIN)/python -m lvh.run -m experiment=joint_kernel_stride budget=smoke $(ARGS)

report: $(ENV) ## the table, pictures and page of the latest sweep in this directory
	$(BIN)/python -m lvh.report $(ARGS)

explore: $(ENV) ## show what the data hold, on one page; DATA=ludb or ARGS="data=ptbxl data.root=FOLDER"
	$(BIN)/python -m lvh.explore data=$(DATA) $(ARGS)

doctor: $(ENV) ## check whether a run can run here; ARGS="data.root=FOLDER tracking.uri=..."
	$(BIN)/python -m lvh.doctor $(ARGS)

ui: $(ENV) ## show this directory's runs in the MLflow UI, at http://127.0.0.1:PORT
	$(BIN)/python -m lvh.ui --port $(PORT) $(ARGS)

test: $(DEV) ## run the tests that take minutes; with LVH_LUDB_ROOT set, on LUDB too
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: $(DEV) ## run the long tests, among them the MLflow UI in a browser
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow $(ARGS)

services-test: $(DEV) ## sweeps on a real PostgreSQL and MLflow server; needs Debian's postgresql
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { echo "make: PostgreSQL's initdb and postgres expected (Debian: apt install postgresql)" >&2; exit 3; }
	LVH_NEED_SERVICES=1 $(BIN)/python -m pytest -m services $(ARGS)

screenshots: $(DEV) ## make docs/images/ui/ again, by the test of the MLflow UI in a browser
	LVH_SCREENSHOTS=docs/images/ui $(BIN)/python -m pytest -m slow tests/test_ui_in_browser.py $(ARGS)

lint: $(DEV) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(DEV) ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(DEV) ## make the tutorial and the gallery again, with their outputs; ARGS=docs/gallery/NAME.py for one
	$(BIN)/python docs/make_notebooks.py $(ARGS)

bench: $(DEV) ## measure all that a user waits for, and replay the budgets; writes experiments/; ARGS="--only dnn"
	$(BIN)/python experiments/speed/measure.py $(ARGS)
	$(BIN)/python experiments/joint_kernel_stride/budgets.py
	$(BIN)/python experiments/joint_kernel_stride/tables.py

bench-quick: $(DEV) ## a look at it with few epochs; writes outputs/bench-quick/
	$(BIN)/python experiments/speed/measure.py --quick $(ARGS)

docs: $(DEV) ## build the site: site/index.html, which opens from the disk
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)

docs-serve: $(DEV) ## show the site while you write it, at http://127.0.0.1:PORT
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:$(PORT) $(ARGS)

wheel: $(DEV) ## build dist/*.tar.gz, and from it dist/*.whl
	$(BIN)/python -m build --no-isolation

release: $(DEV) ## build a release and its notes; TAG=v0.2.0 must be the version of the package
	@version="$$($(BIN)/lvh --version | cut -d' ' -f2)"; [ "$(TAG)" = "v$$version" ] || \
	  { echo "make: TAG=v$$version expected, received '$(TAG)'" >&2; exit 2; }
	$(MAKE) wheel
	awk '/^## /{shown = index($$0, "## [$(TAG:v%=%)]") == 1; next} shown' CHANGELOG.md > dist/notes.md

lock: $(DEV) ## solve both locks again, for Python 3.11 to 3.13; without torch, ray and their gigabytes
	@$(call solve,--group make --extra ecg --output-file requirements.lock)
	@$(call solve,--group dev $(patsubst %,--extra %,dashboard docs ecg jax postgresql slurm) \
	  --constraint requirements.lock --output-file requirements-dev.lock)

clean: ## remove what commands here have made, except results
	rm -rf .venv dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis

# uv does not read pip's settings: indexes, links and certificates of the user are handed on to it.
# hand_on: variable of uv, variable of pip, name in pip's files, what divides several values
hand_on = [ -n "$$$(1)" ] || { \
  value="$$(echo $${$(2):-$$($(BIN)/python -m pip config get global.$(3) 2>/dev/null)} | tr ' ' '$(4)')"; \
  [ -z "$$value" ] || export $(1)="$$value"; };
comma := ,
default_index = $(call hand_on,UV_DEFAULT_INDEX,PIP_INDEX_URL,index-url, ) \
  $(call hand_on,SSL_CERT_FILE,PIP_CERT,cert, )
# the hashes of the lock make it safe to take a file from any of the indexes
install = $(default_index) $(call hand_on,UV_INDEX,PIP_EXTRA_INDEX_URL,extra-index-url, ) \
  $(call hand_on,UV_FIND_LINKS,PIP_FIND_LINKS,find-links,$(comma)) \
  $(BIN)/uv pip install --python $(BIN)/python --index-strategy unsafe-best-match --compile-bytecode --quiet $(1) || \
  { echo "make: uv could not install; pip tries" >&2; $(BIN)/python -m pip install --quiet $(1); }
solve = $(default_index) $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --upgrade $(1)

$(ENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "make: Python 3.11 to 3.13 expected, received $$($(PYTHON) --version); choose one by PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement .venv/uv.txt
	@$(BIN)/uv pip uninstall --python $(BIN)/python --quiet tensorflow tensorflow-cpu # of another lock
	@$(call install,--require-hashes --no-deps --requirement requirements.lock)
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $(ENV)

$(DEV): $(ENV) requirements-dev.lock
	@$(call install,--require-hashes --no-deps --requirement requirements-dev.lock)
	@touch $(DEV)
