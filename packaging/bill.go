package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// writeBill writes the bill of materials of a binary, out of what the Go linker
// left in it.
func (r *release) writeBill(t target, binary string) (err error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read build information: %w", err)
	}
	sum, err := sumOf(binary)
	if err != nil {
		return err
	}
	bill := cdx.NewBOM()
	// The same binary has the same number.
	bill.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, sum).String()
	self := cdx.Component{
		BOMRef: "edgesync", Type: cdx.ComponentTypeApplication, Name: "edgesync", Version: r.packaged,
		PackageURL: "pkg:generic/edgesync@" + url.QueryEscape(r.packaged) + "?arch=" + t.arch + "&os=" + t.os,
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}},
	}
	bill.Metadata = &cdx.Metadata{Timestamp: r.when.Format(time.RFC3339), Component: &self}
	language := cdx.Component{
		BOMRef: "pkg:golang/std@" + info.GoVersion, Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion,
		PackageURL: "pkg:golang/std@" + info.GoVersion,
	}
	components := []cdx.Component{language}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		ref := "pkg:golang/" + module.Path + "@" + url.QueryEscape(module.Version)
		components = append(components, cdx.Component{
			BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: module.Path, Version: module.Version, PackageURL: ref,
			Properties: &[]cdx.Property{{Name: "go:sum", Value: module.Sum}},
		})
	}
	var references []string
	for _, component := range components {
		references = append(references, component.BOMRef)
	}
	bill.Components = &components
	bill.Dependencies = &[]cdx.Dependency{{Ref: self.BOMRef, Dependencies: &references}}
	file, err := os.OpenFile(filepath.Join(r.out, r.base(t)+".cdx.json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return cdx.NewBOMEncoder(file, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bill, cdx.SpecVersion1_6)
}

func sumOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}
