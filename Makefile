# kerasrun: the README's two commands are `make run` and `make test`; `make help` lists the rest.
#   TENSORFLOW=cpu|gpu   LIBTENSORFLOW=/dir   OFFLINE=/dir   see scripts/setup.sh
export TENSORFLOW LIBTENSORFLOW OFFLINE
MODEL ?= models/resnext50
# What stands for an exported model among the targets: its manifest.
EXPORTED := $(MODEL)/assets.extra/kerasrun.json
LITE0 := models/efficientnet-lite0/assets.extra/kerasrun.json
SMALL := models/resnext50-32/assets.extra/kerasrun.json
PYTHON := .venv/bin/python
# The linters are a module of their own.
TOOL = $(GO) tool -modfile=internal/tools/go.mod
MODULES = GOPROXY=file://$(abspath $(OFFLINE))/modules GOSUMDB=off GOTOOLCHAIN=local
GO = . ./env.sh $(if $(OFFLINE),&& export $(MODULES)) && go
export PYTHONDONTWRITEBYTECODE = 1
export TF_CPP_MIN_LOG_LEVEL ?= 2

# Everything that can be tested without TensorFlow is tested under the race detector too.
PURE_FOLDERS := batch classify contract evaluate golden internal labels object preprocess \
	savedmodel score serve tensor
PURE := $(PURE_FOLDERS:%=./%/...)
GO_SOURCES := go.mod go.sum $(shell find $(PURE_FOLDERS) cmd/kerasrun runner \
	-name '*.go' -not -name '*_test.go' -o -name '*.[chs]' -o -name '*.html' -o -name VERSION)
EXPORTER := tools/pyproject.toml requirements.txt $(shell find tools/src testdata/photos -type f \
	-not -name "*.pyc" -not -path "*.egg-info/*")
# Without gRPC's ways to Google's stores, which nothing here uses: 20 MB of the program.
BUILD_TAGS := disable_grpc_modules
# Of tests that `make test` leaves out: the linters compile them.
TAGS := prove,cuda

.PHONY: help setup programs run test lint cross vulncheck test-go test-native test-race \
	test-python test-python-versions test-beam test-flink test-spark \
	test-spark-ray test-web test-stores test-clients test-dist \
	test-image dist prove-score prove-serve soak prove-trust digits fuzz fuzz-ops bench \
	bench-peers bench-growth gpu-check offline lock clean
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv and .tensorflow from pinned packages
	@scripts/setup.sh

# Synthetic weights give classes that mean nothing: then a trained model is shown beside them.
run: setup bin/kerasrun $(EXPORTED) ## set up, export, build, classify the sample photographs
	@if grep -q '"source": "synthetic' $(EXPORTED); then \
		$(MAKE) --no-print-directory $(LITE0) && scripts/beside.sh models/efficientnet-lite0 $(MODEL); \
	else bin/kerasrun classify --model $(MODEL) testdata/photos; fi

bin/kerasrun: $(GO_SOURCES) | setup
	@echo "build: bin/kerasrun"
	@$(GO) build -tags $(BUILD_TAGS) -o $@ ./cmd/kerasrun

models/resnext50/assets.extra/kerasrun.json: $(EXPORTER) | setup
	@.venv/bin/kerasrun-export resnext50 --weights imagenet --fallback-weights synthetic \
		--out models/resnext50

$(LITE0): $(EXPORTER) | setup
	@.venv/bin/kerasrun-export efficientnet-lite0 --weights imagenet --out models/efficientnet-lite0

# Without Python, a plain `go test` leaves tests out; here they fail.
test test-go test-race: export KERASRUN_REQUIRE_PYTHON = 1
# Go and Python side by side: each leaves cores idle. What a group prints is held until it ends, so
# that lines do not mix.
test: lint bin/kerasrun $(EXPORTED) $(LITE0) $(SMALL) ## every test, Go and Python, and the linters
	@echo "test: Go and Python side by side; each group prints when it ends, after some minutes"
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target \
		test-python test-go test-race test-web cross

lint: setup ## gofmt, go vet, staticcheck, ruff, actionlint, clang-format, gcc's warnings
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || \
		{ echo "gofmt: these files need it:"; echo "$$files"; exit 1; }
	@$(GO) vet -tags $(TAGS) ./...
	@$(TOOL) staticcheck -tags $(TAGS) ./...
	@$(TOOL) actionlint
	@.venv/bin/ruff check -q . && .venv/bin/ruff format -q --check .
	@.venv/bin/clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	@set -e; . ./env.sh; \
	for file in $$(go list -f '{{$$d := .Dir}}{{range .CFiles}}{{$$d}}/{{.}} {{end}}' ./...); do \
		$$(go env CC) $$CGO_CFLAGS -Wall -Wextra -Werror -c -o /dev/null $$file; done

CROSS := darwin/arm64 linux/arm64 windows/amd64
cross: ## vet the packages without TensorFlow and cgo for macOS, Linux on arm64 and Windows
	@set -e; . ./env.sh; export CGO_ENABLED=0; \
		pure=$$(CGO_ENABLED=1 go list \
			-f '{{if not .CgoFiles}}{{.ImportPath}} {{join .Deps " "}}{{end}}' ./... | \
			grep -v ' github.com/galeone/tensorflow/' | cut -d' ' -f1); \
		for platform in $(CROSS); do GOOS=$${platform%/*} GOARCH=$${platform#*/} go vet $$pure; done

vulncheck: ## look the dependencies up in Go's vulnerability database, at vuln.go.dev
	@$(TOOL) govulncheck -tags $(TAGS) ./...

test-go: programs bin/kerasrun $(EXPORTED) $(LITE0) $(SMALL) ## Go's tests; AVX-512 also emulated
	@$(GO) test -timeout 30m ./...
	@$(GO) test -timeout 30m -tags emulate_avx512 ./runner/internal/cpuconv
	@$(GO) -C serve/clienttest vet . && go -C serve/clienttest test -count=1 .

test-native: ## the C of convolutions and buffers, under gcc's sanitizers; without TensorFlow
	@scripts/test-native.sh

# Tests that only run other programs have no race to find; each decoder and resize runs in
# preprocess's tests too, many at a time.
test-race: programs ## the packages that need no TensorFlow, under the race detector
	@$(GO) test -race -short \
		$$(go list $(PURE) | grep -vE '/(preprocess/internal/|internal/(docstest|renamemodule)$$)')

test-python: setup bin/kerasrun $(SMALL) ## the tests of the exporter, kerasrun_batch and scripts
	@$(PYTHON) -m pytest -q --disable-warnings

test-python-versions: setup ## the exporter with the oldest and the newest TensorFlow, 1 GB
	@$(PYTHON) -m pytest -q --disable-warnings -m slow tools/tests/test_versions.py

test-beam: bin/kerasrun $(EXPORTED) ## the Beam pipeline, embedded and on a job server of its own
	@. ./env.sh && cd cmd/kerasrun-beam && go vet . && go test -count=1 .

test-spark-ray: bin/kerasrun $(SMALL) ## kerasrun_batch on PySpark 3.5 and 4 and on Ray, 2 GB
	@$(PYTHON) -m scripts.spark_ray --runs $(RUNS) $(ENGINES)
RUNS ?= 1
ENGINES ?= spark35 spark4 ray

test-flink: bin/kerasrun $(SMALL) ## the Beam pipeline on Flink, 1 GB (JDK 17, Maven)
	@$(PYTHON) -m scripts.flink_spark --runs $(RUNS) flink

test-spark: bin/kerasrun $(SMALL) ## the Beam pipeline on Spark, 1 GB (JDK 17, Maven)
	@$(PYTHON) -m scripts.flink_spark --runs $(RUNS) spark

prove-score: bin/kerasrun $(EXPORTED) $(SMALL) ## score: kills, memory, throughput
	@$(PYTHON) -m scripts.prove_score --model $(MODEL)

digits: bin/kerasrun ## train on digits, export, score in Go, compare with Keras
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m scripts.digits.loaders
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m scripts.digits

programs: setup ## Chromium and promtool, for tests: installed where that may be
	@scripts/programs.sh

test-web: programs ## the page in headless Chromium
	@$(GO) -C serve/webtest vet . && go -C serve/webtest test -count=1 .

.stores/installed: scripts/stores.sh | setup
	@scripts/stores.sh

test-stores: .stores/installed bin/kerasrun $(LITE0) ## object stores, a server of each (npm)
	@. ./env.sh && cd object/storetest && go vet . && \
		KERASRUN_STRICT=1 go test -count=1 -timeout 30m .

.clients/installed: scripts/clients.sh serve/clienttest/go.mod | setup
	@scripts/clients.sh

# Those of KServe and MLServer that other tests leave out, with Pythons of their own.
test-clients: .clients/installed bin/kerasrun $(LITE0) ## published clients and proxies, all of them
	@. ./env.sh && export KERASRUN_STRICT=1 && go -C serve/clienttest vet . && \
		go -C serve/clienttest test -count=1 . $(UPDATE) && \
		for client in kserve mlserver; do \
			KERASRUN_PYTHON=$(CURDIR)/.clients/$$client/bin/python \
				go test -count=1 -run "TestServingClients/$$client" ./serve || exit 1; done

dist: bin/kerasrun $(EXPORTED) ## a directory and a tarball that run without Go and Python
	@MODEL=$(MODEL) BUILD_TAGS=$(BUILD_TAGS) scripts/dist.sh

test-dist: dist ## that tarball in a bare Debian (root, debootstrap), and deploy/ by its validators
	@MODEL=$(MODEL) scripts/test-dist.sh

test-image: dist ## the images of deploy/ and examples/service, built and run (root, podman)
	@. ./env.sh && MODEL=$(MODEL) scripts/test-image.sh

$(SMALL): $(EXPORTER) | setup
	@.venv/bin/kerasrun-export resnext50 --image-size 32x32 --weights synthetic \
		--out models/resnext50-32

PROOFS ?= Memory|Throughput|Latency|Fairness|Overload|Shutdown|Swaps|CrossTalk
prove-serve: setup $(EXPORTED) $(LITE0) $(SMALL) ## what serve promises under load: 20 minutes
	@$(GO) test -count=1 -timeout 60m -tags prove -v -run 'TestProve.*($(PROOFS))' ./cmd/kerasrun

# Proofs draw anew each time; tests draw the same in every run.
soak prove-trust: export KERASRUN_SEED ?= new
SOAKTIME ?= 60s
soak: setup $(SMALL) ## memory over long runs: SOAKTIME a part at most
	@$(GO) test -count=1 -timeout 120m -tags prove -v -run TestProveMutants ./preprocess
	@$(GO) test -count=1 -timeout 120m -tags prove -v -run 'TestSoak|TestProveSwaps' \
		./cmd/kerasrun -args -soaktime $(SOAKTIME)

prove-trust: setup $(SMALL) ## damaged models, vast images, Keras's own exports: 10 minutes
	@$(GO) test -count=1 -timeout 60m -tags prove -v -run TestProveVast ./preprocess
	@$(GO) test -count=1 -timeout 60m -tags prove -v \
		-run 'TestProve(Damage|UnverifiedDamage|KerasExports)' ./runner

FUZZTIME ?= 10s
fuzz: setup ## each fuzz target for FUZZTIME
	@set -e; . ./env.sh; \
	for file in $$(grep -rl --include='*_test.go' '^func Fuzz' $(PURE_FOLDERS) runner); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "$$(dirname $$file) $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x \
				./$$(dirname $$file); \
		done; done

TRIES ?= 20000
fuzz-ops: setup bin/kerasrun ## each operation that models may use, TRIES times, in processes: hours
	@nice $(PYTHON) -m scripts.fuzzops --tries $(TRIES) --out out/fuzzops || \
		$(PYTHON) -m scripts.fuzzops.replay --out out/fuzzops --kerasrun bin/kerasrun

bench: bin/kerasrun $(EXPORTED) ## Go's benchmarks of each stage, readable by benchstat
	@$(GO) test -run '^$$' -bench . -benchmem ./preprocess/... ./runner/...

bench-peers: bin/kerasrun $(EXPORTED) ## other runtimes on the same weights and inputs, interleaved
	@.venv/bin/uv pip install -q --no-deps --python .venv/bin/python -r requirements-bench.txt
	@$(PYTHON) -m benchmarks
	@$(PYTHON) -m benchmarks.decoding
	@$(PYTHON) -m benchmarks.pipelines

bench-growth: bin/kerasrun $(EXPORTED) ## how cost grows with threads, batch and images (20 minutes)
	@$(PYTHON) -m benchmarks.growth --model $(MODEL)

DEVICE ?= gpu
gpu-check: TENSORFLOW = gpu
gpu-check: OFFLINE = $(wildcard $(CURDIR)/offline)
gpu-check: bin/kerasrun $(EXPORTED) ## with an NVIDIA GPU: parity and speed at each precision
	@$(GO) test -count=1 -tags cuda -run 'TestDriver|TestCUDALibraries' ./runner ./runner/internal/cuda
	@$(PYTHON) -m scripts.gpucheck --device $(DEVICE) --model $(MODEL)

offline: setup ## lay what gpu-check downloads into offline/, for a machine without network
	@mkdir -p offline/wheels
	@$(PYTHON) -m pip download -q --no-deps --only-binary=:all: -d offline/wheels \
		-r requirements-gpu.txt -r requirements-nodeps.txt
	@. ./env.sh && GOMODCACHE=$(CURDIR)/offline/gomod GOFLAGS=-modcacherw go mod download
	@rm -rf offline/modules && mv offline/gomod/cache/download offline/modules && rm -rf offline/gomod
	@du -sh offline

# Downloads and text models of keras-hub ask for these; importing it and its image models does not.
UNUSED := $(addprefix --no-emit-package ,tensorflow-text huggingface-hub \
	hf-xet httpx2 httpx2-jsfetch httpcore2 h11 anyio truststore fsspec filelock click)
lock: ## renew requirements.txt and requirements-gpu.txt from requirements.in
	@.venv/bin/uv pip compile requirements.in --python-version 3.11 --universal \
		--no-emit-package tensorflow $(UNUSED) \
		--no-annotate --no-header -q -o requirements.txt
	@sed 's/^tensorflow-cpu==/tensorflow[and-cuda]==/' requirements.in | \
		.venv/bin/uv pip compile - --python-version 3.11 --universal $(UNUSED) \
		--no-annotate --no-header -q -o requirements-gpu.txt

clean: ## remove what the targets made, except .venv and .tensorflow
	@rm -rf bin models dist out
