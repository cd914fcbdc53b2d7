package lab

import (
	"embed"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// peerFiles are the settings of what a user would take instead of the charm.
//
//go:embed peers
var peerFiles embed.FS

// peerPackages are those of pacemaker as charm hacluster installs them, but for its shell.
const peerPackages = "pacemaker pacemaker-cli-utils corosync resource-agents"

// peerVIP is the virtual IP of the peers.
var peerVIP = netip.MustParseAddr("10.10.74.251")

// peer is what a user would take instead of the charm, on three machines without Juju.
type peer struct {
	name string
	// files are those of a machine by path; n is the machine's number of so many.
	files func(n int, nodes []netip.Addr) (map[string]string, error)
	// start starts it on each machine, first is then run on the first one.
	start, first string
	// settled fails while it has not come to rest on a machine.
	settled string
	// leave has it hand over in good order.
	leave string
}

// peers are all of them.
func peers() []*peer {
	byHand := func(name, conf string) *peer {
		return &peer{
			name: name, files: keepalivedFiles(conf),
			start:   "systemctl disable --now --quiet pacemaker corosync; systemctl enable --quiet keepalived; systemctl restart keepalived",
			settled: "systemctl is-active --quiet keepalived",
			leave:   "systemctl stop keepalived",
		}
	}
	return []*peer{
		byHand("keepalived by hand, tuned", "tuned.conf"),
		byHand("keepalived by hand", "by-hand.conf"),
		{
			name: "pacemaker as hacluster sets it up", files: pacemakerFiles,
			start: "systemctl disable --now --quiet keepalived; systemctl enable --quiet corosync pacemaker; systemctl restart corosync; systemctl restart pacemaker",
			first: `for try in $(seq 60); do [ "$(crm_node --partition 2>/dev/null | wc -w)" = 3 ] && break; sleep 1; done
				for option in no-quorum-policy=stop stonith-enabled=false cluster-recheck-interval=60; do
					crm_attribute --type crm_config --name "${option%%=*}" --update "${option#*=}"
				done
				crm_attribute --type rsc_defaults --name resource-stickiness --update 100
				cibadmin --replace --scope resources --xml-file /etc/corosync/resources.xml`,
			settled: `crm_mon --one-shot --inactive | tee /run/peers | grep -q 'Online: \[ peer-0 peer-1 peer-2 \]' &&
				grep -q 'Started: \[ peer-0 peer-1 peer-2 \]' /run/peers && ! grep -qE 'FAILED|Starting|Stopping' /run/peers`,
			leave: "systemctl stop pacemaker corosync",
		},
	}
}

// peerFile is a file of the settings with its words in capitals filled in.
func peerFile(name string, words ...string) (string, error) {
	text, err := peerFiles.ReadFile("peers/" + name)
	return strings.NewReplacer(append(words, "VIP", peerVIP.String())...).Replace(string(text)), err
}

func keepalivedFiles(conf string) func(int, []netip.Addr) (map[string]string, error) {
	return func(n int, _ []netip.Addr) (map[string]string, error) {
		text, err := peerFile(conf, "PRIORITY", fmt.Sprint(101-n))
		connects, err1 := peerFile("check-connect")
		answers, err2 := peerFile("check-answer")
		return map[string]string{
			"/etc/keepalived/keepalived.conf": text, "/usr/local/bin/check-connect": connects, "/usr/local/bin/check-answer": answers,
		}, errors.Join(err, err1, err2)
	}
}

func pacemakerFiles(_ int, nodes []netip.Addr) (map[string]string, error) {
	var list strings.Builder
	for n, at := range nodes {
		fmt.Fprintf(&list, "    node {\n        ring0_addr: %s\n        name: peer-%d\n        nodeid: %d\n    }\n", at, n, n+1)
	}
	corosync, err := peerFile("corosync.conf", "NODES", list.String())
	resources, err1 := peerFile("resources.xml")
	return map[string]string{"/etc/corosync/corosync.conf": corosync, "/etc/corosync/resources.xml": resources}, errors.Join(err, err1)
}
