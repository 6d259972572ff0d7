package onboarding

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// JoinKey is the key to redeem the join token of an id with. It is kept in dir until
func parseKey(path string, data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("read key %s: it holds none: remove it", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w: remove it", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read key %s: it cannot sign: remove it", path)
	}
	return signer, nil
}

// DropJoinKey: the answer may be lost, or the host stop before it is written down,
// and the CA repeats it for the same key only.
func JoinKey(dir, id string) (crypto.Signer, error) {
	path := joinKeyPath(dir, id)
	data, err := readPrivate(path)
	switch {
	case err == nil:
		return parseKey(path, data)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	if err := replaceFile(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return key, nil
}

// DropJoinKey takes away the key of a token that was redeemed, or never will be.
func DropJoinKey(dir, id string) error {
	if err := os.Remove(joinKeyPath(dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop key: %w", err)
	}
	return nil
}

// joinKeyPath has a name of its own for each token: a key is not used for another.
func joinKeyPath(dir, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(dir, ".join-"+hex.EncodeToString(sum[:8])+".pem")
}
