package checker

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is a process of its own that only checks; TestMain builds it.
var program string

// TestMain builds the checker without cgo, as it is shipped. As a child of a
// test it is a service instead. Tests that wait do so together, whatever number of
// processors there is, unless -parallel says how many.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	if at := os.Getenv("CHECKER_TEST_LISTEN"); at != "" {
		serve(at)
		return
	}
	os.Exit(build(m.Run))
}

func build(run func() int) int {
	dir, err := os.MkdirTemp("", "checker-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "checker")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "./testdata/checker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the checker: %v\n%s", err, out)
		return 1
	}
	return run()
}

// serve accepts until killed.
func serve(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			io.Copy(io.Discard, conn)
			conn.Close()
		}()
	}
}
