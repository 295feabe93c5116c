package netmove

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Text is a name or an alias as the kernel has it: bytes, which need not be UTF-8.
type Text string

// escapedText is a Text in JSON that a string of JSON cannot hold.
type escapedText struct {
	Escaped string `json:"escaped"` // in the notation of Go, such as "rack\xff"
}

// MarshalJSON writes a string, or an object with the bytes escaped if they are not UTF-8:
// encoding/json would put others in their place.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	quoted := strconv.QuoteToASCII(string(t))
	return json.Marshal(escapedText{quoted[1 : len(quoted)-1]})
}

// UnmarshalJSON reads what MarshalJSON wrote, and a string, which every text was in older
// records.
func (t *Text) UnmarshalJSON(b []byte) error {
	var plain string
	if err := json.Unmarshal(b, &plain); err == nil {
		*t = Text(plain)
		return nil
	}
	var escaped escapedText
	if err := json.Unmarshal(b, &escaped); err != nil {
		return fmt.Errorf("text %s: want a string, or an object with its bytes escaped: %w", b, err)
	}
	raw, err := strconv.Unquote(`"` + escaped.Escaped + `"`)
	if err != nil {
		return fmt.Errorf("text %s: escaped %q: %w", b, escaped.Escaped, err)
	}
	*t = Text(raw)
	return nil
}
