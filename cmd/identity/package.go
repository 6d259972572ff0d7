package identity

import (
	"crypto"

	"edgesync/onboarding"
	adminv1 "edgesync/proto/admin/v1"
)

// Package makes the files of the edge package of a service that was onboarded
// with a request of this key.
func Package(key crypto.Signer, answer *adminv1.OnboardServiceResponse) ([]onboarding.File, error) {
	made, err := New(key, answer.GetCertificate(), answer.GetCaUrl())
	if err != nil {
		return nil, err
	}
	return onboarding.ServicePackage(answer, made)
}
