package controller

import (
	"crypto/tls"
	"fmt"
	"net"

	jujucontroller "github.com/juju/juju/controller"
	"github.com/juju/juju/pki"
)

// identity is how clients and agents know the controller; all texts are PEM.
type identity struct {
	authority, authorityKey string // what clients trust, and its key
	certificate, key        string
	tls                     *tls.Certificate
}

// newIdentity makes the certificates that juju bootstrap makes
// (github.com/juju/juju/environs/bootstrap/bootstrap.go), with keys that are faster to make.
func newIdentity(ip net.IP) (identity, error) {
	id, err := makeIdentity(ip)
	if err != nil {
		return identity{}, fmt.Errorf("cannot make certificates: %w", err)
	}
	return id, nil
}

func makeIdentity(ip net.IP) (identity, error) {
	signer, err := pki.ECDSAP256()
	if err != nil {
		return identity{}, err
	}
	certificate, err := pki.NewCA("juju-ca", signer)
	if err != nil {
		return identity{}, err
	}
	authority, err := pki.NewDefaultAuthority(certificate, signer)
	if err != nil {
		return identity{}, err
	}
	leafSigner, err := pki.ECDSAP256()
	if err != nil {
		return identity{}, err
	}
	authority.SetLeafSigner(leafSigner)
	leaf, err := authority.LeafRequestForGroup(pki.DefaultLeafGroup).
		AddDNSNames(jujucontroller.DefaultDNSNames...).AddIPAddresses(ip).Commit()
	if err != nil {
		return identity{}, err
	}
	id := identity{tls: leaf.TLSCertificate()}
	if id.authority, err = pki.CertificateToPemString(nil, certificate); err != nil {
		return identity{}, err
	}
	if id.authorityKey, err = pki.SignerToPemString(signer); err != nil {
		return identity{}, err
	}
	cert, key, err := leaf.ToPemParts()
	id.certificate, id.key = string(cert), string(key)
	return id, err
}
