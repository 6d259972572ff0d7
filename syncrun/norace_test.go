//go:build !race

package syncrun_test

// manyDevices are a run far larger than whatever is held of one.
const manyDevices = 200_000
