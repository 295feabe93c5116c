package workload

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Workload is a Kubernetes object that is a pod, or makes pods.
type Workload struct {
	Kind      string
	Namespace string // "default" if the object names none
	Name      string // of the object

	// Names are the names that its pods can have.
	Names Names

	// NoPods is true if the object has no pod template. All below is empty then.
	NoPods bool

	Annotations      map[string]string // of the pods
	HostNetwork      bool
	RuntimeClassName string
}

// String returns the object's namespace and name.
func (w Workload) String() string { return w.Namespace + "/" + w.Name }

// object has the fields of a Kubernetes object that tell what its pods ask for.
type object struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	Spec       json.RawMessage   `json:"spec"`
	Items      []json.RawMessage `json:"items"`
}

type metadata struct {
	Name         string            `json:"name"`
	GenerateName string            `json:"generateName"`
	Namespace    string            `json:"namespace"`
	Annotations  map[string]string `json:"annotations"`
}

// spec has the fields of every kind with pods; each kind uses some of them.
type spec struct {
	podSpec
	Template       *template `json:"template"`       // all but Pod and CronJob
	Replicas       *int      `json:"replicas"`       // StatefulSet
	CompletionMode string    `json:"completionMode"` // Job
	Completions    int       `json:"completions"`    // Job
	Ordinals       struct {
		Start int `json:"start"`
	} `json:"ordinals"` // StatefulSet
	JobTemplate struct {
		Spec *spec `json:"spec"`
	} `json:"jobTemplate"` // CronJob
}

type podSpec struct {
	HostNetwork      bool   `json:"hostNetwork"`
	RuntimeClassName string `json:"runtimeClassName"`
}

type template struct {
	Metadata metadata `json:"metadata"`
	Spec     podSpec  `json:"spec"`
}

// documentEnd matches the line at which kubectl ends a document.
var documentEnd = regexp.MustCompile(`(?m)^---.*$`)

// Read returns the objects of a file in its order, those in lists included. The
// file may hold several YAML documents, or JSON.
func Read(data []byte) ([]Workload, error) {
	var all []Workload
	for i, doc := range documentEnd.Split(string(data), -1) {
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err == nil && string(raw) != "null" {
			all, err = appendObject(all, raw, "")
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
	}
	return all, nil
}

// appendObject reads an object, or each object of a list. An item of a typed list, such
// as PodList, may leave out its kind.
func appendObject(all []Workload, raw json.RawMessage, kind string) ([]Workload, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	o.Kind = cmp.Or(o.Kind, kind)
	if o.Kind == "" {
		return nil, fmt.Errorf("no Kubernetes object: kind is missing")
	}
	if o.Items == nil {
		w, err := o.workload()
		return append(all, w), err
	}
	for i, item := range o.Items {
		var err error
		if all, err = appendObject(all, item, strings.TrimSuffix(o.Kind, "List")); err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return all, nil
}

// workload returns what the object's pods ask for.
func (o object) workload() (Workload, error) {
	w := Workload{Kind: o.Kind, Namespace: cmp.Or(o.Metadata.Namespace, "default"), Name: cmp.Or(o.Metadata.Name, o.Metadata.GenerateName)}
	s, t, err := o.template()
	switch {
	case err != nil:
		return w, fmt.Errorf("%s %s: %w", o.Kind, w, err)
	case t == nil:
		w.NoPods = true
		return w, nil
	case w.Name == "":
		return w, fmt.Errorf("%s: metadata.name is missing", o.Kind)
	}
	w.Annotations = t.Metadata.Annotations
	w.HostNetwork, w.RuntimeClassName = t.Spec.HostNetwork, t.Spec.RuntimeClassName
	if w.Names, err = podNames(o, s); err != nil {
		return w, fmt.Errorf("%s %s: %w", o.Kind, w, err)
	}
	return w, nil
}

// template returns the object's spec and its pod template, nil if there is none. The
// spec of a kind that is not Kubernetes' own may have any form.
func (o object) template() (s spec, t *template, err error) {
	if len(o.Spec) > 0 {
		err = json.Unmarshal(o.Spec, &s)
	}
	switch kind := o.known(); {
	case kind == "":
		if err != nil {
			return spec{}, nil, nil //nolint:nilerr // it is no pod template then
		}
		return s, s.Template, nil
	case err != nil:
		return s, nil, err
	case kind == "Pod":
		return s, &template{o.Metadata, s.podSpec}, nil
	case kind == "CronJob":
		if s.JobTemplate.Spec == nil {
			return s, nil, nil
		}
		return s, s.JobTemplate.Spec.Template, nil
	}
	return s, s.Template, nil
}

// known returns the kind if Kubernetes' own controller names its pods, else "". If the
// object names no API group, the kind alone counts.
func (o object) known() string {
	group, _, ok := strings.Cut(o.APIVersion, "/")
	switch {
	case !ok, group == "apps", group == "batch":
	default:
		return ""
	}
	switch o.Kind {
	case "Pod", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob":
		return o.Kind
	}
	return ""
}
