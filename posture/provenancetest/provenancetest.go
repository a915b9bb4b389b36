// Package provenancetest is a certificate authority with its logs, for tests of
// signatures: everything that Sigstore has, made anew, talking to nobody.
//
// In: who signs what. Out: a root of trust and bundles, as files hold them.
package provenancetest

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/encoding/protojson"
)

// Authority vouches for identities. Make one with New.
type Authority struct {
	ca *ca.VirtualSigstore
	// Root is its trusted_root.json.
	Root []byte
}

// New makes an authority that nobody else knows.
func New() (*Authority, error) {
	v, err := ca.NewVirtualSigstore()
	if err != nil {
		return nil, err
	}
	logs := v.RekorLogs()
	for id, log := range logs {
		if log.ID, err = hex.DecodeString(id); err != nil { // the library's test authority has the id's digits there
			return nil, err
		}
	}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01, v.FulcioCertificateAuthorities(), nil, v.TimestampingAuthorities(), logs)
	if err != nil {
		return nil, err
	}
	data, err := tr.MarshalJSON()
	return &Authority{v, data}, err
}

// Sign makes a bundle of an in-toto statement. at is about now.
func (a *Authority) Sign(who, issuer, statement string, at time.Time) ([]byte, error) {
	e, err := a.ca.AttestAtTime(who, issuer, []byte(statement), at.Add(5*time.Minute), true)
	if err != nil {
		return nil, err
	}
	content, err1 := e.SignatureContent()
	certificate, err2 := e.VerificationContent()
	stamps, err3 := e.Timestamps()
	entries, err4 := e.TlogEntries()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	raw := content.EnvelopeContent().RawEnvelope()
	payload, err1 := base64.StdEncoding.DecodeString(raw.Payload)
	sig, err2 := base64.StdEncoding.DecodeString(raw.Signatures[0].Sig)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	material := &protobundle.VerificationMaterial{
		Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: certificate.Certificate().Raw}},
		TimestampVerificationData: &protobundle.TimestampVerificationData{},
	}
	for _, stamp := range stamps {
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp})
	}
	for _, entry := range entries {
		tle := entry.TransparencyLogEntry()
		tle.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
		material.TlogEntries = append(material.TlogEntries, tle)
	}
	return protojson.Marshal(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{Payload: payload, PayloadType: raw.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}}}},
	})
}

// Statement is an in-toto statement about a digest, in hex digits of SHA-256.
func Statement(digest, predicateType, predicate string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"web","digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`, digest, predicateType, predicate)
}
