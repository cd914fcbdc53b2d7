package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// filterSets are where keepalived keeps the addresses whose packets it drops, those of
// instances with vrrp_strict or no_accept (vrrp_nftables.c): set vips of table
// keepalived, one for each family. When the last such instance goes at a reload, or
// keepalived ends, the addresses stay there (measured, 2.2.7).
func filterSets() []*nftables.Set {
	var sets []*nftables.Set
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		sets = append(sets, &nftables.Set{Name: "vips", Table: &nftables.Table{Name: "keepalived", Family: family}})
	}
	return sets
}

// filtered lists the addresses whose packets keepalived's packet filter drops. What
// cannot be asked bars nothing.
func (h *Host) filtered() []netip.Addr {
	if !h.filters() {
		return nil
	}
	var list []netip.Addr
	conn := &nftables.Conn{}
	for _, set := range filterSets() {
		elements, err := conn.GetSetElements(set)
		if err != nil {
			continue
		}
		for _, e := range elements {
			if a, ok := netip.AddrFromSlice(e.Key); ok {
				list = append(list, a)
			}
		}
	}
	return list
}

// filters tells whether the kernel may have nftables rules. To ask a kernel without its
// module would load that.
func (h *Host) filters() bool {
	if _, err := os.Stat(h.path("/sys/module/nf_tables")); err == nil {
		return true
	}
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	modules, err := filepath.Glob(h.path("/lib/modules", unix.ByteSliceToString(name.Release[:]), "kernel/net/netfilter/nf_tables.ko*"))
	return err == nil && len(modules) == 0
}

// admit takes addresses out of keepalived's packet filter. What the kernel refuses stays
// there, and the status tells.
func (h *Host) admit(list []netip.Addr) {
	for _, set := range filterSets() {
		for _, a := range list {
			if a.Is6() != (set.Table.Family == nftables.TableFamilyIPv6) {
				continue
			}
			conn := &nftables.Conn{}
			err := conn.SetDeleteElements(set, []nftables.SetElement{{Key: a.AsSlice()}})
			if err == nil {
				err = conn.Flush()
			}
			if err != nil && !errors.Is(err, syscall.ENOENT) && slices.Contains(h.filtered(), a) {
				fmt.Fprintf(os.Stderr, "cannot take %s out of keepalived's packet filter: %v\n", a, err)
			}
		}
	}
}
