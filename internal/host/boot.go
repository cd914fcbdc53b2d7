package host

import (
	"os"
	"strings"
)

// boot names the machine's boot, by the kernel's and, as a container has that of its host, by
// when its first process began; empty where that cannot be told.
func (h *Host) boot() string {
	id, err := os.ReadFile(h.path("/proc/sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile(h.path("/proc/1/stat"))
	if err != nil {
		return ""
	}
	const began = 22 - 3 // starttime, counted from state behind the name (proc_pid_stat(5))
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	if len(fields) <= began {
		return ""
	}
	return strings.TrimSpace(string(id)) + " " + fields[began]
}
