package endpoint_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

func TestWhatClientsAreTold(t *testing.T) {
	for claim, c := range map[string]struct {
		service       endpoint.Service
		website, load juju.Databag
	}{
		"a single address has no extra key": {
			endpoint.Service{Addresses: []string{"10.10.74.250"}, Port: 443},
			juju.Databag{"hostname": "10.10.74.250", "private-address": "10.10.74.250", "port": "443", "extended_data": ""},
			juju.Databag{"public-address": "10.10.74.250", "port": "443", "extended_data": ""},
		},
		"a host name stands for the address on website only": {
			endpoint.Service{Addresses: []string{"10.10.74.250"}, Hostname: "api.example.com", Port: 6443},
			juju.Databag{"hostname": "api.example.com", "private-address": "10.10.74.250", "port": "6443", "extended_data": ""},
			juju.Databag{"public-address": "10.10.74.250", "port": "6443", "extended_data": ""},
		},
		"several: the first in the plain keys, the others behind": {
			endpoint.Service{Addresses: []string{"10.10.74.250", "2001:db8::250"}, Port: 443},
			juju.Databag{"hostname": "10.10.74.250", "private-address": "10.10.74.250", "port": "443",
				"extended_data": `[{"hostname":"2001:db8::250","port":"443","private-address":"2001:db8::250"}]`},
			juju.Databag{"public-address": "10.10.74.250", "port": "443",
				"extended_data": `[{"port":"443","public-address":"2001:db8::250"}]`},
		},
		"none deletes what was there": {
			endpoint.Service{Hostname: "api.example.com", Port: 443},
			juju.Databag{"hostname": "", "private-address": "10.10.74.11", "port": "", "extended_data": ""},
			juju.Databag{"public-address": "", "port": "", "extended_data": ""},
		},
	} {
		t.Run(claim, func(t *testing.T) {
			assert.Equal(t, c.website, endpoint.HTTP(c.service, "10.10.74.11"))
			assert.Equal(t, c.load, endpoint.PublicAddress(c.service))
		})
	}
}

func TestChangesAreOnlyDifferences(t *testing.T) {
	have := juju.Databag{"port": "443", "old": "x", "theirs": "y"}
	assert.Equal(t, juju.Databag{"hostname": "a", "old": ""}, endpoint.Changes(juju.Databag{"port": "443", "hostname": "a", "old": "", "never": ""}, have))
	assert.Empty(t, endpoint.Changes(juju.Databag{"port": "443"}, have))
}

// TestWhatALaterRevisionAddsIsNotRead: units of unicast mode must go on to send their
// advertisements to one, and who it is stays known.
func TestWhatALaterRevisionAddsIsNotRead(t *testing.T) {
	bag := juju.Databag{"principal": "haproxy/1", "rank": "1", "addresses": "10.10.74.12,2001:db8::12", "address": "10.10.74.12",
		"lists": "10.10.74.11,10.10.74.13", "macs": "52:54:00:74:00:0c", "since": "1000000000", "healthy": "true", "knows": "0:2,1:1"}
	more := juju.Databag{"colour": "red"}
	for key, value := range bag {
		more[key] = value + " colour=red"
	}
	require.Equal(t, endpoint.ReadMember(bag), endpoint.ReadMember(more))
	require.Len(t, endpoint.ReadMember(more).Lists, 2)
	require.Len(t, endpoint.ReadMember(more).Knows, 2)
}

func TestOfAddressesThatAPeerTellsThoseOfHostsCount(t *testing.T) {
	const hosts = "10.10.74.12,fd00::12,fe80::12,169.254.7.12"
	m := endpoint.ReadMember(juju.Databag{"addresses": "::ffff:10.10.74.12,0.0.0.0,127.0.0.1,224.0.0.18,255.255.255.255,::,::1,ff02::12,fe80::12%eth0,x,," + hosts,
		"lists": "127.0.0.1," + hosts, "address": "::ffff:10.10.74.12"})
	require.Equal(t, hosts, m.Databag()["addresses"])
	require.Equal(t, hosts, m.Databag()["lists"])
	require.False(t, m.Address.IsValid())
}

// FuzzReadMember: a peer's databag never makes this unit fail, and what was read
// is written and read again as the same.
func FuzzReadMember(f *testing.F) {
	f.Add("haproxy/0", "3", "10.10.74.11,2001:db8::1", "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", "keepalived/0 7 version=3 mode=unicast vrid=51 interval=1s anchor=fd70:7672:7270::3370")
	f.Add("x", "-1", ",fe80::1%eth0,::ffff:1.2.3.4", "version=3", "keepalived/0")
	f.Add("a/99999999999999999999", "99999999999999999999", "", "version=2 mode=x vrid=0 interval=-1s anchor=::1%eth0\n", "/ /")
	f.Add("a/1", "1", "52:54:00:74:00:0b,52:54:00:74:00:0C,52:54:00:74:00,\n", "", "")
	f.Add("keepalived/0", "+1", " ", "", "keepalived/0 -9 ")
	f.Add("a/1", "1", "0:1,2:0,1:x,:,-1:1,3:-1,4:99999999999999999999", "", "")
	f.Fuzz(func(t *testing.T, principal, rank, list, runs, next string) {
		m := endpoint.ReadMember(juju.Databag{"principal": principal, "rank": rank, "addresses": list, "address": list,
			"lists": list, "macs": list, "knows": list, "protocol": "1", "vrrp": runs, "next": next, "aside": next})
		if m.Serves && !m.Unread() {
			require.True(t, m.Runs.VirtualRouterID >= 1 && m.Runs.VirtualRouterID <= 255)
			require.Equal(t, runs, m.Runs.String(), "nothing but what a unit of this charm writes")
		}
		require.GreaterOrEqual(t, m.Rank, -1)
		for _, a := range m.Addresses {
			require.True(t, a.IsValid() && a.Zone() == "")
		}
		for number, begun := range m.Knows {
			require.True(t, number >= 0 && begun >= 0)
		}
		for _, mac := range m.MACs {
			hardware, err := net.ParseMAC(mac)
			require.NoError(t, err)
			require.Equal(t, hardware.String(), mac, "as the kernel's tables have it")
		}
		if m.Unread() || m.Announces && m.Next == nil {
			return // what cannot be read is not told on
		}
		require.Equal(t, m, endpoint.ReadMember(m.Databag()))
	})
}
