//go:build race

package storetest

// slowdown is by how much smaller the long tests are under the race detector.
const slowdown = 5
