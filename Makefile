# `make help` lists the targets. Every target sets up what it needs; what a target can be told, its runner knows.
SHELL := /bin/bash
VENV   = .venv
PYTHON = python3
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# Variables of the command line are handed on as they were typed, in the environment: make expands none of them.
override GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command line,$(origin $v)),$v))
override GIVEN := $(filter-out MAKEFLAGS GNUMAKEFLAGS MAKEOVERRIDES -*-command-variables-*-,$(GIVEN))
$(foreach v,$(GIVEN),$(eval override $v := $$(value $v))$(eval export $v))
export MAKE_GIVEN   := $(GIVEN)
export MAKE_TARGETS := $(value MAKECMDGOALS)
export PYTHON VENV
$(if $(filter-out 1,$(words $(VENV)))$(findstring :,$(VENV))$(findstring %,$(VENV)),\
  $(error VENV must be the name of one folder, without spaces, colons and percent signs; received "$(VENV)"))
$(if $(findstring %,$(MAKECMDGOALS)),$(error $(MAKECMDGOALS) is no target: make help lists them))

override PY     := "$$VENV"/bin/python -m
override PIP    := $(PY) pip install --quiet --disable-pip-version-check
override NO_PIP := { echo "error: pip could not install what setup.cfg asks for: expected a network or a package mirror"; exit 1; }
override GPU    := $(if $(shell command -v nvidia-smi),[gpu])
override MARK   := $(VENV)/.installed
override DEV    := $(VENV)/.installed-dev
override OWN    := help test test-slow test-lowest lint clean
.PHONY: check $(OWN) $(MAKECMDGOALS)

# ---- first, what was asked for is checked: nothing is made for a word that was misspelled
check:
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: $$PYTHON is older than Python 3.11, or missing: expected make ... PYTHON=python3.11 or later"; exit 1; }
	@"$$PYTHON" -m runners.check

# ---- then the environment is made, anew when setup.cfg is newer
$(MARK): setup.cfg pyproject.toml | check
	@[ ! -e "$$VENV" ] || [ -f "$$VENV/pyvenv.cfg" ] || [ -z "$$(ls -A "$$VENV")" ] || \
	  { echo "error: $$VENV holds something else than packages of Python: expected a new folder; name another"; exit 1; }
	@made=$$([ -f "$$VENV/pyvenv.cfg" ] || echo "$$VENV/.made"); \
	  "$$PYTHON" -m venv "$$VENV" && [ -z "$$made" ] || touch $$made || \
	  { echo "error: $$PYTHON has no venv module: install it (Debian: python3-venv)"; exit 1; }
	@echo "installing the package and what it needs into $$VENV (a minute or two) ..."
	@$(PIP) --editable '.$(GPU)' || $(NO_PIP)
	@touch "$$VENV/.installed"

# ... and what only tests need, for them
$(DEV): $(MARK)
	@echo "installing what the tests need (a minute) ..." && $(PIP) --editable '.[dev]' || $(NO_PIP)
	@touch "$$VENV/.installed-dev"

ifneq ($(filter help,$(MAKECMDGOALS)),)
help: check ## this list; make help TARGET for one target's variables
	@"$$PYTHON" -m runners.help $(filter-out help,$(MAKECMDGOALS))
$(filter-out help,$(MAKECMDGOALS)): ; @:
else
help: check
	@"$$PYTHON" -m runners.help
ifdef HELP
$(filter-out help,$(MAKECMDGOALS)): check
	@"$$PYTHON" -m runners.help "$@"
else
test: check $(DEV) ## the tests (under ten minutes on two cores)
	@$(PY) pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: check $(DEV) ## the long checks; installs what the extras need
	@$(PIP) --editable '.[dev,ray,convert]' && $(PY) pytest -m slow

test-lowest: check $(MARK) ## the tests with the lowest versions that setup.cfg allows, in .venv-lowest
	@[ ! -e .venv-lowest ] || [ -f .venv-lowest/.made ] || \
	  { echo "error: .venv-lowest was not made by make test-lowest: remove it, or rename it"; exit 1; }
	@$(PIP) uv && $(PY) uv venv --quiet --clear .venv-lowest
	@touch .venv-lowest/.made
	@$(PY) uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable '.[dev]'
	@.venv-lowest/bin/python -m pytest -n 2 --dist loadfile

lint: check $(DEV) ## ruff, and the types that users see
	@$(PY) ruff check . && $(PY) ruff format --check . && $(PY) mypy

clean: check ## remove the environment and caches; results and data stay
	@if [ -f "$$VENV/.made" ]; then rm -rf "$$VENV"; \
	  elif [ -f "$$VENV/.installed" ]; then echo "note: $$VENV is left as it is: it was there before make used it"; fi
	@[ ! -f .venv-lowest/.made ] || rm -rf .venv-lowest
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis deepcluster_tf.egg-info

# ---- and all else is a target of the runner
$(filter-out $(OWN) check $(MARK) $(DEV),$(MAKECMDGOALS)): check $(MARK)
	@$(PY) runners.run "$@"
endif
endif
