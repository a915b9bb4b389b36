// Package e2e holds the end-to-end tests: the built program as a process, and
// recordings made here and now with a real Docker Engine, containerd, auditd
// and conntrack in network namespaces that lead nowhere. They are behind the
// build tag "e2e" and skip, saying why, where a part is missing.
//
// In: the binary that "make build" made. Out: nothing.
package e2e
