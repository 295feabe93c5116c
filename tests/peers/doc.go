// Command peers measures how long it takes to give network devices to a pod and
// to take them back, by this program and by its peers:
//
//	bare         one RTM_NEWLINK a device, move and rename, over a socket that
//	             is open already: the least that the kernel does
//	runc         the sequence of runc's function for linux.netDevices (OCI),
//	             on the same netlink library, written anew; runc never takes a
//	             device back, so its return is the same sequence the other way
//	ip           a process, "ip link set DEVICE netns POD name NAME"
//	host-device  a process, the CNI plugin of that name, with its
//	             useInterfaceNetwork, by which addresses go along
//	engine       package netmove: snapshot, plan, attach; and return
//	plugin       the plugin as the runtime calls it, RunPodSandbox and
//	             StopPodSandbox: annotation, policy, journal, pin, and the engine
//
// Each round runs every peer once, in an order that is drawn anew, on the same
// devices: one end of a veth pair each, up, with permanent addresses, IPv4 and
// IPv6 in turn. The other end is in a third namespace. The pod is a namespace
// with nothing in it but lo, the same one in all rounds.
//
//	go run . -host-device "$(go tool -n host-device)"
//	go run . -addresses 0,1,4,16,64 -csv addresses.csv -peers bare,runc,engine
//	go run . plot -out plots addresses.csv
//
// It needs root and ip(8). It runs in a network and a mount namespace of its own,
// so that the machine's are not touched, and nothing is left of it even if it is
// killed.
//
// # What is measured
//
// The wall time of each operation; the part of it that the requests take which move
// devices, where that is known: not of processes; and the CPU time of this process
// and of those that it has started.
//
// A move waits under RTNL for an rcu_barrier, three to four ticks of the kernel's
// clock. That is most of the time, it is the same for all, and it comes in steps.
// What a peer adds to it is "outside the move".
//
// Before each operation the program waits until the kernel is done with what the
// last one has left it to do, such as the end of a namespace: until requests that
// need RTNL are answered at once, several times in a row. RTNL is the whole
// machine's, so what others do on the machine shows nevertheless.
//
// After each operation the devices are looked for where they should be, and their
// addresses are counted: not all peers do the same. Then, at home, they are made
// again what they were.
//
// # What is not
//
// The runtime's part: NRI, the start of a container. The CPU time of kernel threads.
// Physical NICs, whose drivers may take longer to go up.
package main
