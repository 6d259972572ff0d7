//go:build race

package postgres_test

// manyUpdates is less under the race detector, which makes everything slow.
const manyUpdates = 500
