package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nri-netdev": main})
}

// TestScripts runs the program as a person does, in namespaces of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "tests/script",
		Condition: func(cond string) (bool, error) {
			return cond == "root" && os.Geteuid() == 0, nil
		},
		Setup: func(*testscript.Env) error {
			if os.Geteuid() != 0 {
				nstest.Unavailable(t, "netns", "scripts need root")
			}
			return nil
		},
	})
}
