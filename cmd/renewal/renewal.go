// Package renewal keeps the identity in a folder renewed, for whatever connects
// with it: a sync service, an operator's command, or nobody just then. Any number
// of processes may do so at once. It knows neither the platform nor what is said
// over the connections.
package renewal

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/credentials"

	"edgesync/certs"
	"edgesync/certs/client"
	"edgesync/onboarding"
)

// Kept is an identity in a folder that is kept renewed while Run runs.
type Kept struct {
	*client.Keeper
	folder folder
}

// Keep takes an identity that was loaded from its folder.
func Keep(paths onboarding.Paths, held onboarding.Identity, now func() time.Time, log *slog.Logger) *Kept {
	f := folder{paths: paths, asks: client.Client{Now: now}}
	return &Kept{folder: f, Keeper: client.NewKeeper(credential(held), f.renew, f.look, now, log)}
}

// Now renews what is in a folder, due or not, and returns it with what was there
// before.
func Now(ctx context.Context, paths onboarding.Paths, now func() time.Time) (before, after client.Credential, err error) {
	return folder{paths: paths, asks: client.Client{Now: now}}.replace(ctx, nil)
}

// TLS is the side of a client that connects with the identity as it is now.
func (k *Kept) TLS(serverName string) (*tls.Config, error) {
	config, err := certs.ClientTLS(certs.EncodePEM(k.Credential().Roots...), k.Certificate, serverName)
	if err == nil {
		config.Time = k.folder.asks.Now
	}
	return config, err
}

// Transport shakes hands with the identity as it is then: its certificate, and
// the roots it trusts, which change while a root is being replaced.
func (k *Kept) Transport(serverName string) (credentials.TransportCredentials, error) {
	config, err := k.TLS(serverName)
	if err != nil {
		return nil, err
	}
	return transport{credentials.NewTLS(config), k, serverName}, nil
}

type transport struct {
	credentials.TransportCredentials
	kept       *Kept
	serverName string
}

// ClientHandshake implements credentials.TransportCredentials.
func (t transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := t.kept.TLS(t.serverName)
	if err != nil {
		return nil, nil, err
	}
	secure, info, err := credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
	if err != nil {
		return nil, nil, err
	}
	// In TLS 1.3 a client learns from the first bytes after the handshake whether
	// its certificate was accepted. Whoever writes before may find the connection
	// gone, and never read why.
	first, err := peek(ctx, secure)
	if err != nil {
		return nil, nil, errors.Join(err, secure.Close())
	}
	return first, info, nil
}

// peek waits for the first byte of the server. Those of gRPC speak first; one
// that does not is not waited for any longer.
func peek(ctx context.Context, conn net.Conn) (net.Conn, error) {
	deadline := time.Now().Add(firstWord)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, err := conn.Read(first)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("wait for the server's first word: %w", err)
	}
	return &begun{Conn: conn, first: first[:n]}, conn.SetReadDeadline(time.Time{})
}

// begun is a connection of which a byte was read.
type begun struct {
	net.Conn
	first []byte
}

// Read implements net.Conn. It is called by one reader at a time.
func (b *begun) Read(data []byte) (int, error) {
	if len(b.first) == 0 || len(data) == 0 {
		return b.Conn.Read(data)
	}
	n := copy(data, b.first)
	b.first = b.first[n:]
	return n, nil
}

// firstWord is how long a server may keep silent that was shaken hands with.
const firstWord = 2 * time.Second

// Clone implements credentials.TransportCredentials.
func (t transport) Clone() credentials.TransportCredentials { return t }

func credential(i onboarding.Identity) client.Credential {
	return client.Credential{
		Key: i.Key, Chain: i.Chain, CAURL: i.CAURL,
		Roots: slices.DeleteFunc(slices.Clone(i.CAs), func(c *x509.Certificate) bool { return c.CheckSignatureFrom(c) != nil }),
	}
}

func identity(c client.Credential) onboarding.Identity {
	return onboarding.Identity{Key: c.Key, Chain: c.Chain, CAs: append(slices.Clone(c.Roots), c.Chain[1]), CAURL: c.CAURL}
}

// folder is where an identity lies.
type folder struct {
	paths onboarding.Paths
	asks  client.Client
}

// renew is a client.RenewFunc.
func (f folder) renew(ctx context.Context, held client.Credential) (client.Credential, error) {
	_, after, err := f.replace(ctx, &held)
	return after, err
}

// errNames is for an identity under file names of its owner's choice.
var errNames = errors.New("its files have other names than those this program writes: whoever made it has to renew it")

// replace renews what is in the folder, one process at a time, and writes it
// before it returns, so that a host that stops has either the old identity whole
// or the new one. With held, what another process has put in its place is taken
// instead.
func (f folder) replace(ctx context.Context, held *client.Credential) (before, after client.Credential, err error) {
	if usual := onboarding.PathsIn(f.paths.Dir); f.paths.Cert != usual.Cert || f.paths.Key != usual.Key || f.paths.CA != usual.CA {
		return before, after, fmt.Errorf("renew identity in %s: %w", f.paths.Dir, errNames)
	}
	unlock, err := onboarding.LockFolder(ctx, f.paths.Dir)
	if err != nil {
		return before, after, err
	}
	defer unlock()
	switch there, err := onboarding.LoadIdentity(f.paths); {
	case held == nil && err != nil:
		return before, after, err
	case held == nil:
		before = credential(there)
	case err == nil && follows(credential(there), *held):
		return *held, credential(there), nil
	default:
		before = *held
	}
	if after, err = f.next(ctx, before); err != nil {
		return before, client.Credential{}, err
	}
	if !bytes.Equal(after.Chain[0].RawSubjectPublicKeyInfo, before.Chain[0].RawSubjectPublicKeyInfo) {
		return before, after, nil
	}
	// What was renewed by proof of the old key keeps that key. If the change to a
	// new one fails, the certificate is good all the same.
	if rekeyed, err := f.next(ctx, after); err == nil {
		after = rekeyed
	}
	return before, after, nil
}

// next writes down what takes the place of a credential: until it is, the one
// before must be good.
func (f folder) next(ctx context.Context, before client.Credential) (client.Credential, error) {
	after, err := f.asks.Renew(ctx, before)
	if err != nil {
		return client.Credential{}, err
	}
	return after, onboarding.WriteIdentity(f.paths.Dir, identity(after))
}

// look is a client.LookFunc.
func (f folder) look(held client.Credential) (client.Credential, bool) {
	leaf, err := onboarding.LoadLeaf(f.paths)
	if err != nil || leaf.Equal(held.Chain[0]) {
		return client.Credential{}, false
	}
	found, err := onboarding.LoadIdentity(f.paths)
	if err != nil {
		return client.Credential{}, false
	}
	c := credential(found)
	return c, follows(c, held)
}

// follows says whether a credential is another of the same component's and no
// older. An older one is what somebody has restored, and may be revoked.
func follows(c, held client.Credential) bool {
	one, err := certs.ReadLeaf(c.Chain[0])
	other, err2 := certs.ReadLeaf(held.Chain[0])
	return err == nil && err2 == nil && one.SPIFFE() == other.SPIFFE() && one.Serial != other.Serial && !c.Chain[0].NotBefore.Before(held.Chain[0].NotBefore)
}
