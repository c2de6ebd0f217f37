# The study, as commands. `make` lists them. GNU Make 3.81 (macOS) or later.

# a folder of your own CSV or Parquet files turns the series into one about your shop, below build/<name of the folder>/
SHOP     ?=
CURRENCY ?= LKR
# a product that the notebook named by N looks at, as in PRODUCT="White Bread"; the shell reads it, so that any name will do
PRODUCT  ?=
# what a campaign is asked for: make campaign PRODUCT="White Bread" BUDGET=50000, or CUSTOMERS=50 DISCOUNT=10
BUDGET    ?=
CUSTOMERS ?=
DISCOUNT  ?=
EVEN      ?=
CHANNEL   ?=
DATE      ?=
export PRODUCT BUDGET CUSTOMERS DISCOUNT CHANNEL DATE EVEN
# share of the price that is not cost, of products in SHOP that name none
MARGIN   ?=
PROFILE  ?= $(if $(SHOP),own,paper)
ifneq (,$(SHOP))
OUT := $(shell $(or $(PYTHON),python3) -m promo_helpers.paths '$(SHOP)' '$(CURRENCY) $(MARGIN)' '$(OUT)')
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

# where this is set, every kernel compiles every package anew, which triples the seconds of a notebook
unexport PYTHONDONTWRITEBYTECODE
# nor the folder of a run that calls make, such as a cell of a notebook
unexport PROMO_WRITE
# uv then trusts the certificates that the system trusts
export UV_SYSTEM_CERTS := 1
export PROMO_OUT := $(abspath $(OUT))
export PROMO_PROFILE := $(PROFILE)

BIN := .venv/bin
PDF := $(PROMO_OUT)/paper/paper.pdf

R := $(PROMO_OUT)/build/runs/$(PROFILE)

# what each run depends on, read from the notebooks' own imports; nothing else needs python3 before it is set up
DEPENDS := $(PROMO_OUT)/build/depends-$(PROFILE).mk
ifneq (,$(filter-out help clean lock template check html lab bench replications retrain campaign products responses demo release verify lint test quick tex poppler .venv/ready,$(MAKECMDGOALS)))
$(shell mkdir -p $(dir $(DEPENDS)) && PROMO_OUT="$(PROMO_OUT)" $(or $(PYTHON),python3) -m promo_helpers.depends $(PROFILE) '$(N)' '$(SHOP)' >$(DEPENDS))
-include $(DEPENDS)
ifndef DEPENDS_DONE
$(error promo_helpers/depends.py broke off, see above; it needs Python 3.9 or later, which PYTHON=... can name)
endif
endif

# the shell reads the values, so that any name of a product will do
ASKED = $(if $(PRODUCT),--product="$$PRODUCT") $(if $(BUDGET),--set budget="$$BUDGET") $(if $(CUSTOMERS),--set customers="$$CUSTOMERS") \
	$(if $(DISCOUNT),--set discount="$$DISCOUNT") $(if $(CHANNEL),--set channel="$$CHANNEL") $(if $(DATE),--set date="$$DATE") \
	$(if $(EVEN),--set even="$$EVEN")
ABOUT = $(if $(SHOP),--shop "$(SHOP)" --currency $(CURRENCY) $(if $(MARGIN),--margin "$(MARGIN)"))

# a run that is asked for by name is made again, and so is one on a shop whose files or settings have changed since
$(CHOSEN): FORCE

.PHONY: help paper runs test quick lint lab html notebook retrain campaign products responses demo check release verify replications bench template lock clean tex poppler FORCE
FORCE:

help:
	@echo "make paper               everything: packages, TeX, notebooks, numbers, paper/paper.pdf"
	@echo "make paper PROFILE=smoke the same, small and quick, below build/smoke/"
	@echo "make test                everything that proves it works"
	@echo "make quick               the tests that need no notebook and no TeX, in a minute"
	@echo "make lab                 JupyterLab, with the notebooks open"
	@echo "make notebook N=02_shop  run one notebook (with its variants) and say where its results lie"
	@echo "      ... SHOP=my/folder CURRENCY=LKR   the same on your own shop, below build/folder/"
	@echo "      ... PRODUCT=\"White Bread\"          about one product, where the notebook takes one (04_recommendation)"
	@echo "make retrain             train the purchase model anew, and say whether it beats the saved one (also SHOP=...)"
	@echo "make campaign PRODUCT=\"White Bread\" BUDGET=50000   whom to send which discount, when and why, as a list (data/campaigns/)"
	@echo "      ... CUSTOMERS=50 DISCOUNT=10 CHANNEL=e-mail DATE=2026-02-01 EVEN=\"age 5\"   also SHOP=my/folder MARGIN=.25"
	@echo "make products            what PRODUCT can name, the most bought first (also SHOP=my/folder)"
	@echo "make responses FILE=...  what a campaign really earned, from its form of responses, filled in"
	@echo "make demo                a small shop, its models, three campaigns and what they earned, in two minutes, below build/seed/"
	@echo "make check               do the paper, the numbers and the files agree, and which claims hold? (V=1: every definition too)"
	@echo "make html                the executed notebooks as web pages, with their figures, below build/html/"
	@echo "make verify              is my run the same? the present build against the last release (or A=folder B=folder), as a page"
	@echo "make release             publish the present build's numbers, tables and claims below data/published/, for verify"
	@echo "make template            my-shop/: empty CSV files and a data dictionary, to fill with your own shop"
	@echo "make replications        the long simulations (two hours), kept in data/replications/; makes those whose probe gives other numbers"
	@echo "      ... N=uplift_markets               one of them in any case; PROBES=1 renews the rows of probes alone (minutes)"
	@echo "make bench               seconds and memory of the slow parts, as build/bench.json"
	@echo "make lock                resolve the packages anew into requirements.lock"
	@echo "make clean               remove all that runs made (not .venv)"

paper: tex $(PDF)
	@echo "The paper: $(PDF)"

runs: $(RUNS)

$(PDF): $(RUNS) $(PAPER) $(wildcard paper/*.tex paper/sections/*.tex paper/*.bib) | tex
	@$(BIN)/python -m promo_helpers.typeset

$(RUNS): | .venv/ready
	@$(BIN)/python -m promo_helpers.run $(notdir $(basename $@)) --profile $(PROFILE) --stamp $@ $(ABOUT) $(if $(filter $@,$(CHOSEN)),$(ASKED))

.venv/ready: requirements.lock pyproject.toml tools/setup.sh
	@tools/setup.sh python

# one after the other, since apt serves one at a time
tex: | .venv/ready
	@tools/setup.sh tex

poppler: | tex
	@tools/setup.sh poppler

lint: .venv/ready
	@echo "Linting and checking types ..."
	@start=$$(date +%s); $(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && $(BIN)/mypy && \
	echo "  linted in $$(($$(date +%s) - start)) s"

test: .venv/ready lint tex poppler
	@echo "Testing, the whole series at the smoke profile included (a few minutes) ..."
	@start=$$(date +%s); $(BIN)/python -m pytest && echo "All tests passed, in $$(($$(date +%s) - start)) s; nothing of them is left in the project"

quick: .venv/ready
	@start=$$(date +%s); $(BIN)/python -m pytest -m "not slow" --durations 0 --durations-min 2 && \
	echo "The quick tests passed, in $$(($$(date +%s) - start)) s; make test runs all of them"

lab: .venv/ready
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

notebook: $(CHOSEN)
	@test -n "$(N)" || { echo "Which one? As in: make notebook N=02_shop"; exit 1; }
	@test -n "$(CHOSEN)" || { echo "The profile $(PROFILE) has no run of '$(N)'; it has: $(notdir $(basename $(RUNS)))"; exit 1; }
	@echo "Executed: $(CHOSEN)"
	@echo "Numbers, tables: $(PROMO_OUT)/data; figures: $(PROMO_OUT)/figures"

retrain:
	@$(MAKE) notebook N=03_purchase_$(if $(SHOP),own_)retrain PROFILE=retrain OUT=$(OUT)

# what is asked for is read before anything slow runs; a list that lies there is never overwritten
campaign: .venv/ready
	@$(BIN)/python -m promo_helpers.campaign_command $(ABOUT) --product="$$PRODUCT" --budget="$$BUDGET" --customers="$$CUSTOMERS" \
	--discount="$$DISCOUNT" --channel="$$CHANNEL" --date="$$DATE" --even="$$EVEN"

products: .venv/ready
	@$(BIN)/python -m promo_helpers.campaign_command $(ABOUT) --list

responses: .venv/ready
	@test -n "$(FILE)" || { echo "Which file? As in: make responses FILE=data/campaigns/campaign_white_bread_2026-01-01_responses.csv"; exit 1; }
	@$(BIN)/python -m promo_helpers.campaign.outcome "$(FILE)"

demo:
	@start=$$(date +%s); $(MAKE) -j2 runs PROFILE=demo OUT=build/seed && \
	PROMO_OUT="$(abspath build/seed)" $(BIN)/python -m promo_helpers.campaign.evaluation && echo "The demo took $$(($$(date +%s) - start)) s"

check: .venv/ready
	@$(BIN)/python -m promo_helpers.collect $(if $(V),--each)

html: .venv/ready
	@$(BIN)/python -m promo_helpers.pages

release: .venv/ready
	@$(BIN)/python -m promo_helpers.release

verify: .venv/ready
	@$(BIN)/python -m promo_helpers.verify $(if $(A),--a "$(A)") $(if $(B),--b "$(B)")

template: .venv/ready
	@$(BIN)/python -m promo_helpers.shop.sheets

replications: .venv/ready
	@$(BIN)/python -m promo_helpers.replications $(if $(PROBES),--probes) $(N)

bench: .venv/ready
	@$(BIN)/python -m tests.bench

lock: .venv/ready
	@$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra test --generate-hashes --universal --no-annotate --no-header --no-emit-index-url -o requirements.lock
	@echo "requirements.lock is resolved anew; make test says whether all still works"

clean:
	@rm -rf build paper/paper.pdf paper/generated
	@rm -rf data/raw data/processed data/truth data/models data/numbers data/tables data/campaigns
	@rm -f figures/*.pdf figures/*.png data/claims.csv
	@echo "All that runs made is gone; .venv, my-shop/ and what else you keep stay"
