//go:build !race

package e2e_test

// raceDetector says that everything is slow.
const raceDetector = false
