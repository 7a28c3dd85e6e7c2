package resilience

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

var write = flag.Bool("write", false, "measure the table, and put it into the document")

const (
	document = "../../../docs/resilience.md"
	begins   = "<!-- The table begins. `make resilience` writes it. -->\n"
	ends     = "<!-- The table ends. -->\n"
)

// settings are the options of the table, in its order.
var settings = []struct {
	name string
	opts []cache.Option
}{
	{"none", nil},
	{"`WithResilience`", []cache.Option{cache.WithResilience()}},
}

const callers = 64

// extent says how much one cell measures.
type extent struct {
	first    int           // callers that call at the same time after the first call
	later    time.Duration // how long all callers go on after that; zero: one call
	pause    time.Duration // of a caller between its calls
	calls    int           // at most
	attempts int           // how often a cell is measured again if it is not as expected
}

var (
	full  = extent{first: callers, later: 800 * time.Millisecond, pause: 10 * time.Millisecond, calls: 2048}
	quick = extent{first: 24, calls: 26, attempts: 3} // enough for a breaker
)

// cell is what the callers of one kind of call see in one trouble with one setting.
type cell struct {
	sees    string // first, and after the first calls of all callers
	slowest time.Duration
	p99     time.Duration
	loads   float64 // per second
	left    int     // goroutines more than before
}

// measure makes the cell's calls: one, then one of each caller, then as many as the extent says.
func (e *extent) measure(t testing.TB, tr *trouble, c *call, opts []cache.Option) cell {
	s := newService(t, tr, c.stale*e.calls, opts...)
	if e.later > 0 {
		s.warmUp(t)
		s.base = goroutines()
	}
	if tr.load != nil {
		s.db.load.Store(&tr.load)
	}
	if tr.redis != nil {
		tr.redis(s.redis)
	}
	var got cell
	first, took := s.call(c)
	got.slowest = took
	var mu sync.Mutex
	var wg sync.WaitGroup
	atOnce := e.first
	if e.later == 0 && !(tr.opens && len(opts) > 0) { // only the breaker needs them
		atOnce = 0
	}
	for range atOnce {
		wg.Go(func() {
			_, took := s.call(c)
			mu.Lock()
			defer mu.Unlock()
			got.slowest = max(got.slowest, took)
		})
	}
	wg.Wait()

	seen := map[string]int{}
	var times []time.Duration
	began, loads := time.Now(), s.db.loads.Load()
	caller := func() {
		for {
			if int(s.next.Load())+callers > e.calls && e.later > 0 {
				return
			}
			sees, took := s.call(c)
			mu.Lock()
			seen[sees]++
			times = append(times, took)
			mu.Unlock()
			if time.Since(began) >= e.later {
				return
			}
			time.Sleep(e.pause)
		}
	}
	if e.later > 0 {
		for range callers {
			wg.Go(caller)
		}
		wg.Wait()
	} else {
		caller()
	}
	got.loads = float64(s.db.loads.Load()-loads) / time.Since(began).Seconds()
	slices.Sort(times)
	got.p99 = times[len(times)*99/100]
	if e.later > 0 {
		got.left = s.left()
	}
	maps.DeleteFunc(seen, func(_ string, n int) bool { return n < len(times)/10 }) // the machine was busy
	later := slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return cmp.Compare(seen[b], seen[a]) })
	got.sees = first
	if len(later) > 1 || later[0] != first {
		got.sees += "; then " + strings.Join(later, " or ")
	}
	return got
}

// call makes the next call of a kind.
func (s *service) call(c *call) (sees string, took time.Duration) {
	n := int(s.next.Add(1)) - 1
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	began := time.Now()
	sees = c.make(ctx, s, n)
	return sees, time.Since(began)
}

// warmUp opens the connections of the client.
func (s *service) warmUp(t testing.TB) {
	t.Helper()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range 10 { // a busy machine may take longer than the client waits
				if s.client.Ping(context.Background()).Err() == nil {
					return
				}
			}
			t.Error("Redis does not answer before its trouble")
		})
	}
	wg.Wait()
}

// left returns how many goroutines there are more than before, when those that are about to end have
// ended.
func (s *service) left() (more int) {
	for range 5 {
		if more = goroutines() - s.base; more <= 0 {
			return 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	return more
}

// goroutines counts all goroutines but those of Redis and its proxy.
func goroutines() (n int) {
	stacks := make([]byte, 64<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if !strings.Contains(stack, "/faultproxy.") && !strings.Contains(stack, "/miniredis/") && !strings.Contains(stack, "/redistest.") {
			n++
		}
	}
	return n
}

// rowOf is the beginning of a row of the document.
func rowOf(c *call, setting, sees string) string {
	return fmt.Sprintf("| %s | %s | %s |", c.name, setting, sees)
}

// TestTable checks that callers see what the document says, or writes the document.
func TestTable(t *testing.T) {
	if *write {
		writeTable(t)
		return
	}
	_, table, _ := readDocument(t)
	for i := range troubles {
		tr := &troubles[i]
		_, section, found := strings.Cut(table, "\n### "+tr.name+"\n")
		if !found {
			t.Errorf("the document has nothing of %q", tr.name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range calls {
				for _, setting := range settings {
					var got cell
					for range quick.attempts {
						t.Run("measure", func(t *testing.T) { got = quick.measure(t, tr, &c, setting.opts) })
						if strings.Contains(section, rowOf(&c, setting.name, got.sees)) {
							break
						}
					}
					if row := rowOf(&c, setting.name, got.sees); !strings.Contains(section, row) {
						t.Errorf("the document does not have what callers see: %s", row)
					}
				}
			}
		})
	}
}

// writeTable measures all cells, one at a time, and puts them into the document.
func writeTable(t *testing.T) {
	before, _, after := readDocument(t)
	var table strings.Builder
	for i := range troubles {
		tr := &troubles[i]
		fmt.Fprintf(&table, "\n### %s\n\n| call | options | what the caller sees | slowest of the first 64 | p99 later | loads a second | goroutines left |\n|---|---|---|---|---|---|---|\n", tr.name)
		for _, c := range calls {
			for _, setting := range settings {
				t.Run(tr.name+", "+c.name+", "+setting.name, func(t *testing.T) {
					got := full.measure(t, tr, &c, setting.opts)
					row := fmt.Sprintf("%s %s | %s | %.0f | %d |\n", rowOf(&c, setting.name, got.sees), rounded(got.slowest), rounded(got.p99), got.loads, got.left)
					table.WriteString(row)
					t.Log(row)
				})
			}
		}
	}
	if t.Failed() {
		t.Fatal("the document stays as it is")
	}
	if err := os.WriteFile(document, []byte(before+begins+table.String()+"\n"+ends+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rounded writes a duration with two digits.
func rounded(d time.Duration) string {
	switch {
	case d < 100*time.Microsecond:
		return "< 0.1ms"
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Microsecond).String()
	}
}

// readDocument returns the document's table, and what stands before and after it.
func readDocument(t *testing.T) (before, table, after string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begins)
	table, after, ok2 := strings.Cut(rest, ends)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks %q or %q", document, begins, ends)
	}
	return before, table, after
}
