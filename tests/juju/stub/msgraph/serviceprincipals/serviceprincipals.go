// Package serviceprincipals has what Juju asks of Azure's accounts.
package serviceprincipals

import (
	"context"
	"errors"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
)

// ErrAway is the answer to everything.
var ErrAway = errors.New("cannot talk to Azure: this program is built without its library")

// List is the list of accounts; ByServicePrincipalId and AddPassword lead to one of them.
type List struct{}

// ByServicePrincipalId leads to one account.
func (l *List) ByServicePrincipalId(string) *Account { return &Account{} }

// Post makes an account.
func (*List) Post(context.Context, models.ServicePrincipalable, *struct{}) (models.ServicePrincipalable, error) {
	return nil, ErrAway
}

// Account is one account.
type Account struct{}

// AddPassword leads to its passwords.
func (*Account) AddPassword() *Passwords { return &Passwords{} }

// Passwords are those of an account.
type Passwords struct{}

// Post makes a password.
func (*Passwords) Post(context.Context, *ItemAddPasswordPostRequestBody, *struct{}) (*models.PasswordCredential, error) {
	return nil, ErrAway
}

// ItemAddPasswordPostRequestBody asks for a password.
type ItemAddPasswordPostRequestBody struct{}

// NewItemAddPasswordPostRequestBody makes an empty one.
func NewItemAddPasswordPostRequestBody() *ItemAddPasswordPostRequestBody {
	return &ItemAddPasswordPostRequestBody{}
}

// SetPasswordCredential sets nothing.
func (*ItemAddPasswordPostRequestBody) SetPasswordCredential(*models.PasswordCredential) {}
