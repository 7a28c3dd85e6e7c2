package flight

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A waiter can tell an error that is the leader's own business from an error of the loader.
func TestLeaderLeft(t *testing.T) {
	errLoader := errors.New("no such table")
	for name, tt := range map[string]struct {
		leave bool
		err   error
		want  bool
	}{
		"the leader's ctx has ended":             {true, fmt.Errorf("query: %w", context.Canceled), true},
		"its deadline, too":                      {true, context.DeadlineExceeded, true},
		"the leader is still there":              {false, context.DeadlineExceeded, false},
		"another error, and the leader has left": {true, errLoader, false},
		"no error":                               {true, nil, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			table := NewTable[string]()
			leading, leave := context.WithCancel(context.Background())
			defer leave()
			end := make(chan struct{})
			load := func(ctx context.Context, _ Note[string]) (string, error) {
				<-end
				if got := Left(ctx, tt.err); got != tt.want {
					t.Errorf("%s: Left is %v in the load", name, got)
				}
				abandoned, abandon := context.WithCancel(ctx)
				if abandon(); !Left(abandoned, tt.err) {
					t.Errorf("%s: Left is false for a load that was abandoned", name)
				}
				return "", tt.err
			}
			go func() { _, _, _ = table.Do(leading, "k", load) }()
			synctest.Wait()
			result := make(chan error)
			go func() {
				_, led, err := table.Do(context.Background(), "k", load)
				if led {
					t.Errorf("%s: the waiter has led", name)
				}
				result <- err
			}()
			synctest.Wait()
			if tt.leave {
				leave()
			}
			close(end)
			err := <-result
			if LeaderLeft(err) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%s: %v, LeaderLeft is %v", name, err, LeaderLeft(err))
			}
			if LeaderLeft(Settled(err)) || !errors.Is(Settled(err), tt.err) {
				t.Errorf("%s: settled: %v", name, Settled(err))
			}
		})
	}
}

// The deadline of a leader counts when it is reached, also if the timer of a context that was made
// from the leader's has fired first.
func TestLeaderLeftAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			table := NewTable[string]()
			leading, cancel := context.WithTimeout(context.Background(), time.Second)
			end, _ := leading.Deadline()
			load := func(ctx context.Context, _ Note[string]) (string, error) {
				ctx, cancel := context.WithDeadline(ctx, end)
				defer cancel()
				<-ctx.Done()
				return "", ctx.Err()
			}
			go func() { _, _, _ = table.Do(leading, "k", load) }()
			synctest.Wait()
			if _, _, err := table.Do(context.Background(), "k", load); !LeaderLeft(err) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
	})
}

// A batch marks its errors as a single load does.
func TestLeaderLeftOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable[string]()
		leading, leave := context.WithCancel(context.Background())
		b := table.Claim(leading, []string{"k"})
		b.Start(func(context.Context) {
			<-leading.Done()
			b.Resolve(0, "", leading.Err())
		})
		result := make(chan error)
		go func() {
			_, _, err := table.Do(context.Background(), "k", func(context.Context, Note[string]) (string, error) { return "", nil })
			result <- err
		}()
		synctest.Wait()
		leave()
		if err := <-result; !LeaderLeft(err) {
			t.Errorf("got %v", err)
		}
		b.Leave()
	})
}
