// Command charm-pack packs the charm for one architecture:
//
//	charm-pack -arch amd64 -binary build/amd64/keepalived-charm -version v1 -o keepalived_amd64.charm
//
// The archive is read back as Juju reads it before it gets its name.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"keepalived-charm/internal/archive"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "charm-pack: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var src archive.Source
	var output string
	flags := flag.NewFlagSet("charm-pack", flag.ContinueOnError)
	flags.StringVar(&src.Dir, "dir", ".", "`directory` with metadata.yaml")
	flags.StringVar(&src.Arch, "arch", "", "architecture: "+strings.Join(archive.Architectures(), ", "))
	flags.StringVar(&src.Binary, "binary", "", "hook binary, a static `program` for -arch")
	flags.StringVar(&src.Version, "version", "", "the charm's `version`, one line")
	flags.StringVar(&output, "o", "", "archive `file` to write (default keepalived_ARCH.charm)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("cannot use argument %q", flags.Arg(0))
	}
	if output == "" {
		output = "keepalived_" + src.Arch + ".charm"
	}
	packed, err := archive.Pack(src)
	if err != nil {
		return err
	}
	if err := install(output, packed); err != nil {
		return fmt.Errorf("cannot write %s: %w", output, err)
	}
	binary, err := os.Stat(src.Binary)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: version %s, %.1f MB (binary %.1f MB), sha256 %x\n",
		output, src.Version, float64(len(packed))/1e6, float64(binary.Size())/1e6, sha256.Sum256(packed))
	return err
}

// install writes the file under another name first: whoever deploys meanwhile
// gets the old archive or the new one, never half of it.
func install(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".charm-pack-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
