package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAPanicErrorIsOneLine(t *testing.T) {
	for want, p := range map[string]*PanicError{
		"cache: the loader panicked: boom":                                                {Value: "boom"},
		"cache: the encoder of the codec panicked: boom":                                  {Value: errors.New("boom"), What: "the encoder of the codec"},
		"cache: the loader panicked: two lines":                                           {Value: "two\n\nlines\r\n"},
		"cache: the loader panicked: <nil>":                                               {},
		"cache: the loader panicked: runtime error: [1 2]":                                {Value: fmt.Errorf("runtime error:\n%v", []int{1, 2})},
		"cache: the loader panicked: " + strings.Repeat("x", 1024) + "... (100000 bytes)": {Value: strings.Repeat("x", 100_000)},
	} {
		p.Stack = debug.Stack()
		texts := map[string]string{
			"Error": p.Error(), "%v": fmt.Sprintf("%v", p), "%s": fmt.Sprintf("%s", p), "Sprint": fmt.Sprint(p),
			"wrapped": strings.TrimPrefix(fmt.Errorf("key: %w", p).Error(), "key: "),
		}
		for name, text := range texts {
			if text != want {
				t.Errorf("%s is %.200q, want %.200q", name, text, want)
			}
		}
		if got := fmt.Sprintf("%q", p); got != fmt.Sprintf("%q", want) {
			t.Errorf("%%q is %.200s", got)
		}
		if got := fmt.Sprintf("%+v", p); got != want+"\n\n"+string(p.Stack) || !strings.Contains(got, "panic_test.go") {
			t.Errorf("%%+v is %.200q", got)
		}
	}
}

func TestAPanicErrorUnwrapsToAnError(t *testing.T) {
	boom := errors.New("boom")
	if p := error(&PanicError{Value: fmt.Errorf("load: %w", boom)}); !errors.Is(p, boom) {
		t.Error("the error that was given to panic is not found")
	}
	if p := (&PanicError{Value: "boom"}); p.Unwrap() != nil {
		t.Errorf("a text unwraps to %v", p.Unwrap())
	}
}

// A panic of Value's own method must not end the program.
func TestAPanicErrorOfAValueThatPanics(t *testing.T) {
	p := &PanicError{Value: explosive{}}
	if got := p.Error(); !strings.HasPrefix(got, "cache: the loader panicked: ") || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}

type explosive struct{}

func (explosive) Error() string { panic("again") }

func TestPanicsReachEveryCaller(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		cause := errors.New("the cause")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := table.Do(bg, "k", func(context.Context, Note[string]) (string, error) {
					time.Sleep(time.Second)
					panic(cause)
				})
				var p *PanicError
				if !errors.As(err, &p) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "the cause") || !strings.Contains(string(p.Stack), "panic_test.go") {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if v, _, err := table.Do(bg, "k", slow(0, "v", nil)); v != "v" || err != nil {
			t.Errorf("after the panic: %q, %v", v, err)
		}
	})
}

func TestRunTurnsAPanicIntoAnError(t *testing.T) {
	_, err := Run(bg, func(context.Context) (int, error) { panic("boom") })
	var p *PanicError
	if !errors.As(err, &p) || p.Value != "boom" || err.Error() != "cache: the loader panicked: boom" || !strings.Contains(string(p.Stack), "panic_test.go") {
		t.Errorf("got %v", err)
	}
}
