package drill

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func unpacked(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// An image is what "docker load" takes, holds the program alone, and is another
// one each time.
func TestImage(t *testing.T) {
	p := picture{Reference: "tidewaiter-drill/x:1", Program: []byte("program"), Label: mark, ID: "1"}
	made, err := archive(p)
	if err != nil {
		t.Fatal(err)
	}
	files := unpacked(t, made)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files[manifestName], &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 || manifest[0].RepoTags[0] != p.Reference {
		t.Fatalf("%v in %s", err, files[manifestName])
	}
	var config ocispec.Image
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := files[manifest[0].Layers[0]]
	if config.RootFS.DiffIDs[0] != digest.FromBytes(layer) || config.Config.Labels[labelName] != mark || config.Config.Entrypoint[0] != "/drill" {
		t.Errorf("%+v", config)
	}
	if in := unpacked(t, layer); len(in) != 2 || string(in["drill"]) != "program" || in["tmp/"] == nil {
		t.Errorf("the layer holds %v", in)
	}
	p.ID = "2"
	other, err := archive(p)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked(t, other)[manifest[0].Config] != nil {
		t.Error("two drills have one image")
	}
}

// The programs are small, and ask for no library and no interpreter.
func TestPrograms(t *testing.T) {
	for machine, program := range map[elf.Machine][]byte{elf.EM_X86_64: programAMD64, elf.EM_AARCH64: programARM64} {
		f, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine || f.Type != elf.ET_EXEC || len(program) > 3000 {
			t.Errorf("%v of %d bytes for %v, want %v", f.Type, len(program), f.Machine, machine)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC || p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0 {
				t.Errorf("%v: a part %v %v", machine, p.Type, p.Flags)
			}
		}
	}
}
