// Package msgraphsdkgo stands in for Microsoft's client library, 100 MB of source that take
// longer to compile than all of Juju. The API server needs one constant of Juju's provider for
// Azure (github.com/juju/juju/apiserver/facades/agent/provisioner/provisioninginfo.go), which
// needs this library to log in to Azure (provider/azure/internal/azureauth). Nobody logs in
// here: the methods are those that azureauth calls, and fail.
package msgraphsdkgo

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	abstractions "github.com/microsoft/kiota-abstractions-go"

	"github.com/microsoftgraph/msgraph-sdk-go/applications"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/serviceprincipals"
)

// GraphServiceClient would be a session with Azure.
type GraphServiceClient struct{}

// NewGraphServiceClient makes a client for tests.
func NewGraphServiceClient(abstractions.RequestAdapter) *GraphServiceClient {
	return &GraphServiceClient{}
}

// NewGraphServiceClientWithCredentials logs in.
func NewGraphServiceClientWithCredentials(azcore.TokenCredential, []string) (*GraphServiceClient, error) {
	return nil, errors.New("cannot log in to Azure: this program is built without its library")
}

// Applications is the list of applications.
func (*GraphServiceClient) Applications() *applications.List { return &applications.List{} }

// ServicePrincipals is the list of accounts.
func (*GraphServiceClient) ServicePrincipals() *serviceprincipals.List {
	return &serviceprincipals.List{}
}

// ServicePrincipalsWithAppId is the account of one application.
func (*GraphServiceClient) ServicePrincipalsWithAppId(*string) ByApplication {
	return ByApplication{}
}

// ByApplication is the account of one application.
type ByApplication struct{}

// Get reads it.
func (ByApplication) Get(context.Context, *struct{}) (models.ServicePrincipalable, error) {
	return nil, serviceprincipals.ErrAway
}
