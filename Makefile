# One definition of set-up and checks for laptop and CI. `make demo` and `make test` do their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/particle-dev
TEST_FIRMWARE := $(CACHE)/test-firmware
STORE := $(CACHE)/demo-store
DEMO := build/demo
SOURCES := firmware harness particle_dev tests hil setup.py

# Firmware and peers that demo and tests use; never committed.
PARTICLE_CLI_VERSIONS := 2.3.0 2.12.0 2.16.0 3.43.1
PEERS := binary-version-reader@3.1.3 @particle/device-constants@4.2.1 @particle/device-os-protobuf@2.9.0

.PHONY: help demo demo-damaged test check lint types imports generated unit bench firmware-for-tests setup clean
help:
	@echo "make demo    eight virtual boards get real Device OS firmware, shown in a browser; ends with a report"
	echo "make test    everything that CI runs"
	echo "make hil     the contracts that real boards are held to, on virtual ones; a minute"
	echo "make judges  dfu-util, particle-cli and others, unmodified, and a Linux kernel in QEMU, on virtual boards"
	echo "make emulated  firmware images of yours in PARTICLE_DEV_FIRMWARE_DIR, executed on emulated chips"
	echo "make soak    every power cut and every lost transfer, where make test takes samples; hours"
	echo "make texts   texts of the page that are to be translated"
	echo "make shift   200 boards through eight virtual slots, unattended; the records are held against the truth"
	echo "make lock    requirements.lock anew: what a station in production installs, by hash"
	echo "make bench   speed, as ratios against peers"
	echo "make clean   remove build output and the virtual environment"

# ---- set-up -----------------------------------------------------------------------------------------------------
$(VENV)/.ready: pyproject.toml setup.py $(wildcard firmware/module/*/*.[ch]) $(wildcard particle_dev/_native/*.txt) $(wildcard harness/particle_harness/emulator/_native/*.[ch]) | system-packages
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m compileall -q particle_dev harness
	touch $@

.PHONY: system-packages
system-packages:
	@missing=()
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
	"$(PYTHON)" -c 'import os, sysconfig as s, sys; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || missing+=(python3-dev)
	command -v gcc >/dev/null || missing+=(gcc libc6-dev)
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
	if [ $${#missing[@]} -gt 0 ]; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"
	  else
	    echo "install these Debian packages first: $${missing[*]}" >&2; exit 1
	  fi
	fi

setup: $(VENV)/.ready

# New texts of the page come into its catalogues; who translates looks for empty ones. A test holds them complete.
.PHONY: texts
texts: $(VENV)/.ready
	@$(BIN)/python tests/station/web/catalogues.py

firmware-for-tests: $(TEST_FIRMWARE)/.ready
$(TEST_FIRMWARE)/.ready: Makefile
	@mkdir -p $(TEST_FIRMWARE)/tarballs $(TEST_FIRMWARE)/node
	cd $(TEST_FIRMWARE)/tarballs
	for version in $(PARTICLE_CLI_VERSIONS); do
	  [ -s particle-cli-$$version.tgz ] || npm pack --silent particle-cli@$$version >/dev/null
	  mkdir -p ../particle-cli-$$version
	  tar -xzf particle-cli-$$version.tgz -C ../particle-cli-$$version package/assets
	done
	cd ../node
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix . $(PEERS)
	touch $@

# The particle command line of npm, 190 MB, for benchmarks only.
.PHONY: bench-peers firmware-check
bench-peers: $(TEST_FIRMWARE)/bench/.ready
$(TEST_FIRMWARE)/bench/.ready:
	@mkdir -p $(@D)
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) particle-cli@3.43.1
	touch $@

# ---- demo -------------------------------------------------------------------------------------------------------
$(STORE)/.ready: $(VENV)/.ready
	@$(BIN)/particle-dev firmware add npm:particle-cli@2.12.0 --store $(STORE)
	touch $@

# The same port each time, so that an open page finds the station again; another one where somebody has it.
FREE_PORT := -c "import socket; print(0 if socket.socket().connect_ex(('127.0.0.1', 8088)) == 0 else 8088)"
# `make demo OUT=build/demo/mine` again goes on where that run was cut short. With a terminal the page stays to be looked at.
demo: $(VENV)/.ready $(STORE)/.ready
	@out=$(or $(OUT),$(DEMO)/$$(date -u +%Y%m%d-%H%M%S))
	page=(--page $(or $(PAGE),127.0.0.1:$$($(BIN)/python $(FREE_PORT))))
	[ ! -t 0 ] || page+=(--stay)
	$(BIN)/particle-dev station run --bench benches/demo.toml --recipe recipes/ship.toml --store $(STORE) --out $$out "$${page[@]}"

# The same with one byte of the Photon's system part 2 flipped: that slot must be refused before anything is erased.
demo-damaged: $(VENV)/.ready $(STORE)/.ready
	@out=$(DEMO)/$$(date -u +%Y%m%d-%H%M%S)-damaged
	mkdir -p $$out && cp -r $(STORE) $$out/store
	file=$$($(BIN)/particle-dev firmware list --json --store $$out/store | $(BIN)/python -c "import json, sys; print(*(
	m['sha256'] for m in json.load(sys.stdin)['modules']
	if (m['platform'], m['function'], m['index'], m['version']) == ('photon', 4, 2, 2101)))")
	printf '\x5a' | dd of=$$out/store/modules/$$file.bin bs=1 seek=100000 conv=notrunc status=none
	status=0
	$(BIN)/particle-dev station run --bench virtual --recipe recipes/ship.toml --store $$out/store --out $$out || status=$$?
	[ $$status = 1 ] || { echo "expected exit status 1, got $$status" >&2; exit 1; }

# ---- checks -----------------------------------------------------------------------------------------------------
test: firmware-check check side-by-side

# Unit tests on one core, judges on the other; what the judges said is printed when both are done.
.PHONY: side-by-side
side-by-side: $(VENV)/.ready $(TEST_FIRMWARE)/.ready judges-setup judge-labgrid
	@mkdir -p build
	$(MAKE) --no-print-directory hil judges > build/judges.log 2>&1 & judges=$$!
	status=0
	$(MAKE) --no-print-directory unit || status=$$?
	wait $$judges || status=$$?
	cat build/judges.log
	exit $$status

check: lint types imports generated lock-check

lint: $(VENV)/.ready
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.ready
	$(BIN)/mypy

imports: $(VENV)/.ready
	$(BIN)/lint-imports

# Generated protobuf code must be what protoc makes of the .proto file today.
generated: $(VENV)/.ready
	@out=$$(mktemp -d); trap 'rm -r "$$out"' EXIT
	$(BIN)/python -m grpc_tools.protoc -I. --python_out="$$out" --pyi_out="$$out" particle_dev/protocol/messages.proto
	for f in messages_pb2.py messages_pb2.pyi; do cmp "$$out/particle_dev/protocol/$$f" particle_dev/protocol/$$f; done

# What a station in production installs: every package that the core and these extras need, by version and hash.
LOCK := requirements.lock
LOCK_EXTRAS := labels postgres swd web
LOCK_VENV := build/lock-venv
.PHONY: lock lock-check
lock:
	@[ -x $(LOCK_VENV)/bin/uv ] || { "$(PYTHON)" -m venv $(LOCK_VENV) && $(LOCK_VENV)/bin/pip install --quiet uv; }
	@{ echo "# Made by \`make lock\`, held to pyproject.toml by \`make lock-check\`. To install by it:"
	echo "# pip install --require-hashes -r $(LOCK) && pip install --no-deps particle-dev"
	$(LOCK_VENV)/bin/uv pip compile --quiet --native-tls --universal --python-version 3.11 --generate-hashes --no-header \
	  $(LOCK_EXTRAS:%=--extra %) pyproject.toml; } > build/$(LOCK)
	@mv build/$(LOCK) $(LOCK)

# pip refuses a package without a hash, one whose hash differs, and one that the file lacks.
lock-check: $(VENV)/.ready
	$(BIN)/python -m pytest -q tests/test_lock.py
	@"$(PYTHON)" -m venv build/lock-check
	build/lock-check/bin/pip install --quiet --dry-run --require-hashes -r $(LOCK)

# `make judges` runs what needs a mocked bus or QEMU.
USB_JUDGES := tests/judges/usb
# particle-cli and particle-api-js at the simulated cloud.
CLOUD_JUDGES := tests/judges/cloud
# labgrid's and pytest-embedded's plugins beside ours.
PLUGIN_JUDGES := tests/judges/plugins
# labgrid's coordinator and exporters, with virtual boards behind them.
FARM_JUDGES := tests/judges/labgrid
# Debian's Chromium at the station's page.
BROWSER_JUDGES := tests/judges/browser
# Debian's OpenOCD and PostgreSQL are among the judges that run here.
unit: $(VENV)/.ready $(TEST_FIRMWARE)/.ready judge-packages
	PARTICLE_DEV_TEST_FIRMWARE=$(TEST_FIRMWARE) $(BIN)/python -m pytest --ignore=$(USB_JUDGES) --ignore=$(CLOUD_JUDGES) --ignore=$(PLUGIN_JUDGES) --ignore=$(FARM_JUDGES) --ignore=$(BROWSER_JUDGES)

# The contracts of tests/contract on virtual boards, a minute; on yours: `pytest hil --bench FILE`, see hil/README.md.
.PHONY: hil
hil: $(VENV)/.ready $(TEST_FIRMWARE)/.ready
	PARTICLE_DEV_TEST_FIRMWARE=$(TEST_FIRMWARE) $(BIN)/python -m pytest hil

# The whole of what CI samples: every transfer, every page. Hours.
.PHONY: soak
soak: $(VENV)/.ready $(TEST_FIRMWARE)/.ready
	PARTICLE_DEV_TEST_FIRMWARE=$(TEST_FIRMWARE) $(BIN)/python -m pytest -m soak --ignore=$(USB_JUDGES) --deselect=tests/station/test_guard_mutants.py
	GUARD_STEPS=$${GUARD_STEPS:-100000} $(BIN)/python -m pytest tests/station/test_guard_proof.py

# Firmware images that you hold, executed on emulated chips: docs/emulator.md says what to check first. Nobody else runs
# these tests, CI neither. Most power cuts are made all; where each makes another start, a sample of EMULATED_CUTS_SAMPLE (24)
# for each piece of work. CUTS=most: there all of a Photon, too, save the slowest; CUTS=all: every one. DIFFERENTIAL=50000: so
# many transfers of each differential test, not 1500 (1000 with Device OS on an STM32F205).
.PHONY: emulated
emulated: $(VENV)/.ready
	@[ -n "$${PARTICLE_DEV_FIRMWARE_DIR:-}" ] || {
	  echo "emulated boards run firmware images of yours: name a folder of them in PARTICLE_DEV_FIRMWARE_DIR (docs/emulator.md)" >&2
	  exit 1; }
	EMULATED_CUTS=$${CUTS:-$${EMULATED_CUTS:-sample}} $(BIN)/python -m pytest -m images tests/emulated

# 200 boards, good and bad, through eight virtual slots without anybody; records against the truth. Minutes.
.PHONY: shift
shift: $(VENV)/.ready $(TEST_FIRMWARE)/.ready
	PARTICLE_DEV_TEST_FIRMWARE=$(TEST_FIRMWARE) $(BIN)/python -m pytest -m soak tests/station/test_shift.py

# Whether the guard's proof would notice if the guard ignored something: about an hour.
.PHONY: guard-mutants
guard-mutants: $(VENV)/.ready
	$(BIN)/python -m pytest -m soak tests/station/test_guard_mutants.py

# Unmodified programs on virtual boards: dfu-util, lsusb, udev, npm's usb, particle-cli on a mocked bus; a kernel in QEMU.
JUDGES := $(CACHE)/judges
JUDGE_PACKAGES := umockdev dfu-util openocd uhubctl usbutils udev usbip qemu-system-x86 busybox-static kmod postgresql chromium fonts-droid-fallback poppler-utils
# particle-cli uses execa without naming it among its dependencies.
JUDGE_NPM := particle-cli@3.43.1 execa@5 usb@2.18.0
# In a folder of its own: particle-cli brings an older particle-api-js along, which judges too. typescript: holds
# answers to the types that particle-api-js declares.
JUDGE_CLOUD_NPM := particle-api-js@12.0.3 typescript@5.9.3
# Rules of accessibility, run within the page.
JUDGE_BROWSER_NPM := axe-core@4.14.1
.PHONY: judges judges-setup judge-packages judge-labgrid
judges: $(VENV)/.ready $(TEST_FIRMWARE)/.ready judges-setup judge-labgrid
	PARTICLE_DEV_TEST_FIRMWARE=$(TEST_FIRMWARE) PARTICLE_DEV_JUDGES=$(JUDGES) $(BIN)/python -m pytest $(USB_JUDGES) $(CLOUD_JUDGES) $(PLUGIN_JUDGES) $(FARM_JUDGES) $(BROWSER_JUDGES)

judges-setup: judge-packages $(JUDGES)/.ready $(JUDGES)/cloud/.ready $(JUDGES)/browser/.ready
$(JUDGES)/browser/.ready:
	@mkdir -p $(@D)
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) $(JUDGE_BROWSER_NPM)
	touch $@

$(JUDGES)/cloud/.ready:
	@mkdir -p $(@D)
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) $(JUDGE_CLOUD_NPM)
	touch $@

# labgrid's and pytest-embedded's plugins beside ours, in an environment of their own: labgrid brings a pyserial of its own.
# Its last line makes this checkout the package that is installed there; tests put theirs first on PYTHONPATH anyway.
JUDGE_LABGRID := labgrid==26.0.* pytest-embedded==2.9.* pytest-xdist>=3.6 pytest-timeout>=2.3
judge-labgrid: $(VENV)/.ready $(JUDGES)/labgrid/.ready
	@site=$$($(JUDGES)/labgrid/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	printf '%s\n' "$(CURDIR)" "$(CURDIR)/harness" > "$$site/particle-dev.pth"

$(JUDGES)/labgrid/.ready: pyproject.toml
	@rm -rf $(@D) && mkdir -p $(@D)
	"$(PYTHON)" -m venv $(@D)
	"$(PYTHON)" -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]
	print(*p["dependencies"], *p["optional-dependencies"]["sim"], *p["optional-dependencies"]["swd"], sep="\n")' > $(@D)/ours.txt
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $(@D)/ours.txt $(patsubst %,'%',$(JUDGE_LABGRID))
	# Both are the module `serial`; labgrid's must be what is there.
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps pyserial-labgrid
	touch $@

$(JUDGES)/.ready: tests/judges/usb/guest/setup.py tests/judges/usb/guest/init
	@mkdir -p $(JUDGES)/node
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(JUDGES)/node $(JUDGE_NPM)
	"$(PYTHON)" tests/judges/usb/guest/setup.py $(JUDGES)/guest
	touch $@

# A Linux kernel with vhci_hcd for whose machine has none, or no root: a shell in QEMU, with the boards of `particle-dev
# sim serve` on its USB.
.PHONY: guest guest-says
guest-says:
	@test -e $(JUDGES)/.ready || echo "first time: fetching npm packages and Debian's kernel; takes minutes"

guest: guest-says $(VENV)/.ready judges-setup
	@echo "starting the guest: its shell comes within a minute"
	$(BIN)/python tests/judges/usb/guest/machine.py $(JUDGES)/guest \
	  $(JUDGES)/node/node_modules/particle-cli/src/index.js $${PORT:-3240}

judge-packages:
	@missing=()
	for package in $(JUDGE_PACKAGES); do
	  dpkg-query -W -f '$${Status}\n' $$package 2>/dev/null | grep -q 'ok installed' || missing+=("$$package")
	done
	if [ $${#missing[@]} -gt 0 ]; then
	  if [ "$$(id -u)" = 0 ]; then
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"
	  else
	    echo "install these Debian packages first: $${missing[*]}" >&2; exit 1
	  fi
	fi

# Figures as users have them: from the wheel, not from an editable checkout, whose import hook costs every start 9 ms.
BENCH_VENV := build/bench-venv
$(BENCH_VENV)/.ready: $(VENV)/.ready $(shell find particle_dev harness firmware/module -name '*.py' -o -name '*.[ch]' -o -name '*.html' -o -name '*.js' -o -name '*.css' -o -name '*.po')
	@rm -rf $(BENCH_VENV) build/wheel
	"$(PYTHON)" -m venv $(BENCH_VENV)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$$(echo build/wheel/*.whl)[swd,sim,emulator,web]"
	touch $@

# The C library on all machines it is for, and a minute of fuzzing. FUZZ_SECONDS=600 for ten.
firmware-check:
	$(MAKE) -C firmware packages
	$(MAKE) -C firmware check
	$(MAKE) -C firmware fuzz SECONDS=$${FUZZ_SECONDS:-60}

bench: $(BENCH_VENV)/.ready $(TEST_FIRMWARE)/.ready bench-peers judges-setup
	@for b in tests/bench/bench_*.py; do $(BENCH_VENV)/bin/python $$b $(TEST_FIRMWARE) $(JUDGES); done

clean:
	rm -rf build dist *.egg-info $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	$(MAKE) -C firmware clean
