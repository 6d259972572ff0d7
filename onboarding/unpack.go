package onboarding

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	files, err := readEntries(tar.NewReader(limited))
	if limited.N <= 0 {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", maxUnpacked)
	}
	return files, err
}

func readEntries(entries *tar.Reader) ([]File, error) {
	var files []File
	seen := map[string]bool{}
	for range maxArchiveFiles {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
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
	return nil, fmt.Errorf("it unpacks to more than %d files and folders", maxArchiveFiles)
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
