# Everything needs Go and git; `make check` also needs a C compiler, for the
# race detector. Tests on PostgreSQL need an installed server, which they start
# by themselves, or the URL of one in EDGESYNC_TEST_POSTGRES.

TAGS    := nobadger,nomysql,nobbolt,nopgx
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X edgesync/cmd/cmdutil.Version=$(VERSION)

# Everything but what the race detector runs is compiled in one way, the way in
# which it is given out, without what a debugger reads: so it is compiled once. The
# compiler need not be short of memory.
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(GOFLAGS) -trimpath -gcflags=all=-dwarf=false '-toolexec=env GOGC=400')

# Tests wait for clocks and other processes as much as they compute.
AT_ONCE := -p $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))

# What takes longest begins first.
LONGEST := ./store/postgres ./cmd/e2e ./core ./store/sqlite

# The race detector is for packages that start goroutines, in their tests or
# otherwise. Not for cmd, which starts the whole program again and again: cmd/e2e
# has it in one process.
RACED = $(shell git grep -lE -e '^\s*go [a-z]' -e '\.Go\b' -e '\bt\.Parallel\b' -- '*.go' | \
	sed -E 's|^|./|; s|/[^/]*$$||' | sort -u | grep -vxE './cmd|./deploy.*|./packaging.*')
# It does not look into SQLite itself, which is C made Go: its memory is outside of
# what the detector knows, and looking costs most of the time. No package with
# generic code may be named: its copies are everybody's.
UNWATCHED := modernc.org/sqlite/lib=-dwarf=false -race=false

# Where a run of tests is long, memory is cheaper than collecting it.
ROOMY := GOGC=400

GOFILES  = $(shell git ls-files '*.go' | grep -v '\.pb\.go$$')

.PHONY: build test check demo bench bench-screen generate screenshots dist clean fmt

build: ## the binary, static, in bin/
	go build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/edgesync ./cmd/edgesync

test: ## every test
	$(ROOMY) go test -vet=off $(AT_ONCE) -tags $(TAGS) ./cmd $(LONGEST) ./...
	@$(MAKE) --no-print-directory postgres

.PHONY: postgres
postgres: ## says loudly when the tests had no PostgreSQL
	@go run -tags $(TAGS) ./store/postgres/pgtest/available || { \
		echo "***"; echo "*** NOTHING WAS TESTED ON POSTGRESQL: no server is installed (Debian: apt-get install postgresql)"; \
		echo "*** and EDGESYNC_TEST_POSTGRES names none."; echo "***"; }

demo: build ## a whole platform on loopback, from two fake inventories to devices
	bin/edgesync demo

check: ## what has to hold before a change lands
	@test -z "$$(gofmt -l $(GOFILES))" || { echo "not formatted (run make fmt):"; gofmt -l $(GOFILES); exit 1; }
	$(MAKE) --no-print-directory generated
	@command -v $${CC:-cc} >/dev/null || { echo "make check: the race detector needs a C compiler: install gcc and the C library's headers"; exit 1; }
	$(MAKE) --no-print-directory -j 4 raced of-stores lint of-rules

.PHONY: lint raced guarantees of-rules of-stores
lint:
	$(ROOMY) go vet -tags $(TAGS) ./...
	$(ROOMY) go tool staticcheck -tags $(TAGS) ./...
raced:
	$(ROOMY) CGO_ENABLED=1 go test -race -vet=off '-gcflags=$(UNWATCHED)' -tags $(TAGS) $(AT_ONCE) -timeout 20m $(LONGEST) $(RACED)
guarantees: of-rules of-stores ## the guarantees of device identity, each over ten thousand random streams
of-rules:
	$(ROOMY) EDGESYNC_STREAMS=10000 go test -vet=off -tags $(TAGS) -timeout 20m ./dire
of-stores:
	$(ROOMY) EDGESYNC_STREAMS=10000 go test -vet=off -tags $(TAGS) -timeout 20m -run '^TestStore$$/^Guarantees$$' ./store/postgres ./store/sqlite

.PHONY: generated
generated: ## fails when generated files are not what make generate makes
	@sums() { find docs proto -name '*.md' -o -name '*.pb.go' | sort | xargs sha256sum; }; \
	before=$$(sums); $(MAKE) --no-print-directory generate; \
	[ "$$before" = "$$(sums)" ] || { echo "generated files were out of date and are made anew: commit them"; exit 1; }

generate: ## protocol code, the command reference and the coverage page
	go run ./proto/internal/generate
	go run -tags $(TAGS) ./docs/generate

bench: ## the measured promises
	go test -tags $(TAGS) -run '^$$' -bench . -benchmem ./...

bench-screen: ## key press to frame and first frame of the dashboard, with a million devices and a thousand events a second
	go test -tags $(TAGS) -run '^$$' -bench 'KeyToRedraw|Start$$' -benchtime 1x ./cmd/

screenshots: build ## the pictures in docs/images, from the real program on demo data; needs tmux
	go run -tags $(TAGS) ./docs/screenshots bin/edgesync

dist: ## archives for each platform, .deb and .rpm, bills of materials and checksums; SOURCE_DATE_EPOCH is the commit's unless set
	go run -C packaging . -root .. -out ../dist

# Modules of their own, so that what they need is no part of the program.
NESTED := packaging deploy/check

.PHONY: packages $(NESTED)
packages: $(NESTED) ## packages are made, installed into a clean root and started; what is deployed is read by its tools
$(NESTED):
	cd $@ && go vet ./... && go test -vet=off ./...

fmt:
	@gofmt -l -w $(GOFILES)

clean:
	rm -rf bin dist
