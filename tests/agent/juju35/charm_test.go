package main

// The test charm: a subordinate with a peer relation, written in shell.

const charmMetadata = `name: sub
summary: test charm
description: test charm
subordinate: true
requires:
  juju-info: {interface: juju-info, scope: container}
provides:
  website: {interface: http}
peers:
  cluster: {interface: sub-cluster}
`

const charmConfig = `options:
  color: {type: string, default: red, description: shown in the status}
  size: {type: int, description: no default}
  fail: {type: boolean, default: false, description: lets config-changed fail}
  slow: {type: int, default: 0, description: seconds that config-changed takes}
`

const charmActions = `greet:
  description: says hello
  params:
    name: {type: string, default: world}
refuse:
  description: fails
sleep:
  description: takes long
`

const charmManifest = `bases:
- {name: ubuntu, channel: "22.04", architectures: [amd64, arm64]}
`

const charmDispatch = `#!/bin/bash
set -eu
echo "$JUJU_DISPATCH_PATH ${JUJU_REMOTE_UNIT:-} ${JUJU_DEPARTING_UNIT:-}" >> ../seen
case "$JUJU_DISPATCH_PATH" in
hooks/install)
	application-version-set 1.$(cat edition)
	;;
hooks/config-changed)
	sleep "$(config-get slow)"
	[ "$(config-get fail)" = False ]
	status-set active "color $(config-get color) edition $(cat edition)"
	for id in $(relation-ids cluster); do
		echo "address: $(network-get cluster --bind-address)" | relation-set -r "$id" --file -
	done
	;;
hooks/website-relation-joined)
	relation-set hostname="$(unit-get private-address)" port=80
	open-port 80/tcp
	;;
hooks/leader-elected)
	for id in $(relation-ids cluster); do relation-set -r "$id" --app leader="$JUJU_UNIT_NAME"; done
	;;
actions/greet)
	action-log "about to greet"
	action-set greeting="hello $(action-get name)"
	;;
actions/refuse)
	action-fail "will not"
	;;
actions/sleep)
	sleep 1000
	;;
esac
`
