# The front door. `make demo` and `make test` do all their set-up on a fresh Debian machine.

PRESET ?= release
JOBS ?= $(shell nproc)
BUILD := build/$(PRESET)
TARGET ?= all
MEMORY_CHECKED := ^(test_core|abi|reference_test|reference_stages_test|verification_test|cpu_unit_test|cpu_stage_test|backend_property_test|apps_common_test|safetensors_test|lm_tests)\.
THREAD_CHECKED := ^(cpu_unit_test|backend_property_test.*(Threads|cpu_))
PYTHON ?= python3
DEMO_MODELS := models/kda_lower_bound.safetensors models/kda_softplus.safetensors
DEMO_DOCUMENT ?= tests/cli/cli_test.py

.PHONY: help setup build demo test test-python test-asan test-tsan fuzz bench format lint install clean

help:
	@echo "make demo     a trained KDA language model reads a document and goes on writing"
	@echo "make test     every test"
	@echo "make test-python                the Python package: pip install ., its tests, its wheel"
	@echo "make build    the library and build/release/flash-kda"
	@echo "make bench    speed of the CPU backend on this machine"
	@echo "make test-asan test-tsan fuzz   the tests under sanitizers; the fuzzers for a bounded time"
	@echo "make format lint                clang-format, clang-tidy"

setup:
	@tools/setup.sh build

build: setup
	@cmake --preset $(PRESET) > $(BUILD).configure.log 2>&1 || { cat $(BUILD).configure.log; exit 1; }
	@cmake --build --preset $(PRESET) -j $(JOBS) --target $(TARGET)

demo: TARGET = flash-kda
demo: build
	@tools/demo.sh $(BUILD)/flash-kda $(DEMO_DOCUMENT) $(DEMO_MODELS)

# With an nvcc, the emulator's tests run kernels of CUTLASS, whose headers come from PyPI.
test: setup
	@! command -v nvcc > /dev/null || tools/venv.sh emulator/conformance/requirements.txt --no-deps
	@$(MAKE) --no-print-directory build
	@ctest --preset $(PRESET) -j $(JOBS) --progress

test-python:
	@tools/test_python.sh

# A debug build of the unit tests under each sanitizer; the whole table of cases is left to `test`.
test-asan:
	@$(MAKE) --no-print-directory PRESET=asan-ubsan TARGET=memory_checked_tests build
	@ctest --preset asan-ubsan -j $(JOBS) -R '$(MEMORY_CHECKED)'

test-tsan:
	@$(MAKE) --no-print-directory PRESET=tsan TARGET=thread_checked_tests build
	@ctest --preset tsan -R '$(THREAD_CHECKED)'

fuzz:
	@tools/setup.sh fuzz
	@$(MAKE) --no-print-directory PRESET=fuzz TARGET="fuzz_safetensors fuzz_checks" build
	@ctest --preset fuzz -L fuzz

bench: build
	@tools/bench.sh $(BUILD)/flash-kda

format:
	@tools/setup.sh format
	@git ls-files '*.cpp' '*.hpp' '*.h' '*.c' '*.cu' '*.cuh' | xargs clang-format-14 -i

lint: build
	@tools/setup.sh format
	@tools/lint.sh $(BUILD)

install: build
	@cmake --install $(BUILD)

clean:
	@rm -rf build
