package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The folder set-aside has a folder for each boot, named by its id: that of this boot has
// files whose boot is not known, that of an earlier one has its records, and what was set
// aside while it ran.

// setAside moves what is no record of this boot away; boot is "" if it is not known.
func (j *Journal) setAside(path, boot string) error {
	if boot == "" {
		boot = j.bootID
	}
	folder := filepath.Join(j.aside, boot)
	if err := j.files.makeDir(folder); err != nil {
		return err
	}
	return j.files.rename(path, filepath.Join(folder, filepath.Base(path)))
}

// WasSetAside reports whether a file for that sandbox was set aside that may be of this
// boot: what it said of the sandbox is not known, and may still be so.
func (j *Journal) WasSetAside(sandbox string) bool {
	_, err := os.Lstat(filepath.Join(j.aside, j.bootID, sandbox+suffix))
	return !errors.Is(err, fs.ErrNotExist)
}

// SetAside is how many files were set aside when the journal was opened.
func (j *Journal) SetAside() int { return j.setAsides }

// prune removes what was set aside of earlier boots, but for the last of them.
func (j *Journal) prune() []error {
	entries, err := j.files.readDir(j.aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []error{err}
	}
	var earlier []fs.FileInfo
	var errs []error
	for _, e := range entries {
		switch info, err := e.Info(); {
		case err != nil:
			errs = append(errs, err)
		case !e.IsDir(): // set aside by a program that knew no boots
			errs = append(errs, j.setAside(filepath.Join(j.aside, e.Name()), ""))
		case e.Name() != j.bootID:
			earlier = append(earlier, info)
		}
	}
	slices.SortFunc(earlier, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range earlier[min(1, len(earlier)):] {
		errs = append(errs, os.RemoveAll(filepath.Join(j.aside, info.Name())))
	}
	return errs
}
