package onboarding

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// What a package may be at most; a real one is about 10 KB.
const (
	maxFile         = 1 << 20
	maxArchive      = 4 << 20
	maxUnpacked     = 8 << 20
	maxArchiveFiles = 64
)

// ArchiveName is the file name of a component's edge package.
func ArchiveName(component string) string { return packagePrefix + component + ".tar.gz" }

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

// ReadPackage reads an edge package that may come from anybody: size first, then
// regular files and folders below one top folder only, and the checksums over
// them. It writes nothing.
func ReadPackage(r io.Reader) ([]File, error) {
	archive, err := io.ReadAll(io.LimitReader(r, maxArchive+1))
	if err != nil {
		return nil, fmt.Errorf("read edge package: %w", err)
	}
	if len(archive) > maxArchive {
		return nil, fmt.Errorf("read edge package: it is larger than %d bytes", maxArchive)
	}
	files, err := unpack(archive)
	if err != nil {
		return nil, fmt.Errorf("read edge package: %w", err)
	}
	if err := verifyChecksums(files); err != nil {
		return nil, fmt.Errorf("read edge package: %w", err)
	}
	return files, nil
}

func unpack(archive []byte) ([]File, error) {
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	// The limit is on what comes out, headers included.
	limited := &io.LimitedReader{R: compressed, N: maxUnpacked}
	entries := tar.NewReader(limited)
	var files []File
	seen := map[string]bool{}
	for n := 0; ; n++ {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) && limited.N > 0 {
			return files, nil
		}
		if limited.N <= 0 || n >= maxArchiveFiles {
			return nil, fmt.Errorf("it unpacks to more than %d bytes or %d files", maxUnpacked, maxArchiveFiles)
		}
		if err != nil {
			return nil, err
		}
		name, err := entryName(header)
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if seen[name] || len(files) > 0 && topFolder(name) != topFolder(files[0].Path) {
			return nil, fmt.Errorf("%q is there twice or not below the package's folder", name)
		}
		seen[name] = true
		data, err := readLimited(entries, name)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: name, Mode: fs.FileMode(header.Mode) & 0o755, Data: data, ModTime: header.ModTime})
	}
}

// entryName is the entry's name if it is a file or folder below a package's.
func entryName(header *tar.Header) (string, error) {
	if header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeDir {
		return "", fmt.Errorf("%q is neither a file nor a folder", header.Name)
	}
	name := strings.TrimSuffix(header.Name, "/")
	// fs.ValidPath leaves no empty, "." or ".." element and no leading slash.
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00:") || printable(name) != name || !strings.HasPrefix(name, packagePrefix) {
		return "", fmt.Errorf("%q is not a name below a package's folder", header.Name)
	}
	if header.Typeflag == tar.TypeReg && !strings.Contains(name, "/") {
		return "", fmt.Errorf("%q is not in the package's folder", header.Name)
	}
	return name, nil
}

// verifyChecksums wants every file but the list itself listed, and right.
func verifyChecksums(files []File) error {
	var sums []byte
	var listed []File
	for _, f := range files {
		_, name, _ := strings.Cut(f.Path, "/")
		if name == sumsFile {
			sums = f.Data
			continue
		}
		listed = append(listed, File{Path: name, Data: f.Data})
	}
	if sums == nil {
		return errors.New("there is no " + sumsFile)
	}
	want := strings.Split(strings.TrimSuffix(string(sums), "\n"), "\n")
	got := strings.Split(strings.TrimSuffix(string(checksums(listed)), "\n"), "\n")
	if len(want) != len(got) {
		return fmt.Errorf("%s lists %d files, there are %d", sumsFile, len(want), len(got))
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			return fmt.Errorf("a file was changed: %s does not list %q", sumsFile, line)
		}
	}
	return nil
}

// WriteFolder unpacks a package's files into dir, whole or not at all: their
// folder must not be there yet (fs.ErrExist). Nothing is written outside dir,
// whatever the names and whatever links lie in it.
func WriteFolder(dir string, files []File) error {
	if len(files) == 0 {
		return errors.New("unpack edge package: there are no files")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack edge package: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack edge package: %w", err)
	}
	defer func() { _ = root.Close() }()
	top := topFolder(files[0].Path)
	if _, err := root.Lstat(top); err == nil {
		return fmt.Errorf("unpack edge package: %w: %s", fs.ErrExist, filepath.Join(dir, top))
	}
	err = writeBelow(root, top, files)
	if err == nil {
		err = root.Rename(top+next, top)
	}
	if err != nil {
		return fmt.Errorf("unpack edge package: %w", errors.Join(err, root.RemoveAll(top+next)))
	}
	return nil
}

// writeBelow writes the files of folder top beside it.
func writeBelow(root *os.Root, top string, files []File) error {
	if err := root.RemoveAll(top + next); err != nil {
		return err
	}
	for _, f := range files {
		below, ok := strings.CutPrefix(f.Path, top+"/")
		if !ok || !fs.ValidPath(below) {
			return fmt.Errorf("%q is not below %s", f.Path, top)
		}
		name := path.Join(top+next, below)
		if err := root.MkdirAll(path.Dir(name), folderMode(path.Dir(name))); err != nil {
			return err
		}
		file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
		if err != nil {
			return err
		}
		_, err = file.Write(f.Data)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
