//go:build race

package cmd_test

// raceDetector: each process of the program takes many times as long.
const raceDetector = true
