package controller_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDocumentedCommands(t *testing.T) {
	s := newSite(t)
	s.haproxy()
	s.charm()
	s.juju("deploy ./keepalived.charm --base ubuntu@22.04")

	assert.Equal(t, `ERROR ambiguous relation: "haproxy keepalived" could refer to `+
		`"haproxy:reverseproxy keepalived:website"; "keepalived:juju-info haproxy:juju-info"; "keepalived:lb-sink haproxy:website"`,
		s.refused("integrate haproxy keepalived"))
	s.juju("integrate haproxy keepalived:juju-info")
	s.juju("config keepalived virtual_ip=10.10.74.250 vip_hostname=api.example.com")
	assert.Equal(t, "10.10.74.250", s.juju("config keepalived virtual_ip"))
	assert.Equal(t, "api.example.com", s.juju("config keepalived vip_hostname"))

	for _, charm := range []string{"kubernetes-worker", "kubernetes-control-plane", "kubeapi-load-balancer"} {
		s.standIn(charm)
		s.juju("deploy ./" + charm + " --base ubuntu@22.04")
	}
	s.juju("integrate keepalived:website kubernetes-worker:kube-api-endpoint")
	s.juju("integrate keepalived:loadbalancer kubernetes-control-plane:loadbalancer")
	s.juju("integrate keepalived:lb-sink kubeapi-load-balancer:website")

	for _, unit := range []string{"haproxy/0", "haproxy/1"} {
		s.enter(unit, "keepalived:juju-info haproxy:juju-info")
	}
	status := s.juju("status --relations")
	t.Log("\n" + status)
	assert.Regexp(t, `(?m)^haproxy/0\S* .* 10\.0\.0\.1 .*\n  keepalived/\d\S* .* 10\.0\.0\.1 `, status,
		"the subordinate's unit is below its principal's")
	assert.Regexp(t, `(?m)^haproxy:juju-info +keepalived:juju-info +juju-info +subordinate`, status)
	assert.Regexp(t, `(?m)^keepalived:cluster +keepalived:cluster +keepalived-cluster +peer`, status)
	assert.Regexp(t, `(?m)^keepalived:website +kubernetes-worker:kube-api-endpoint +http +regular`, status)
	assert.Regexp(t, `(?m)^keepalived:loadbalancer +kubernetes-control-plane:loadbalancer +public-address +regular`, status)
	assert.Regexp(t, `(?m)^kubeapi-load-balancer:website +keepalived:lb-sink +http +regular`, status)
}

// The documents say what to type where principals run on another Ubuntu than Juju would choose.
func TestWithoutABaseJujuChoosesAnotherUbuntuThanThePrincipals(t *testing.T) {
	s := newSite(t)
	s.haproxy()
	s.charm()
	out := s.juju("deploy ./keepalived.charm")
	t.Log(out)
	assert.Contains(t, out, `on ubuntu@24.04/stable`)
	s.juju("integrate haproxy keepalived:juju-info")
	s.enter("haproxy/0", "keepalived:juju-info haproxy:juju-info")
	status := s.juju("status keepalived")
	t.Log("\n" + status)
	assert.Regexp(t, `(?m)^  keepalived/0`, status, "it is accepted all the same")

	refused := s.refused("deploy ./keepalived.charm other --base ubuntu@20.04")
	t.Log(refused)
}

func TestOptionsAreCheckedTogether(t *testing.T) {
	s := newSite(t)
	s.charm()
	s.juju("deploy ./keepalived.charm --base ubuntu@22.04")
	s.juju("config keepalived port=8443 preempt=true")
	for _, test := range []struct{ typed, says string }{
		{"port=abc", `option "port" expected int, got "abc"`},
		{"port=", `option "port" expected int, got ""`},
		{"preempt=maybe", `option "preempt" expected boolean, got "maybe"`},
		{"colour=red", `unknown option "colour"`},
	} {
		out := s.refused("config keepalived virtual_ip=10.10.74.250 " + test.typed)
		assert.Contains(t, out, test.says)
		assert.Empty(t, s.juju("config keepalived virtual_ip"), "%s refuses its neighbour too", test.typed)
	}
	s.juju("config keepalived port=70000")
	assert.Equal(t, "70000", s.juju("config keepalived port"), "the range is the charm's to check")
	s.juju("config keepalived --reset port")
	assert.Equal(t, "443", s.juju("config keepalived port"))
}

func TestUnitsOfASubordinateAreNotAdded(t *testing.T) {
	s := newSite(t)
	s.charm()
	assert.Contains(t, s.refused("deploy ./keepalived.charm --base ubuntu@22.04 -n 2"),
		"cannot use --num-units or --to with subordinate application")
	s.juju("deploy ./keepalived.charm --base ubuntu@22.04")
	assert.Contains(t, s.refused("add-unit keepalived"), `cannot add unit`)
}

// What Juju refuses shows in the words only: its exit code is that of success.
func TestActionsAreValidatedBeforeTheyAreQueued(t *testing.T) {
	s := newSite(t)
	s.keepalived()
	for _, test := range []struct{ action, says string }{
		{"history limit=0", `validation failed: (root).limit : must be greater than 1, given "0"`},
		{"history limit=1001", `validation failed: (root).limit : must be lower than 1000, given "1001"`},
		{"history limit=ten", `validation failed: (root).limit : must be of type integer, given "ten"`},
		{"history from=yesterday", `validation failed: (root) : additional property "from" is not allowed, given {"from":"yesterday"}`},
		{"status loud=true", `validation failed: (root) : additional property "loud" is not allowed, given {"loud":true}`},
		{"pause force=maybe", `validation failed: (root).force : must be of type boolean, given "maybe"`},
		{"explode", `action "explode" not defined on unit "keepalived/0"`},
	} {
		t.Run(test.action, func(t *testing.T) {
			says := s.juju("run keepalived/0 " + test.action)
			assert.Regexp(t, `^Operation \d+ failed to schedule any tasks:\n`+regexp.QuoteMeta(test.says)+`$`, says)
		})
	}
	assert.Regexp(t, `^Scheduled operation \d+ with task \d+\n`, s.juju("run --background keepalived/0 history limit=5"))
	operations := s.juju("operations")
	assert.Equal(t, 7, strings.Count(operations, "error"), operations)
	assert.Equal(t, 1, strings.Count(operations, "pending"), operations)
}

func TestRefreshFromThePythonCharmAndBack(t *testing.T) {
	s := newSite(t)
	s.haproxy()
	s.charm()
	s.python()
	s.juju("deploy ./python.charm keepalived --base ubuntu@22.04")
	s.juju("integrate haproxy keepalived:juju-info")
	s.juju("config keepalived virtual_ip=10.10.74.250/24 router_id=42 port=8443")
	kept := func() {
		t.Helper()
		assert.Equal(t, "10.10.74.250/24", s.juju("config keepalived virtual_ip"))
		assert.Equal(t, "42", s.juju("config keepalived router_id"))
		assert.Equal(t, "8443", s.juju("config keepalived port"))
		assert.Contains(t, s.juju("status --relations"), "keepalived:juju-info")
	}
	require.NotContains(t, s.juju("status --relations"), "keepalived-cluster")
	for range 2 {
		s.juju("refresh keepalived --path ./keepalived.charm")
		kept()
		assert.Contains(t, s.juju("status --relations"), "keepalived-cluster", "units get their peer relation at once")
		s.juju("config keepalived healthcheck_type=http")
		s.juju("refresh keepalived --path ./python.charm")
		kept()
		assert.NotContains(t, s.juju("status --relations"), "keepalived-cluster")
		assert.Contains(t, s.refused("config keepalived healthcheck_type"), "healthcheck_type")
	}
}

func TestTenAtOnce(t *testing.T) {
	s := newSite(t)
	s.charm()
	s.juju("deploy ./keepalived.charm --base ubuntu@22.04")
	s.standIn("haproxy")
	atOnce := func(command string) {
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				out, err := s.run(strings.Fields(fmt.Sprintf(command, i))...)
				assert.NoError(t, err, out)
			})
		}
		all.Wait()
	}
	atOnce("deploy ./haproxy proxy%d --base ubuntu@22.04")
	atOnce("integrate proxy%d keepalived:juju-info")
	status := s.juju("status --relations")
	for i := range 10 {
		assert.Regexp(t, fmt.Sprintf(`(?m)^keepalived:juju-info +proxy%d:juju-info +juju-info +subordinate|^proxy%[1]d:juju-info +keepalived:juju-info +juju-info +subordinate`, i), status)
	}
}
