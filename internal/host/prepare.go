package host

import (
	"fmt"
	"net/netip"
	"os"

	"keepalived-charm/internal/healthcheck"
)

// Prepare runs right before keepalived starts: it makes the track files of one
// application, which a reboot removes, and takes away virtual IPs that a crashed
// daemon left behind. config is the health checker's configuration.
func Prepare(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("cannot prepare for keepalived: %w", err)
	}
	c, err := healthcheck.Parse(text)
	if err != nil {
		return fmt.Errorf("cannot prepare for keepalived: %s: %w", config, err)
	}
	var stale []netip.Addr
	for _, i := range c.Instances {
		if err := makeTrackFile(i.TrackFile, 0); err != nil {
			return err
		}
		stale = append(stale, i.Addresses...)
	}
	return flush(stale)
}
