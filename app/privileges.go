package app

import "errors"

// ErrNotConfined is that privileges cannot be given up in every thread: Go's
// runtime does not know the threads of C.
var ErrNotConfined = errors.New("built with cgo, the program keeps every privilege of root; build it with CGO_ENABLED=0")
