// Package controller stands in for a Juju controller: a model held in memory
// (applications, units, machines, relations, leadership, actions) that answers
// the API calls of real Juju unit agents over HTTP on a unix socket.
//
// A test or the lab changes the model through typed methods ([Controller.AddUnit],
// [Controller.Integrate], [Controller.SetConfig] and so on); the agents learn of
// it through watchers, as they do from Juju. Everything between "the model
// changed" and "a hook ran" is Juju's own code in the agent.
//
// Applications whose [Charm] has no archive are model-only: their units have no
// agent, join their relations at once and leave them at once. The test writes
// their databags.
//
// Of secrets there are those of the operator ([Controller.AddSecret]). Not
// modelled: secrets of charms, storage, resources, payloads and cross-model
// relations (their facades answer "nothing there"), users and permissions, and most
// of what Juju refuses at deploy or refresh time.
package controller
