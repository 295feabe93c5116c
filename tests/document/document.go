// Package document compares the tables of documents with what they are made from.
package document

import (
	"os"
	"strings"
	"testing"
)

// writeEnv has the documents written in place of compared.
const writeEnv = "NRI_NETDEV_WRITE_DOCS"

// Section compares the part of a document between "<!-- NAME -->" and "<!-- end of NAME -->"
// with what it has to be, or writes it.
func Section(t *testing.T, path, name, want string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	is, after, closed := strings.Cut(rest, end)
	switch {
	case !found || !closed:
		t.Fatalf("%s has no place for %s", path, name)
	case os.Getenv(writeEnv) == "1":
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	case is != want:
		t.Errorf("%s: %s=1 go test -run %s writes %s as:\n%s", path, writeEnv, t.Name(), name, want)
	}
}
