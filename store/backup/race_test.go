//go:build race

package backup_test

// raced says that the race detector is on.
const raced = true
