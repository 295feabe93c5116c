package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every invariant of the code stands in docs/architecture.md with the test that names it, and
// the other way round.
func TestInvariants(t *testing.T) {
	code, tests := invariants(t)
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "## Invariants")
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| ([^`|]+) \\| `[^|]+` \\| `(Test\\w+)` \\|$").FindAllStringSubmatch(table, -1) {
		rows[m[1]] = m[2]
	}
	if len(code) < 8 {
		t.Errorf("only %d invariants are found in the code", len(code))
	}
	for text := range code {
		if rows[text] == "" {
			t.Errorf("docs/architecture.md lacks: %s", text)
		}
	}
	for text, test := range rows {
		switch {
		case !code[text]:
			t.Errorf("no code says: %s", text)
		case !tests[text][test]:
			t.Errorf("%s does not name: %s", test, text)
		}
	}
}

// invariants finds those that comments of the code name, and for each the tests whose comments
// do.
func invariants(t *testing.T) (code map[string]bool, tests map[string]map[string]bool) {
	t.Helper()
	code, tests = map[string]bool{}, map[string]map[string]bool{}
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasPrefix(path, ".cache") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			for _, group := range file.Comments {
				for _, text := range named(group.Text()) {
					code[text] = true
				}
			}
			return nil
		}
		for _, object := range testFunctions(file) {
			for _, text := range named(object.Doc.Text()) {
				if tests[text] == nil {
					tests[text] = map[string]bool{}
				}
				tests[text][object.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return code, tests
}

// named are the invariants that a comment names: what follows the word up to the next mark.
func named(comment string) (list []string) {
	text := strings.Join(strings.Fields(comment), " ")
	for _, m := range regexp.MustCompile(`Invariant: ([^.,:;]+)`).FindAllStringSubmatch(text, -1) {
		list = append(list, strings.TrimSpace(m[1]))
	}
	return list
}

// testFunctions are the functions of a file that are tests.
func testFunctions(file *ast.File) (list []*ast.FuncDecl) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
			list = append(list, f)
		}
	}
	return list
}
