package provenance

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"tidewaiter/image"
	"tidewaiter/posture"
)

// ErrOther is the error of Judge for a bundle that is about something else.
var ErrOther = errors.New("it is not about this image")

// The types of what a bundle states (in-toto, SLSA, cosign).
const (
	slsaPrefix = "https://slsa.dev/provenance/"
	cosignSign = "https://sigstore.dev/cosign/sign/v1"
)

// Read reads a bundle from a file.
func Read(file string) ([]byte, error) { return limited(file, maxBundle) }

// Judge verifies one bundle against an image. It fails with ErrOther if the
// bundle is about another image, or states something else than a signature or
// provenance; whatever else is wrong makes the Seal invalid.
func (t *Trust) Judge(im *posture.Image, where string, data []byte) (posture.Seal, error) {
	s := posture.Seal{Kind: posture.Signature, Where: where}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		s.Why = "it cannot be read: " + oneLine(err)
		return s, nil
	}
	stated, err := statement(b)
	if err != nil {
		s.Why = "it cannot be read: " + oneLine(err)
		return s, nil
	}
	if stated.kind == "" {
		return s, fmt.Errorf("%w: it states %s", ErrOther, stated.predicate)
	}
	s.Kind = stated.kind
	var about image.Digest
	for _, d := range im.Digests {
		if _, sum, ok := strings.Cut(d.String(), ":"); ok && d != im.ID && slices.Contains(stated.digests, sum) {
			about = d
		}
	}
	if about.IsZero() {
		return s, ErrOther
	}
	t.verify(&s, b, im, about)
	return s, nil
}

// verify fills in whether a bundle is valid for an image.
func (t *Trust) verify(s *posture.Seal, b *bundle.Bundle, im *posture.Image, about image.Digest) {
	algorithm, sum, _ := strings.Cut(about.String(), ":")
	raw, err := hex.DecodeString(sum)
	if err != nil {
		s.Why = "the image's digest cannot be read"
		return
	}
	var opts []verify.PolicyOption
	for _, id := range t.identities {
		if id.about(im) {
			opts = append(opts, verify.WithCertificateIdentity(id.matcher))
		}
	}
	if len(opts) == 0 {
		s.Why = "no identity is pinned for this image"
		return
	}
	got, err := t.verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest(algorithm, raw), opts...))
	if err != nil {
		s.Why = oneLine(err)
		return
	}
	if got.Signature != nil && got.Signature.Certificate != nil {
		c := got.Signature.Certificate
		s.Who = c.SubjectAlternativeName + " by " + c.Issuer
	}
	if s.Kind == posture.Provenance {
		s.Builder = builderOf(b)
		if len(t.builders) > 0 && !slices.Contains(t.builders, s.Builder) {
			s.Why = "its builder is not pinned: " + s.Builder
			return
		}
	}
	s.Valid = true
}

// about reports whether an identity is pinned for an image. One that is bound to
// images does not count for one without a name.
func (id identity) about(im *posture.Image) bool {
	if len(id.images) == 0 {
		return true
	}
	return slices.ContainsFunc(append(slices.Clone(im.Names), im.Origins...), func(r image.Reference) bool {
		return slices.ContainsFunc(id.images, func(p image.Pattern) bool { return p.Matches(r, im.Digests) })
	})
}

// stated is what a bundle says before anybody has verified it.
type stated struct {
	kind      posture.SealKind
	predicate string
	digests   []string // hex digits
}

// statement reads what a bundle is about.
func statement(b *bundle.Bundle) (stated, error) {
	content, err := b.SignatureContent()
	if err != nil {
		return stated{}, err
	}
	if m := content.MessageSignatureContent(); m != nil {
		return stated{kind: posture.Signature, digests: []string{hex.EncodeToString(m.Digest())}}, nil
	}
	e := content.EnvelopeContent()
	if e == nil {
		return stated{}, errors.New("neither a signature nor a statement")
	}
	st, err := e.Statement()
	if err != nil {
		return stated{}, err
	}
	out := stated{predicate: st.GetPredicateType()}
	switch {
	case strings.HasPrefix(out.predicate, slsaPrefix):
		out.kind = posture.Provenance
	case out.predicate == cosignSign:
		out.kind = posture.Signature
	}
	for _, subject := range st.GetSubject() {
		for _, sum := range subject.GetDigest() {
			out.digests = append(out.digests, sum)
		}
	}
	return out, nil
}

// builderOf is the builder that a verified provenance names (SLSA v1 and v0.2).
func builderOf(b *bundle.Bundle) string {
	e, err := b.Envelope()
	if err != nil {
		return ""
	}
	raw, err := e.RawEnvelope().DecodeB64Payload()
	if err != nil {
		return ""
	}
	type builder struct {
		ID string `json:"id"`
	}
	var st struct {
		Predicate struct {
			Builder    builder `json:"builder"`
			RunDetails struct {
				Builder builder `json:"builder"`
			} `json:"runDetails"`
		} `json:"predicate"`
	}
	if json.Unmarshal(raw, &st) != nil {
		return ""
	}
	if st.Predicate.RunDetails.Builder.ID != "" {
		return st.Predicate.RunDetails.Builder.ID
	}
	return st.Predicate.Builder.ID
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
