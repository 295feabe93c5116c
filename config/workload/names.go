package workload

import (
	"cmp"
	"fmt"
	"strconv"
)

// Names are the names that the pods of an object can have.
type Names struct {
	patterns []pattern
	text     string
}

// String shows the names to a person: "worker-0 to worker-2", "web-<hash>-<suffix>".
func (n Names) String() string { return n.text }

// pattern is a set of names. Character i of a name is one of places[i], and a name has min
// to len(places) characters.
type pattern struct {
	places []string
	min    int
}

// Limits of Kubernetes, in characters.
const (
	maxBase      = 58 // of a name to which a suffix is added; the rest is cut off
	suffixLength = 5
	maxHash      = 10 // of a template's hash, a decimal number of 32 bits
	maxName      = 63 // of a pod's name, which is its host name, too
)

// maxNumbered bounds how many pods with numbers in their names are judged.
const maxNumbered = 10_000

// Characters of names. The random ones exclude vowels, and digits that look like vowels.
const (
	digits    = "0123456789"
	random    = "bcdfghjklmnpqrstvwxz2456789"
	anyOfName = "abcdefghijklmnopqrstuvwxyz0123456789-."
)

func exactly(text string) pattern { return pattern{}.join(text) }

// then adds n places for any of the characters.
func (p pattern) then(characters string, n int) pattern {
	places := append([]string{}, p.places...)
	for range n {
		places = append(places, characters)
	}
	return pattern{places, len(places)}
}

// join adds text.
func (p pattern) join(text string) pattern {
	for i := range len(text) {
		p = p.then(text[i:i+1], 1)
	}
	return p
}

// cut keeps the first n characters.
func (p pattern) cut(n int) pattern {
	n = min(n, len(p.places))
	return pattern{p.places[:n], n}
}

// generated returns the names that the API server makes from generateName.
func (p pattern) generated() pattern { return p.cut(maxBase).then(random, suffixLength) }

// objectName returns the pattern of the object's own name, and its text for people.
func objectName(m metadata) (pattern, string) {
	if m.Name == "" {
		return exactly(m.GenerateName).generated(), m.GenerateName + "<suffix>"
	}
	return exactly(m.Name), m.Name
}

// podNames returns the names that the object's controller gives to its pods.
func podNames(o object, s spec) (Names, error) {
	name, text := objectName(o.Metadata)
	switch o.known() {
	case "Pod":
		return Names{[]pattern{name}, text}, nil
	case "ReplicationController", "ReplicaSet", "DaemonSet":
		return Names{[]pattern{name.join("-").generated()}, text + "-<suffix>"}, nil
	case "Deployment":
		return deploymentNames(name, text), nil
	case "StatefulSet":
		return statefulSetNames(name, text, s)
	case "Job":
		return jobNames(name, text, s)
	case "CronJob":
		// The job's name ends with its time in minutes since 1970: eight digits until 2160.
		return jobNames(name.join("-").then(digits, 8), text+"-<time>", *s.JobTemplate.Spec)
	}
	return anyNames(name, text), nil
}

// deploymentNames returns the names that a Deployment's ReplicaSets give. A hash has up to
// maxHash characters, and its length decides how much of the name is cut off.
func deploymentNames(name pattern, text string) Names {
	n := Names{text: text + "-<hash>-<suffix>"}
	for length := maxHash; length > 0; length-- {
		n.patterns = append(n.patterns, name.join("-").then(random, length).join("-").generated())
	}
	return n
}

func statefulSetNames(name pattern, text string, s spec) (Names, error) {
	replicas := 1
	if s.Replicas != nil {
		replicas = max(*s.Replicas, 1) // none now; the first one will be called so
	}
	if replicas > maxNumbered || s.Ordinals.Start < 0 {
		return Names{}, fmt.Errorf("replicas and ordinals.start: want at most %d replicas from 0 on", maxNumbered)
	}
	n, first, last := Names{}, s.Ordinals.Start, s.Ordinals.Start+replicas-1
	for i := first; i <= last; i++ {
		n.patterns = append(n.patterns, name.join("-"+strconv.Itoa(i)))
	}
	n.text = fmt.Sprintf("%s-%d", text, first)
	if first != last {
		n.text += fmt.Sprintf(" to %s-%d", text, last)
	}
	return n, nil
}

// jobNames returns the names of a Job's pods. An indexed Job puts the index before the
// suffix, and cuts its own name rather than the index.
func jobNames(name pattern, text string, s spec) (Names, error) {
	if s.CompletionMode != "Indexed" {
		return Names{[]pattern{name.join("-").generated()}, text + "-<suffix>"}, nil
	}
	if s.Completions > maxNumbered {
		return Names{}, fmt.Errorf("completions: want at most %d", maxNumbered)
	}
	n := Names{text: text + "-<index>-<suffix>"}
	for i := range cmp.Or(s.Completions, 1) {
		index := fmt.Sprintf("-%d-", i)
		n.patterns = append(n.patterns, name.cut(maxBase-len(index)).join(index).generated())
	}
	return n, nil
}

// anyNames returns all names, beginning with those that start with the object's name:
// nobody knows how the controller of another kind names its pods.
func anyNames(name pattern, text string) Names {
	own := name.join("-").cut(maxName - 1)
	own.places = own.then(anyOfName, maxName-own.min).places
	own.min++
	all := pattern{pattern{}.then(anyOfName, maxName).places, 1}
	return Names{[]pattern{own, all}, "of any name, such as " + text + "-…"}
}
