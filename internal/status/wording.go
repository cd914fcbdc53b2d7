// Package status is everything that juju status can say about a unit, and the refusals that
// say it. When each applies, package show and package decide know. It does no I/O.
package status

import (
	"strings"

	"keepalived-charm/internal/juju"
)

// Wording is what juju status can say about a unit, and what it means.
type Wording struct {
	// Level is empty for what is added to another message.
	Level juju.StatusLevel
	// Message is the text; words in capitals stand for what is filled in, other
	// than VIP, VRRP and IP.
	Message string
	// Meaning says what it means, and what to do unless the message does.
	Meaning string
}

// Condition names a Wording.
type Condition int

// The conditions, in the order of Wordings.
const (
	HoldsAll Condition = iota
	StandbyOf
	SharesIn
	SharesNone
	StandbyAlone
	Electing
	NothingToServe
	WaitsForRequest
	AsksForNone
	WaitsForSame
	SharesRouter
	RequestRefused
	TwoSources
	ServedBeside
	CannotUse
	LaterRecord
	Installs
	InstallWaits
	FailsToInstall
	RemoveWaits
	HeldPackage
	MissingPackage
	UselessPackages
	BrokenProgram
	Masked
	Paused
	Released
	LinkDown
	NoAddress
	NotRunning
	NotReporting
	DaemonFault
	IgnoresWatchless
	IgnoresCheck
	WaitsToKnow
	WaitsToBeKnown
	WaitsForList
	WaitsToAgree
	OutOfElection
	HoldsSome
	HoldsStray
	RouterLost
	RouterTaken
	AddressTaken
	HolderUnheard
	HolderDropped
	OwnerSets
	RouterMaybeTaken
	AddressMaybeTaken
	RouterBeside
	AddressBeside
	SharedBeside
	// Those that are added to another message.
	Meanwhile
	ShareOf
	ShareOfNobody
	Changing
	ChangingUpgraded
	ChangingReady
	ChangingWaits
	CheckFails
	CheckFailsEverywhere
	CheckerSilent
	NoPeerRelation
	NoSpace
	PausedHolds
	AlsoMasked
	AlsoRouter
	AlsoAddress
	AlsoHolds
	AlsoHoldsDropped
	AlsoHoldsDeaf
	AlsoHoldsApart
	MoreConflicts
	AlsoFiltered
	AlsoOwn
	MoreOwn
	AlsoOwnerSets
	SettingLost
	LateWatchless
	LateStatus
	NoMetrics
	WrongInterface
	NoSubnet
)

// Wordings lists everything a unit's status can say. docs/reference/statuses.md shows it
// as it is here.
func Wordings() []Wording {
	return []Wording{
		HoldsAll:       {juju.Active, "VIP ready: holds ADDRESSES", "This unit has the virtual IPs."},
		StandbyOf:      {juju.Active, "VIP ready: standby for ADDRESSES, holder UNIT", "This unit takes over when the holder fails. It hears the holder's advertisements."},
		StandbyAlone:   {juju.Active, "VIP ready: standby for ADDRESSES", "This unit takes over when the holder fails; who holds is not known here: the unit is changing over, or the holder's advertisements carry no priority of a known unit."},
		SharesIn:       {juju.Active, "VIP ready: holds COUNT of ALL VIPs, ADDRESSES", "With spread=true: the virtual IPs of this unit, and whom it hears for the others."},
		SharesNone:     {juju.Active, "VIP ready: holds none of ALL VIPs", "With spread=true: this unit takes over when a holder fails."},
		Electing:       {juju.Waiting, "electing a holder for ADDRESSES", "The daemon has just started and heard no holder yet; it takes a second. For longer: advertisements do not arrive, see vrrp_mode."},
		NothingToServe: {juju.Blocked, NoVirtualIP + ": juju config APPLICATION virtual_ip=ADDRESS", "There is nothing to serve."},
		WaitsForRequest: {juju.Waiting, "waits for PRINCIPAL to ask for a virtual IP: set one there, or if one is set, another value and back",
			"With endpoint ha, where the virtual IP is an option of the principal application: vip of haproxy, ha-cluster-vip of kubeapi-load-balancer. One that had a relation on ha before may send nothing until its request changes."},
		AsksForNone: {juju.Waiting, "PRINCIPAL asks for no virtual IP: set one there",
			"With endpoint ha: the request has arrived, no virtual IP is in it."},
		WaitsForSame: {juju.Waiting, "nobody holds ADDRESSES: waits for PRINCIPAL to ask for that too, UNIT holds HOLDS",
			"With endpoint ha. The principal units ask for different virtual IPs, as they do for a moment when that changes; the holder serves what its own one asks for."},
		SharesRouter: {juju.Blocked, "nobody holds ADDRESSES: UNIT holds HOLDS for OTHER with router_id ID: deploy a keepalived of its own for one of them, with another router_id",
			"With endpoint ha. One application of this charm is related to two principal applications that ask for different virtual IPs; all its units have one virtual router ID."},
		RequestRefused: {juju.Blocked, "cannot serve what PRINCIPAL asks for: REASON",
			"With endpoint ha. Virtual IPs are served, and services that run on every unit are checked; what else pacemaker would do is not done. Nothing of the request is served, what was served before goes on."},
		TwoSources: {juju.Blocked, "virtual_ip is ADDRESSES, and PRINCIPAL asks for ASKED: make them the same, or juju config APPLICATION virtual_ip=",
			"With endpoint ha the principal asks for the virtual IPs, and the option may be left empty. What was served before goes on."},
		ServedBeside: {juju.Blocked, "UNIT serves APPLICATION on this machine already: place PRINCIPAL on another machine, or remove one of them",
			"Two principals on one machine have a unit of this application each, and a machine takes part in an election once. Or UNIT is of the Python charm: refresh that application to this charm instead. This unit changes nothing here; when the other one has left, its next hook takes over."},
		CannotUse:      {juju.Blocked, "option NAME is VALUE, must be WHAT", "The option cannot be used. The last good configuration goes on. Other blocked messages name their cause the same way."},
		LaterRecord:    {juju.Blocked, "a later revision of the charm left this unit's record: juju refresh APPLICATION --path ./keepalived.charm", "This revision cannot know what the unit runs, so it changes nothing: keepalived and the health checker are kept running, clients that join are told. Actions say why they do nothing."},
		Installs:       {juju.Maintenance, "installing keepalived", "apt installs the package."},
		InstallWaits:   {juju.Maintenance, "installing keepalived, waits for HOLDER to end", "HOLDER has a lock of apt or dpkg, as apt-daily and unattended-upgrades have after a machine's first boot. The unit waits for ten minutes in all, then the hook fails and Juju runs it again."},
		FailsToInstall: {juju.Waiting, "cannot install keepalived: REASON", "Such as without a network. The hook fails, which juju status shows instead, and Juju runs it again; this is in juju show-status-log."},
		RemoveWaits:    {juju.Maintenance, "removing keepalived, waits for HOLDER to end", "The same, for two minutes."},
		HeldPackage:    {juju.Blocked, "keepalived is held and cannot be installed: apt-mark unhold keepalived", "It was removed by hand, and apt is to leave it so. Every hook tries again."},
		MissingPackage: {juju.Blocked, "keepalived cannot be installed: REASON: see apt-get install keepalived", "What apt says: no archive of the machine has it, or not what it needs. Every hook tries again."},
		UselessPackages: {juju.Blocked, "the charm's own packages cannot be installed: REASON: see docs/how-to/offline.md",
			"What an operator put into the charm file, for machines [without an archive](../how-to/offline.md), has no keepalived for this machine, or not all that it needs. Nothing of it was installed. Refresh to a charm file with the right packages, or with none."},
		BrokenProgram: {juju.Blocked, "keepalived is installed and does not run: REASON: see keepalived --version", "Something that it needs is missing or damaged. What runs goes on. apt-get -o Dpkg::Options::=--force-confmiss --reinstall install keepalived brings deleted files of the package back. Every hook tries again."},
		Masked:        {juju.Blocked, "keepalived.service is masked, no VIP can be held here: COMMAND", "Somebody forbade systemd to start it. The other units hold the virtual IPs. The next hook after COMMAND starts it."},
		Paused:        {juju.Maintenance, "paused, takes no VIP: juju run UNIT resume", "An operator ran the action pause."},
		Released:      {juju.Maintenance, "VIP handed over, serving nothing", "The unit is being removed or its machine upgraded."},
		LinkDown:      {juju.Waiting, "interface INTERFACE is down, no VIP can be held here: ip link show INTERFACE", "The other units hold the virtual IPs. The unit takes part again by itself."},
		NoAddress:     {juju.Waiting, "interface INTERFACE has no KIND address, no VIP can be held here: ip address show INTERFACE", "Such as after a DHCP lease ended. The other units hold the virtual IPs. The unit takes part again by itself."},
		NotRunning:    {juju.Waiting, "keepalived is not running: journalctl -u keepalived", "It could not be started, or a drop-in of the machine's owner keeps it from that (systemctl cat keepalived); every hook tries again."},
		NotReporting:  {juju.Waiting, "keepalived does not run this unit's VRRP instance: see journalctl -u keepalived", "The daemon runs and does not answer, or with another configuration, such as by a drop-in of the machine's owner (systemctl cat keepalived)."},
		DaemonFault:   {juju.Waiting, "keepalived is in the FAULT state: journalctl -u keepalived", "The daemon cannot take part; its journal says why. The other units hold the virtual IPs."},
		IgnoresWatchless: {juju.Waiting, "keepalived does not follow the health check, all LIMIT inotify KIND are in use: sysctl -w fs.inotify.max_user_KIND=MORE",
			"It never read what the health checker writes, or reads it at a reload alone, so between hooks nothing moves the virtual IPs, neither a dead service nor the actions. Every pass has it read anew, which helps as soon as the machine's limit is raised (and noted in /etc/sysctl.d), or who uses so many ends. The charm leaves the limit alone: it is the whole machine's."},
		IgnoresCheck: {juju.Waiting, "keepalived does not follow the health check: journalctl -u keepalived",
			"It never read what the health checker writes, so nothing moves the virtual IPs, neither a dead service nor the actions. Every pass has it read anew; this shows when that did not work."},
		WaitsToKnow:    {juju.Waiting, "takes no part yet, waits for UNIT to tell of itself", "This unit would not hear a unit that it does not know, and take what that one holds. Juju tells of the other units in hooks to come. For longer: see the status and the agent of that unit."},
		WaitsToBeKnown: {juju.Waiting, "takes no part yet, waits for UNIT to know of this unit", "UNIT may be about to change what all units share, and would not wait for a unit that it does not know. A hook of that unit ends it. For longer: see its status and its agent."},
		WaitsForList:   {juju.Waiting, "takes no part yet, waits for UNIT to send advertisements here", "With vrrp_mode=unicast: this unit would not hear UNIT. A hook of that unit ends it. For longer: see its status and its agent."},
		WaitsToAgree:   {juju.Waiting, "takes no part yet, waits for UNIT to run the same", "UNIT is about to change what all units share, or has not changed it yet. For longer: see its status and its agent."},
		OutOfElection: {juju.Waiting, "takes no VIP while its check fails: REASON: juju run UNIT run-checks",
			"The service is down and all_unhealthy=drop keeps sick units out."},
		HoldsSome:  {juju.Waiting, "holds COUNT of ALL VIPs, keepalived is MASTER without ADDRESSES: journalctl -u keepalived", "Somebody took addresses away. Every pass puts them back; this shows when that did not work."},
		HoldsStray: {juju.Waiting, "has ADDRESSES though keepalived is STATE: journalctl -u keepalived", "An address was left behind or added by hand. Every pass removes it; this shows when that did not work."},
		RouterLost: {juju.Blocked, "nobody holds ADDRESSES: HOST has taken router_id ID: try juju config APPLICATION router_id=FREE",
			"Somebody who is no unit of this application advertises the virtual router ID with a higher priority. keepalived 2.3.3 and later yields to that, whatever the addresses. Stop that host, or change the ID. The units go on by themselves when it is silent."},
		RouterTaken:       {juju.Blocked, "router_id ID is used by HOST: try juju config APPLICATION router_id=FREE", "Somebody who is no unit of this application advertises the virtual router ID on the segment. This unit has not begun to use it; FREE is one that nobody was heard to use. It looks again in every hook."},
		AddressTaken:      {juju.Blocked, "virtual_ip ADDRESS is answered by HOST: take it from that host, or configure another", "Somebody who is no unit of this application has the address. This unit does not take it. It looks again in every hook."},
		HolderUnheard:     {juju.Blocked, "UNIT holds ADDRESS, its advertisements do not arrive here: allow IP protocol 112 between the machines", "This unit would take the virtual IPs beside it, so it takes no part yet. A cloud's security group, a switch or the other machine's packet filter drops them. It looks again in every hook."},
		HolderDropped:     {juju.Blocked, "UNIT holds ADDRESS, this machine's packet filter drops its advertisements: allow IP protocol 112, see nft list ruleset", "The same; the advertisements reach this machine."},
		OwnerSets:         {juju.Blocked, "FILE sets SETTING, which EFFECT: remove it", "What the machine's owner set for every instance breaks those of the charm, which cannot say otherwise. This unit has not begun to serve. It looks again in every hook."},
		RouterMaybeTaken:  {juju.Waiting, "router_id ID is used by HOST, which may be a unit that is not known here yet", "Juju tells of the other units, and of what they run, in hooks to come. For longer: it is a stranger, such as another application of this charm on the machine of a unit that has told nothing; see the status of that unit, or which one is missing."},
		AddressMaybeTaken: {juju.Waiting, "virtual_ip ADDRESS is answered by HOST, which may be a unit that is not known here yet", "The same."},
		RouterBeside: {juju.Blocked, "UNIT serves OTHER with router_id ID: deploy a keepalived of its own for PRINCIPAL, with another router_id",
			"One application of this charm is related to two principal applications. Its units serve the one that came first, and go on; this unit has not begun. It looks again in every hook."},
		AddressBeside: {juju.Blocked, "UNIT serves OTHER with ADDRESS: deploy a keepalived of its own for PRINCIPAL, with another virtual IP", "The same."},
		SharedBeside: {juju.Blocked, "UNIT serves OTHER with router_id ID too, what they share cannot change: deploy a keepalived of its own for one of them",
			"One application of this charm is related to two principal applications, and serves both with one virtual router. Units beside different applications do not wait for each other as they change it, so two would hold. The units go on with what they run."},

		Meanwhile:            {"", "; meanwhile STATUS", "After a blocked or waiting message: what the unit does by the options that it had before."},
		ShareOf:              {"", "; UNIT holds ADDRESSES", "With spread=true."},
		ShareOfNobody:        {"", "; holder unknown of ADDRESSES", "With spread=true: as for a standby without a named holder; or no virtual router has begun for them yet, as while another change waits for a unit."},
		Changing:             {"", "; moving to WHAT", "All units change an option together, one hook after the other; it needs nobody."},
		ChangingUpgraded:     {"", " once all units are upgraded, COUNT of ALL are", "Units of the Python charm are left."},
		ChangingReady:        {"", ", COUNT of ALL units ready", "The holder waits for the others to stand aside."},
		ChangingWaits:        {"", ", waiting for UNIT", "For longer: see the status and the agent of that unit. Repair it, remove it, or set the option back."},
		CheckFails:           {"", "; check fails here: REASON: juju run UNIT run-checks", "The service on this machine does not answer as healthcheck_type wants."},
		CheckFailsEverywhere: {"", "; check fails on every unit: is WHAT right? Here: REASON", "Either all services are down, or the check looks in the wrong place."},
		CheckerSilent:        {"", "; the health checker is silent: see journalctl -u SERVICE", "It is down or has not reached a verdict; the last verdict counts."},
		NoPeerRelation:       {"", "; no peer relation, units do not know each other: juju status --relations", "Right after an upgrade, or on a Juju that gave the application none. The virtual IPs move all the same."},
		NoSpace:              {"", "; the network space of endpoint cluster has no address on this machine: juju bind APPLICATION cluster=SPACE, see juju spaces", "Juju gives the unit no address there. The units go by the addresses that they told each other before, and the virtual IPs move all the same. For a moment it is so on a new machine."},
		PausedHolds:          {"", "; has ADDRESSES all the same: journalctl -u keepalived", "Keepalived has not given them up: it hangs, or they were added by hand. Another unit may hold them too."},
		AlsoMasked:           {"", "; keepalived.service is masked, once ended it does not start again: COMMAND", "Somebody forbade systemd to start it while it ran. The unit goes on until keepalived ends, then another takes over."},
		AlsoRouter:           {"", "; router_id ID is used by HOST too: try juju config APPLICATION router_id=FREE", "A stranger came later. This unit goes on, but change one of the two: up to keepalived 2.3.2 each drops the advertisements of the other, and the one with the longer interval falls silent, so that its standbys hold beside it; from 2.3.3 on the higher priority takes all. Another deployment of this charm advertises the same address; then only one of the two holds."},
		AlsoAddress:          {"", "; ADDRESS is answered by HOST too: take it from that host", "A stranger came later. This unit goes on; some clients reach that host."},
		AlsoHolds:            {"", "; UNIT holds ADDRESS too, its advertisements do not arrive here: allow IP protocol 112 between the machines", "Two units hold, because they do not hear each other."},
		AlsoHoldsDropped:     {"", "; UNIT holds ADDRESS too, this machine's packet filter drops its advertisements: allow IP protocol 112, see nft list ruleset", "The same; the advertisements reach this machine."},
		AlsoHoldsDeaf:        {"", "; UNIT holds ADDRESS too, advertisements arrive here but not there: allow IP protocol 112 on that machine", "Two units hold; the other one does not hear this one."},
		AlsoHoldsApart:       {"", "; UNIT holds ADDRESS too, with other VRRP parameters: one lets go once both agents have run their hooks", "Two units hold; the options changed while they were cut off from each other."},
		MoreConflicts:        {"", "; COUNT more: juju run UNIT check-network", "The action lists all that is wrong on the network."},
		AlsoFiltered:         {"", "; keepalived's packet filter drops what is sent to ADDRESSES: COMMAND", "A VRRP instance with vrrp_strict or no_accept left that in the kernel. Every pass takes the virtual IPs out of it; this shows when that did not work."},
		AlsoOwn:              {"", "; UNIT says that ADDRESS is its own address: is it?", "Juju's list of a machine's addresses may be old. If the address is that machine's own, choose another virtual IP."},
		MoreOwn:              {"", "; COUNT more of the kind", "The same of other virtual IPs, or by other units."},
		AlsoOwnerSets:        {"", "; FILE sets SETTING, which EFFECT: remove it", "What the machine's owner set for every instance breaks those of the charm, which cannot say otherwise. This unit goes on."},
		SettingLost:          {"", "; SETTING is off and cannot be set here, a service cannot bind a virtual IP that another machine holds", "Such as in a container. It is shown while the check fails, which may be why."},
		LateWatchless:        {"", "; changes between hooks show late, all LIMIT inotify KIND are in use: sysctl -w fs.inotify.max_user_KIND=MORE", "systemd cannot wait for news of a move, so juju status is as old as the last hook. The virtual IPs move all the same. Every hook tries again."},
		LateStatus:           {"", "; changes between hooks show late: systemctl status NOTIFIER", "The same, for a reason that systemd knows."},
		NoMetrics:            {"", "; serves no metrics, ports FIRST-LAST of 127.0.0.1 are taken: ss -ltnp shows by whom, option metrics_port names others", "Collectors are told nothing of this unit meanwhile, as they would find somebody else's metrics there. The health checker tries again, every 30 seconds at last, and all else works."},
		WrongInterface:       {"", "; ADDRESS is in the subnet of OTHER, not of INTERFACE: see network_interface", "Machines in that subnet are not told when it moves."},
		NoSubnet:             {"", "; no interface has the subnet of ADDRESS: is it right?", "Nobody finds it but by a route to these machines. Where that is meant so, give it a prefix length, such as /32, or set network_interface."},
	}
}

// Say fills a wording in: pairs of a word in capitals and its text.
func Say(c Condition, pairs ...string) juju.Status {
	w := Wordings()[c]
	return juju.Status{Level: w.Level, Message: strings.NewReplacer(pairs...).Replace(w.Message)}
}

// Passing tells a status that is over in a moment when all goes well: keepalived
// has just ended or started.
func Passing(s juju.Status) bool {
	for _, c := range []Condition{NotRunning, NotReporting, Electing} {
		start, _, _ := strings.Cut(Wordings()[c].Message, " ADDRESSES")
		if strings.HasPrefix(s.Message, start) {
			return true
		}
	}
	return false
}
