//go:build race

package syncrun_test

// manyDevices are fewer under the race detector, which makes everything slow.
const manyDevices = 40_000
