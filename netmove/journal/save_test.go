package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
)

// The error of a write names the record's file, whatever temporary one it was about, and reads
// the same as long as its reason lasts.
func TestNamed(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nil, "<nil>"},
		{errors.New("no file"), "no file"},
		{&fs.PathError{Op: "write", Path: "/run/.a123", Err: fs.ErrInvalid}, "write /run/a.json: invalid argument"},
		{&os.LinkError{Op: "rename", Old: "/run/.a123", New: "/run/a.json", Err: fs.ErrExist}, "rename /run/a.json: file already exists"},
		{fmt.Errorf("wrapped: %w", &fs.PathError{Op: "sync", Path: "/run/.a123", Err: fs.ErrInvalid}), "sync /run/a.json: invalid argument"},
	} {
		if got := fmt.Sprint(named("/run/a.json", tc.err)); got != tc.want {
			t.Errorf("%v reads %q, want %q", tc.err, got, tc.want)
		}
	}
}
