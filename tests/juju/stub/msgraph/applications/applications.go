// Package applications has what Juju asks of Azure's applications.
package applications

import (
	"context"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/serviceprincipals"
)

// List is the list of applications.
type List struct{}

// ApplicationsRequestBuilderGetRequestConfiguration says which are asked for.
type ApplicationsRequestBuilderGetRequestConfiguration struct {
	QueryParameters *ApplicationsRequestBuilderGetQueryParameters
}

// ApplicationsRequestBuilderGetQueryParameters says so in Azure's language.
type ApplicationsRequestBuilderGetQueryParameters struct{ Filter *string }

// Found are the applications that were asked for.
type Found struct{}

// GetValue returns none.
func (Found) GetValue() []*models.Application { return nil }

// Get asks for applications.
func (*List) Get(context.Context, *ApplicationsRequestBuilderGetRequestConfiguration) (Found, error) {
	return Found{}, serviceprincipals.ErrAway
}

// Post makes an application.
func (*List) Post(context.Context, *models.Application, *struct{}) (*models.Application, error) {
	return nil, serviceprincipals.ErrAway
}
