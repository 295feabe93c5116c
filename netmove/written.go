package netmove

import "encoding/json"

// plainSnapshot is a Snapshot without methods.
type plainSnapshot Snapshot

// writtenSnapshot is a Snapshot as it stands in a record: its text is bytes.
type writtenSnapshot struct {
	Name     Text   `json:"name"`
	Altnames []Text `json:"altnames,omitempty"`
	Alias    Text   `json:"alias,omitempty"`
	plainSnapshot
}

// MarshalJSON writes the fields that have names.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	return json.Marshal(writtenSnapshot{Text(s.Name), texts(s.Altnames), Text(s.Alias), plainSnapshot(s)})
}

// UnmarshalJSON reads what MarshalJSON wrote, and records of older versions.
func (s *Snapshot) UnmarshalJSON(b []byte) error {
	var w writtenSnapshot
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*s = Snapshot(w.plainSnapshot)
	s.Name, s.Alias, s.Altnames = string(w.Name), string(w.Alias), nil
	for _, alt := range w.Altnames {
		s.Altnames = append(s.Altnames, string(alt))
	}
	return nil
}

func texts(list []string) []Text {
	var written []Text
	for _, s := range list {
		written = append(written, Text(s))
	}
	return written
}
