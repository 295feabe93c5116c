package doctor

import (
	"errors"
	"io/fs"

	"github.com/nri-netdev/nri-netdev/config"
)

// NodeConfig is the node config, in the file and in the running plugin.
type NodeConfig struct {
	Path string
	File *config.NodeConfig // what the file says, nil with Err
	Err  error              // why the file cannot be read, or is not valid

	Running bool   // a plugin runs
	Problem string // why the config that is in force in it allows nothing; "" if it is valid
}

// CheckNodeConfig judges the node config.
func CheckNodeConfig(c NodeConfig) Findings {
	const check = "node config"
	var f notes
	switch {
	case errors.Is(c.Err, fs.ErrNotExist) && c.Problem == "":
		f.add(check, Warn, "write one: without it nothing is allowed", "there is no %s", c.Path)
	case c.Err != nil && c.Problem != "":
		f.add(check, Fail, "correct it: it is read within 2 s",
			"the running plugin allows nothing, and only returns what is away: %v", c.Err)
	case c.Err != nil && c.Running:
		f.add(check, Fail, "correct it: the next plugin that starts allows nothing", "the running plugin keeps the last valid one: %v", c.Err)
	case c.Err != nil:
		f.add(check, Fail, "correct it: a plugin that starts allows nothing, and only returns what is away", "%v", c.Err)
	case c.Problem != "":
		f.add(check, Fail, "wait 2 s, then see whether the plugin reads this file (--config)",
			"%s is valid, but the running plugin allows nothing: %s", c.Path, c.Problem)
	case len(c.File.Allow) == 0:
		f.add(check, Warn, "add allow rules; nri-netdev devices shows what they match", "%s allows nothing", c.Path)
	default:
		f.add(check, OK, "", "%s is valid, allow rules: %d", c.Path, len(c.File.Allow))
	}
	return f.Findings
}
