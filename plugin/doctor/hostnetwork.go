package doctor

// CheckHostNetwork judges whether this process is in the network namespace of pid 1. err
// says why that is unknown.
func CheckHostNetwork(same bool, err error) Findings {
	const check = "host network"
	var f notes
	switch {
	case err != nil:
		f.add(check, Fail, "run as root in the host's pid namespace: hostPID in a pod", "%v", err)
	case !same:
		f.add(check, Fail, "in a pod, set hostNetwork and hostPID", "this is not the network namespace of pid 1")
	default:
		f.add(check, OK, "", "this is the network namespace of pid 1")
	}
	return f.Findings
}
