# All that is needed is Go. "make run" and "make test" are the whole set-up.
export CGO_ENABLED = 0

.PHONY: run example build test e2e fuzz bench chain launches volume lint

# Watch this host, with the data in ./data, until Ctrl-C. As root that is all of it;
# otherwise it says what it can watch.
run: build
	./tidewaiter run --data ./data --policy examples/policy.yaml

# Hunt through the bundled example recording, print its finding.
example: build
	./tidewaiter hunt --policy examples/policy.yaml examples/recording

build:
	go build -trimpath -o tidewaiter ./cmd/tidewaiter

# Everything that needs no root and no network: some minutes.
# TIDEWAITER_SCHEDULES=100000 tries more orders of delivery, as CI does.
test:
	go vet ./...
	go vet -tags e2e ./e2e
	go test -timeout 45m ./...

# The built program as a process, on real recordings and, as root with Docker
# installed, on a recording that it makes with a real Docker Engine.
e2e: build
	go test -tags e2e -count=1 -timeout 50m ./e2e/...

# Every fuzz target for FUZZTIME (default 60s each).
FUZZTIME ?= 60s
fuzz:
	./.ci/fuzz $(FUZZTIME)

# Benchmarks, in a form that benchstat reads.
bench:
	go test -run '^$$' -bench . -benchmem -count 1 ./...

# A hundred true chains among 300,000 events and 200 that only look like one, in
# order and shuffled: how many are found, and how fast.
chain:
	go test -count=1 -v -run 'TestChain$$' ./traffic | grep -E 'of [0-9]+,|FAIL|ok'

# Twenty machines of strangers' images among a million that a group launches in
# a month: how many are found, and what memory that takes. Some ten minutes.
launches:
	go test -count=1 -v -timeout 60m -run 'TestLaunches$$' ./traffic -launches 1000000 | grep -E 'of [0-9]+,|FAIL|ok'

# A recording of some size, to measure with: make volume INTO=/tmp/day EVENTS=25000000
EVENTS ?= 2500000
volume:
	go test -count=1 -v -timeout 60m -run 'TestVolume$$' ./traffic -into $(INTO) -events $(EVENTS)
