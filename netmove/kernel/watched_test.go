package kernel_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// waits lists the calls that can wait for a lock of the kernel or for a file system.
func waits() map[string]bool {
	list := map[string]bool{}
	for name := range strings.FieldsSeq(`netns.GetFromPath netns.GetFromPid netns.Set unix.Setns unix.Mount unix.Unmount
		unix.Stat unix.Fsopen unix.FsconfigCreate unix.Fsmount unix.Sendto unix.Recvfrom unix.Write unix.Syscall
		unix.IoctlRetInt unix.IoctlIfreq nl.GetNetlinkSocketAt os.Open os.OpenFile os.ReadFile os.WriteFile
		os.ReadDir os.MkdirAll os.Remove filepath.Glob ebpf.NewProgramFromID bpflink.NewFromID
		bpflink.QueryPrograms bpflink.RawAttachProgram bpflink.RawDetachProgram it.Next Link.Info l.Detach`) {
		list[name] = true
	}
	return list
}

// Invariant: no function makes a kernel of its own, and what can wait is called under a
// watch: in a function that watches itself, in Namespace.do, or in one that only such call.
func TestWatched(t *testing.T) {
	t.Parallel()
	c := calls{watched: map[string]bool{}, from: map[string][]call{}}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				c.add(t, f)
			}
		}
	}
	if len(c.from["unix.Mount"]) == 0 || len(c.from["netns.GetFromPath"]) == 0 {
		t.Error("the package mounts and opens nothing: what does it do instead?")
	}
	for name := range waits() {
		for _, call := range c.from[name] {
			if !c.under(call, map[string]bool{}) {
				t.Errorf("%s calls %s without a watch", call.by, name)
			}
		}
	}
}

// call is one place in a function that calls another one.
type call struct {
	by string
	in bool // in an argument of Namespace.do
}

type calls struct {
	watched map[string]bool   // functions that watch themselves
	from    map[string][]call // by what is called
}

// add takes in the calls of a function.
func (c *calls) add(t *testing.T, f *ast.FuncDecl) {
	t.Helper()
	by := f.Name.Name
	var visit func(n ast.Node, in bool)
	visit = func(root ast.Node, in bool) {
		ast.Inspect(root, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if name, ok := n.Type.(*ast.Ident); ok && name.Name == "Linux" {
					t.Errorf("%s makes a kernel of its own, which watches nothing", by)
				}
			case *ast.CallExpr:
				name := called(n.Fun)
				c.watched[by] = c.watched[by] || strings.HasSuffix(name, ".watch")
				c.from[name] = append(c.from[name], call{by, in})
				if strings.HasSuffix(name, ".do") {
					for _, arg := range n.Args {
						c.from[called(arg)] = append(c.from[called(arg)], call{by, true})
						visit(arg, true)
					}
					return false
				}
			}
			return true
		})
	}
	visit(f.Body, false)
}

// called is the name of what is called, with the last word before it: "unix.Mount",
// "sysfs.device", "uppers".
func called(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		if of := called(fun.X); of != "" {
			return of[strings.LastIndex(of, ".")+1:] + "." + fun.Sel.Name
		}
	}
	return ""
}

// under reports whether the call is under a watch, wherever it comes from.
func (c *calls) under(at call, seen map[string]bool) bool {
	if at.in || c.watched[at.by] {
		return true
	}
	if ast.IsExported(at.by) {
		return false // anybody may call it
	}
	if seen[at.by] {
		return true // of a circle, what leads to it counts
	}
	seen[at.by] = true
	callers := 0
	for name, from := range c.from {
		if name != at.by && !strings.HasSuffix(name, "."+at.by) {
			continue
		}
		for _, outer := range from {
			callers++
			if !c.under(outer, seen) {
				return false
			}
		}
	}
	return callers > 0
}
