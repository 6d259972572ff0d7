# Everything needs Go and git; `make check` also needs a C compiler, for the
# race detector.

TAGS    := nobadger,nomysql,nobbolt,nopgx
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X edgesync/cmd/cmdutil.Version=$(VERSION)
GOFILES  = $(shell git ls-files '*.go' | grep -v '\.pb\.go$$')

.PHONY: build test check demo bench generate dist clean fmt

build: ## the binary, static, in bin/
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/edgesync ./cmd/edgesync

test: ## every test
	go test -tags $(TAGS) ./...

demo: build ## a whole platform on loopback, from two fake inventories to devices
	bin/edgesync demo

check: ## what has to hold before a change lands
	@test -z "$$(gofmt -l $(GOFILES))" || { echo "not formatted (run make fmt):"; gofmt -l $(GOFILES); exit 1; }
	go vet -tags $(TAGS) ./...
	go tool staticcheck -tags $(TAGS) ./...
	$(MAKE) --no-print-directory generated
	@command -v $${CC:-cc} >/dev/null || { echo "make check: the race detector needs a C compiler: install gcc and the C library's headers"; exit 1; }
	CGO_ENABLED=1 go test -race -tags $(TAGS) -timeout 20m ./...

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

dist: ## static binaries for each platform, with checksums
	@mkdir -p dist && rm -f dist/*
	@set -e; for target in linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64; do \
		os=$${target%/*} arch=$${target#*/}; echo "dist/edgesync_$${os}_$${arch}"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' \
			-o dist/edgesync_$${os}_$${arch} ./cmd/edgesync; \
	done; cd dist && sha256sum edgesync_* > SHA256SUMS

fmt:
	gofmt -w $(GOFILES)

clean:
	rm -rf bin dist
