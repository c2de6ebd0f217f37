# The study, as commands. `make` lists them; nearly all forward to `python -m promo_helpers`. GNU Make 3.81 (macOS) or later.

# a folder of your own CSV or Parquet files turns the series into one about your shop, below build/<name of the folder>/
SHOP     ?=
CURRENCY ?= LKR
# share of the price that is not cost, of products in SHOP that name none
MARGIN   ?=
PROFILE  ?= $(if $(SHOP),own,paper)
# the shell reads these, so that any name of a product will do
export PRODUCT BUDGET CUSTOMERS DISCOUNT CHANNEL DATE EVEN FILE

PYTHON3 := $(or $(PYTHON),python3)
ifneq (,$(SHOP))
OUT := $(shell $(PYTHON3) -m promo_helpers.paths '$(SHOP)' '$(CURRENCY) $(MARGIN)' '$(OUT)')
else
OUT ?= $(if $(filter paper,$(PROFILE)),.,build/$(PROFILE))
endif
ifeq (,$(OUT))
$(error promo_helpers/paths.py broke off, see above; it needs Python 3.9 or later, which PYTHON=... can name)
endif
ifneq (,$(or $(word 2,$(CURDIR)),$(word 2,$(OUT))))
$(error Make cannot handle a space in a path; move the project or name another OUT: $(CURDIR), OUT=$(OUT))
endif
ifneq (,$(and $(SHOP)$(filter own,$(PROFILE)),$(filter paper check,$(MAKECMDGOALS))))
$(error The paper is about the paper's own data; for your shop, type: make notebook N=$(or $(N),02_shop) SHOP=$(or $(SHOP),my-shop))
endif

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory
# the first, where it is set, has every kernel compile every package anew, which triples the seconds of a notebook; the second is the
# folder of a run that calls make, such as a cell of a notebook
unexport PYTHONDONTWRITEBYTECODE PROMO_WRITE
# uv then trusts the certificates that the system trusts
export UV_SYSTEM_CERTS := 1
export PROMO_OUT := $(abspath $(OUT))

BIN := .venv/bin
PROMO := $(BIN)/python -m promo_helpers
PDF := $(PROMO_OUT)/paper/paper.pdf
R := $(PROMO_OUT)/build/runs/$(PROFILE)
ABOUT := --profile $(PROFILE) $(if $(SHOP),--shop "$(SHOP)" --currency $(CURRENCY) $(if $(MARGIN),--margin "$(MARGIN)"))
ASKED := --product="$$PRODUCT" --budget="$$BUDGET" --customers="$$CUSTOMERS" --discount="$$DISCOUNT" --channel="$$CHANNEL" \
	--date="$$DATE" --even="$$EVEN"

# what each run depends on: notebooks/series.yml and the notebooks' own imports, read before anything is installed; $(shell) hands no exported variable on
DEPENDS := $(PROMO_OUT)/build/depends-$(PROFILE).mk
ifneq (,$(filter paper runs notebook %.ipynb %.pdf,$(MAKECMDGOALS)))
$(shell mkdir -p $(dir $(DEPENDS)) && PROMO_OUT='$(PROMO_OUT)' $(PYTHON3) -m promo_helpers.depends '$(PROFILE)' '$(N)' '$(SHOP)' >$(DEPENDS))
-include $(DEPENDS)
ifndef DEPENDS_DONE
$(error promo_helpers/depends.py broke off, see above; it needs Python 3.9 or later, which PYTHON=... can name)
endif
endif

FORWARDED := retrain campaign products responses demo check html verify release template replications bench
.PHONY: help paper runs notebook test quick lint lab lock clean tex poppler FORCE $(FORWARDED)
FORCE:

help:
	@sed -n 's/^## //p' Makefile

## make paper               everything: packages, TeX, notebooks, numbers, paper/paper.pdf
## make paper PROFILE=smoke the same, small and quick, below build/smoke/
paper: tex $(PDF)
	@echo "The paper: $(PDF)"

runs: $(RUNS)

$(PDF): $(RUNS) $(PAPER) $(wildcard paper/*.tex paper/sections/*.tex paper/*.bib) | tex
	@$(PROMO) paper --alone --profile $(PROFILE)

# a run that is asked for by name is made again in any case
$(CHOSEN): FORCE
$(RUNS): | .venv/ready
	@$(PROMO) run $(notdir $(basename $@)) --alone $(ABOUT) $(if $(filter $@,$(CHOSEN)),$(ASKED))

## make notebook N=02_shop  run one notebook (with its variants) and say where its results lie
##       ... SHOP=my/folder CURRENCY=LKR   the same on your own shop, below build/folder/
##       ... PRODUCT="White Bread"          about one product, where the notebook takes one (04_recommendation)
notebook: $(CHOSEN)
	@test -n "$(N)" || { echo "Which one? As in: make notebook N=02_shop"; exit 1; }
	@test -n "$(CHOSEN)" || { echo "The profile $(PROFILE) has no run of '$(N)'; it has: $(notdir $(basename $(RUNS)))"; exit 1; }
	@echo "Executed: $(CHOSEN)"
	@echo "Numbers, tables: $(PROMO_OUT)/data; figures: $(PROMO_OUT)/figures"

# What follows forwards to the command of the same name, which works without Make, on Windows too.
## make campaign PRODUCT="White Bread" BUDGET=50000   whom to send which discount, when and why, as a list (data/campaigns/)
##       ... CUSTOMERS=50 DISCOUNT=10 CHANNEL=e-mail DATE=2026-02-01 EVEN="age 5"   also SHOP=my/folder MARGIN=.25
## make products            what PRODUCT can name, the most bought first (also SHOP=my/folder)
## make responses FILE=...  what a campaign really earned, from its form of responses, filled in
## make retrain             train the purchase model anew, and say whether it beats the saved one (also SHOP=...)
## make demo                a small shop, its models, three campaigns and what they earned, in two minutes, below build/seed/
## make check               do the paper, the numbers and the files agree, and which claims hold? (V=1: every definition too)
## make html                the executed notebooks as web pages, with their figures, below build/html/
## make verify              is my run the same? the present build against the last release (or A=folder B=folder), as a page
## make release             publish the present build's numbers, tables and claims below data/published/, for verify
## make template            my-shop/: empty CSV files and a data dictionary, to fill with your own shop
## make replications        the long simulations (two hours), kept in data/replications/; makes those whose probe gives other numbers
##       ... N=uplift_markets               one of them in any case; PROBES=1 renews the rows of probes alone (minutes)
## make bench               seconds and memory of the slow parts, as build/bench.json
campaign: WORDS = $(ABOUT) $(ASKED)
products retrain: WORDS = $(ABOUT)
responses: WORDS = "$$FILE"
check: WORDS = --profile $(PROFILE) $(if $(V),--each)
html release: WORDS = --profile $(PROFILE)
verify: WORDS = --profile $(PROFILE) --a "$(A)" --b "$(B)"
replications: WORDS = $(if $(PROBES),--probes) $(N)
$(FORWARDED): .venv/ready
	@$(PROMO) $@ $(WORDS)

## make test                everything that proves it works
test: .venv/ready lint tex poppler
	@echo "Testing, the whole series at the smoke profile included (a few minutes) ..."
	@start=$$(date +%s); $(BIN)/python -m pytest && echo "All tests passed, in $$(($$(date +%s) - start)) s; nothing of them is left in the project"

## make quick               the tests that need no notebook and no TeX, in a minute
quick: .venv/ready
	@start=$$(date +%s); $(BIN)/python -m pytest -m "not slow" --durations 0 --durations-min 2 && \
	echo "The quick tests passed, in $$(($$(date +%s) - start)) s; make test runs all of them"

lint: .venv/ready
	@echo "Linting and checking types ..."
	@start=$$(date +%s); $(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && $(BIN)/mypy && \
	echo "  linted in $$(($$(date +%s) - start)) s"

## make lab                 JupyterLab, with the notebooks open
lab: .venv/ready
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

.venv/ready: requirements.lock pyproject.toml tools/setup.sh
	@tools/setup.sh python

# one after the other, since apt serves one at a time
tex: | .venv/ready
	@tools/setup.sh tex

poppler: | tex
	@tools/setup.sh poppler

## make lock                resolve the packages anew into requirements.lock
lock: .venv/ready
	@$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra test --generate-hashes --universal --no-annotate --no-header --no-emit-index-url -o requirements.lock
	@echo "requirements.lock is resolved anew; make test says whether all still works"

## make clean               remove all that runs made (not .venv)
clean:
	@rm -rf build paper/paper.pdf paper/generated
	@rm -rf data/raw data/processed data/truth data/models data/numbers data/tables data/campaigns
	@rm -f figures/*.pdf figures/*.png data/claims.csv
	@echo "All that runs made is gone; .venv, my-shop/ and what else you keep stay"
