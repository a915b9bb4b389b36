package drill

import (
	"archive/tar"
	"bytes"
	_ "embed" // the programs
	"encoding/json"
	"fmt"
	"runtime"

	godigest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

//go:generate clang --target=x86_64-linux-gnu -Os -Wall -Wextra -ffreestanding -nostdlib -static -fuse-ld=lld -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pic -fno-ident -fomit-frame-pointer -Wl,--build-id=none,-z,norelro,-z,noseparate-code,-s payload/drill.c -o payload/drill-amd64
//go:generate clang --target=aarch64-linux-gnu -Os -Wall -Wextra -ffreestanding -nostdlib -static -fuse-ld=lld -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pic -fno-ident -fomit-frame-pointer -Wl,--build-id=none,-z,norelro,-z,noseparate-code,-s payload/drill.c -o payload/drill-arm64

// programAMD64 is payload/drill.c for amd64.
//
//go:embed payload/drill-amd64
var programAMD64 []byte

// programARM64 is payload/drill.c for arm64.
//
//go:embed payload/drill-arm64
var programARM64 []byte

// payload is the program for this host's processor.
func payload() ([]byte, error) {
	switch runtime.GOARCH {
	case "amd64":
		return programAMD64, nil
	case "arm64":
		return programARM64, nil
	}
	return nil, fmt.Errorf("%w: there is no program for %s", ErrCannot, runtime.GOARCH)
}

// picture is an image to be made.
type picture struct {
	Reference string
	Program   []byte
	// Label is the value of the drill's label, ID what makes the image new.
	Label, ID string
}

// The names of the parts of an archive.
const (
	manifestName = "manifest.json"
	layerName    = "layer.tar"
)

// archive writes an image as "docker load" takes it: one layer with one program
// and a folder that everybody may write to.
func archive(p picture) ([]byte, error) {
	layer, err := tarOf(
		entry{tar.Header{Name: "drill", Mode: 0o755}, p.Program},
		entry{tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil},
	)
	if err != nil {
		return nil, err
	}
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"}}
	config.Config = ocispec.ImageConfig{Entrypoint: []string{"/drill"}, Labels: map[string]string{labelName: p.Label, labelName + ".id": p.ID}}
	config.RootFS = ocispec.RootFS{Type: "layers"}
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, godigest.FromBytes(layer))
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	name := godigest.FromBytes(text).Encoded() + ".json"
	manifest, err := json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{name, []string{p.Reference}, []string{layerName}}})
	if err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	return tarOf(
		entry{tar.Header{Name: layerName, Mode: 0o644}, layer},
		entry{tar.Header{Name: name, Mode: 0o644}, text},
		entry{tar.Header{Name: manifestName, Mode: 0o644}, manifest},
	)
}

// recipe is the context of the drill's build.
func recipe(base string) ([]byte, error) {
	text := "FROM " + base + "\nRUN [\"/drill\", \"fetch\"]\nENTRYPOINT [\"/drill\"]\n"
	return tarOf(entry{tar.Header{Name: "Dockerfile", Mode: 0o644}, []byte(text)})
}

type entry struct {
	header tar.Header
	data   []byte
}

func tarOf(entries ...entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.header.Size = int64(len(e.data))
		if err := w.WriteHeader(&e.header); err != nil {
			return nil, fmt.Errorf("make an image: %w", err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("make an image: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	return out.Bytes(), nil
}
