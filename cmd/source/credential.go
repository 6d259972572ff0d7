package source

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"edgesync/cmd/cmdutil"
	"edgesync/proto/payload"
)

// maxCredential is more than any token or key needs.
const maxCredential = 64 << 10

const credentialUsage = "from where to read a credential: `KEY=@FILE`, KEY=@- (standard input), KEY=env:NAME, or KEY alone to be asked; may be repeated"

// knownCredentials are the keys the source types use. Only one of these is ever
// repeated in a message: anything else might be the secret itself, given where
// its name belongs.
var knownCredentials = []string{
	payload.CredentialSecretKey, payload.CredentialAPIKey, payload.CredentialAPIToken, payload.CredentialPageSize,
}

// ReadCredentials resolves the --credential flags.
func ReadCredentials(f *cmdutil.Factory, flags []string) (map[string][]byte, error) {
	credentials := map[string][]byte{}
	var fromStdin []string
	for _, flag := range flags {
		if key, ok := strings.CutSuffix(flag, "=@-"); ok {
			fromStdin = append(fromStdin, key)
		}
	}
	if len(fromStdin) > 1 {
		return nil, cmdutil.Usagef("--credential %s=@-: standard input holds one credential only", shown(fromStdin[1]))
	}
	for _, flag := range flags {
		key, from, hasFrom := strings.Cut(flag, "=")
		value, err := readCredential(f, key, from, hasFrom)
		if err != nil {
			return nil, err
		}
		if _, twice := credentials[key]; twice {
			return nil, cmdutil.Usagef("--credential %s: given twice", shown(key))
		}
		credentials[key] = value
	}
	return credentials, nil
}

func readCredential(f *cmdutil.Factory, key, from string, hasFrom bool) ([]byte, error) {
	var value []byte
	var err error
	switch {
	case !hasFrom && slices.Contains(knownCredentials, key) && f.CanPrompt():
		value, err = f.AskSecret(key)
	case !hasFrom, key == "", from == "@":
		return nil, notAnArgument(key)
	case from == "@-":
		value, err = readLimited(f.IO.In)
	case strings.HasPrefix(from, "@"):
		value, err = readFile(strings.TrimPrefix(from, "@"))
	case strings.HasPrefix(from, "env:"):
		value, err = fromEnv(f, strings.TrimPrefix(from, "env:"))
	default:
		return nil, notAnArgument(key)
	}
	if err != nil {
		return nil, fmt.Errorf("read credential %s: %w", shown(key), err)
	}
	if value = trimLine(value); len(value) == 0 {
		return nil, cmdutil.Usagef("--credential %s: the value is empty", shown(key))
	}
	return value, nil
}

// notAnArgument refuses a value on the command line, where every process of the
// machine and the shell's history could read it. It does not repeat it.
func notAnArgument(key string) error {
	name := shown(key)
	return cmdutil.Usagef("--credential %s: a value is never taken from the command line: use %s=@FILE, %s=@- (standard input) or %s=env:NAME, or give the key alone on a terminal", name, name, name, name)
}

func shown(key string) string {
	if slices.Contains(knownCredentials, key) {
		return key
	}
	return "KEY"
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readLimited(file)
}

func readLimited(r io.Reader) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, maxCredential+1))
	if err != nil {
		return nil, err
	}
	if len(value) > maxCredential {
		return nil, cmdutil.Usagef("longer than %d bytes", maxCredential)
	}
	return value, nil
}

func fromEnv(f *cmdutil.Factory, name string) ([]byte, error) {
	value, set := f.Env(name)
	if !set {
		return nil, cmdutil.Usagef("the environment variable it names is not set")
	}
	return []byte(value), nil
}

// trimLine takes off the line end that editors and echo leave.
func trimLine(value []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
}

// removeCredentials marks keys that an edit takes away: an empty value.
func removeCredentials(credentials map[string][]byte, keys []string) error {
	for _, key := range keys {
		if key == "" {
			return cmdutil.Usagef("--remove-credential: want a key")
		}
		if _, both := credentials[key]; both {
			return cmdutil.Usagef("--remove-credential %s: it is also given with --credential", shown(key))
		}
		credentials[key] = nil
	}
	return nil
}
