//go:build !linux

package app

import "runtime/debug"

// giveBack gives the system back memory that only the start needed.
func giveBack() error {
	debug.FreeOSMemory()
	return nil
}
