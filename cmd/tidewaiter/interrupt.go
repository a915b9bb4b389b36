package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
)

// interruptible gives a channel that SIGINT or SIGTERM closes. The second such
// signal ends the program as if nobody had listened. done stops listening.
func interruptible(stderr io.Writer) (stop <-chan struct{}, done func()) {
	ctx, done := cancelled(stderr, "interrupted: reading ends, what was read is judged; once more ends at once")
	return ctx.Done(), done
}

// cancelled is interruptible as a context; says is printed at the first signal.
func cancelled(stderr io.Writer, says string) (stop context.Context, done func()) {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	forget := context.AfterFunc(ctx, func() {
		release()
		fmt.Fprintln(stderr, "\ntidewaiter: "+says)
	})
	return ctx, func() {
		forget()
		release()
	}
}
