# `make help` lists the targets. Every target sets up what it needs.
SHELL  := /bin/bash
VENV   := .venv
PYTHON := python3
PY     := $(VENV)/bin/python -m
.DEFAULT_GOAL := help

# ---- the variables that each target takes
DCEC                    := fashion-dcec mnist-dcec digits-dcec dcec
AE                      := fashion-ae mnist-ae digits-ae
RAW                     := fashion-raw mnist-raw digits-raw
VAE                     := mnist-vae fashion-vae digits-vae vae
CIFAR                   := cifar-control cifar-ae cifar-resnet cifar-representation cifar-similarity
OWN                     := control ae resnet representation similarity
COMMON                  := SUP SEED LAMBDA QUICK FORCE PRETRAIN STRATEGY
VARIABLES_fashion-dcec  := $(COMMON) DATA_DIR
VARIABLES_mnist-dcec    := $(COMMON) DATA_DIR
VARIABLES_digits-dcec   := $(COMMON)
VARIABLES_dcec          := $(COMMON) IMAGES CLUSTERS SIZE
VARIABLES_digits-ae     := ARCHITECTURE ACTIVATION SEED QUICK FORCE STRATEGY
VARIABLES_fashion-ae    := $(VARIABLES_digits-ae) DATA_DIR
VARIABLES_mnist-ae      := $(VARIABLES_digits-ae) DATA_DIR
VARIABLES_digits-raw    := SEED QUICK FORCE
VARIABLES_fashion-raw   := $(VARIABLES_digits-raw) DATA_DIR
VARIABLES_mnist-raw     := $(VARIABLES_digits-raw) DATA_DIR
VARIABLES_digits-vae    := EPOCHS K Z BETA GAMMA A CLUSTERING DISTANCE DECAY DEPTH QUERY RATE ANNOTATOR THRESHOLD ANSWERS PORT SEED QUICK FORCE STRATEGY
VARIABLES_mnist-vae     := $(VARIABLES_digits-vae) DATA_DIR
VARIABLES_fashion-vae   := $(VARIABLES_digits-vae) DATA_DIR
VARIABLES_vae           := $(VARIABLES_digits-vae) IMAGES CLASSES SIZE
VARIABLES_cifar-control        := SCALE REDUCER CLUSTERS SEED QUICK FORCE DATA_DIR
VARIABLES_cifar-ae             := EPOCHS BATCH DIM CLUSTERS SEED QUICK FORCE STRATEGY DATA_DIR
VARIABLES_cifar-resnet         := LOSS $(VARIABLES_cifar-ae)
VARIABLES_cifar-representation := VIEWS FILTERS $(VARIABLES_cifar-ae)
VARIABLES_cifar-similarity     := LOSS REGULARISATION TEMPERATURE $(VARIABLES_cifar-representation)
$(foreach own,$(OWN),$(eval VARIABLES_$(own) := $$(filter-out DATA_DIR,$$(VARIABLES_cifar-$(own))) IMAGES SIZE))
VARIABLES_fashion-dcec-table      := SEED STRATEGY DATA_DIR
VARIABLES_fashion-encodings-table := STRATEGY DATA_DIR
VARIABLES_mnist-vae-table         := STRATEGY DATA_DIR
VARIABLES_cifar-encodings-table   := STRATEGY DATA_DIR
VARIABLES_export        := RUN TO
VARIABLES_data          := DATA DATA_DIR

TARGETS                 := $(DCEC) $(AE) $(RAW) $(VAE) $(CIFAR) $(OWN) fashion-dcec-table fashion-encodings-table mnist-vae-table cifar-encodings-table data tables figures export bench test test-slow lint clean help

# A target that there is not, and a variable that no target of this call takes, are refused before anything is done.
GOALS   := $(or $(MAKECMDGOALS),help)
ALLOWED := VENV PYTHON $(foreach goal,$(GOALS),$(VARIABLES_$(goal)))
GIVEN   := $(foreach v,$(.VARIABLES),$(if $(filter command line,$(origin $v)),$v))
UNKNOWN := $(filter-out $(ALLOWED) MAKEFLAGS GNUMAKEFLAGS MAKEOVERRIDES -*-command-variables-*-,$(GIVEN))
$(foreach goal,$(filter-out $(TARGETS) $(VENV)/.installed,$(GOALS)),$(error $(goal) is no target: make help lists them))
ifneq ($(strip $(UNKNOWN)),)
$(error $(firstword $(UNKNOWN)) is no variable of $(GOALS): expected $(or $(sort $(filter-out VENV PYTHON,$(ALLOWED))),none))
endif
IDLE    := $(foreach v,$(filter-out VENV PYTHON DATA_DIR,$(ALLOWED)),$(if $(filter environment,$(origin $v)),$v))
$(foreach v,$(IDLE),$(info note: $v of the environment is not used: write make $(GOALS) $v=$($v)))
$(foreach v,$(filter $(ALLOWED),$(GIVEN)),$(if $(strip $($v)),,$(error $v is empty: give it a value, or leave it out)))

# $(call flags,TARGET): the target's variables as the runner's options. Only the command line counts, and DATA_DIR from
# the environment too: a SEED or SIZE that happens to be set in a shell is not meant for us.
quote = '$(subst ','\'',$1)'
lower = $(subst _,-,$(shell tr A-Z a-z <<< '$1'))
meant = $(filter $1,$(GIVEN) DATA_DIR)
flags = $(foreach v,$(VARIABLES_$1),$(if $(and $(call meant,$v),$($v)),--$(call lower,$v)=$(call quote,$($v))))

# ---- the environment: made anew when setup.cfg is newer
EXTRAS := dev$(if $(shell command -v nvidia-smi),$(shell echo ,)gpu)
$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11, or missing: expected make ... PYTHON=python3.11 or later"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || \
	  { echo "error: $(PYTHON) has no venv module: install it (Debian: python3-venv)"; exit 1; }
	@echo "installing the package and what it needs into $(VENV) (a minute or two) ..."
	@$(PY) pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]' || \
	  { echo "error: pip could not install what setup.cfg names: expected a network or a package mirror"; exit 1; }
	@touch $@

.PHONY: help $(DCEC) $(AE) $(RAW) $(VAE) $(CIFAR) $(OWN) fashion-dcec-table fashion-encodings-table mnist-vae-table cifar-encodings-table data tables figures export bench test test-slow lint clean

help: ## this list
	@echo "make TARGET [VARIABLE=value ...]"
	@awk -F ':.*## ' '/^[$$a-z(][^=]*:.*## / { \
	  gsub(/[$$][(]DCEC[)]/, "NAME-dcec", $$1); gsub(/[$$][(]AE[)] [$$][(]RAW[)]/, "NAME-ae, NAME-raw", $$1); \
	  gsub(/[$$][(]VAE[)]/, "NAME-vae", $$1); gsub(/[$$][(]CIFAR[)] [$$][(]OWN[)]/, "cifar-NAME, NAME", $$1); \
	  printf "  %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "experiments: $(DCEC) $(AE) $(RAW) $(VAE) $(CIFAR) $(OWN)"
	@echo "variables of an experiment, where it has them:"
	@echo "  SUP=0.01         share of supervised images, in [0, 1)       (default 0.01; 0 for your own images)"
	@echo "  LAMBDA=1         weight of the clustering loss               (default 1)"
	@echo "  SEED=0           of everything random                        (default 0)"
	@echo "  QUICK=1          a first look of three minutes, kept out of the tables"
	@echo "  FORCE=1          run a finished experiment again"
	@echo "  PRETRAIN=scratch train an autoencoder of your own, once, and keep it for these runs"
	@echo "  STRATEGY=mirrored  all GPUs of the machine"
	@echo "  DATA_DIR=folder  the data set's published files (fashion, mnist, cifar)"
	@echo "  IMAGES=folder CLUSTERS=10 SIZE=32   your own images: make dcec, vae (K for CLUSTERS), control, ae, ..."
	@echo "  ARCHITECTURE=dense  or pooling; ACTIVATION=relu or sigmoid   (fashion-ae, mnist-ae, digits-ae)"
	@echo "  EPOCHS=5 K=16 Z=10 BETA=5 GAMMA=150 A=5 DEPTH=2 RATE=0.003   of NAME-vae: K clusters to name, 0 for the elbow;"
	@echo "                   Z latent dimensions; DEPTH 1 splits no cluster, 2 splits those without a name"
	@echo "  CLUSTERING=kmeans or mixture; DISTANCE=euclidean or mahalanobis; DECAY=exponential or gaussian"
	@echo "  ANNOTATOR=reader, browser (PORT=8765), or file with ANSWERS=annotations.csv; THRESHOLD=0.7: how sure the reader must be"
	@echo "  QUERY=centers, random or uncertain; CLASSES=cat,dog names for your own images (make vae)"
	@echo "  EPOCHS=50 BATCH=256 DIM=128 FILTERS=32,64,128,256 LOSS=contrastive REGULARISATION=0.03 TEMPERATURE=0.2 VIEWS=strong"
	@echo "  REDUCER=pca SCALE=8 (images scaled to 8x8)    of cifar-NAME, and of NAME on IMAGES=folder"
	@echo "variables of export: RUN=results/runs/... TO=folder;   of data: DATA=fashion, mnist, cifar or digits;   of every target: PYTHON=python3 VENV=.venv"

$(DCEC): $(VENV)/.installed ## run DCEC on a data set and print its row beside the paper's
	@$(PY) runners.dcec $@ $(call flags,$@)

$(AE) $(RAW): $(VENV)/.installed ## cluster the encodings of an autoencoder, or raw pixels, by k-means and a mixture
	@$(PY) runners.encodings $@ $(call flags,$@)

$(VAE): $(VENV)/.installed ## train a VAE whose cluster centres a reader, a file or you name
	@$(PY) runners.vae $@ $(call flags,$@)

$(CIFAR) $(OWN): $(VENV)/.installed ## encode images without labels, and cluster the encodings in every way
	@$(PY) runners.clusterings $@ $(call flags,$@)

fashion-dcec-table: $(VENV)/.installed ## every row of document 004's Table 1, in turn: hours; goes on where it stopped
	@for sup in 0 0.01 0.03 0.05 0.1 0.2 0.3 0.5; do \
	  $(PY) runners.dcec fashion-dcec --sup=$$sup $(call flags,$@) || exit 1; done
	@$(PY) runners.dcec fashion-dcec --sup=0 --lambda=0.1 $(call flags,$@)
	@$(PY) runners.tables && $(PY) runners.figures

WAYS := "" --threshold=0.5 --rate=0.001 --k=16 "--k=16 --depth=1" "--k=16 --clustering=mixture --depth=1" \
  "--k=24 --clustering=mixture" "--k=24 --clustering=mixture --depth=1" "--k=32 --clustering=mixture --depth=1" \
  "--k=40 --clustering=mixture --depth=1" \
  "--k=16 --clustering=mixture --rate=0.001" "--k=16 --clustering=mixture --depth=1 --epochs=6" \
  "--k=16 --distance=mahalanobis --decay=gaussian" --clustering=mixture "--k=16 --clustering=mixture" \
  "--query=random --k=16" "--query=uncertain --k=16" "--query=random --k=90" "--query=uncertain --k=90" --gamma=0
Z_DIMS := 1 2 3 4 5 9 13 17 21
mnist-vae-table: $(VENV)/.installed ## every row and figure of document 000, five seeds, in turn: hours
	@for seed in 0 1 2 3 4; do \
	  for way in $(WAYS) $(Z_DIMS:%="--gamma=0 --z=%"); do \
	    $(PY) runners.vae mnist-vae $$way --seed=$$seed $(call flags,$@) || exit 1; done; done
	@$(PY) runners.tables && $(PY) runners.figures

PLATEAU := --filters=32,64,128,128,128,128,128,128 --batch=16 --epochs=1
ENCODINGS := cifar-control "cifar-control --reducer=pca" cifar-ae cifar-resnet "cifar-resnet --loss=binary_crossentropy" \
  cifar-representation cifar-similarity "cifar-similarity --regularisation=0.1" \
  "cifar-similarity --loss=contrastive" \
  "cifar-similarity --loss=contrastive --temperature=0.2" \
  "cifar-similarity --loss=contrastive --views=strong --temperature=0.2" \
  "cifar-similarity $(PLATEAU) --regularisation=0" "cifar-representation $(PLATEAU)"
cifar-encodings-table: $(VENV)/.installed ## every row and figure of document 003, three seeds, in turn: hours
	@for seed in 0 1 2; do \
	  for encoding in $(ENCODINGS); do \
	    $(PY) runners.clusterings $$encoding --seed=$$seed $(call flags,$@) || exit 1; done; done
	@$(PY) runners.tables && $(PY) runners.figures

fashion-encodings-table: $(VENV)/.installed ## every row of document 002's table, three seeds, in turn
	@for seed in 0 1 2; do \
	  for run in "raw" "ae" "ae --activation=sigmoid" "ae --architecture=pooling"; do \
	    $(PY) runners.encodings fashion-$$run --seed=$$seed $(call flags,$@) || exit 1; done; done
	@$(PY) runners.tables && $(PY) runners.figures

data: $(VENV)/.installed ## fetch and verify the data sets
	@$(PY) runners.data $(call flags,$@)

tables: $(VENV)/.installed ## every table, from what is recorded
	@$(PY) runners.tables

figures: $(VENV)/.installed ## every figure, from what is recorded
	@$(PY) runners.figures

export: $(VENV)/.installed ## write a run's SavedModel: make export RUN=results/runs/...
	@$(PY) runners.export $(call flags,$@)

bench: $(VENV)/.installed ## speed of training, clustering and encoding beside a matrix product (quiet machine)
	@$(PY) runners.bench

test: $(VENV)/.installed ## the tests (under ten minutes on two cores)
	@$(PY) pytest -n 2 --dist loadfile

test-slow: $(VENV)/.installed ## the long checks
	@$(PY) pytest -m slow

lint: $(VENV)/.installed ## ruff
	@$(PY) ruff check . && $(PY) ruff format --check .

clean: ## remove the environment and caches; results and data stay
	@rm -rf .venv .pytest_cache .ruff_cache *.egg-info
