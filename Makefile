# Targets for those who work on the library. `make help` lists them.

MODULES := $(sort $(patsubst %/go.mod,%,$(shell find . -name go.mod -not -path './.git/*')))
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 30s
TORTURE ?= 5m

.PHONY: help demo test torture resilience bench fleet examples fuzz lint golangci staticcheck

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: ## compare the stale answers of two fleets, for 5s (ARGS="-log FILE -redis ADDR -n N")
	@echo "Compiling the demo. The first time, this can take minutes on a slow machine."
	@go run ./examples/replay $(ARGS)

test: ## run the tests of all modules with the race detector (of some packages: PACKAGES="./local/... ./stats")
	@if [ -n "$$REDIS_ADDR" ]; then echo "Tests on a real Redis: $$REDIS_ADDR"; \
	elif command -v redis-server >/dev/null; then echo "Tests on a real Redis: started from $$(command -v redis-server)"; \
	else echo "Tests on a real Redis are SKIPPED: set REDIS_ADDR, or install redis-server"; fi
	@echo "Compiling the test runner"
	@go -C tools build -o ../bin/runtests ./runtests
	@bin/runtests -packages "$(or $(PACKAGES),./...)" $(if $(PACKAGES),.,$(MODULES))

torture: ## let everything fail around a fleet of processes, for TORTURE (default 5m)
	TORTURE=$(TORTURE) go test -race -v -count=1 -timeout 24h -run TestNoNode ./internal/test/torture

resilience: ## measure what callers see while Redis or the database fails, for minutes, into docs/resilience.md
	go test -count=1 -timeout 30m -v -run TestTable ./internal/test/resilience -args -write

bench: ## compare with other caches: medians and ratios (ARGS="-quick"; -o FILE.md with plots)
	cd benchmarks && go run ./cmd/report $(ARGS)

fleet: ## measure what a fleet costs its Redis, by its size, for minutes (ARGS="-nodes 2,10 -for 5s")
	cd benchmarks && go run ./cmd/fleet $(ARGS)

examples: ## run every example but the replay
	@set -e; for e in examples/*/; do case $$e in examples/internal/|examples/replay/) ;; *) echo "== $$e"; go run ./$$e;; esac; done

fuzz: ## fuzz each codec for FUZZTIME (default 30s)
	@set -e; for p in msgpack:FuzzUnmarshal json:FuzzUnmarshal sonic:FuzzUnmarshal msgp:FuzzUnmarshal msgp:FuzzGenerated internal/wire:FuzzCheck internal/jsontext:FuzzCount; do \
		go test -run '^$$' -fuzz "$${p#*:}\$$" -fuzztime $(FUZZTIME) ./encoding/$${p%:*}; done

lint: ## gofmt, go vet, staticcheck and the linters of .golangci.yml (needs Go 1.26)
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	@set -e; for m in $(MODULES); do (cd $$m && go vet ./... && go run $(STATICCHECK) ./...); done
	@$(MAKE) --no-print-directory golangci

golangci: ## the linters of .golangci.yml (needs Go 1.26)
	@echo "Compiling golangci-lint, which takes minutes the first time"; go run $(GOLANGCI) version
	@status=0; for m in $(MODULES); do echo "== $$m"; (cd $$m && go run $(GOLANGCI) run) || status=1; done; exit $$status

staticcheck: # into GOBIN, for a check that needs the command itself
	@go install $(STATICCHECK)
