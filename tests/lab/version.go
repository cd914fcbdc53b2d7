package lab

import (
	"fmt"
	"os"
)

// JujuEnv names the environment variable that says which Juju the lab has.
const JujuEnv = "LAB_JUJU"

// A JujuVersion is a minor version of Juju.
type JujuVersion string

const (
	Juju35 JujuVersion = "3.5" // 3.5.4
	Juju36 JujuVersion = "3.6" // 3.6.11
)

// ChosenJuju is the value of JujuEnv, or Juju35.
func ChosenJuju() (JujuVersion, error) {
	switch v := JujuVersion(os.Getenv(JujuEnv)); v {
	case "":
		return Juju35, nil
	case Juju35, Juju36:
		return v, nil
	default:
		return "", fmt.Errorf("cannot use Juju %q: %s is %s or %s", v, JujuEnv, Juju35, Juju36)
	}
}

// directory is where its programs are, below the lab's cache.
func (v JujuVersion) directory() string {
	if v == Juju35 {
		return "programs"
	}
	return "programs-" + string(v)
}

// flags have tests/juju built with this version, see its go36.mod.
func (v JujuVersion) flags() []string {
	if v == Juju36 {
		return []string{"-modfile=go36.mod", "-tags=juju36"}
	}
	return nil
}
