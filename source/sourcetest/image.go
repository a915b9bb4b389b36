package sourcetest

import "tidewaiter/image"

// Digest is the digest that s writes. It panics where s writes none: fixtures
// are the test's own.
func Digest(s string) image.Digest {
	d, err := image.ParseDigest(s)
	if err != nil {
		panic(err)
	}
	return d
}
