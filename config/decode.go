package config

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decode reads text, a YAML document of at most maxBytes, as a value. Problems call
// the text path, "" for a file. A text without a document, such as an empty one,
// gives an absent value.
func decode(path, text string, maxBytes int) value {
	v := value{path: path, problems: &Problems{}}
	if err := scan(text, maxBytes); err != nil {
		v.refuse("%v", err)
		return v
	}
	root, err := parse(text)
	if err == nil && root != nil {
		err = checkPlain(root, text)
	}
	if err != nil {
		v.refuse("%v", err)
		return v
	}
	v.node = root
	return v
}

// parse returns the root of the only document in text, nil if there is none.
func parse(text string) (root *yaml.Node, err error) {
	// The parser panics in states that it believes impossible, and some were possible
	// (CVE-2022-28948). A stranger wrote the text, and no pod may end the plugin.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, errors.New("not YAML")
		}
	}()
	var document, next yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntaxError(err)
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		return nil, errors.New("more than one YAML document: only one is read")
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(err)
	}
	return document.Content[0], nil
}

// syntaxError shortens the parser's error, which may quote a name of any length.
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return fmt.Errorf("not YAML: %s", shorten(text, maxYAMLError))
}

// checkPlain refuses anchors, aliases and tags. Aliases make a short text long, tags
// change what a word means, and nothing here needs either. A merge key "<<" is an
// unknown field.
func checkPlain(root *yaml.Node, text string) error {
	var lines [][]rune
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, []rune(line))
	}
	if n := findMarked(root, lines); n != nil {
		return fmt.Errorf("line %d: anchors (&), aliases (*) and tags (!) are not allowed", n.Line)
	}
	return nil
}

// findMarked returns the first node under n with an anchor, an alias or a tag. It looks
// at the text, since a node does not keep the tag "!".
func findMarked(n *yaml.Node, lines [][]rune) *yaml.Node {
	if strings.ContainsRune("&*!", firstCharacter(n, lines)) {
		return n
	}
	for _, child := range n.Content {
		if marked := findMarked(child, lines); marked != nil {
			return marked
		}
	}
	return nil
}

// firstCharacter returns the first character of a node with its anchor or tag. It
// returns 0 for a node that is not written, such as the value in "a:": its place may
// be beyond the end of the line or of the text.
func firstCharacter(n *yaml.Node, lines [][]rune) rune {
	if n.Line > len(lines) || n.Column > len(lines[n.Line-1]) {
		return 0
	}
	return lines[n.Line-1][n.Column-1]
}
