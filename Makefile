# Two commands set everything up: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 3600
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export SENSOR_JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format unit test-system install-service lab bench instructions stages adversarial footprint campaigns calibrate fuzz build \
	dashboard screenshots clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: build  ## make a capture with attacks in it, replay it, print the report, serve the dashboard
	$(BIN)/sensor demo --out build/demo/demo.pcap

test: lint unit  ## linters, types, layers and every test that needs nothing more

lint: build  ## ruff, mypy, cython-lint, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint ext tests
	$(BIN)/lint-imports --no-cache

format: build  ## what ruff can mend by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

unit: build  ## pytest, without what needs root
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not system and not net"

test-system: build  ## root on Debian: tshark, network namespaces, sanitizers, a smoke of every fuzzer
	.ci/system

install-service:  ## root: /opt/sensor, the systemd units and their users
	.ci/install-service

lab: build  ## root: real attack tools against a real nginx, judged; table in docs/detection.md
	.ci/need-lab
	$(BIN)/python -m tests.live.lab --write docs/detection.md

campaigns: build  ## 1,000 kill -9 and 1,000 power losses against the store; needs strace
	$(BIN)/python -m tests.campaigns.kill9
	$(BIN)/python -m tests.campaigns.powerloss

calibrate: build  ## how often rules are wrong on benign traffic, and how sure events are
	$(BIN)/python -m tests.bench.calibrate

bench: build  ## ns per packet beside a bare C loop and the peers that are installed
	$(BIN)/python -m tests.bench.run
	$(BIN)/python -m tests.bench.picture

instructions: build  ## count the engine's instructions per packet anew (valgrind), after a change that is meant
	$(BIN)/python -m tests.bench.instructions --write

stages: build  ## what each stage of the engine costs, into docs/performance.md (valgrind, perf)
	$(BIN)/python -m tests.bench.stages --write

adversarial: build  ## what a packet of traffic made to be expensive costs, beside ordinary traffic
	$(BIN)/python -m tests.bench.adversarial --write

footprint: build  ## root: start-up, memory and CPU at rest and at 10,000 packets/s, cost of a window
	$(BIN)/python -m tests.bench.footprint --write

fuzz: build  ## every fuzzer for FUZZ_SECONDS (default 3600) each; needs clang
	@for file in tests/fuzz/fuzz_*.pyx; do \
	    target=$$(basename $$file .pyx); \
	    PYTHON=$(BIN)/python tests/fuzz/run.sh $${target#fuzz_} $(FUZZ_SECONDS) || exit 1; \
	done

build: $(VENV)/ready  ## environment, native modules, dashboard; in place
	$(BIN)/python setup.py -q build_ext --inplace
	@.ci/dashboard --if-possible

dashboard:  ## types, lint and component tests of the dashboard, then its build into sensor/web (npm)
	.ci/dashboard --check

screenshots: build  ## the dashboard's states as pictures in docs/pictures; needs Chromium
	$(BIN)/python -m tests.web.screenshots

$(VENV)/ready: pyproject.toml
	@.ci/need
	@python=$$(.ci/need --python) && $$python -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q "setuptools>=77" "Cython>=3.1,<4"
	$(BIN)/python -m pip install -q --no-build-isolation -e ".[demo,dev,server,fleet]"
	@touch $@

clean:  ## remove what was built; the virtual environment too
	rm -rf build dist sensor/web dashboard/node_modules $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sensor -name '*.so' -delete
