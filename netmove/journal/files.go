package journal

import (
	"io"
	"os"

	"github.com/google/renameio/v2"
)

// files are the operations of the journal on its folders, for tests to let them fail.
type files struct {
	readDir  func(folder string) ([]os.DirEntry, error)
	readFile func(path string) ([]byte, error)
	makeDir  func(folder string) error
	create   func(folder, path string) (pending, error)
	sync     func(folder string) error
	rename   func(from, to string) error
	remove   func(path string) error
}

// pending is a temporary file that is about to replace another.
type pending interface {
	io.Writer
	CloseAtomicallyReplace() error // fsync, close, rename
	Cleanup() error                // removes the temporary file, if it still exists
}

func osFiles() files {
	return files{
		readDir:  os.ReadDir,
		readFile: os.ReadFile,
		makeDir:  func(folder string) error { return os.MkdirAll(folder, 0o700) },
		create: func(folder, path string) (pending, error) {
			// With the folder named, renameio does not try whether another one will do.
			return renameio.NewPendingFile(path, renameio.WithTempDir(folder), renameio.WithPermissions(0o600))
		},
		sync:   syncFolder,
		rename: os.Rename,
		remove: os.Remove,
	}
}

// syncFolder makes renames and removals in the folder durable.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
