package kernel

// What bpf2go makes is committed, so that only those need clang and libbpf's
// headers who change the programs. One object serves every little-endian
// machine: the programs read no registers, and everything else is relocated.
//
//go:generate go tool bpf2go -cc clang -target bpfel -tags linux -no-global-types -cflags "-O2 -g -Wall -Werror" program bpf/watch.bpf.c
