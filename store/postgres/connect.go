package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// CheckArgument refuses a URL that must not stand on a command line, where every
// user of the host can read it: one with a password in it.
func CheckArgument(database string) error {
	u, err := parse(database)
	if err != nil {
		return err
	}
	if hasPassword(u) {
		return errors.New("use database: the URL has a password in it, which every user of this host can read in the list of processes: leave it out and put it in ~/.pgpass, in a file for --database-password-file, in PGPASSWORD or in EDGESYNC_DATABASE")
	}
	return nil
}

// HasPassword tells whether a database's URL has a password in it.
func HasPassword(database string) bool {
	u, err := parse(database)
	return err == nil && hasPassword(u)
}

func hasPassword(u *url.URL) bool {
	_, ok := u.User.Password()
	return ok || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// ask puts the password of this moment into a connection that is being made.
func (o Options) ask(c *pgx.ConnConfig) error {
	if o.Password == nil {
		return nil
	}
	password, err := o.Password()
	if err != nil {
		return fmt.Errorf("read the database's password: %w", err)
	}
	c.Password = password
	return nil
}

// IsURL tells whether a text is the URL of a PostgreSQL database.
func IsURL(database string) bool {
	_, err := parse(database)
	return err == nil
}

// parse reads a database URL. Its errors never hold the URL, which may hold a
// password.
func parse(database string) (*url.URL, error) {
	u, err := url.Parse(database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("use database: it is not a URL like postgres://USER@HOST:PORT/DATABASE")
	}
	return u, nil
}

func configure(database string, opts Options) (*pgxpool.Config, error) {
	u, err := parse(database)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		// The error repeats the URL, with what it takes for the password left out.
		// One it could not read may hold it in a place where it did not look.
		return nil, errors.New("use database: its URL has a part that cannot be read: check its host, port and parameters")
	}
	if opts.Connections > 0 {
		config.MaxConns = opts.Connections
	} else if !u.Query().Has("pool_max_conns") {
		config.MaxConns = defaultConnections
	}
	if opts.Password != nil {
		if hasPassword(u) {
			return nil, errors.New("use database: its URL has a password in it and another is named: leave one of them out")
		}
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return opts.ask(c) }
	}
	if opts.tracer != nil {
		config.ConnConfig.Tracer = opts.tracer
	}
	for name, value := range parameters(opts) {
		config.ConnConfig.RuntimeParams[name] = cmp.Or(config.ConnConfig.RuntimeParams[name], value)
	}
	return config, nil
}

// parameters are what a session runs under unless the URL says otherwise. Every
// join here is meant to follow an index from few rows to few: the planner, which
// cannot know how many rows a batch brings or a walk meets, must not read whole
// tables instead. What only reads has a plan made for each statement, from the
// size that tables have by then: one that was kept from when a tenant was empty
// would be wrong for as long as nobody gathers statistics.
func parameters(opts Options) map[string]string {
	return map[string]string{
		"application_name":                    "edgesync",
		"statement_timeout":                   milliseconds(opts.StatementTimeout),
		"lock_timeout":                        milliseconds(opts.StatementTimeout / 2),
		"idle_in_transaction_session_timeout": milliseconds(opts.StatementTimeout),
		"jit":                                 "off",
		"plan_cache_mode":                     "force_custom_plan",
		"enable_memoize":                      "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
	}
}

func name(config *pgx.ConnConfig) string {
	if strings.HasPrefix(config.Host, "/") {
		return config.Host + "/" + config.Database
	}
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))) + "/" + config.Database
}

// Redact is a database URL without its secrets.
func Redact(database string) string {
	u, err := parse(database)
	if err != nil {
		return "(not a URL)"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	q.Del("password")
	q.Del("sslpassword")
	u.RawQuery = q.Encode()
	return u.String()
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
