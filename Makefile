# The two commands of the README are `make run` and `make test`; everything else is a part of them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

SWIFT := swift
export SWIFT_BACKTRACE := enable=no
# Release builds lie apart, so that both builds can run at once.
DIST := .build/dist
# Set by `make test`, which builds first: no rule then looks again whether there is something to build.
BUILT :=

# $(call timed,WHAT,COMMAND): says how long it took.
timed = start=$$SECONDS; $(2); echo "make: $(1) took $$((SECONDS - start)) seconds"

.PHONY: help run test release setup-build setup-test setup-bench lint build unit test-kernel test-vm generated bench fuzz format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: release ## compile policies/cos.cos, apply it in a throw-away namespace, show what is open
	dist/lockdown compile policies/cos.cos -o cos.compiled
	dist/lockdown sandbox cos.compiled/policy.bundle --probe

test: setup-test lint ## everything CI runs
	@# Each build has parts that occupy one processor only.
	@$(call timed,building,$(MAKE) -j 2 build release)
	@# Kernel tests mostly wait, and unit tests do not. What one says is printed when it is done.
	@$(call timed,unit and kernel tests,$(MAKE) -j 2 --output-sync=target BUILT=yes unit test-kernel)
	@$(call timed,tests in virtual machines,$(MAKE) BUILT=yes test-vm)
	@$(MAKE) generated

RELEASE := $(SWIFT) build -c release --scratch-path $(DIST) $(BUILD_FLAGS) --static-swift-stdlib -Xswiftc -use-ld=lld \
  -Xlinker --gc-sections

release: setup-build ## release builds at dist/lockdown and dist/lockdown-apply
	$(RELEASE) --product lockdown
	@# Size: what its files repeat is outlined once for all of them.
	$(RELEASE) --product lockdown-apply --experimental-lto-mode full \
	  -Xlinker -mllvm -Xlinker -enable-machine-outliner=always
	@mkdir -p dist
	@install -s -m 755 $(DIST)/release/lockdown dist/lockdown
	@install -m 755 $(DIST)/release/lockdown-apply dist/lockdown-apply
	@ls -l dist/lockdown dist/lockdown-apply | awk '{ print $$NF ": " $$5 " bytes" }'

setup-build:
	@.ci/setup build

setup-test:
	@.ci/setup test

setup-bench:
	@.ci/setup bench

lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

build:
	$(SWIFT) build --build-tests $(BUILD_FLAGS) --explicit-target-dependency-import-check error

unit: $(if $(BUILT),,build)
	LOCKDOWN_KERNEL_TESTS=1 LOCKDOWN_ORACLE_TESTS=1 $(SWIFT) test --skip-build $(BUILD_FLAGS)

test-kernel: $(if $(BUILT),,setup-test build release) ## stock tools, real packets and the kernel beside the analyser, in namespaces
	LOCKDOWN=$(CURDIR)/dist/lockdown LOCKDOWN_APPLY=$(CURDIR)/dist/lockdown-apply \
	  /usr/bin/python3 Tests/run.py kernel

test-vm: $(if $(BUILT),,setup-test release) ## the applier on Debian's kernel in virtual machines; inputs are fetched once into .build/vm
	LOCKDOWN=$(CURDIR)/dist/lockdown LOCKDOWN_APPLY=$(CURDIR)/dist/lockdown-apply \
	  /usr/bin/python3 Tests/run.py vm

generated: ## generated files are what their generators make
	git diff --exit-code --stat -- schema docs

bench: setup-bench release ## ratios against named peers, one run
	/usr/bin/python3 Benchmarks/run.py --write docs/benchmarks.md

# Programs of libFuzzer, built apart: sanitizers change every object file. SwiftPM must know of the
# fuzzer, so that it gives the programs no main function; the compiler takes the last of several flags, so that both
# sanitizers stand in one.
FUZZERS := document rules lists bundles policies
FUZZ := .build/fuzz
SECONDS ?= 60

fuzz: ## fuzz under ASan, SECONDS for each program, as in `make fuzz SECONDS=600`
	@for name in $(FUZZERS); do \
	  LOCKDOWN_FUZZ=1 $(SWIFT) build -c release --scratch-path $(FUZZ) --sanitize fuzzer \
	    -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld --product fuzz-$$name; \
	done
	@for name in $(FUZZERS); do \
	  echo "fuzz-$$name: $(SECONDS) seconds"; \
	  mkdir -p $(FUZZ)/corpus/$$name $(FUZZ)/found; \
	  ASAN_OPTIONS=detect_leaks=0 $(FUZZ)/release/fuzz-$$name -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=2048 \
	    -max_len=8192 -dict=Tests/Fuzz/words.dict -artifact_prefix=$(FUZZ)/found/$$name- -print_final_stats=1 \
	    $(FUZZ)/corpus/$$name Tests/Fuzz/Seeds/$$name 2>&1 | tee $(FUZZ)/$$name.log | tail -n 12; \
	done

format: ## format all Swift sources
	$(SWIFT) format format --in-place --recursive --parallel Package.swift Sources Tests

clean:
	rm -rf .build dist cos.compiled
