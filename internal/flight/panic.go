package flight

import (
	"fmt"
	"runtime/debug"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// PanicError is the error of a load whose loader panicked: every caller that waits for the load
// gets it. It is also the error of other code that panicked during a call of the cache: What says
// which.
//
// Its text is one line of bounded length. The stack is in the field Stack, and in the text that
// fmt makes for %+v. The error unwraps to Value if Value is an error.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the stack of the goroutine that panicked, as of debug.Stack
	What  string // what panicked, such as "the loader", which is also the meaning of ""
}

var (
	_ error         = (*PanicError)(nil)
	_ fmt.Formatter = (*PanicError)(nil)
)

// outsideLoader is the What of a panic that Run has not recovered: it was not in the loader.
const outsideLoader = "a part of the load outside of the loader"

// recovered returns the error of a panic with value, in this goroutine.
func recovered(value any, what string) *PanicError {
	return &PanicError{Value: value, Stack: debug.Stack(), What: what}
}

// Error returns what panicked and the text of Value, in one line. It repeats at most 1024 bytes of
// that text.
func (p *PanicError) Error() string {
	what := p.What
	if what == "" {
		what = "the loader"
	}
	return "cache: " + what + " panicked: " + quote.Line(fmt.Sprint(p.Value))
}

// Format writes Error, and for %+v also the stack, which has many lines.
func (p *PanicError) Format(s fmt.State, verb rune) {
	if verb == 'v' && s.Flag('+') {
		_, _ = fmt.Fprintf(s, "%s\n\n%s", p.Error(), p.Stack) // a fmt.State reports no errors
		return
	}
	_, _ = fmt.Fprintf(s, fmt.FormatString(s, verb), p.Error())
}

// Unwrap returns Value if it is an error, and nil if not.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}
