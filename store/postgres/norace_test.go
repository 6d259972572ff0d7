//go:build !race

package postgres_test

// manyUpdates is what a large batch is made of.
const manyUpdates = 5000
