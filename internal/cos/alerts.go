package cos

import (
	"fmt"
	"strings"
)

// Alert is an alert rule.
type Alert struct {
	Name string
	// Expr is in PromQL; topology stands for the matchers of the application.
	Expr string
	// For is how long it has to be so.
	For string
	// Severity is critical, warning or info.
	Severity string
	// Summary is one line; Description says what it means, and the command that helps.
	Summary, Description string
}

// topology stands in expressions for the matchers of one application's series.
const topology = "JUJU"

// of is the application's labels, by which series of its units come together; unit those of
// one unit.
const (
	of   = "juju_model, juju_model_uuid, juju_application"
	unit = of + ", juju_unit"
)

// now is what series were within 45 seconds. A machine that dies takes its collector with it, so
// that nobody says that its series end: without this Prometheus would take them for alive for
// five minutes, and a dead holder for one of two.
func now(series string) string { return "last_over_time(" + series + "[45s])" }

// allPaused leaves an alert out while operators paused every unit, paused while one is,
// itself for the unit that is.
var (
	allPaused = " unless on (" + of + ") (min by (" + of + ") (" + now("keepalived_paused{JUJU}") + ") == 1)"
	paused    = " unless on (" + of + ") (max by (" + of + ") (" + now("keepalived_paused{JUJU}") + ") == 1)"
	itself    = " unless on (" + unit + ") (keepalived_paused{JUJU} == 1)"
)

// unseen leaves an alert out while a unit serves no metrics and another one hears a holder: it is
// the silent unit that holds.
var unseen = " unless on (" + of + ") (min by (" + of + ") (" + now("up{JUJU}") + ") == 0 and on (" + of + ") max by (" + of + ") (" + now("keepalived_vrrp_holder_seen{JUJU}") + ") == 1)"

// Alerts lists the alert rules.
func Alerts() []Alert {
	return []Alert{
		{"KeepalivedNoHolder", "sum by (" + of + ", vip) (" + now("keepalived_vip_present{JUJU}") + ") == 0" + unseen + allPaused, "30s", "critical",
			"No unit of {{ $labels.juju_application }} has {{ $labels.vip }}",
			"Clients do not reach the virtual IP. With all_unhealthy=drop it is meant so while every check fails. See juju status {{ $labels.juju_application }}, and on a unit: juju run {{ $labels.juju_application }}/leader status"},
		{"KeepalivedTwoHolders", "sum by (" + of + ", vip) (" + now("keepalived_vip_present{JUJU}") + ") > 1", "1m", "critical",
			"{{ $value }} units of {{ $labels.juju_application }} have {{ $labels.vip }}",
			"The units do not hear each other: IP protocol 112 has to pass between the machines. juju run {{ $labels.juju_application }}/leader check-network"},
		{"KeepalivedMovesOften", "sum by (" + of + ", iname) (increase(keepalived_become_master_total{JUJU}[15m])) > 4", "0s", "warning",
			"The virtual IPs of {{ $labels.juju_application }} moved {{ $value | humanize }} times in 15 minutes",
			"Each move cuts connections. The cause of each: juju run {{ $labels.juju_application }}/leader history"},
		{"KeepalivedCheckFails", `keepalived_healthcheck_verdict{JUJU,verdict="sick"} == 1` + itself, "5m", "warning",
			"The service at {{ $labels.juju_unit }} fails its check",
			"The unit takes over from nobody whose service works. juju run {{ $labels.juju_unit }} run-checks"},
		{"KeepalivedChecksFailEverywhere", "max by (" + of + ") (" + now(`keepalived_healthcheck_verdict{JUJU,verdict="healthy"}`) + ") == 0" + allPaused, "1m", "critical",
			"The service of {{ $labels.juju_application }} fails its check on every unit",
			"Either all services are down, or the check looks in the wrong place (options healthcheck_* and port). juju run {{ $labels.juju_application }}/leader run-checks"},
		{"KeepalivedNoStandby",
			"sum by (" + of + ") (max by (" + unit + ") (" + now(`keepalived_vrrp_role{JUJU,role=~"holder|standby"}`) + ")" +
				" * on (" + unit + ") " + now(`keepalived_healthcheck_verdict{JUJU,verdict="healthy"}`) + ") < 2" +
				" and on (" + of + ") count by (" + of + ") (count by (" + unit + ") (present_over_time(keepalived_up{JUJU}[1d]))) > 1" + paused,
			"10m", "warning",
			"No healthy standby of {{ $labels.juju_application }} could take over",
			"The next fault takes the virtual IPs down. juju status {{ $labels.juju_application }} says what is wrong at each unit. A unit that was removed counts for a day."},
		{"KeepalivedChangeStuck", "(keepalived_agreement_moving{JUJU} == 1 or keepalived_agreement_waiting{JUJU} == 1)" + itself, "30m", "warning",
			"{{ $labels.juju_unit }} waits to change what all units share",
			"The units go on by what they shared before. juju status {{ $labels.juju_application }} names the unit that is waited for: see its agent, or remove it."},
		{"KeepalivedFinding", "keepalived_findings{JUJU} > 0" + itself, "5m", "warning",
			"{{ $labels.juju_unit }} found something wrong: {{ $labels.kind }}",
			"juju status {{ $labels.juju_application }} says what, and what to type. For what is on the network: juju run {{ $labels.juju_unit }} check-network"},
		{"KeepalivedDown", "keepalived_up{JUJU} == 0" + itself, "1m", "warning",
			"keepalived does not run at {{ $labels.juju_unit }}",
			"The unit can take over nothing. juju ssh {{ $labels.juju_unit }} journalctl -u keepalived"},
		{"KeepalivedRestarts", "increase(keepalived_restarts_total{JUJU}[1h]) > 3", "0s", "warning",
			"keepalived at {{ $labels.juju_unit }} began anew {{ $value | humanize }} times in an hour",
			"It ends by itself, or something ends it. juju ssh {{ $labels.juju_unit }} journalctl -u keepalived"},
		{"KeepalivedMetricsGone", "up{JUJU} == 0", "5m", "warning",
			"{{ $labels.juju_unit }} serves no metrics",
			"Its health checker is down, so nothing moves the virtual IPs when a service dies, and no other alert sees this unit. juju ssh {{ $labels.juju_unit }} systemctl status 'keepalived-checker-*'"},
		{"KeepalivedSilent",
			"count by (" + of + ") (present_over_time(keepalived_up{JUJU}[1h])) unless on (" + of + ") count by (" + of + ") (present_over_time(keepalived_up{JUJU}[3m]))",
			"0s", "critical",
			"No unit of {{ $labels.juju_application }} tells anything",
			"All its machines are down, or no collector reaches Prometheus: nothing is known of the virtual IPs, and no other alert sees it. juju status {{ $labels.juju_application }}"},
		{"KeepalivedPausedLong", "keepalived_paused{JUJU} == 1", "24h", "info",
			"{{ $labels.juju_unit }} has been paused for a day",
			"Somebody may have forgotten it. juju run {{ $labels.juju_unit }} resume"},
	}
}

// Table is Alerts in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| alert | severity | after | says | what to do |\n| --- | --- | --- | --- | --- |\n")
	for _, a := range Alerts() {
		words := strings.NewReplacer("{{ $labels.juju_application }}", "APPLICATION", "{{ $labels.juju_unit }}", "UNIT", "{{ $labels.vip }}", "ADDRESS",
			"{{ $labels.kind }}", "KIND", "{{ $value }}", "N", "{{ $value | humanize }}", "N")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", a.Name, a.Severity, a.For, words.Replace(a.Summary), words.Replace(a.Description))
	}
	return b.String()
}

// Rules is the expressions in Markdown.
func Rules() string {
	var b strings.Builder
	for _, a := range Alerts() {
		fmt.Fprintf(&b, "```\n# %s\n%s\n```\n\n", a.Name, a.Expr)
	}
	return b.String()
}
