// Package check holds tests of what is deployed: they read the Dockerfile, the
// compose file and the manifests with the libraries of the tools that carry them
// out. It is a module of its own, so that those are no part of the program.
package check
