package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidewaiter": main})
}

// TestScripts runs the command lines in testdata. Besides testscript's own
// commands there are:
//
//	status CODE PROGRAM ARG…  run a program that must end with this status
//	pack gzip|zstd FILE OUT   compress
//	cut FILE BYTES            keep the first bytes of a file
//	long OUT MIB FILE         write FILE, a line of so many MiB, and FILE again
//	binary FILE               write bytes that are no text
//	systems FILE              write a database in which 203.0.113.0/24 is AS64500
//	clean stdout|stderr       fail if the last output could control a terminal
//	begins FILE WITH          fail if a file does not begin with another one
//
// The bundled example is in $WORK/example.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			return os.CopyFS(filepath.Join(env.WorkDir, "example"), os.DirFS("../../examples"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "pack": pack, "cut": cut, "long": long, "binary": binary, "clean": clean, "systems": systems, "begins": begins,
		},
	})
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func systems(ts *testscript.TestScript, _ bool, args []string) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "test-ASN", BuildEpoch: 1_793_620_800, IncludeReservedNetworks: true})
	ts.Check(err)
	_, network, err := net.ParseCIDR("203.0.113.0/24")
	ts.Check(err)
	ts.Check(tree.Insert(network, mmdbtype.Map{"asn": mmdbtype.String("AS64500"), "as_name": mmdbtype.String("Example \x1b[2JNet")}))
	var out bytes.Buffer
	_, err = tree.WriteTo(&out)
	ts.Check(errors.Join(err, os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o644)))
}

func pack(ts *testscript.TestScript, _ bool, args []string) {
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if args[0] == "zstd" {
		z, err := zstd.NewWriter(&out)
		ts.Check(err)
		w = z
	}
	_, err := io.WriteString(w, ts.ReadFile(args[1]))
	ts.Check(errors.Join(err, w.Close()))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out.Bytes(), 0o644))
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

func long(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := ts.ReadFile(args[2])
	line := strings.Repeat("x", n<<20) + "\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+line+text), 0o644))
}

func binary(ts *testscript.TestScript, _ bool, args []string) {
	b := make([]byte, 4096)
	for i := range b {
		b[i] = byte(i * 31)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

func begins(ts *testscript.TestScript, _ bool, args []string) {
	if all, first := ts.ReadFile(args[0]), ts.ReadFile(args[1]); !strings.HasPrefix(all, first) {
		ts.Fatalf("%s does not begin as %s:\n%s\n%s", args[0], args[1], all, first)
	}
}

func clean(ts *testscript.TestScript, _ bool, args []string) {
	for i, r := range ts.ReadFile(args[0]) {
		if (r < ' ' && r != '\n') || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x202e {
			ts.Fatalf("%s has character %s at byte %d", args[0], fmt.Sprintf("%q", r), i)
		}
	}
	if s := ts.ReadFile(args[0]); strings.TrimSpace(s) == "" {
		ts.Fatalf("%s is empty", args[0])
	}
}
