package keepalived_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
)

func TestTheReportOfTheDaemonIsRead(t *testing.T) {
	want := []keepalived.InstanceState{{
		Name: "charm_x", Interface: "eth0", VirtualRouterID: 23, State: keepalived.Master, Base: 50, Effective: 50,
		LastTransition: 1795340257.535543,
		Addresses:      []netip.Addr{netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.75.250"), netip.MustParseAddr("2001:db8::3")},
	}}
	for _, name := range []string{"report-2.2.7.json", "report-version-2.json"} {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		got, err := keepalived.ParseState(text)
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
}

func TestAReportThatIsNoneIsAnError(t *testing.T) {
	for _, text := range []string{"", "[", `[{"data":`, `"x"`, "12", `[{"data":{"state":"two"}}]`} {
		_, err := keepalived.ParseState([]byte(text))
		require.ErrorContains(t, err, "cannot read keepalived's state: ", "%q", text)
	}
}

func TestAddressesOfAnotherFormAreLeftOut(t *testing.T) {
	got, err := keepalived.ParseState([]byte(`[{"data":{"iname":"a","vips":[{"address":"10.0.0.1"},"x dev eth0","10.0.0.2 dev eth0",null],"evips":"none"}}]`))
	require.NoError(t, err)
	require.Equal(t, []keepalived.InstanceState{{Name: "a", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}}, got)
}

func TestAdvertisementsWithOtherAddressesAreCounted(t *testing.T) {
	got, err := keepalived.ParseState([]byte(`[{"data":{"iname":"a"},"stats":{"advert_rcvd":9,"addr_list_err":7}}]`))
	require.NoError(t, err)
	require.Equal(t, []keepalived.InstanceState{{Name: "a", AddressErrors: 7}}, got)
}

func TestStatesHaveKeepalivedsNames(t *testing.T) {
	for s, want := range map[keepalived.State]string{0: "INIT", 1: "BACKUP", 2: "MASTER", 3: "FAULT", 97: "state 97"} {
		assert.Equal(t, want, s.String())
	}
}

func TestVirtualAddressesOfAnybodysConfiguration(t *testing.T) {
	for claim, c := range map[string]struct {
		text string
		want []string
	}{
		"the Python charm's":          {"vrrp_instance VI_1 {\n    virtual_ipaddress {\n        10.10.74.250/24\n    }\n}", []string{"10.10.74.250"}},
		"on one line":                 {"vrrp_instance a {\nvirtual_ipaddress { 10.0.0.1/24 dev eth0 }\n}", []string{"10.0.0.1"}},
		"the excluded ones":           {"vrrp_instance a {\nvirtual_ipaddress_excluded {\n2001:db8::1/64\n}\n}", []string{"2001:db8::1"}},
		"no comments":                 {"vrrp_instance a {\nvirtual_ipaddress {\n# 10.0.0.1\n! 10.0.0.2\n10.0.0.3 # 10.0.0.4\n}\n}", []string{"10.0.0.3"}},
		"nothing outside of a block":  {"vrrp_instance a {\nvirtual_ipaddress {\n10.0.0.1\n}\nunicast_peer {\n10.0.0.9\n}\n}", []string{"10.0.0.1"}},
		"nothing behind a broken end": {"vrrp_instance a {\nvirtual_ipaddress", nil},
	} {
		var got []string
		for _, a := range keepalived.VirtualAddresses(c.text) {
			got = append(got, a.String())
		}
		assert.Equal(t, c.want, got, claim)
	}
}

func FuzzParseState(f *testing.F) {
	for _, name := range []string{"report-2.2.7.json", "report-version-2.json"} {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"vrrp":[{"data":{"state":99,"vips":["","/"," "]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		states, err := keepalived.ParseState(text)
		if err != nil {
			require.Nil(t, states)
		}
		for _, s := range states {
			require.NotEmpty(t, s.State.String())
			for _, a := range s.Addresses {
				require.True(t, a.IsValid())
			}
		}
	})
}

func FuzzVirtualAddresses(f *testing.F) {
	f.Add("virtual_ipaddress {\n 10.0.0.1/24 dev eth0\n}")
	f.Add("virtual_ipaddress_excluded{2001:db8::1}#")
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range keepalived.VirtualAddresses(text) {
			require.True(t, a.IsValid())
		}
	})
}
