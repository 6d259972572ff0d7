package onboarding

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ArchiveName is the file name of a component's edge package.
func ArchiveName(component string) string { return PackageFolder(component) + ".tar.gz" }

// PackageFolder is the folder an edge package unpacks to.
func PackageFolder(component string) string { return packagePrefix + component }

// WritePackage writes the files PackageFiles made as a .tar.gz into dir and
// returns its path. It is readable by its owner only: there is a key in it.
func WritePackage(dir string, files []File) (string, error) {
	archive, err := pack(files)
	if err != nil {
		return "", fmt.Errorf("write edge package: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("write edge package: %w", err)
	}
	target := filepath.Join(dir, topFolder(files[0].Path)+".tar.gz")
	if err := replaceFile(target, 0o600, archive); err != nil {
		return "", fmt.Errorf("write edge package: %w", err)
	}
	return target, nil
}

func topFolder(name string) string {
	top, _, _ := strings.Cut(name, "/")
	return top
}

// pack is deterministic: names, modes, times and contents come from the files,
// owners are nobody's.
func pack(files []File) ([]byte, error) {
	if len(files) == 0 {
		return nil, errors.New("there are no files")
	}
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	made := map[string]bool{}
	for _, f := range files {
		if err := packFolders(archive, f, made); err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data)), ModTime: f.ModTime, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// packFolders names the folders above a file once, so that the one with the key
// is private whatever the umask of who unpacks.
func packFolders(archive *tar.Writer, f File, made map[string]bool) error {
	var above []string
	for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
		above = append([]string{dir}, above...)
	}
	for _, dir := range above {
		if made[dir] {
			continue
		}
		made[dir] = true
		header := &tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: int64(folderMode(dir)), ModTime: f.ModTime, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
	}
	return nil
}

func folderMode(dir string) fs.FileMode {
	if path.Base(dir) == CertDir {
		return 0o700
	}
	return 0o755
}
