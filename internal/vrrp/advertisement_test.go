package vrrp_test

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/vrrp"
)

// packet is a payload in hexadecimal digits.
func packet(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	require.NoError(t, err)
	return b
}

func TestAdvertisementsOfBothVersionsAndFamiliesAreRead(t *testing.T) {
	for claim, c := range map[string]struct {
		digits string
		six    bool
		want   vrrp.Advertisement
	}{
		"version 2 with a password": {"2117640101010000" + "0a0a4afa" + "7365637265740000", false, vrrp.Advertisement{
			Version: 2, VirtualRouterID: 23, Priority: 100, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}}},
		"version 3, reserved bits set": {"3117fe02f0140000" + "a9fe1770" + "0a0a4afa", false, vrrp.Advertisement{
			Version: 3, VirtualRouterID: 23, Priority: 254, Interval: 200 * time.Millisecond,
			Addresses: []netip.Addr{vrrp.Anchor(23, false), netip.MustParseAddr("10.10.74.250")}}},
		"version 3 over IPv6": {"31ff000100640000" + "fd70767272700000000000000000ff70", true, vrrp.Advertisement{
			Version: 3, VirtualRouterID: 255, Interval: time.Second, Addresses: []netip.Addr{vrrp.Anchor(255, true)}}},
		"without addresses": {"3101010000640000", false, vrrp.Advertisement{Version: 3, VirtualRouterID: 1, Priority: 1, Interval: time.Second}},
	} {
		t.Run(claim, func(t *testing.T) {
			got, err := vrrp.ParseAdvertisement(packet(t, c.digits), c.six)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestOtherPacketsAreNoAdvertisements(t *testing.T) {
	for claim, c := range map[string]struct {
		digits string
		six    bool
	}{
		"nothing":                {"", false},
		"a part of one":          {"31176401001400", false},
		"another type":           {"3217640000140000", false},
		"another version":        {"4117640000140000", false},
		"version 2 over IPv6":    {"2117640001010000", true},
		"virtual router ID 0":    {"3100640000140000", false},
		"an address that ends":   {"3117640100140000" + "0a0a4a", false},
		"an IPv6 one that ends":  {"3117640100140000" + "0a0a4afa", true},
		"fewer than it promises": {"311764ff00140000" + "0a0a4afa", false},
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := vrrp.ParseAdvertisement(packet(t, c.digits), c.six)
			require.ErrorContains(t, err, "cannot read advertisement: ")
		})
	}
}

// FuzzParseAdvertisement: whatever a segment carries, reading it ends, and what is
// read is in the ranges of the protocol.
func FuzzParseAdvertisement(f *testing.F) {
	f.Add(packet(f, "2117640101010000"+"0a0a4afa"+"7365637265740000"), false)
	f.Add(packet(f, "31ff000100640000"+"fd70767272700000000000000000ff70"), true)
	f.Add(packet(f, "311764ff00140000"+"0a0a4afa"), false)
	f.Fuzz(func(t *testing.T, payload []byte, six bool) {
		a, err := vrrp.ParseAdvertisement(payload, six)
		if err != nil {
			return
		}
		require.Contains(t, []int{2, 3}, a.Version)
		require.True(t, a.VirtualRouterID >= 1 && a.VirtualRouterID <= 255)
		require.True(t, a.Priority >= 0 && a.Priority <= 255)
		require.True(t, a.Interval >= 0 && a.Interval <= 255*time.Second)
		require.Len(t, a.Addresses, int(payload[3]))
		for _, address := range a.Addresses {
			require.Equal(t, six, address.Is6())
		}
	})
}

func TestChecksums(t *testing.T) {
	from, to := netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("224.0.0.18")
	for claim, row := range map[string]struct {
		payload []byte
		intact  bool
	}{
		// Made with another implementation.
		"version 3 over addresses and length":    {[]byte{0x31, 23, 254, 1, 0, 20, 0x47, 0x29, 10, 10, 74, 250}, true},
		"version 3 over the payload alone":       {[]byte{0x31, 23, 254, 1, 0, 20, 0x7b, 0xce, 10, 10, 74, 250}, true},
		"version 2 over the payload":             {[]byte{0x21, 23, 254, 1, 0, 1, 0x8b, 0xe1, 10, 10, 74, 250}, true},
		"version 2 over addresses and length":    {[]byte{0x21, 23, 254, 1, 0, 1, 0x57, 0x3c, 10, 10, 74, 250}, false},
		"one bit is wrong":                       {[]byte{0x31, 23, 255, 1, 0, 20, 0x47, 0x29, 10, 10, 74, 250}, false},
		"no checksum":                            {[]byte{0x31, 23, 254, 1, 0, 20, 0, 0, 10, 10, 74, 250}, false},
		"shorter than a header":                  {[]byte{0x31, 23, 254}, false},
		"an odd number of bytes, one is wanting": {[]byte{0x31, 23, 254, 1, 0, 20, 0x47, 0x29, 10, 10, 74}, false},
	} {
		require.Equal(t, row.intact, vrrp.Intact(row.payload, from, to), claim)
	}
}
