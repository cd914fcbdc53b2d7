package main_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// load is an amount of virtual IPs, with a virtual router each if spread.
type load struct {
	count  int
	spread bool
}

// within is a load and how many times the cost of the first one it may cost at most
// (docs/reference/cost.md); 0 for that one itself.
type within struct {
	load
	most float64
}

func (l load) String() string {
	if l.spread {
		return fmt.Sprintf("%d spread", l.count)
	}
	return fmt.Sprint(l.count)
}

// options are what config-get prints.
func (l load) options() string {
	var list []string
	for n := range l.count {
		list = append(list, fmt.Sprintf("10.10.%d.%d", 80+n/200, 20+n%200))
	}
	return fmt.Sprintf(`{"advert_interval":0.2,"port":443,"router_id":1,"spread":%v,"virtual_ip":"%s"}`, l.spread, strings.Join(list, " "))
}

// BenchmarkManyVirtualIPs is the processor time of a hook that changes nothing, and of
// action status, with many virtual IPs in that with one: the least of each, with all
// programs that it starts.
func BenchmarkManyVirtualIPs(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("only root may make namespaces")
	}
	hooks := map[string][]within{
		"hooks/update-status": {{load{1, false}, 0}, {load{64, false}, 1.5}, {load{500, false}, 3}, {load{64, true}, 1.5}, {load{200, true}, 3}},
		"actions/status":      {{load{1, true}, 0}, {load{64, true}, 3}},
	}
	least := map[string]map[within]int64{}
	for hook, loads := range hooks {
		least[hook] = map[within]int64{}
		for _, l := range loads {
			least[hook][l] = math.MaxInt64
			s := newStage(b)
			s.put("fake/config-get", l.options())
			s.run("/charm/dispatch", "hooks/config-changed")
			s.run("/charm/dispatch", "hooks/update-status")
			for range 7 {
				least[hook][l] = min(least[hook][l], s.run("/charm/dispatch", hook).total)
			}
		}
	}
	for b.Loop() {
	}
	for hook, loads := range hooks {
		one := least[hook][loads[0]]
		b.ReportMetric(float64(one)/1000, strings.ReplaceAll(hook, "/", "-")+"-one-ms")
		for _, l := range loads[1:] {
			ratio := float64(least[hook][l]) / float64(one)
			said := fmt.Sprintf("%s with %s virtual IPs: %.2f times that with one (%.1f ms to %.1f ms), at most %v", hook, l, ratio, float64(least[hook][l])/1000, float64(one)/1000, l.most)
			if b.Log(said); ratio > l.most {
				b.Errorf("too much: %s", said)
			}
		}
	}
}
