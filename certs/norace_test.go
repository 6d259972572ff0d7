//go:build !race

package certs_test

// raceDetector says that everything is slow.
const raceDetector = false
