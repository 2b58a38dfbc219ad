# `make demo` and `make test` need Python 3.11 or newer, pip and make; each makes .venv by itself.
PYTHON ?= python3
BIN := .venv/bin

# as many workers as cores and memory allow; each takes a part of the list, and from the others when it is done
PYTEST := $(BIN)/python -m pytest --mpl -n auto --dist worksteal
# most of what the tests compute is compilation
QUICK := -m "not slow and not long" --quick-compilation

.PHONY: demo test test-rest test-all test-times lint messages figures bench node runtimes old-runtimes fpga lowest pythons faults clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo     simulate the workshop's sample, train, evaluate and draw (runs/demo)"
	@echo "make test     run the tests of everything, in minutes"
	@echo "make test-all run these and all that take longer: toys, fuzzers, browser, runtimes"
	@echo "make test-times  list what the tests of \`make test\` cost: processor time and memory"
	@echo "make lint     check style, types and documentation examples"
	@echo "make messages accept the messages of errors as they are now (tests/messages.txt)"
	@echo "make figures  accept the figures as they are drawn now as the reference figures"
	@echo "make runtimes score the same events in Node, in a browser and in old versions of ONNX Runtime"
	@echo "make fpga     translate quantized networks for FPGAs and simulate them"
	@echo "make lowest   run the demo and a short suite with the lowest versions that pyproject.toml allows"
	@echo "make pythons  run the demo and a short suite with other versions of Python, where they are installed"
	@echo "make faults   kill, fill, cut and flip: the long form of the tests of faults"
	@echo "make bench    measure against other tools, in an environment of its own"

# up to date when it is newer than what it was made from
.venv/made: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint --group sessions
	@touch $@

demo: .venv/made
	$(BIN)/tamis demo --overwrite

test: .venv/made
	$(PYTEST) $(QUICK)

# what `make test` leaves out
test-rest: .venv/made
	$(PYTEST) -m "slow and not long"

test-all: .venv/made
	$(PYTEST)

test-times: .venv/made
	$(PYTEST) $(QUICK) --costs 40

lint: .venv/made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q --doctest-modules src

messages: .venv/made
	$(PYTEST) --accept-messages=all

figures: .venv/made
	for folder in $$(dirname $$(find tests -type d -name baseline)); do \
		$(BIN)/python -m pytest -q --mpl-generate-path=$$folder/baseline $$folder || exit 1; \
	done

.venv-bench/made: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-bench/bin/python -m pip install --quiet -r benchmarks/requirements.txt --editable .
	@touch $@

node: tests/runtimes/node_modules/made

tests/runtimes/node_modules/made: tests/runtimes/package-lock.json
	npm ci --prefix tests/runtimes
	@touch $@

runtimes: .venv/made node
	rm -rf build/cases
	TAMIS_CASES=build/cases TAMIS_NEEDS_RUNTIMES=1 $(BIN)/python -m pytest -q tests/export/test_runtimes.py
	$(MAKE) old-runtimes

# needs the cases that the tests of runtimes write to TAMIS_CASES; a session whose Python is not installed is left out
old-runtimes: .venv/made
	$(BIN)/nox --session runtime --no-error-on-missing-interpreters

fpga: .venv/made
	$(BIN)/nox --session fpga

lowest: .venv/made
	$(BIN)/nox --session lowest

# a session whose Python is not installed is left out
pythons: .venv/made
	$(BIN)/nox --session python --no-error-on-missing-interpreters

# hours: what each fault did goes to build/faults, from where docs/reliability.md takes it
faults: .venv/made
	$(BIN)/python -m pytest -m long tests

# DATA is a folder with the workshop's files; without it the simulated ones are used
bench: .venv-bench/made
	.venv-bench/bin/python benchmarks/startup.py
	.venv-bench/bin/python benchmarks/reading.py
	.venv-bench/bin/python benchmarks/accuracy.py $(if $(DATA),--data $(DATA))
	.venv-bench/bin/python benchmarks/step_rate.py
	.venv-bench/bin/python benchmarks/evaluation.py

clean:
	rm -rf .venv .venv-bench .nox tests/runtimes/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
