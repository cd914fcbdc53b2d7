module github.com/microsoftgraph/msgraph-sdk-go

go 1.19

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.12.0
	github.com/microsoft/kiota-abstractions-go v1.5.3
)
