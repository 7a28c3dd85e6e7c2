package flight

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

func TestRunApartReturnsWhatTheLoaderReturns(t *testing.T) {
	bubble(t, func(t *testing.T, _ *Table[string]) {
		boom := errors.New("boom")
		v, err := RunApart(bg, func(context.Context) (string, error) { time.Sleep(time.Second); return "v", boom })
		if v != "v" || !errors.Is(err, boom) {
			t.Errorf("got %q, %v", v, err)
		}
		_, err = RunApart(bg, func(context.Context) (string, error) { panic(boom) })
		if panicked := new(PanicError); !errors.As(err, &panicked) || !errors.Is(err, boom) {
			t.Errorf("a panic is %v", err)
		}
		_, err = RunApart(bg, func(context.Context) (string, error) { runtime.Goexit(); return "", nil })
		if !errors.Is(err, ErrGoexit) {
			t.Errorf("Goexit is %v", err)
		}
	})
}

func TestRunApartLeavesALoaderBehind(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		began := time.Now()
		_, _, err := table.Do(bg, "k", func(ctx context.Context, _ Note[string]) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return RunApart(ctx, func(context.Context) (string, error) { time.Sleep(time.Minute); return "late", nil })
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if table.Len() != 0 {
			t.Error("the key is still there")
		}
		if table.Wait(time.Second) {
			t.Error("Wait does not wait for the loader")
		}
		time.Sleep(time.Hour)
		if !table.Wait(0) {
			t.Error("Wait waits for a loader that has returned")
		}
	})
}

func TestStartBeginsALoadThatNobodyWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		load := func(ctx context.Context, _ Note[string]) (string, error) {
			time.Sleep(time.Second)
			return "v", ctx.Err()
		}
		caller, leave := context.WithCancel(bg)
		if !table.Start(caller, "k", load) {
			t.Fatal("it was not started")
		}
		leave()
		if table.Start(bg, "k", load) {
			t.Error("a second load was started")
		}
		gone, leave := context.WithTimeout(bg, time.Millisecond)
		defer leave()
		if _, led, err := table.Do(gone, "k", load); led || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that leaves: %v, %v", led, err)
		}
		if v, led, err := table.Do(bg, "k", load); v != "v" || led || err != nil {
			t.Errorf("a caller that stays: %q, %v, %v", v, led, err)
		}
		if table.Len() != 0 {
			t.Error("the key is still there")
		}
	})
}

func TestADetachedBatchGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		b := table.Claim(bg, []string{"a", "b"})
		var ended error
		b.Detach()
		b.Start(func(ctx context.Context) {
			time.Sleep(time.Second)
			ended = ctx.Err()
			b.Resolve(0, "a", nil)
			b.Resolve(1, "b", nil)
		})
		b.Leave()
		if v, led, err := table.Do(bg, "b", nil); v != "b" || led || err != nil {
			t.Errorf("a caller that joins: %q, %v, %v", v, led, err)
		}
		table.Wait(time.Minute)
		if ended != nil {
			t.Errorf("the load was cancelled: %v", ended)
		}
	})
}

func TestWantedTellsOfALoaderThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		if Wanted(bg) != nil {
			t.Error("a load without a run is wanted")
		}
		inner := func(ctx context.Context, _ Note[string]) (string, error) {
			first := Wanted(ctx)
			select {
			case <-first:
				t.Error("it is wanted by a plain caller")
			case <-time.After(time.Second / 2):
			}
			<-first
			<-Wanted(ctx) // also for those who ask later
			return "v", nil
		}
		go func() { _, _, _ = table.Do(bg, "inner", inner) }()
		_, _, err := table.Do(bg, "outer", func(ctx context.Context, _ Note[string]) (string, error) {
			time.Sleep(time.Second)
			v, _, err := table.Do(ctx, "inner", inner)
			return v, err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
