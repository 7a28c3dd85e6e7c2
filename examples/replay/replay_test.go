package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
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
	return config{accesses: 2000, keys: 100, latency: 2 * time.Millisecond, workers: 8, batches: 0.3, batch: 10, writes: 0.1, local: 100, localTTL: time.Minute}
}

func replayOf(t *testing.T, c config) *replay {
	t.Helper()
	r, err := run(context.Background(), c, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*fleet{r.plain, r.coherent} {
		if err := f.trouble(); err != nil {
			t.Errorf("the %s fleet: %v", f.name, err)
		}
	}
	return r
}

func quiet() *progress {
	return &progress{out: io.Discard, width: func() (int, bool) { return 0, false }, every: time.Hour, rarely: time.Hour}
}

func TestBothFleetsServeTheSameRequestsAndOnlyThePlainOneIsStaleForLong(t *testing.T) {
	r := replayOf(t, small())
	for _, f := range []*fleet{r.plain, r.coherent} {
		reads, writes := f.reads.Load(), f.writes.Load()
		if reads+writes != 2000 || writes == 0 || writes != r.plain.writes.Load() {
			t.Errorf("%s: %d reads and %d changes of 2000 accesses", f.name, reads, writes)
		}
		if loaded := f.db.loaded.Load(); loaded == 0 || loaded >= reads || f.db.queries.Load() == 0 {
			t.Errorf("%s: %d keys loaded for %d reads", f.name, loaded, reads)
		}
	}
	// Local levels keep for a minute what they do not know to have changed.
	if plain, coherent := r.plain.stale.Load(), r.coherent.stale.Load(); plain < 100 || coherent > plain/10 {
		t.Errorf("%d stale answers of the plain fleet, and %d of the coherent one, for up to %s", plain, coherent, time.Duration(r.coherent.behind.Load()))
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
		c.log, c.accesses = path, 0
		r := replayOf(t, c)
		if n := r.coherent.reads.Load() + r.coherent.writes.Load(); n != 200 {
			t.Errorf("%s: %d accesses, want 200", name, n)
		}
		c.accesses = 70
		if r := replayOf(t, c); r.plain.reads.Load()+r.plain.writes.Load() != 70 {
			t.Errorf("%s, the first 70 accesses: %d reads, %d changes", name, r.plain.reads.Load(), r.plain.writes.Load())
		}
	}
}

func TestHowFarALogIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("a key\n", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]float64{0: 1, 100_000: 1, 300_000: 1, 200: 1} {
		in, err := open(config{log: path, accesses: limit})
		if err != nil {
			t.Fatal(err)
		}
		last := in.done()
		for ok := true; ok; {
			if _, ok, err = in.next(); err != nil {
				t.Fatal(err)
			}
			if done := in.done(); done < last {
				t.Fatalf("limit %d: %v after %v", limit, done, last)
			} else {
				last = done
			}
		}
		if last != want {
			t.Errorf("limit %d: %v at the end, want %v", limit, last, want)
		}
		if err := in.close(); err != nil {
			t.Error(err)
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
		if _, err := run(context.Background(), c, quiet()); err == nil || !strings.Contains(err.Error(), want) {
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

func TestTheTimeLimitIsTheDefault(t *testing.T) {
	for args, want := range map[string]config{
		"":                   {limit: defaultLimit},
		"-time 1m":           {limit: time.Minute},
		"-n 100000":          {accesses: 100_000},
		"-n 100000 -time 2s": {accesses: 100_000, limit: 2 * time.Second},
		"-log a.gz":          {log: "a.gz"},
		"-log a.gz -n 7":     {log: "a.gz", accesses: 7},
		"-redis 127.0.0.1:1": {redis: "127.0.0.1:1", limit: defaultLimit},
	} {
		c, err := parse(strings.Fields(args), io.Discard)
		if err != nil || c.limit != want.limit || c.accesses != want.accesses || c.log != want.log || c.redis != want.redis {
			t.Errorf("%q: %+v, %v", args, c, err)
		}
	}
}

func TestFlagsWithoutSense(t *testing.T) {
	for args, want := range map[string]string{
		"access.log": "access.log", "-workers 0": "-workers", "-writes NaN": "-writes", "-batches 2": "-batches",
		"-db-latency -1s": "-db-latency", "-time 0": "-time", "-nosuch": "nosuch", "-keys 1": "-keys",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestAReplayEndsWithItsTimeOrAnInterrupt(t *testing.T) {
	c := small()
	c.accesses, c.limit = 0, 50*time.Millisecond
	if r := replayOf(t, c); r.coherent.reads.Load() == 0 {
		t.Error("the time limit came before the first read")
	}
	c.limit = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	stop := quiet()
	stop.rarely = time.Millisecond
	stop.out = writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if r, err := run(ctx, c, stop); err != nil || r.took > time.Minute {
		t.Errorf("%v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAnswersThatWereNeverTrue(t *testing.T) {
	server, err := demoredis.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := newClient(server.Addr)
	defer client.Close()
	existing := "k"
	for db := newDatabase(0); !db.exists(existing); {
		existing += "k"
	}
	for name, lie := range map[string]Entity{
		"another key's":            {Key: "other", Version: 1, Digest: digest("other", 1)},
		"a version of the future":  {Key: existing, Version: 9, Digest: digest(existing, 9)},
		"a version with a mix-up":  {Key: existing, Version: 1, Digest: digest(existing, 2)},
		"an entity without a past": {},
	} {
		f := newFleet("lies", "test", client, small())
		in := f.instances[0]
		if err := in.entities.Set(context.Background(), f.prefix, existing, lie); err != nil {
			t.Fatal(err)
		}
		f.readOne(in, existing)
		if f.violations.Load() != 1 || f.trouble() == nil {
			t.Errorf("%s answer was accepted", name)
		}
		f.readMany(in, []string{existing, "y", "z"})
		if f.violations.Load() < 2 {
			t.Errorf("%s answer was accepted in a batch", name)
		}
		f.close()
	}
}

func TestStaleAnswers(t *testing.T) {
	f := &fleet{db: newDatabase(0)}
	key := "k"
	for !f.db.exists(key) {
		key += "k"
	}
	old := f.db.read(key)
	f.db.update(key)
	changed := f.db.replaced(key, 1)
	f.check(key, old, 1, changed.Add(-time.Second)) // the read started before the change
	if f.stale.Load() != 0 {
		t.Error("an answer that was true when the read started is not stale")
	}
	f.check(key, old, 2, changed.Add(time.Second))
	f.check(key, old, 2, changed.Add(time.Millisecond))
	if f.stale.Load() != 2 || time.Duration(f.behind.Load()) != time.Second || f.violations.Load() != 0 {
		t.Errorf("%d stale answers, for up to %s; %v", f.stale.Load(), time.Duration(f.behind.Load()), f.firstViolation)
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
