# The one door. Everything below is a recipe of a line or two; what they call explains
# itself with --help.

QUICK := cargo build --quiet --profile quick
LAB := target/quick/understudy-lab
# What the lab runs, beside the guests.
MACHINERY := --package understudy-fabric --package understudy-hba --package understudy-lab
GUEST ?= array-a
FAULTS ?= 100
MINUTES ?= 60
# Of Debian, beside what tests/lab/setup names itself.
FAST := tshark zsh fish
DEB := debhelper
RPM := rpm
JUDGE := lintian rpmlint

.DEFAULT_GOAL := help
.PHONY: help demo test test-all soak bench test-fast lint lab-up lab-down lab-shell deb rpm packages \
	wheel dist man compiled tools setup build agent image

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
	while IFS='|' read -r what does; do printf '%-18s %s\n' "$$what" "$$does"; done

demo: setup build ## see a node lose its power and its partner serve the same port
	@$(MAKE) --no-print-directory --jobs=2 image agent
	@$(LAB) demo

test: checked ## everything: lint, tests and the lab's scenarios
	@$(LAB) test

test-all: checked ## and the scenarios of the second rank; goes on where it stopped
	@$(LAB) test --all

# All that needs no guest. Two at once: each waits now for one thread of the compiler, now
# for the network. The packages first, whose compiler has one thread most of the time.
.PHONY: checked
checked: tools
	@$(MAKE) --no-print-directory --jobs=2 packages lint test-fast wheel build
	@$(MAKE) --no-print-directory image

soak: ready ## mixed faults under load: FAULTS=100, SEED=...
	@$(LAB) soak $(FAULTS) $(SEED)

bench: ready ## what a group costs, beside others: MINUTES=60 for the slowest
	@cargo build --quiet --release $(MACHINERY)
	@target/release/understudy-lab bench $(MINUTES)
	@target/release/understudy-lab bench-pause

test-fast: ## all that needs no guest; under 3 minutes
	@tests/lab/setup $(FAST)
	MAKEFLAGS= cargo test --quiet --workspace

lint: ## format, clippy, documentation, licences
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --all-features --no-deps
	@PATH="$$(packaging/tools deny):$$PATH" cargo deny --offline --log-level error \
		check --hide-inclusion-graph licenses bans sources

lab-up: ready ## start the lab and leave it running
	@$(LAB) up

lab-down: ## end it
	@$(LAB) down

lab-shell: ## a shell in a guest: GUEST=array-a, array-b or host
	@$(LAB) shell $(GUEST)

deb: compiled ## the package for Debian, in target/deb
	@tests/lab/setup $(DEB)
	@packaging/build deb

rpm: compiled ## the package for Fedora and its kin, in target/rpm
	@tests/lab/setup $(RPM)
	@packaging/build rpm

packages: deb rpm ## both, judged: what they have in them, and that anybody gets the same
	@tests/lab/setup
	@tests/lab/setup $(JUDGE)
	@packaging/check
	@packaging/debian12

wheel: ## the Python module, in target/wheel, and its tests
	@core/tests/python/run

dist: ## the source with its crates, for who packages it, in target/dist
	@packaging/dist

compiled:
	@packaging/compile

man: ## renew the manual pages from the code's tables
	@cargo build --quiet --package understudy-agent
	@target/debug/understudy man vport > ocf/man/ocf_understudy_vport.7
	@target/debug/understudy man fcport > ocf/man/ocf_understudy_fcport.7
	@target/debug/understudy man understudy > packaging/man/understudy.8

# All that the lab needs: packages of this machine, our binaries, the image, the deb.
# The image waits for the network and the deb for the compiler, so both at once.
.PHONY: ready
ready: setup build
	@$(MAKE) --no-print-directory --jobs=2 image deb

setup:
	@tests/lab/setup

# What all of it needs of this machine, before two of its parts would install it at once.
tools: setup
	@tests/lab/setup $(FAST) $(DEB) $(RPM) $(JUDGE)

build:
	@echo "build: fabric, HBA and lab"
	@$(QUICK) $(MACHINERY)

# The agent alone, as it comes from the compiler: what a demonstration needs of a package.
agent:
	@$(QUICK) --package understudy-agent

image:
	@$(LAB) image
