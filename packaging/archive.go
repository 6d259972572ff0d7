package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// writeArchive writes a platform's binary and what is shared: a zip for Windows,
// else a tar.gz.
func (r *release) writeArchive(t target, binary string) (err error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	files := maps.Clone(r.shared)
	files[filepath.Base(binary)] = data
	name := r.base(t) + ".tar.gz"
	write := r.writeTar
	if t.os == "windows" {
		name, write = r.base(t)+".zip", r.writeZip
	}
	if t.os != "linux" {
		maps.DeleteFunc(files, func(name string, _ []byte) bool { return strings.HasPrefix(name, unitDir+"/") })
	}
	file, err := os.OpenFile(filepath.Join(r.out, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return write(file, r.base(t), files)
}

func (r *release) writeTar(w io.Writer, top string, files map[string][]byte) error {
	packed, err := gzip.NewWriterLevel(w, gzip.DefaultCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(top, name), Size: int64(len(files[name])), Mode: int64(modeOf(name)), ModTime: r.when,
		})
		if err != nil {
			return err
		}
		if _, err := archive.Write(files[name]); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), packed.Close())
}

func (r *release) writeZip(w io.Writer, top string, files map[string][]byte) error {
	archive := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &zip.FileHeader{Name: path.Join(top, name), Method: zip.Deflate, Modified: r.when}
		header.SetMode(modeOf(name))
		part, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := part.Write(files[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

// writeSums writes SHA256SUMS over every file of a folder, as sha256sum -c reads
// it.
func writeSums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range entries {
		file, err := os.Open(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, file)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum.Sum(nil), entry.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(text.String()), 0o644)
}
