//go:build unix

package cmd

import (
	"os"
	"os/signal"
	"syscall"
)

// suspensions are those that are asked for from the terminal, until end is called.
func suspensions() (asked <-chan os.Signal, end func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTSTP)
	return signals, func() { signal.Stop(signals) }
}

// suspend stops the process, and returns once it goes on.
func suspend() error {
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, syscall.SIGCONT)
	defer signal.Stop(goesOn)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	<-goesOn
	return nil
}
