//go:build race

package sqlite_test

// manyUpdates is less under the race detector, which makes SQLite 30 times slower.
const manyUpdates = 500
