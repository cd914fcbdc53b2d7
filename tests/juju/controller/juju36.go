//go:build juju36

package controller

import (
	"context"
	"fmt"

	"github.com/juju/errors"
	jwttoken "github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/juju/juju/apiserver"
	"github.com/juju/juju/apiserver/authentication/jwt"
	commonsecrets "github.com/juju/juju/apiserver/common/secrets"
	"github.com/juju/juju/pki/ssh"
	"github.com/juju/juju/secrets"
	"github.com/juju/juju/secrets/provider"
	"github.com/juju/juju/state"
)

// completeModels has the controller's ssh server known by a key, as juju bootstrap has; nobody
// serves ssh here.
func completeModels(params *state.InitializeParams) error {
	key, err := hostKey()
	params.SSHServerHostKey = string(key)
	return err
}

// completeMachine has a machine known by a key to who comes to it by way of that server.
func completeMachine(template *state.MachineTemplate) (err error) {
	template.VirtualHostKey, err = hostKey()
	return err
}

func hostKey() ([]byte, error) {
	key, err := ssh.NewMarshalledED25519()
	if err != nil {
		return nil, fmt.Errorf("cannot make a host key: %w", err)
	}
	return key, nil
}

// completeServer has tokens of another service checked, of which there is none.
func completeServer(config *apiserver.ServerConfig) {
	config.JWTAuthenticator = jwt.NewAuthenticator(noTokens{})
}

// noTokens is github.com/juju/juju/internal/jwtparser without a service.
type noTokens struct{}

// Parse is part of jwt.TokenParser.
func (noTokens) Parse(context.Context, string) (jwttoken.Token, error) {
	return nil, errors.NotProvisionedf("a service of tokens")
}

// cleanUp also has the content of secrets removed from where it is kept, as
// github.com/juju/juju/apiserver/facades/controller/cleaner/register.go has.
func cleanUp(st *state.State) error {
	model, err := st.Model()
	if err != nil {
		return err
	}
	backend := func(id string) (*provider.ModelBackendConfigInfo, error) {
		return commonsecrets.SecretCleanupBackendConfigInfo(commonsecrets.SecretsModel(model), id)
	}
	return st.Cleanup(secrets.NewClientForContentDeletion(state.NewSecrets(st), backend).DeleteContent)
}
