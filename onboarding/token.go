package onboarding

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxToken is far above what a join token has.
const maxToken = 16 << 10

// TokenName is the file name of a component's join token.
func TokenName(component string) string { return "join-token-" + component + ".jwt" }

// WriteToken writes a join token into dir, readable by its owner only, and
// returns its path.
func WriteToken(dir, component, token string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("write join token: %w", err)
	}
	path := filepath.Join(dir, TokenName(component))
	if err := replaceFile(path, 0o600, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("write join token: %w", err)
	}
	return path, nil
}

// ReadToken reads a join token; white space around it is no part of it.
func ReadToken(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read join token: %w", err)
	}
	if len(data) > maxToken {
		return "", fmt.Errorf("read join token: it is larger than %d bytes", maxToken)
	}
	return string(bytes.TrimSpace(data)), nil
}

// WriteHome writes what an edge package's folder holds into dir, beside what is
// there: the identity whole or not at all, then the config, then the rest.
func WriteHome(dir string, in PackageInput) error {
	files, err := PackageFiles(in)
	if err != nil {
		return err
	}
	if err := WriteIdentity(filepath.Join(dir, CertDir), in.Identity); err != nil {
		return err
	}
	for _, f := range files {
		name, err := filepath.Rel(topFolder(f.Path), filepath.FromSlash(f.Path))
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		if filepath.Dir(name) == CertDir {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := replaceFile(path, f.Mode, f.Data); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
