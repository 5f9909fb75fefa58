# The two commands of a newcomer are `make run` and `make test`; both make the environment they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
# Without its bytecode every step of the pipeline would compile torch and mlflow anew, ten seconds each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run zoo test lint pins images base push clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(READY): requirements.txt pyproject.toml tools/environment.sh
	@PYTHON=$(PYTHON) bash tools/environment.sh $(VENV)
	@touch $@

run: $(READY)  ## Get the data, run the whole pipeline, print the results (RECIPE=ptbxl DATA=/path/to/ptb-xl)
	@bash tools/run.sh "$(RECIPE)" "$(DATA)"

zoo: $(READY)  ## Train the reader that comes with the project anew (DATA=/path/to/ptb-xl)
	@bash tools/zoo.sh "$(DATA)"

test: $(READY)  ## Run every test, the slow and the live ones too (PYTEST="-m 'not slow'" for fewer)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST)

lint: $(READY)  ## Check style and imports
	$(BIN)/ruff check .

pins:  ## Write requirements.txt anew from pyproject.toml (needs uv)
	bash tools/pins.sh

base:  ## Make a base image of Debian's packages, for machines that reach no image registry
	bash tools/images.sh base

images:  ## Build the images of Dockerfile with docker or podman
	bash tools/images.sh build

push:  ## Push them and write their digests to components/images.lock (REGISTRY=registry.example/ecg)
	bash tools/images.sh push "$(REGISTRY)"

clean:  ## Remove what the pipeline made; the environment and the data stay
	rm -rf artifacts
