package cmdutil

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Questions go to the error stream: the output is for results only.

// Ask asks for a line. An empty answer means fallback.
func (f *Factory) Ask(question, fallback string) (string, error) {
	suffix := ": "
	if fallback != "" {
		suffix = " [" + fallback + "]: "
	}
	fmt.Fprint(f.IO.Err, Neutralise(question+suffix))
	line, err := f.IO.In.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", Errorf(ExitFailed, "read answer: %w", err)
	}
	if answer := strings.TrimSpace(line); answer != "" {
		return answer, nil
	}
	return fallback, nil
}

// AskSecret asks for a line without showing it.
func (f *Factory) AskSecret(question string) ([]byte, error) {
	if f.IO.ReadSecret == nil {
		return nil, Usagef("cannot ask for %s: there is no terminal", question)
	}
	fmt.Fprint(f.IO.Err, Neutralise(question)+": ")
	secret, err := f.IO.ReadSecret()
	fmt.Fprintln(f.IO.Err)
	if err != nil {
		return nil, Errorf(ExitFailed, "read answer: %w", err)
	}
	return bytes.TrimSpace(secret), nil
}

// Require fills an empty value by asking, or names the flag that was missing.
func (f *Factory) Require(value *string, flag, question string) error {
	if strings.TrimSpace(*value) != "" {
		return nil
	}
	if !f.CanPrompt() {
		return Missing(flag)
	}
	answer, err := f.Ask(question, "")
	if err != nil {
		return err
	}
	if answer == "" {
		return Missing(flag)
	}
	*value = answer
	return nil
}

// Confirm guards what cannot be undone: it is asked on a terminal, and must be
// said with --yes where nobody can be asked.
func (f *Factory) Confirm(yes bool, what string, args ...any) error {
	if yes {
		return nil
	}
	if !f.CanPrompt() {
		return Usagef("missing --yes: "+what+" cannot be undone", args...)
	}
	answer, err := f.Ask(fmt.Sprintf("Confirm "+what+": it cannot be undone (y/N)", args...), "")
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return Errorf(ExitFailed, "not confirmed: nothing was changed")
	}
	return nil
}
