package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func small() config {
	return config{accesses: 3000, keys: 300, workers: 8, batches: 0.3, batch: 10, writes: 0.05, local: 100, localTTL: 50 * time.Millisecond}
}

func TestReplayOfAZipfWorkload(t *testing.T) {
	r, err := run(context.Background(), small())
	if err != nil || r.violations.Load() != 0 {
		t.Fatalf("%d violations (%v), %v", r.violations.Load(), r.firstViolation, err)
	}
	if n := r.accesses.Load(); n != 3000 || r.db.asked.Load() == 0 || r.db.asked.Load() >= n || r.absent.Load() == 0 || r.writes.Load() == 0 {
		t.Errorf("%d accesses, %d loads, %d absent, %d writes", n, r.db.asked.Load(), r.absent.Load(), r.writes.Load())
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{"3,000", "hit ratio", "another's flight", "p99.9", "never true", "memory:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}

func TestReplayOfALog(t *testing.T) {
	text := strings.Repeat("a\nb\n\n  c  \na\n", 50)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"plain.txt": []byte(text), "packed.gz": packed.Bytes()} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c := small()
		c.log = path
		r, err := run(context.Background(), c)
		if err != nil || r.accesses.Load() != 200 || len(r.distinct) != 3 || r.violations.Load() != 0 {
			t.Errorf("%s: %d accesses to %d keys, %v", name, r.accesses.Load(), len(r.distinct), err)
		}
	}
}

func TestLogsThatCannotBeReplayed(t *testing.T) {
	for want, content := range map[string]string{
		"the log has no keys": "\n \n",
		"line 2 is not text":  "a\n\xff\xfe\n",
		"line 1: bufio":       strings.Repeat("x", 100_000),
		"no such file":        "",
		"gzip":                "\x1f\x8bnot really",
		"unexpected EOF":      cutGzip(t),
	} {
		c := small()
		c.log = filepath.Join(t.TempDir(), "log")
		if want != "no such file" {
			if err := os.WriteFile(c.log, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := run(context.Background(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// cutGzip returns the beginning of a packed log of a line and a half.
func cutGzip(t *testing.T) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte("a\nb")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFlagsThatCannotBe(t *testing.T) {
	if err := small().check(nil); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*config){
		"-workers": func(c *config) { c.workers = 0 }, "-writes": func(c *config) { c.writes = math.NaN() },
		"-batches": func(c *config) { c.batches = 2 }, "-db-latency": func(c *config) { c.latency = -1 },
	} {
		c := small()
		c.keys = 10
		change(&c)
		if err := c.check(nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if small().check([]string{"access.log"}) == nil {
		t.Error("an argument: no error")
	}
}

func TestAnInterruptedReplayReports(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := small()
	c.accesses = 1 << 40
	time.AfterFunc(100*time.Millisecond, cancel)
	if r, err := run(ctx, c); err != nil || r.accesses.Load() == 0 {
		t.Errorf("%v", err)
	}
}

// A wrong answer must be found out.
func TestReplayFindsAnswersThatWereNeverTrue(t *testing.T) {
	server, err := demoredis.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	in := newInstance("one", "lies", server, 100, time.Minute)
	defer in.close()
	db := newDatabase(0)
	existing := "k"
	for !db.exists(existing) {
		existing += "k"
	}
	lies := map[string]Entity{
		"another key's":            {Key: "other", Version: 1, Digest: digest("other", 1)},
		"a version of the future":  {Key: existing, Version: 9, Digest: digest(existing, 9)},
		"a version with a mix-up":  {Key: existing, Version: 1, Digest: digest(existing, 2)},
		"an entity without a past": {},
	}
	for name, lie := range lies {
		r := &replay{db: db, instances: []*instance{in}}
		if err := in.entities.Set(context.Background(), in.prefix, existing, lie); err != nil {
			t.Fatal(err)
		}
		r.serveOne(in, existing)
		if r.violations.Load() != 1 {
			t.Errorf("%s answer passed", name)
		}
		r.serveBatch(in, []string{existing, "y", "z"})
		if r.violations.Load() < 2 {
			t.Errorf("%s answer passed in a batch", name)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var m meter
	for i := 1; i <= 1000; i++ {
		m.add(time.Duration(i) * time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{50: 500 * time.Millisecond, 99: 990 * time.Millisecond, 100: time.Second} {
		if got := m.percentile(p); got < want || got > want*11/10 {
			t.Errorf("p%v is %s, want %s to ten per cent", p, got, want)
		}
	}
}
