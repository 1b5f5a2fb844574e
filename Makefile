# make demo | report | archive | docs | test | test-fast | test-all | paper | lint | reference | lock

.PHONY: install demo paper report archive record docs test test-fast test-all lint format reference lock

BIN := .venv/bin
# two, as the times in the documents; one on a machine that has one
CORES ?= $(if $(filter 1,$(shell nproc 2>/dev/null)),1,2)
STUDY ?= demo

# asked before every target: a folder can be moved, and a Python can go
install:
	@sh envs/install.sh

demo: install
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml

paper: install
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/persistem accuracy results/paper/tables/accuracy.csv

# figures and report: of the demo, or STUDY=paper
report: install
	$(BIN)/snakemake report --cores $(CORES) --configfile config/$(STUDY).yaml
	@echo open results/$(STUDY)/report.html

# a finished study as one file that others can verify and run again
archive: install
	$(BIN)/persistem archive config/$(STUDY).yaml results/$(STUDY).crate.zip

# docs/reproduction.md and its figures, from a finished report
record: install
	$(BIN)/persistem record results/$(STUDY) docs

# the documentation as a site: site/index.html opens without a server
docs: install
	$(BIN)/python docs/gallery/build.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo open site/index.html

# whole files to each process, those that take longest first (tests/conftest.py); one more than cores, as some wait for Slurm
PYTEST = $(BIN)/pytest -n $(shell expr $(CORES) + 1) --dist loadfile --no-loadscope-reorder

test: install
	$(PYTEST) -rs -m "not thorough"

test-fast: install
	$(PYTEST) -m "not slow and not thorough"

# and what proves the same in more cases
test-all: install
	$(PYTEST) -rs

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/rules

# what is generated from the model; a test fails when it drifts
reference: install
	$(BIN)/persistem reference config
	$(BIN)/python docs/glossary.py
	$(BIN)/python docs/figures/wings.py

# exact versions and hashes from pyproject.toml, and the conda environments from the same pins
lock: install
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header --all-extras pyproject.toml -o requirements.lock
	grep '^uv==' requirements.lock | cut -d' ' -f1 | $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-header - -o envs/uv.lock
	$(BIN)/python envs/generate.py
