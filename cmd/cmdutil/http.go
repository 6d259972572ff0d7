package cmdutil

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	httpHead  = 10 * time.Second
	httpIdle  = 2 * time.Minute
	httpDrain = 5 * time.Second
)

// ServeHTTP answers on the listener until ctx ends; answers under way then have
// a few seconds to finish.
func ServeHTTP(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: httpHead, IdleTimeout: httpIdle,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	group, ended := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http on %s: %w", listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ended.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpDrain)
		defer cancel()
		if server.Shutdown(drain) != nil {
			// A reader that hangs is cut off: nobody waits for it to come back.
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}

// elsewhere is the way out where an address cannot be listened on.
func elsewhere(err error) string {
	var unknown *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": stop what listens there, or choose another address"
	case errors.Is(err, syscall.EACCES):
		return ": choose a port above 1023, or give the program the right to this one (CAP_NET_BIND_SERVICE)"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &unknown):
		return ": choose an address of this host, or :PORT for all of them"
	}
	return ""
}

// Listen opens a TCP listener for what, which the error names.
func Listen(ctx context.Context, what, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, Usagef("listen for %s: the address is empty: want HOST:PORT or :PORT", what)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		var bad *net.AddrError
		if errors.As(err, &bad) {
			return nil, Usagef("listen for %s on %q: want HOST:PORT or :PORT: %w", what, addr, err)
		}
		return nil, fmt.Errorf("listen for %s: %w%s", what, err, elsewhere(err))
	}
	return listener, nil
}
