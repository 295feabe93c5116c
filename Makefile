# make demo    the main job on a real containerd, shown step by step
# make test    all checks and tests that need no other kernel
# make test-vm the tests that need physical NICs, in a virtual machine
# make test-k8s the shipped manifests on a real Kubernetes
# make test-containerd-1.7 the oldest containerd that is supported
# make test-crio CRI-O
# make test-dra the driver for Dynamic Resource Allocation, on a real Kubernetes
# make image   nri-netdev.tar, an OCI image archive
# make image-dra nri-netdev-dra.tar, the same of that driver
#
# They set up a Debian machine by themselves, as root, and leave nothing behind
# but packages and .cache.

BIN := .cache/bin
COMMIT := $(shell git describe --always --dirty 2>/dev/null)
PROGRAM := github.com/nri-netdev/nri-netdev/plugin/program
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X $(PROGRAM).release=$(or $(RELEASE),devel) -X $(PROGRAM).revision=$(COMMIT)'

# No test run ends by go test's own limit of ten minutes: these are for what hangs, and far
# above what a busy machine needs.
UNIT_LIMIT := -timeout 30m
NODE_LIMIT := -timeout 40m
SOAK_LIMIT := -timeout 120m

# Namespace tests mostly wait for the kernel: many run at a time.
GO_TEST := go test -race $(UNIT_LIMIT)

# Pods on a real runtime, each test on a node of its own. They wait more than they work.
NODE_TEST := go test -count=1 $(NODE_LIMIT) -parallel 6

.PHONY: build demo image test test-vm test-k8s test-containerd-1.7 test-crio build-dra image-dra test-dra lint unit containerd race fuzz soak bench bench-plots bench-compare setup setup-lint clean

build: setup
	@$(GO_BUILD) -o nri-netdev .

# The same bytes for the same commit; docker build makes one, too.
IMAGE ?= localhost/nri-netdev:devel
image: build
	@tests/setup image
	@$(BIN)/image nri-netdev $(IMAGE) nri-netdev.tar

build-dra: setup
	@cd dra && $(GO_BUILD) -o nri-netdev-dra .

image-dra: build-dra
	@tests/setup image
	@$(BIN)/image dra/nri-netdev-dra localhost/nri-netdev-dra:devel nri-netdev-dra.tar

demo: build
	@cd tests/e2e && go run ./demo ../../nri-netdev

test: lint unit containerd

lint: setup-lint
	$(BIN)/golangci-lint run --allow-parallel-runners ./...
	cd tests/e2e && ../../$(BIN)/golangci-lint run --allow-parallel-runners ./...
	cd tests/peers && ../../$(BIN)/golangci-lint run --allow-parallel-runners ./...
	cd dra && ../$(BIN)/golangci-lint run --allow-parallel-runners ./...

# Pure code, the engine on a kernel in memory, and on the real one in
# namespaces of its own.
unit: setup
	$(GO_TEST) -parallel 16 ./...
	go test -short $(UNIT_LIMIT) ./plugin # with what cannot run under the race detector

# The last package holds RTNL, which is the whole machine's, for seconds: it runs alone.
containerd: setup race
	@tests/setup containerds
	cd tests/e2e && $(NODE_TEST) ./demo ./node/...
	cd tests/e2e && $(NODE_TEST) .

# The program with the race detector, which these tests run: what it takes to build is not
# part of any limit.
race: setup
	@go build -race -o $(BIN)/nri-netdev-race .

# Tests that want physical NICs, udev, or kinds of devices that a kernel may lack, and
# the program, in an emulated machine of their own. Kinds that every kernel has are
# left to the unit tests.
VM_TESTS := TestWish$$|TestUplink$$|TestDropRule|TestKinds|TestPorts|TestBoundKinds|TestPhysical|TestReturnBridgeVLANs|TestReturnVLANTunnels|TestEntries|TestReturnGroups$$|TestReturnPotentialRouters|TestReturnQdisc|TestReturnWireguard|TestLoss
VM_SKIP := TestKinds/(veth|macvlan|macvtap|vxlan|ifb|tap|tun)$$
VM_GO_TEST := CGO_ENABLED=0 go test -count=1 -vet=off $(UNIT_LIMIT) -exec $(CURDIR)/tests/vm/run
test-vm:
	@tests/vm/setup
	@rm -f .cache/vm/restarts # go test does not show what a test says that passes
	$(VM_GO_TEST) -run TestScripts .
	$(VM_GO_TEST) -parallel 16 -run '$(VM_TESTS)' -skip '$(VM_SKIP)' ./netmove/kernel
	@[ ! -f .cache/vm/restarts ] || cat .cache/vm/restarts

# A real etcd, API server, controller manager, scheduler and kubelet, which are built
# from source once, and the shipped manifests on them.
test-k8s: setup
	@tests/setup image promql kubernetes
	cd tests/e2e && go test -count=1 $(NODE_LIMIT) -skip Scheduling ./cluster

# The driver's own tests, with a real API server, and all of it on a cluster of two nodes.
test-dra: setup
	@tests/setup image kubernetes
	cd dra && go test -count=1 $(UNIT_LIMIT) ./...
	cd tests/e2e && go test -count=1 $(NODE_LIMIT) -run Scheduling ./cluster

# The tests of containerd with other runtimes, but for what is about newer NRI or CDI, and for
# what tells nothing new of these.
MORE_SKIP := TestClaim|TestPluginKilledAfterPrepare|TestLevels|TestFailurePolicies|TestRequiredOfEveryPod|TestKernel|TestRestartsUnderPods|TestGenerated|TestChurn|TestShipped
test-containerd-1.7: setup race
	@tests/setup containerds
	cd tests/e2e && NRI_NETDEV_RUNTIME=1.7 $(NODE_TEST) -skip '$(MORE_SKIP)' .
test-crio: setup race
	@tests/setup crio
	cd tests/e2e && NRI_NETDEV_RUNTIME=crio $(NODE_TEST) -skip '$(MORE_SKIP)' .

# Not part of test: FUZZTIME on each fuzz target.
FUZZTIME ?= 1m
fuzz: setup
	go test -run '^$$' -fuzz FuzzAnnotation -fuzztime $(FUZZTIME) $(UNIT_LIMIT) ./config
	go test -run '^$$' -fuzz FuzzRequest -fuzztime $(FUZZTIME) $(UNIT_LIMIT) ./config
	go test -run '^$$' -fuzz FuzzNodeConfig -fuzztime $(FUZZTIME) $(UNIT_LIMIT) ./config

# Not part of test: more kills, more histories, more devices and pods at random. A run of
# test does a little of each, and CI more: .ci/run says how much.
soak: setup race
	NRI_NETDEV_HISTORIES=20000 go test -count=1 $(SOAK_LIMIT) -run RandomHistories ./plugin/...
	NRI_NETDEV_SEEDS=5000 go test -count=1 $(SOAK_LIMIT) -parallel 16 -run Generated ./netmove/kernel
	@tests/vm/setup
	NRI_NETDEV_SEEDS=300 $(VM_GO_TEST) $(SOAK_LIMIT) -parallel 16 -run Generated ./netmove/kernel
	@tests/setup image kubernetes containerds
	cd tests/e2e && NRI_NETDEV_CHURN=10m go test -count=1 $(SOAK_LIMIT) -v -run Churn ./cluster
	cd tests/e2e && NRI_NETDEV_KILLS=2000 go test -count=1 $(SOAK_LIMIT) -v -run Kills .
	cd tests/e2e && NRI_NETDEV_PODS=300 go test -count=1 $(SOAK_LIMIT) -v -run 'Generated|Churn' .

# Not part of test: figures, of docs/performance.md. On a machine that does nothing else.
# docs/performance.md says how long each takes.
ROUNDS ?= 200
PEERS := cd tests/peers && go run . -host-device "$$(go tool -n host-device)"
BENCHED := ./config ./netmove ./netmove/journal ./netmove/kernel ./plugin
bench: setup
	go test -run '^$$' -bench . $(BENCHED)
	$(PEERS) -rounds $(ROUNDS)
	cd tests/e2e && go test -run '^$$' -bench OtherPods -benchtime 100x -timeout 30m .
	cd tests/e2e && go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./scale

# Draws them: by addresses, by host interfaces, by devices of a pod, and all of one run.
PLOTS ?= docs/performance
bench-plots: setup
	mkdir -p .cache/plots
	$(PEERS) -rounds $(ROUNDS) -csv ../../.cache/plots/base.csv
	$(PEERS) -rounds 25 -peers bare,runc,engine,plugin -addresses 0,1,4,16,64 -csv ../../.cache/plots/addresses.csv
	$(PEERS) -rounds 25 -peers bare,runc,engine,plugin -interfaces 0,1000,5000 -csv ../../.cache/plots/interfaces.csv
	$(PEERS) -rounds 15 -peers bare,engine,plugin -devices 1,2,4,8,16 -csv ../../.cache/plots/devices.csv
	cd tests/peers && go run . plot -out ../../$(PLOTS) ../../.cache/plots/*.csv

# Compares with an earlier commit: make bench-compare BASE=HEAD~1. The two take turns, since
# machines are faster at one time than at another.
BASE ?= HEAD~1
COMPARED := go test -run '^$$' -bench . -benchtime 300ms ./config ./netmove ./netmove/journal
bench-compare: setup
	rm -rf .cache/base .cache/base.txt .cache/now.txt && git worktree prune && git worktree add --force --detach .cache/base $(BASE)
	for i in 1 2 3 4 5 6; do (cd .cache/base && $(COMPARED)) >>.cache/base.txt && $(COMPARED) >>.cache/now.txt || exit; done
	git worktree remove --force .cache/base
	cd tests/peers && go tool benchstat base=../../.cache/base.txt now=../../.cache/now.txt

setup:
	@tests/setup

setup-lint:
	@tests/setup lint

clean:
	rm -rf .cache nri-netdev nri-netdev.tar dra/nri-netdev-dra nri-netdev-dra.tar
