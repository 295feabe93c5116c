package kernel_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Rules about the device's addresses go along with the tables they lead to, are gone from the pod
// with the device, and work on the host again. A process that starts anew knows them.
func TestRulesAlong(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, name := range []string{"rail0", "rail1"} {
		n.veth(t, name)
	}
	n.host.Shell(t, `
		ip link set rail0 up
		ip link set rail1 up
		ip addr add 172.16.20.193/24 dev rail0
		ip addr add 2001:db8:20::193/64 dev rail0 nodad
		ip addr add 172.16.21.193/24 dev rail1
		ip route add default via 172.16.20.253 dev rail0 table 1000
		ip -6 route add default via 2001:db8:20::fd dev rail0 table 1000
		ip route add default via 172.16.21.253 dev rail1 table 1001
		ip rule add from 172.16.20.193 lookup 1000 priority 500
		ip rule add to 172.16.20.193 lookup 1000 priority 501 protocol 77
		ip rule add from 172.16.20.193 fwmark 0x10/0xf0 lookup 1000 suppress_prefixlength 8 priority 502
		ip rule add from 172.16.20.193 iif rail1 lookup 1000 priority 503
		ip -6 rule add from 2001:db8:20::193 lookup 1000 priority 500
		ip rule add from 172.16.21.193 lookup 1001 priority 500
		ip rule add from 172.16.22.193 lookup 1002 priority 500`)
	rules := func(ns interface {
		IP(testing.TB, ...string) string
	},
	) string {
		return ns.IP(t, "-4 rule") + ns.IP(t, "-6 rule")
	}
	onHost, inPod := rules(n.host), rules(n.pod)
	dumps := map[string]string{"rail0": n.host.Settled(t, "rail0"), "rail1": n.host.Settled(t, "rail1")}
	plan := n.attach(t, netmove.Request{Device: "rail0", PodName: "net1"}, netmove.Request{Device: "rail1", PodName: "net2"})
	for from, dev := range map[string]string{"172.16.20.193": "net1", "172.16.21.193": "net2", "2001:db8:20::193": "net1"} {
		to := "198.51.100.9"
		if strings.Contains(from, ":") {
			to = "2001:db8:99::9"
		}
		if got := n.pod.IP(t, "route get "+to+" from "+from); !strings.Contains(got, "dev "+dev) {
			t.Errorf("from %s: %s", from, got)
		}
	}
	want := strings.ReplaceAll(onHost, "503:\tfrom 172.16.20.193 iif rail1 [detached] lookup 1000\n", "")
	want = strings.ReplaceAll(want, "503:\tfrom 172.16.20.193 iif rail1 lookup 1000\n", "")
	want = strings.ReplaceAll(want, "500:\tfrom 172.16.22.193 lookup 1002\n", "")
	sameText(t, "rules in the pod", want, rules(n.pod))
	if told := plan[0].Differences; len(told) != 1 || !strings.Contains(told[0].String(), "priority 503 stays on the host") {
		t.Errorf("told %v", told)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	plan = nil
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	n.giveBack(t, plan)
	sameText(t, "rules on the host", onHost, rules(n.host))
	sameText(t, "rules in the pod", inPod, rules(n.pod))
	for dev, dump := range dumps {
		n.host.SameDump(t, dev, dump)
	}
	if got := n.host.IP(t, "route get 198.51.100.9 from 172.16.20.193"); !strings.Contains(got, "dev rail0") {
		t.Errorf("on the host: %s", got)
	}
}

// A rule at a priority of the pod's own is refused if it is asked for, and stays if it is not.
func TestRulePriorities(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, "ip link set eth1 up; ip addr add 192.0.2.1/24 dev eth1; ip rule add from 192.0.2.1 lookup 100 priority 300")
	n.pod.IP(t, "rule add from 10.0.0.1 lookup 7 priority 300")
	asked := netmove.Request{Device: "eth1", Rules: []netmove.RuleRequest{{From: prefix("192.0.2.1/32"), Table: 100, Priority: 300}}}
	plan, err := n.plan(asked)
	if err == nil {
		err = n.mover.Prepare(n.podNS, plan)
	}
	if err == nil || !strings.Contains(err.Error(), `the pod has a rule of that priority, "from 10.0.0.1/32 lookup 7 priority 300"`) {
		t.Errorf("error is %v", err)
	}
	before := n.pod.IP(t, "rule")
	plan = n.attach(t, netmove.Request{Device: "eth1"})
	if told := plan[0].Differences; len(told) != 1 || !strings.Contains(told[0].String(), "the pod has a rule of that priority") {
		t.Errorf("told %v", told)
	}
	n.giveBack(t, plan)
	sameText(t, "rules in the pod", before, n.pod.IP(t, "rule"))
}
