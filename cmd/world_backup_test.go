package cmd_test

import (
	"io"
	"os"

	"filippo.io/age"
)

const passphrase = "correct horse battery staple"

// backUp makes the backups that examples restore: one to a recipient, and the
// same under a passphrase whose key costs nothing to derive.
func (w *world) backUp() {
	identity, err := age.GenerateX25519Identity()
	must(w.t, err)
	must(w.t, os.WriteFile(w.path("secrets", "vault.key"), []byte(identity.String()+"\n"), 0o600))
	must(w.t, os.WriteFile(w.path("secrets", "passphrase"), []byte(passphrase+"\n"), 0o600))
	w.env = append(w.env, "EDGESYNC_BACKUP_PASSPHRASE="+passphrase)
	w.run(w.idle, "backup", w.path("recipient.backup"), "--recipient", identity.Recipient().String())

	sealed, err := os.Open(w.path("recipient.backup"))
	must(w.t, err)
	defer sealed.Close()
	plain, err := age.Decrypt(sealed, identity)
	must(w.t, err)
	recipient, err := age.NewScryptRecipient(passphrase)
	must(w.t, err)
	recipient.SetWorkFactor(1)
	file, err := os.Create(w.path("passphrase.backup"))
	must(w.t, err)
	again, err := age.Encrypt(file, recipient)
	must(w.t, err)
	_, err = io.Copy(again, plain)
	must(w.t, err)
	must(w.t, again.Close())
	must(w.t, file.Close())
}
