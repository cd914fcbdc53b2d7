package controller

import (
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v2"

	"github.com/juju/juju/core/model"
	"github.com/juju/juju/jujuclient"
	jujuversion "github.com/juju/juju/version"
)

// writeClientStore leaves the files from which Juju's client knows this controller, its
// administrator and the model (github.com/juju/juju/jujuclient: controllers.go, accounts.go,
// models.go).
func (c *Controller) writeClientStore() error {
	type perController map[string]any
	if err := os.MkdirAll(c.ClientStore(), 0o700); err != nil {
		return fmt.Errorf("cannot make the client store: %w", err)
	}
	for name, content := range map[string]any{
		"controllers.yaml": jujuclient.Controllers{
			Controllers: map[string]jujuclient.ControllerDetails{controllerName: {
				ControllerUUID: c.controllerUUID,
				APIEndpoints:   []string{c.Address()},
				CACert:         c.identity.authority,
				Cloud:          controllerName,
				CloudType:      "manual",
				AgentVersion:   jujuversion.Current.String(),
			}},
			CurrentController: controllerName,
		},
		"accounts.yaml": perController{"controllers": map[string]jujuclient.AccountDetails{controllerName: {
			User: admin.Id(), Password: c.password, LastKnownAccess: "superuser",
		}}},
		"models.yaml": perController{"controllers": map[string]jujuclient.ControllerModels{controllerName: {
			Models: map[string]jujuclient.ModelDetails{
				jujuclient.JoinOwnerModelName(admin, "controller"):   {ModelUUID: c.systemUUID, ModelType: model.IAAS},
				jujuclient.JoinOwnerModelName(admin, c.config.Model): {ModelUUID: c.modelUUID, ModelType: model.IAAS},
			},
			CurrentModel: jujuclient.JoinOwnerModelName(admin, c.config.Model),
		}}},
	} {
		text, err := yaml.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(c.ClientStore(), name), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("cannot write the client store: %w", err)
		}
	}
	return nil
}
