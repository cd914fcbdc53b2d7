// Package client is Juju's own client: the commands that act on applications, units,
// machines, actions, secrets, spaces and the settings of a model, unchanged. The others are
// missing because they are compiled with every cloud that Juju knows.
package client

import (
	"os"

	"github.com/juju/cmd/v3"

	jujucmd "github.com/juju/juju/cmd"
	"github.com/juju/juju/cmd/juju/action"
	"github.com/juju/juju/cmd/juju/application"
	"github.com/juju/juju/cmd/juju/machine"
	"github.com/juju/juju/cmd/juju/model"
	"github.com/juju/juju/cmd/juju/secrets"
	"github.com/juju/juju/cmd/juju/space"
	"github.com/juju/juju/cmd/juju/status"
	"github.com/juju/juju/juju"
)

// Main runs the command of the arguments and returns its exit code. JUJU_DATA names the
// client store. It is Run of github.com/juju/juju/cmd/juju/commands/main.go without its first
// run, which asks the network for clouds, and without plugins.
func Main(args []string) int {
	ctx, err := cmd.DefaultContext()
	if err == nil {
		err = juju.InitJujuXDGDataHome()
	}
	if err != nil {
		cmd.WriteError(os.Stderr, err)
		return 2
	}
	all := jujucmd.NewSuperCommand(cmd.SuperCommandParams{
		Name: "juju", Log: jujucmd.DefaultLog, FlagKnownAs: "option",
	})
	for _, c := range commands() {
		all.Register(c)
	}
	return cmd.Main(all, ctx, args)
}

// commands are in the order of github.com/juju/juju/cmd/juju/commands/main.go.
func commands() []cmd.Command {
	return []cmd.Command{
		application.NewAddRelationCommand(),
		application.NewSuspendRelationCommand(),
		application.NewResumeRelationCommand(),
		application.NewRemoveRelationCommand(),
		application.NewRemoveApplicationCommand(),
		application.NewRemoveUnitCommand(),
		status.NewStatusCommand(),
		status.NewStatusHistoryCommand(),
		action.NewExecCommand(nil),
		application.NewResolvedCommand(),
		model.NewModelGetConstraintsCommand(),
		model.NewModelSetConstraintsCommand(),
		application.NewRefreshCommand(),
		application.NewSetApplicationBaseCommand(),
		application.NewBindCommand(),
		machine.NewAddCommand(),
		machine.NewRemoveCommand(),
		machine.NewListMachinesCommand(),
		machine.NewShowMachineCommand(),
		machine.NewUpgradeMachineCommand(),
		model.NewConfigCommand(),
		model.NewShowCommand(),
		space.NewAddCommand(),
		space.NewListCommand(),
		space.NewMoveCommand(),
		space.NewReloadCommand(),
		space.NewShowSpaceCommand(),
		action.NewListCommand(),
		action.NewShowCommand(),
		action.NewCancelCommand(),
		action.NewRunCommand(),
		action.NewListOperationsCommand(),
		action.NewShowOperationCommand(),
		action.NewShowTaskCommand(),
		application.NewAddUnitCommand(),
		application.NewConfigCommand(),
		application.NewDeployCommand(),
		application.NewExposeCommand(),
		application.NewUnexposeCommand(),
		application.NewTrustCommand(),
		application.NewShowApplicationCommand(),
		application.NewShowUnitCommand(),
		secrets.NewListSecretsCommand(),
		secrets.NewShowSecretsCommand(),
		secrets.NewAddSecretCommand(),
		secrets.NewUpdateSecretCommand(),
		secrets.NewRemoveSecretCommand(),
		secrets.NewGrantSecretCommand(),
		secrets.NewRevokeSecretCommand(),
	}
}
