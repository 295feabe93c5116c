package netmove

import (
	"errors"
	"fmt"
	"strings"
)

// answers is a namespace that does nothing, and answers by verb.
type answers struct {
	Namespace
	to       map[string]error
	found    map[string]int // the ifindexes of devices that ByName finds
	stacked  []Upper
	uppers   []Snapshot
	programs [][]Program // for each look; the last one stays
	asked    []string
}

func (ns *answers) ask(verb string, args ...any) error {
	ns.asked = append(ns.asked, strings.TrimSpace(verb+" "+fmt.Sprint(args...)))
	return ns.to[verb]
}

func (ns *answers) log() string { return strings.Join(ns.asked, ", ") }

func (ns *answers) PutEntry(_ int, e Entry) error           { return ns.ask("put", e.Text) }
func (ns *answers) DropEntry(_ int, e Entry) error          { return ns.ask("drop", e.Text) }
func (ns *answers) DropAddress(_ int, a Address) error      { return ns.ask("drop address", a.Local) }
func (ns *answers) SetUp(_ int, up bool) error              { return ns.ask("up", up) }
func (ns *answers) Delete(index int) error                  { return ns.ask("delete", index) }
func (ns *answers) Uppers(Snapshot) ([]Snapshot, error)     { return ns.uppers, ns.ask("uppers") }
func (ns *answers) AddRule(r RuleRequest) error             { return ns.ask("rule", r.Table) }
func (ns *answers) Detach(_ int, p Program) error           { return ns.ask("detach", p.ID) }
func (ns *answers) Reattach(_ int, p Program) error         { return ns.ask("reattach", p.ID) }
func (ns *answers) Unstack(u Upper) error                   { return ns.ask("unstack", u.Name) }
func (ns *answers) Stacked(Namespace, int) ([]Upper, error) { return ns.stacked, ns.ask("stacked") }

// Rename answers ErrBusy once, if it is to.
func (ns *answers) Rename(_ int, name string) error {
	err := ns.ask("rename", name)
	if err == ErrBusy { //nolint:errorlint // the very one
		delete(ns.to, "rename")
	}
	return err
}

// DropAltname takes the name from the device, unless the answer is ErrBusy.
func (ns *answers) DropAltname(_ int, name string) error {
	err := ns.ask("drop altname", name)
	if !errors.Is(err, ErrBusy) {
		delete(ns.found, name)
	}
	return err
}

func (ns *answers) NameTaken(name string) (bool, error) {
	_, taken := ns.found[name]
	return taken, ns.ask("taken", name)
}

func (ns *answers) ByName(name string) (Snapshot, error) {
	index, ok := ns.found[name]
	if err := ns.ask("look", name); err != nil || ok {
		return Snapshot{Identity: Identity{Index: index}}, err
	}
	return Snapshot{}, ErrNotFound
}

func (ns *answers) Programs(Snapshot) ([]Program, error) {
	var list []Program
	if len(ns.programs) > 0 {
		list = ns.programs[0]
	}
	if len(ns.programs) > 1 {
		ns.programs = ns.programs[1:]
	}
	err := ns.ask("programs")
	delete(ns.to, "programs")
	if later, ok := ns.to["programs again"]; ok {
		ns.to["programs"] = later
	}
	return list, err
}
