package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"edgesync/cmd/cmdutil"
	"edgesync/store/backup"
)

// passphraseEnv may hold the passphrase, for units that load it as a credential.
const passphraseEnv = "EDGESYNC_BACKUP_PASSPHRASE"

// maxKeyFile is far above what a passphrase or a list of keys needs.
const maxKeyFile = 1 << 20

// lock is what the flags say to encrypt to.
func (o *Options) lock() (backup.Lock, error) {
	if len(o.Recipients) > 0 || o.RecipientsFile != "" {
		if o.PassphraseFile != "" {
			return backup.Lock{}, cmdutil.Usagef("--passphrase-file: recipients were named as well: a backup has one or the other")
		}
		lines := strings.Join(o.Recipients, "\n") + "\n"
		if o.RecipientsFile != "" {
			listed, err := readKeyFile(o.Factory, o.RecipientsFile)
			if err != nil {
				return backup.Lock{}, err
			}
			lines += string(listed)
		}
		lock, err := backup.LockRecipients(strings.NewReader(lines))
		return lock, usage(err)
	}
	passphrase, err := passphrase(o.Factory, o.PassphraseFile, true)
	if err != nil {
		return backup.Lock{}, err
	}
	lock, err := backup.LockPassphrase(passphrase)
	return lock, usage(err)
}

// key is what the flags say to decrypt with.
func (o *RestoreOptions) key() (backup.Key, error) {
	if o.IdentityFile != "" {
		if o.PassphraseFile != "" {
			return backup.Key{}, cmdutil.Usagef("--passphrase-file: an identity was named as well: it is one or the other")
		}
		content, err := readKeyFile(o.Factory, o.IdentityFile)
		if err != nil {
			return backup.Key{}, err
		}
		key, err := backup.KeyIdentities(bytes.NewReader(content))
		return key, usage(err)
	}
	passphrase, err := passphrase(o.Factory, o.PassphraseFile, false)
	if err != nil {
		return backup.Key{}, err
	}
	key, err := backup.KeyPassphrase(passphrase)
	return key, usage(err)
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return cmdutil.Usagef("%w", err)
}

// passphrase is that of the file, else of the environment, else one that is asked
// for; a new one is asked for twice.
func passphrase(f *cmdutil.Factory, file string, fresh bool) (string, error) {
	if file != "" {
		content, err := readKeyFile(f, file)
		if err != nil {
			return "", err
		}
		text := strings.TrimRight(string(content), "\r\n")
		if strings.ContainsAny(text, "\r\n") {
			return "", cmdutil.Usagef("--passphrase-file %s: it holds more than one line", file)
		}
		return text, nil
	}
	if text, ok := f.Env(passphraseEnv); ok && text != "" {
		return text, nil
	}
	if !f.CanPrompt() {
		return "", cmdutil.Usagef("missing --passphrase-file: without a terminal to ask on, the passphrase comes from a file or from %s", passphraseEnv)
	}
	secret, err := f.AskSecret("Passphrase of the backup")
	if err != nil || !fresh {
		return string(secret), err
	}
	again, err := f.AskSecret("The same again")
	if err == nil && !bytes.Equal(secret, again) {
		err = cmdutil.Errorf(cmdutil.ExitFailed, "the two passphrases differ: nothing was written")
	}
	return string(secret), err
}

// readKeyFile reads a short file, or with - the input.
func readKeyFile(f *cmdutil.Factory, path string) ([]byte, error) {
	from := io.Reader(f.IO.In)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		defer file.Close()
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, maxKeyFile+1))
	if err == nil && len(content) > maxKeyFile {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return content, nil
}
