# make without a target prints what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

ARCHS := amd64 arm64 ppc64el riscv64 s390x
# Juju says ppc64el where Go says ppc64le; all other names agree.
HOST_ARCH := $(patsubst ppc64le,ppc64el,$(shell go env GOHOSTARCH 2>/dev/null))
ARCH ?= $(HOST_ARCH)
FUZZTIME ?= 30s
LAB_TIMEOUT ?= 80m
LABS ?= 2
# The Debian that the lab's machines run, bookworm or trixie, unless LAB_BASE says it.
BASE ?= $(or $(LAB_BASE),bookworm)
export LAB_BASE := $(BASE)
# The Juju that they and the lab's controller run, 3.5 or 3.6, unless LAB_JUJU says it.
JUJU ?= $(or $(LAB_JUJU),3.5)
export LAB_JUJU := $(JUJU)
JUJU_FLAGS := $(if $(filter 3.6,$(JUJU)),-modfile=go36.mod -tags=juju36)
SUITE := lab-$(BASE)$(if $(filter-out 3.5,$(JUJU)),-juju-$(JUJU))
RUNS ?= 5
BUSY ?= 1m
SLOW ?= 25
PACKAGES ?= ./...
# Without --abbrev the length would depend on how many objects a clone has.
VERSION := $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown)

# What the charm is built with, since this Go has no known advisory that reaches it; where it
# cannot be had, what is here.
TOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)
PINNED = $(if $(shell GOTOOLCHAIN=$(TOOLCHAIN) go version 2>/dev/null),GOTOOLCHAIN=$(TOOLCHAIN))
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The database of govulncheck is a Go module, too: a later date, later reports.
VULNDB := golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.7.0
BUILD_FLAGS := -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"

# Packages whose tests wait for processes and the network: before the others take all
# processors.
TIMED := ./internal/checker ./internal/history ./internal/host ./internal/notify ./internal/segment
# Packages that start no goroutine and walk long: without -race.
WALKING := ./internal/charm ./internal/group

# The last line of a log of go test -v: how many tests there were.
count = @printf '%s: %d passed, %d failed, %d skipped\n' '$(1)' \
	"$$(grep -c '^ *--- PASS' build/$(1).log || true)" \
	"$$(grep -c '^ *--- FAIL' build/$(1).log || true)" \
	"$$(grep -c '^ *--- SKIP' build/$(1).log || true)"

.PHONY: help
help:
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

# Scenarios that make test runs on either base: deployment, upgrade, agreement, health,
# options, strangers, status and units. On bookworm it runs all. lab-core ends with what took
# longest.
CORE := TestFromDeployToSurvivingADeadMachine|TestUpgradeFromThePythonCharm|TestUpgradeOfASingleUnit|TestAgreement|TestHealthChecks|TestOptions|TestStrangers|TestStatusFollows|TestUnitsComeAndGo
SCENARIOS ?= $(CORE)

.PHONY: charm
charm: ## Pack keepalived_ARCH.charm (ARCH=arm64 ...; default this machine's, then also keepalived.charm)
	@mkdir -p build/$(ARCH)
	$(if $(PINNED),,@echo "$(TOOLCHAIN) cannot be had: built with $$(go env GOVERSION)")
	@$(PINNED) CGO_ENABLED=0 GOFLAGS=-mod=readonly GOOS=linux GOARCH=$(patsubst ppc64el,ppc64le,$(ARCH)) GOAMD64=v1 GOARM64=v8.0 GOPPC64=power8 \
		go build $(BUILD_FLAGS) -o build/$(ARCH)/keepalived-charm ./cmd/keepalived-charm
	@$(PINNED) go run ./cmd/charm-pack -arch $(ARCH) -binary build/$(ARCH)/keepalived-charm -version '$(VERSION)' -o keepalived_$(ARCH).charm
ifeq ($(ARCH),$(HOST_ARCH))
	@install -m 644 keepalived_$(ARCH).charm keepalived.charm
endif

.PHONY: charms
charms: ## Pack the charm for every architecture
	@for arch in $(ARCHS); do $(MAKE) charm ARCH=$$arch; done

.PHONY: reproducible
reproducible: ## Pack HEAD in two new clones, which must give the same bytes (CLEAN=1: compiled anew in each)
	@tests/scripts/reproducible $(ARCH) $(CLEAN)

.PHONY: release
release: ## For a tag: archives of all architectures, SBOMs (CycloneDX) and checksums, to build/release
	@[ -n "$(PINNED)" ] || { echo "release: $(TOOLCHAIN) cannot be had"; exit 1; }
	@git describe --tags --exact-match >/dev/null && [ -z "$$(git status --porcelain)" ] || { echo "release: what is here is no tag, as it is"; exit 1; }
	@$(MAKE) vuln
	@$(MAKE) reproducible CLEAN=1
	@$(MAKE) charms
	@rm -rf build/release && mkdir -p build/release
	@for arch in $(ARCHS); do \
		cp keepalived_$$arch.charm build/release/; \
		go run $(CYCLONEDX) bin -json -noserial -std -version '$(VERSION)' -output build/release/keepalived_$$arch.cdx.json build/$$arch/keepalived-charm; \
	done
	@cd build/release && sha256sum keepalived_* >SHA256SUMS && cat SHA256SUMS

.PHONY: test
test: deps keepaliveds unit vuln reproducible lab-itself ## Unit, all scenarios on Debian 12 (of four long ones other parts each day), the most important on 13; installs what it needs (root)
	@LAB_PART=1 WALK_STEPS=4 $(MAKE) lab-core BASE=bookworm SCENARIOS='Test.*' LABS=3 LAB_TIMEOUT=70m
	@$(MAKE) lab-core BASE=trixie SCENARIOS='$(CORE)' LABS=3 LAB_TIMEOUT=35m

# All that tests make their claims for; go test by itself takes a part.
unit unit-slow model: export WHOLE := 1

.PHONY: unit
unit: lint ## Fast checks without root: lint, tests with -race, fuzz seeds, golden files
	@mkdir -p build
	@{ go test -race -shuffle=on -count=1 -v $(TIMED) && \
		go test -race -shuffle=on -count=1 -v $$(go list ./... | grep -vxF "$$(go list $(TIMED) $(WALKING))") && \
		go test -shuffle=on -count=1 -v $(WALKING); } \
		>build/unit.log 2>&1 || { tests/scripts/failures build/unit.log; exit 1; }
	@grep -E '^ok ' build/unit.log
	$(call count,unit)

.PHONY: integration
integration: lab-test ## The same as lab-test

.PHONY: format
format: ## gofmt -w
	@gofmt -w .

.PHONY: vuln
vuln: ## Known vulnerabilities that the charm's program reaches (govulncheck, its database from the module proxy)
	@mkdir -p build
	@GOBIN=$(CURDIR)/build go install $(GOVULNCHECK)
	@cd tests && go build -o ../build/vuln ./cmd/vuln
	@reports=$$(go mod download -json $(VULNDB) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')/data/osv; \
		$(PINNED) build/vuln build/govulncheck "$$reports" ./cmd/keepalived-charm

# Compiled at full speed: the tests are to be slow, not the compiler.
.PHONY: unit-slow
unit-slow: ## The tests of unit with SLOW percent of the processors (default 25; root; PACKAGES=./internal/checker)
	@mkdir -p build/slow
	@: >build/slow.log; failed=; \
	for package in $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $(PACKAGES)); do \
		binary=$(CURDIR)/build/slow/$$(basename $$package); \
		go test -c -o $$binary $$package; \
		echo "== $$package"; \
		WALKS=2 tests/scripts/slow $(SLOW) "$$(go list -f '{{.Dir}}' $$package)" \
			$$binary -test.v -test.timeout 30m >>build/slow.log 2>&1 || failed="$$failed $$package"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; tests/scripts/failures build/slow.log; exit 1; fi
	$(call count,slow)

.PHONY: lint
lint: spelling ## gofmt, vet and staticcheck over charm and tests, codespell over all texts
	@unformatted=$$(gofmt -l .); \
		if [ -n "$$unformatted" ]; then echo "not as gofmt writes it: $$unformatted"; exit 1; fi
	@go vet ./...
	@$(STATICCHECK) ./...
	@go vet -tags neighbour ./...
	@$(STATICCHECK) -tags neighbour ./...
	@cd tests && go vet ./...
	@cd tests && $(STATICCHECK) ./...
	@cd tests/juju && go list -mod=readonly $(JUJU_FLAGS) -deps ./... >/dev/null

.PHONY: spelling
spelling:
	@if command -v codespell >/dev/null; then \
		git ls-files -z | grep -zvE 'testdata/|go\.(mod|sum)$$|\.svg$$|LICENSE' | xargs -0 codespell --ignore-words .codespell; \
	elif [ -n "$${CI:-}" ]; then echo "codespell is missing: tests/scripts/install-deps"; exit 1; \
	else echo "spelling is not checked: apt-get install codespell"; fi

.PHONY: model
model: ## Walk every order of events for larger groups than unit does (package group): millions of states; and 100 random ones of whole units (package charm, WALKS=N): some minutes
	@MODEL=full go test -count=1 -v -timeout 60m -run TestEveryOrderOfEventsLeavesOneHolder ./internal/group | grep -vE '^=== '
	@WALKS=$${WALKS:-100} go test -count=1 -timeout 60m ./internal/charm

.PHONY: starved
starved: ## A real keepalived and its health checker with both at a hundredth of the processors' weight, ten minutes (STARVED=10m; root)
	@WHOLE=1 STARVED=$${STARVED:-10m} go test -count=1 -v -timeout 60m -run '^TestOnlyAStoppedKeepalivedIsStuck$$' ./internal/checker

.PHONY: frozen
frozen: ## How often three real keepalived with their health checkers move the address when the holder is frozen, at intervals of 0.1 and 0.2 s (docs/reference/outages.md; FROZEN=20; some minutes, root)
	@WHOLE=1 FROZEN=$${FROZEN:-20} go test -count=1 -v -timeout 60m -run '^TestAHolderThatIsFrozenLosesTheAddress$$' ./internal/checker

.PHONY: idle
idle: ## What an idle health checker takes beside a real keepalived (docs/reference/cost.md; IDLE=20s; root)
	@WHOLE=1 IDLE=$${IDLE:-20s} go test -count=1 -v -timeout 30m -run '^TestAnIdleHealthCheckerSeldomWakesUp$$' ./internal/checker

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each (default 30s)
	@for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package | { grep '^Fuzz' || true; }); \
		for target in $$targets; do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: golden
golden: ## Write the golden files anew; look at the difference before you commit it
	@UPDATE_GOLDEN=1 go test ./...

.PHONY: docs
docs: ## Write anew what the documentation says of options, actions and statuses
	@UPDATE_GOLDEN=1 go test -run '^TestTheManual' ./internal/archive ./internal/charm ./internal/show

.PHONY: deps
deps:
	@tests/scripts/install-deps

# Golden files are tested by keepalived of other releases too.
.PHONY: keepaliveds
keepaliveds:
	@for suite in trixie forky; do \
		tests/scripts/fetch-keepalived $$suite "$${KEEPALIVED_LAB_CACHE:-/var/cache/keepalived-lab}/keepalived-$$suite"; \
	done

# One package at a time, and LABS labs: the scenarios measure outages.
LAB_RUN = go test -count=1 -p 1 -parallel $(LABS) -v -timeout $(LAB_TIMEOUT)

.PHONY: lab-test
lab-test: lab-itself ## All scenarios in the lab, more than an hour (BASE=trixie; root)
	@$(MAKE) lab-core SCENARIOS='Test.*' LABS=3 LAB_TIMEOUT=150m

# The lab's own tests: machines, Juju's controller and what it says to the charm's archive,
# measuring. Juju is compiled as the lab compiles it, once: that takes minutes.
.PHONY: lab-itself
lab-itself: charm
	@mkdir -p build
	@{ cd tests && go test -race -count=1 ./docdb && \
		$(LAB_RUN) $$(go list ./... | grep -v /scenario$$) && \
		cd juju && export CGO_ENABLED=0 && go vet -trimpath $(JUJU_FLAGS) ./... && $(LAB_RUN) -trimpath -vet=off $(JUJU_FLAGS) ./...; } 2>&1 | tee build/lab-itself.log || \
		{ $(MAKE) sweep; tests/scripts/failures build/lab-itself.log; exit 1; }
	$(call count,lab-itself)

.PHONY: lab-core
lab-core: charm
	@mkdir -p build
	@failed=; { cd tests && $(LAB_RUN) -run '^($(SCENARIOS))$$' ./scenario; } 2>&1 | tee build/$(SUITE).log || failed=yes; \
		tests/scripts/slowest build/$(SUITE).log | tee -a build/$(SUITE).log; \
		if [ -n "$$failed" ]; then $(MAKE) sweep; tests/scripts/failures build/$(SUITE).log; exit 1; fi
	$(call count,$(SUITE))

# A test binary that runs out of time ends without closing its labs.
.PHONY: sweep
sweep: lab-command
	@build/lab sweep

.PHONY: lab-command
lab-command:
	@mkdir -p build
	@cd tests && go build -o ../build/lab ./cmd/lab

.PHONY: demo
demo: deps charm lab-command ## Show a deployment: three machines, a VIP, a machine dies, the VIP moves (BASE=trixie JUJU=3.6; root)
	@build/lab demo

.PHONY: lab
lab: deps charm lab-command ## Keep a lab up to type commands against (BASE=trixie JUJU=3.6; root)
	@build/lab up

.PHONY: bench
bench: deps charm lab-command ## Measure outages in the lab, also of keepalived by hand and pacemaker, to build/bench: tables, plots, raw numbers (RUNS=5 ROWS=regexp BUSY=1m; root)
	@build/lab bench -o build/bench -runs $(RUNS) -rows "$${ROWS-}" -busy $(BUSY)

# The least of several runs, whatever -benchtime says.
.PHONY: bench-hook
bench-hook: ## Measure what hooks cost, as ratios in one run (docs/reference/cost.md; root)
	@go test -count=1 -run '^$$' -bench '^(BenchmarkStart|BenchmarkHookFromStartToExit|BenchmarkManyVirtualIPs)$$' -benchtime 20x ./cmd/keepalived-charm
	@go test -count=1 -run '^$$' -bench '^BenchmarkGrowth$$' -benchtime 20x ./internal/charm

.PHONY: chaos
chaos: deps charm lab-command ## Break a deployment in every way, to build/chaos: what each fault costs (CHAOS_MINUTES=30 random ones more, CHAOS_SEED, ROWS=regexp; root)
	@build/lab chaos -o build/chaos -rows "$${ROWS-}" -random "$${CHAOS_MINUTES:-0}m" $${CHAOS_SEED:+-seed "$$CHAOS_SEED"}

.PHONY: clean
clean: ## Remove what make built here
	@rm -rf build keepalived.charm $(foreach arch,$(ARCHS),keepalived_$(arch).charm)
