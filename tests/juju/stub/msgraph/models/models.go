// Package models has what Juju says to Azure when it makes an account.
package models

import "time"

// ServicePrincipalable is an account as it is read.
type ServicePrincipalable interface{ GetId() *string }

// ServicePrincipal is an account as it is written.
type ServicePrincipal struct{}

// NewServicePrincipal makes an empty one.
func NewServicePrincipal() *ServicePrincipal { return &ServicePrincipal{} }

// GetId returns nothing.
func (*ServicePrincipal) GetId() *string { return nil }

// SetAppId sets nothing.
func (*ServicePrincipal) SetAppId(*string) {}

// SetAccountEnabled sets nothing.
func (*ServicePrincipal) SetAccountEnabled(*bool) {}

// PasswordCredential is a password of an account.
type PasswordCredential struct{}

// NewPasswordCredential makes an empty one.
func NewPasswordCredential() *PasswordCredential { return &PasswordCredential{} }

// GetSecretText returns nothing.
func (*PasswordCredential) GetSecretText() *string { return nil }

// SetCustomKeyIdentifier sets nothing.
func (*PasswordCredential) SetCustomKeyIdentifier([]byte) {}

// SetKeyId sets nothing.
func (*PasswordCredential) SetKeyId(any) {}

// SetStartDateTime sets nothing.
func (*PasswordCredential) SetStartDateTime(*time.Time) {}

// SetEndDateTime sets nothing.
func (*PasswordCredential) SetEndDateTime(*time.Time) {}
