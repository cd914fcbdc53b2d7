package machine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// CacheEnv names the environment variable that moves the lab's cache, base images and the disks of
// running labs, away from DefaultCache.
const CacheEnv = "KEEPALIVED_LAB_CACHE"

// DefaultCache is where base images are kept unless CacheEnv says otherwise.
const DefaultCache = "/var/cache/keepalived-lab"

//go:embed base.sh
var baseScript string

// BaseEnv names the environment variable that says which Debian the machines run.
const BaseEnv = "LAB_BASE"

// A Base is a release of Debian by its code name.
type Base string

const (
	Bookworm Base = "bookworm" // Debian 12: systemd 252
	Trixie   Base = "trixie"   // Debian 13: systemd 257
)

// Keepalived is the version of keepalived that a base has.
func (b Base) Keepalived() string {
	if b == Trixie {
		return "2.3.3"
	}
	return "2.2.7"
}

// ChosenBase is the value of BaseEnv, or Bookworm.
func ChosenBase() (Base, error) {
	switch base := Base(os.Getenv(BaseEnv)); base {
	case "":
		return Bookworm, nil
	case Bookworm, Trixie:
		return base, nil
	default:
		return "", fmt.Errorf("cannot use base %q: %s is %s or %s", base, BaseEnv, Bookworm, Trixie)
	}
}

// A BaseImage is the root file system every machine starts from. Machines never write to it.
type BaseImage struct {
	// Base is what the image was made of.
	Base Base
	// Root is the directory that holds the file system.
	Root string
	// Cache is the cache directory the image belongs to.
	Cache string
	// Built is how long the build took; zero when the image came from the cache.
	Built time.Duration
}

// CacheDir is the directory for base images and disks: the value of CacheEnv or DefaultCache.
func CacheDir() string {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return dir
	}
	return DefaultCache
}

// EnsureBase returns the image of the chosen base for this version of the recipe, building it
// first if the cache has none. Progress lines go to progress. Two callers at once build it only
// once: the second waits.
func EnsureBase(ctx context.Context, progress io.Writer) (*BaseImage, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot prepare machines: the lab needs root")
	}
	base, err := ChosenBase()
	if err != nil {
		return nil, err
	}
	cache, err := filepath.Abs(CacheDir())
	if err != nil {
		return nil, fmt.Errorf("cannot find cache directory: %w", err)
	}
	dir := filepath.Join(cache, fmt.Sprintf("base-%s-%s", base, recipeKey(base)))
	image := &BaseImage{Base: base, Root: filepath.Join(dir, "rootfs"), Cache: cache}
	if exists(image.Root) {
		return image, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make cache directory: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, "lock"), progress)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if exists(image.Root) {
		return image, nil
	}
	start := time.Now()
	if err := buildBase(ctx, base, cache, dir, progress); err != nil {
		return nil, err
	}
	image.Built = time.Since(start)
	fmt.Fprintf(progress, "base image: ready after %s\n", image.Built.Round(time.Second))
	return image, nil
}

// recipeKey identifies the image: everything that decides its content is hashed into it.
func recipeKey(base Base) string {
	sum := sha256.Sum256([]byte(runtime.GOARCH + "\n" + string(base) + "\n" + baseScript))
	return hex.EncodeToString(sum[:6])
}

// unfinished begins the names of directories where images are built, and of nothing else in the
// cache.
const unfinished = "unfinished-base-"

// buildBase makes the image beside its final place and renames it there, so that a base directory
// that exists is complete. The caller holds the lock: any build directory found is a dead one's.
func buildBase(ctx context.Context, base Base, cache, dir string, progress io.Writer) error {
	old, err := filepath.Glob(filepath.Join(cache, unfinished+"*"))
	if err != nil {
		return fmt.Errorf("cannot list unfinished images: %w", err)
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("cannot remove unfinished image: %w", err)
		}
	}
	build, err := os.MkdirTemp(cache, unfinished)
	if err != nil {
		return fmt.Errorf("cannot make build directory: %w", err)
	}
	defer os.RemoveAll(build)
	if err := os.Chmod(build, 0o755); err != nil {
		return fmt.Errorf("cannot make build directory: %w", err)
	}
	log := filepath.Join(build, "log")
	if err := runBuild(ctx, base, build, log, progress); err != nil {
		return fmt.Errorf("cannot build base image: %w\n%s", err, lastLines(log, 15))
	}
	if err := os.RemoveAll(filepath.Join(build, "scratch")); err != nil {
		return fmt.Errorf("cannot clean build directory: %w", err)
	}
	if err := os.Rename(build, dir); err != nil {
		return fmt.Errorf("cannot put base image in place: %w", err)
	}
	return nil
}

// runBuild runs the recipe in a mount namespace of its own, so that a build which dies leaves no
// mount behind.
func runBuild(ctx context.Context, base Base, build, log string, progress io.Writer) error {
	mirror, err := hostMirror(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/bash", "-c", baseScript)
	cmd.Stdout = progress
	cmd.Env = append(os.Environ(), "SUITE="+string(base), "ROOT="+filepath.Join(build, "rootfs"), "LOG="+log, "MIRROR="+mirror)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd.Run()
}

// hostMirror is the archive the host's own apt takes Debian from, whichever its release: an archive
// has them all. So images can be built wherever the host can install packages.
func hostMirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask apt for its archives: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && slices.Contains(hostReleases, fields[0]) && fields[1] == "main" && strings.HasPrefix(fields[2], "http") {
			return strings.TrimSuffix(fields[2], "/"), nil
		}
	}
	return "", errors.New("cannot find an archive of Debian (main of bookworm or trixie) in apt's sources: add one and run apt-get update")
}

// hostReleases are the code names, and names of rank, that a host's sources may give.
var hostReleases = []string{string(Bookworm), string(Trixie), "stable", "oldstable"}

// lockFile takes an exclusive lock, which ends with the process at the latest.
func lockFile(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open lock: %w", err)
	}
	for waiting := false; ; waiting = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		if !waiting {
			fmt.Fprintln(progress, "base image: another run is building it, waiting")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("cannot wait for %s: %w", path, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lastLines returns the end of a log for an error message.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
