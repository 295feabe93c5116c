# make demo    the main job on a real containerd, shown step by step
# make test    all checks and tests that need no other kernel
# make test-vm the tests that need physical NICs, in a virtual machine
# make test-k8s the shipped manifests on a real Kubernetes
# make test-containerd-1.7 the oldest containerd that is supported
# make test-crio CRI-O
# make image   nri-netdev.tar, an OCI image archive
#
# They set up a Debian machine by themselves, as root, and leave nothing behind
# but packages and .cache.

BIN := .cache/bin
COMMIT := $(shell git describe --always --dirty 2>/dev/null)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.release=$(or $(RELEASE),devel) -X main.revision=$(COMMIT)'

# Namespace tests mostly wait for the kernel: many run at a time.
GO_TEST := go test -race

.PHONY: build demo image test test-vm test-k8s test-containerd-1.7 test-crio lint unit containerd fuzz soak bench bench-plots bench-compare setup setup-lint clean

build: setup
	@$(GO_BUILD) -o nri-netdev .

# The same bytes for the same commit; docker build makes one, too.
IMAGE ?= localhost/nri-netdev:devel
image: build
	@tests/setup image
	@$(BIN)/image nri-netdev $(IMAGE) nri-netdev.tar

demo: build
	@cd tests/e2e && go run ./demo ../../nri-netdev

test: lint unit containerd

lint: setup-lint
	$(BIN)/golangci-lint run ./...
	cd tests/e2e && ../../$(BIN)/golangci-lint run ./...
	cd tests/peers && ../../$(BIN)/golangci-lint run ./...

# Pure code, the engine on a kernel in memory, and on the real one in
# namespaces of its own.
unit: setup
	$(GO_TEST) -parallel 16 ./...
	go test -short ./plugin # with what cannot run under the race detector

# Pods on a real containerd, each test on a node of its own. The last package
# holds RTNL, which is the whole machine's, for seconds: it runs alone.
containerd: setup
	@tests/setup containerds
	cd tests/e2e && go test -count=1 ./demo ./node/...
	cd tests/e2e && go test -count=1 -parallel 6 .

# Tests that want physical NICs, udev, or kinds of devices that a kernel may lack, and
# the program, in an emulated machine of their own. Kinds that every kernel has are
# left to the unit tests.
VM_TESTS := TestWish$$|TestDropRule|TestKinds|TestPorts|TestBoundKinds|TestPhysical|TestReturnBridgeVLANs|TestReturnQdisc|TestReturnWireguard|TestLoss
VM_SKIP := TestKinds/(veth|macvlan|macvtap|vxlan|ifb|tap|tun)$$
VM_GO_TEST := CGO_ENABLED=0 go test -count=1 -vet=off -timeout 20m -exec $(CURDIR)/tests/vm/run
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
	cd tests/e2e && go test -count=1 ./cluster

# The tests of containerd with other runtimes, but for what is about newer NRI, and for
# what tells nothing new of these.
MORE_SKIP := TestLevels|TestFailurePolicies|TestRequiredOfEveryPod|TestKernel|TestRestartsUnderPods|TestGenerated|TestChurn|TestShipped
test-containerd-1.7: setup
	@tests/setup containerds
	cd tests/e2e && NRI_NETDEV_RUNTIME=1.7 go test -count=1 -parallel 6 -skip '$(MORE_SKIP)' .
test-crio: setup
	@tests/setup crio
	cd tests/e2e && NRI_NETDEV_RUNTIME=crio go test -count=1 -parallel 6 -skip '$(MORE_SKIP)' .

# Not part of test: FUZZTIME on each fuzz target.
FUZZTIME ?= 1m
fuzz: setup
	go test -run '^$$' -fuzz FuzzAnnotation -fuzztime $(FUZZTIME) ./config
	go test -run '^$$' -fuzz FuzzRequest -fuzztime $(FUZZTIME) ./config
	go test -run '^$$' -fuzz FuzzNodeConfig -fuzztime $(FUZZTIME) ./config

# Not part of test: more kills, more histories, more devices at random.
soak: setup
	NRI_NETDEV_HISTORIES=20000 go test -count=1 -run RandomHistories ./plugin
	NRI_NETDEV_SEEDS=5000 go test -count=1 -timeout 60m -parallel 16 -run Generated ./netmove/kernel
	@tests/vm/setup
	NRI_NETDEV_SEEDS=300 $(VM_GO_TEST) -timeout 30m -parallel 16 -run Generated ./netmove/kernel
	@tests/setup image kubernetes
	cd tests/e2e && NRI_NETDEV_CHURN=10m go test -count=1 -timeout 30m -v -run Churn ./cluster
	cd tests/e2e && NRI_NETDEV_KILLS=2000 go test -count=1 -timeout 60m -v -run Kills .

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
	rm -rf .cache nri-netdev nri-netdev.tar
