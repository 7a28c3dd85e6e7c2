package flight

import "context"

// RunApart is Run in a goroutine of its own. If ctx ends before the loader has returned, RunApart returns
// ctx's error, and the result of the loader is dropped. If ctx is that of a load, Wait still waits for
// the loader.
func RunApart[R any](ctx context.Context, loader func(context.Context) (R, error)) (R, error) {
	type answer struct {
		result R
		err    error
	}
	answers := make(chan answer, 1)
	end := func() {}
	if r := runOf(ctx); r != nil {
		g := r.running.begin()
		end = func() { r.running.end(g) }
	}
	go func() {
		a := answer{err: ErrGoexit} // until the loader returns
		defer func() {
			answers <- a
			end()
		}()
		a.result, a.err = Run(ctx, loader)
	}()
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-answers: // both have happened
		return a.result, a.err
	default:
		var none R
		return none, ctx.Err()
	}
}
