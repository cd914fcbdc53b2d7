package charm_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

const consumer = juju.RelationID("lb-consumers:9")

// consumes is a unit whose application is asked for a load balancer by another, as was recorded.
func consumes(t *testing.T, s charmtest.State, application, name string) charmtest.State {
	t.Helper()
	s = s.Clone()
	s.Juju.Relate(endpoint.LBConsumers, consumer, juju.Unit{Application: application})
	s.Juju.Consumers[consumer] = charmtest.Consumer{Application: application, Asks: databagIn(t, filepath.Join("../loadbalancer/testdata", name+".json"), "app_databag")}
	return s
}

// TestTheLeaderAnswersConsumers, and nobody else may.
func TestTheLeaderAnswersConsumers(t *testing.T) {
	const granted = `{"address":"10.10.74.250","error":null,"error_fields":{},"error_message":null,"received_hash":"68b94e69df43de5a5c3b3a02786c697b"}`
	const answer = "response_api-server-internal"
	s := consumes(t, serving(t), "haproxy", "kcp-internal")
	told := func(s charmtest.State) juju.Databag { return s.Juju.Consumers[consumer].Told }
	require.Empty(t, told(run(t, s, "lb-consumers-relation-created", "lb-consumers-relation-changed", "update-status")))

	s.Juju.Leads = true
	s = run(t, s, "leader-elected")
	require.Equal(t, juju.Databag{"version": "1", answer: granted}, told(s))
	again := charmtest.Run(t, "update-status", s)
	require.Equal(t, s.String(), again.String())
	require.Equal(t, charmtest.Run(t, "update-status", serving(t)).Calls+4, again.Calls)

	other := run(t, option(s, "virtual_ip", "10.10.74.251 10.10.74.250"), "config-changed")
	require.NotEqual(t, granted, told(other)[answer], "the first one is another")
	require.Equal(t, juju.Databag{"version": "1"}, told(run(t, option(s, "virtual_ip", ""), "config-changed")), "with the last virtual IP")
	refused := run(t, option(s, "virtual_ip", "10.10.74.300"), "config-changed")
	require.Equal(t, granted, told(refused)[answer], "what is served goes on")

	delete(s.Juju.Consumers[consumer].Asks, "request_api-server-internal")
	require.Equal(t, juju.Databag{"version": "1"}, told(run(t, s, "lb-consumers-relation-changed")), "with its request")
}

// TestLeadershipThatIsLostAmidAHook fails it, as Juju then refuses what it publishes, and not what
// the unit serves. Juju runs it again, and whoever leads now answers.
func TestLeadershipThatIsLostAmidAHook(t *testing.T) {
	s := consumes(t, serving(t), "haproxy", "kcp-internal")
	s.Juju.Leads = true
	s = run(t, s, "leader-elected")
	answer := s.Juju.Consumers[consumer].Told
	out := charmtest.RunHook(t, charmtest.Hook{Name: "config-changed", Between: func(now *charmtest.State) bool {
		now.Juju.Leads = false
		return true
	}}, option(s, "virtual_ip", "10.10.74.251 10.10.74.250"))
	require.EqualError(t, out.Err, "cannot write the databag of the application in relation "+string(consumer)+": permission denied")
	require.True(t, out.Host.Keepalived.Running)
	require.Contains(t, out.Host.Keepalived.Loaded, "10.10.74.251")
	again := charmtest.Run(t, "config-changed", out.State)
	require.Empty(t, again.Stale())
	require.Equal(t, answer, again.Juju.Consumers[consumer].Told)
	again.Juju.Leads = true
	require.NotEqual(t, answer, run(t, again.State, "leader-elected").Juju.Consumers[consumer].Told)
}

// TestALeaderThatCannotTellWhatIsServedLeavesAnswers, but tells the version that is waited for
// and takes back what is no longer asked for: another unit of its application serves on its
// machine, its principal has asked for nothing yet, or its options are refused.
func TestALeaderThatCannotTellWhatIsServedLeavesAnswers(t *testing.T) {
	told := juju.Databag{"version": "1", "response_api-server-internal": "{}"}
	own := charmtest.NewState(0)
	own.Juju.Options["virtual_ip"] = "10.10.74.11"
	for claim, s := range map[string]charmtest.State{
		"beside another": beside(t, serving(t)), "nothing asked for": withPeer(alone(t)), "refused": run(t, withPeer(own), "install", "config-changed", "start"),
	} {
		s = consumes(t, s, "haproxy", "kcp-internal")
		s.Juju.Leads = true
		one := s.Juju.Consumers[consumer]
		after := func(c charmtest.Consumer) juju.Databag {
			s.Juju.Consumers[consumer] = c
			return run(t, s, "lb-consumers-relation-changed").Juju.Consumers[consumer].Told
		}
		require.Equal(t, juju.Databag{"version": "1"}, after(one), claim)
		one.Told = told
		require.Equal(t, told, after(one), claim)
		one.Asks = juju.Databag{"version": "1"}
		require.Equal(t, juju.Databag{"version": "1"}, after(one), claim)
	}
}

// TestBackendsMayBeNamed: the units' own machines.
func TestBackendsMayBeNamed(t *testing.T) {
	s := consumes(t, withPeer(serving(t)), "haproxy", "kcp-internal")
	s.Juju.Leads = true
	for backends, granted := range map[string]bool{`["10.10.74.11","10.10.74.12"]`: true, `["10.10.74.13"]`: false} {
		s.Juju.Consumers[consumer] = charmtest.Consumer{Application: "haproxy", Asks: juju.Databag{"request_api": `{"protocol":"tcp","port_mapping":{"80":80},"backends":` + backends + `}`}}
		told := run(t, s, "lb-consumers-relation-changed").Juju.Consumers[consumer].Told["response_api"]
		require.Equal(t, granted, strings.Contains(told, `"address":"10.10.74.250"`), told)
	}
}

// TestALeaderThatServesNothingLeavesAnswersWhileOthersServe: its machine's base is upgraded, or
// its principal has asked for nothing yet.
func TestALeaderThatServesNothingLeavesAnswersWhileOthersServe(t *testing.T) {
	told := juju.Databag{"version": "1", "response_api-server-internal": "{}"}
	answers := func(s charmtest.State, hook string) juju.Databag {
		s = consumes(t, s, "haproxy", "kcp-internal")
		s.Juju.Leads, s.Juju.Consumers[consumer] = true, charmtest.Consumer{Application: "haproxy", Asks: s.Juju.Consumers[consumer].Asks, Told: told}
		return run(t, s, hook).Juju.Consumers[consumer].Told
	}
	for claim, in := range map[string]struct {
		hook string
		charmtest.State
	}{
		"an upgrade of its machine": {"update-status", run(t, serving(t), "pre-series-upgrade")},
		"its principal comes later": {"config-changed", alone(t)},
	} {
		require.Equal(t, told, answers(withPeer(in.State), in.hook), claim)
		require.Equal(t, juju.Databag{"version": "1"}, answers(in.State, in.hook), claim+", without peers")
	}
	require.Equal(t, juju.Databag{"version": "1"}, answers(option(withPeer(serving(t)), "virtual_ip", ""), "config-changed"), "nothing is asked for")
}

// TestWhatAConsumerWritesStopsNothing: the unit serves on, and what it told stays.
func TestWhatAConsumerWritesStopsNothing(t *testing.T) {
	s := consumes(t, serving(t), "haproxy", "kcp-internal")
	s.Juju.Leads = true
	before := run(t, s, "update-status")
	for _, text := range []string{"", "{", "null", "[]", `{"port_mapping":{"80":"80"}}`, `{"port_mapping":[80]}`, `{"backends":7}`, strings.Repeat("x", 1<<20), "\x00\n"} {
		told := juju.Databag{"version": "1", "response_api": "as before"}
		s.Juju.Consumers[consumer] = charmtest.Consumer{Application: "haproxy", Asks: juju.Databag{"version": "\xff", "request_api": text}, Told: told}
		after := run(t, s, "lb-consumers-relation-changed")
		require.Equal(t, before.Host.String(), after.Host.String())
		require.Equal(t, before.Juju.Status, after.Juju.Status)
		require.Equal(t, told, after.Juju.Consumers[consumer].Told)
	}
}

// TestConsumersElsewhereAreRefused: the virtual IPs are on other machines than theirs.
func TestConsumersElsewhereAreRefused(t *testing.T) {
	s := consumes(t, serving(t), "kubernetes-control-plane", "kcp-internal")
	s.Juju.Leads = true
	s = run(t, s, "lb-consumers-relation-changed")
	require.Contains(t, s.Juju.Consumers[consumer].Told["response_api-server-internal"],
		`"error":"unsupported","error_fields":{},"error_message":"keepalived forwards nothing: the virtual IPs are on the machines of haproxy, not of kubernetes-control-plane"`)
	none := charmtest.NewState(0)
	none.Juju.Leads = true
	none = run(t, consumes(t, none, "haproxy", "kcp-internal"), "lb-consumers-relation-created")
	require.Equal(t, juju.Databag{"version": "1"}, none.Juju.Consumers[consumer].Told, "the version comes first: nothing is asked for before it")
}

// TestAnAnswerIsTheSameWhoeverLeads, where units beside two applications serve: the virtual IPs of
// one may be on machines of the other, so that neither is granted anything, but who was granted
// something before keeps it.
func TestAnAnswerIsTheSameWhoeverLeads(t *testing.T) {
	const name = "response_api-server-internal"
	const granted = `{"address":"ADDRESS","error":null,"error_fields":{},"error_message":null,"received_hash":"68b94e69df43de5a5c3b3a02786c697b"}`
	const both = "keepalived forwards nothing: the virtual IPs may be on machines of haproxy and of lb: deploy a keepalived of its own for each"
	const elsewhere = "keepalived forwards nothing: the virtual IPs are on the machines of haproxy and lb, not of vault"
	const alone = "keepalived forwards nothing: the virtual IPs are on the machines of haproxy, not of lb"
	refused := func(message string) string {
		return `{"address":null,"error":"unsupported","error_fields":{},"error_message":"` + message + `","received_hash":"68b94e69df43de5a5c3b3a02786c697b"}`
	}
	at := func(address string) string { return strings.ReplaceAll(granted, "ADDRESS", address) }
	stale := func(address string) string { return strings.ReplaceAll(at(address), "68b9", "0000") }
	type answer struct{ consumer, before, after string }
	for claim, c := range map[string]struct {
		options map[string]any
		lb      string // what lb asks for; nothing: it is related to juju-info, and so is haproxy
		answers []answer
	}{
		"each asks for its own": {nil, "haproxy-04-vip-changed", []answer{
			{"haproxy", "", refused(both)}, {"haproxy", refused("x"), refused(both)}, {"haproxy", at("10.10.74.250"), at("10.10.74.250")},
			{"haproxy", stale("10.10.74.250"), at("10.10.74.250")}, {"haproxy", stale("10.10.74.252"), at("10.10.74.250")},
			{"lb", "", refused(both)}, {"lb", at("10.10.74.251"), at("10.10.74.251")},
			{"vault", "", refused(elsewhere)}, {"vault", at("10.10.74.250"), refused(elsewhere)},
		}},
		"the option": {map[string]any{"virtual_ip": "10.10.74.250 10.10.74.251"}, "", []answer{
			{"haproxy", "", refused(both)}, {"haproxy", at("10.10.74.250"), at("10.10.74.250")}, {"lb", at("10.10.74.250"), at("10.10.74.250")},
		}},
		"one asks for nothing yet": {nil, "haproxy-00-no-vip-option", []answer{
			{"haproxy", "", at("10.10.74.250")}, {"haproxy", stale("10.10.74.250"), at("10.10.74.250")},
			{"lb", "", refused(alone)}, {"lb", at("10.10.74.250"), refused(alone)},
		}},
		"one asks for no virtual IP": {nil, "klb-01-no-vip-second", []answer{
			{"haproxy", "", at("10.10.74.250")}, {"haproxy", at("10.10.74.250"), at("10.10.74.250")},
		}},
	} {
		k := charmtest.NewCluster(t, clusterOptions())
		k.Options["virtual_ip"] = ""
		maps.Copy(k.Options, c.options)
		for n := range 4 {
			node := k.Add()
			asks := "haproxy-02-second"
			if n >= 2 {
				node.Juju.Principal, asks = juju.Unit{Application: "lb", Number: n - 2}, c.lb
			}
			delete(node.Juju.Relations, endpoint.JujuInfo)
			if c.lb == "" {
				k.Attach(node)
			} else {
				k.Ask(node, written(t, asks))
			}
		}
		rest(t, k)
		for _, a := range c.answers {
			for _, n := range k.Nodes {
				s := consumes(t, *n.State, a.consumer, "kcp-internal")
				s.Juju.Leads = true
				one := s.Juju.Consumers[consumer]
				one.Told = juju.Databag{"version": "1"}
				if a.before != "" {
					one.Told[name] = a.before
				}
				s.Juju.Consumers[consumer] = one
				out := run(t, s, "leader-elected")
				require.Equal(t, juju.Databag{"version": "1", name: a.after}, out.Juju.Consumers[consumer].Told, "%s: %s, by %s: %s", claim, a.consumer, n.Juju.Unit, out.Juju.Status)
				again := charmtest.Run(t, "update-status", out)
				require.Equal(t, out.Juju.Consumers, again.Juju.Consumers)
				departs := out.Clone()
				departs.Juju.Relations[endpoint.Cluster] = nil
				departs.Juju.Relate(endpoint.Cluster, "cluster:1")
				last := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: n.Juju.Unit}, departs)
				require.NoError(t, last.Err)
				require.Equal(t, out.Juju.Consumers, last.Juju.Consumers, "it knows the others no more")
			}
		}
	}
}
