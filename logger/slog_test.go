package logger

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// captureSlog sends slog.Default to a buffer, at debug level, for one test.
func captureSlog(t *testing.T) *bytes.Buffer {
	t.Helper()
	l, buf := ownSlog()
	before := slog.Default()
	slog.SetDefault(l)
	t.Cleanup(func() { slog.SetDefault(before) })
	return buf
}

// ownSlog returns a slog.Logger that writes to the buffer, at debug level.
func ownSlog() (*slog.Logger, *bytes.Buffer) {
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true})), &buf
}

var record = regexp.MustCompile(`(?m)^time=\S+ level=(\S+) source=\S+ msg="?(.*?)"?$`)

// messages returns the levels and texts of the records in buf.
func messages(buf *bytes.Buffer) string {
	var all []string
	for _, m := range record.FindAllStringSubmatch(buf.String(), -1) {
		all = append(all, strings.ToLower(m[1])+" "+m[2])
	}
	return strings.Join(all, ",")
}

func TestFromSlogWritesRecordsOfTheSameLevel(t *testing.T) {
	restore(t)
	SetLevel(LevelError) // does not hold for a Logger that is called directly
	own, buf := ownSlog()
	l := FromSlog(own)
	l.Debug("d %d", 1)
	l.Info("i %d", 2)
	l.Warn("w %d", 3)
	l.Error("e %d", 4)
	if got, want := messages(buf), "debug d 1,info i 2,warn w 3,error e 4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFromSlogKeepsAttributes(t *testing.T) {
	own, buf := ownSlog()
	FromSlog(own.With("service", "shop")).Warn("text")
	if got := buf.String(); !strings.Contains(got, "service=shop") {
		t.Errorf("the record is %q", got)
	}
}

// loud tells when it is formatted.
type loud struct{ formatted *bool }

func (l loud) String() string { *l.formatted = true; return "loud" }

func TestFromSlogDoesNotFormatWhatTheHandlerDrops(t *testing.T) {
	var buf bytes.Buffer
	l := FromSlog(slog.New(slog.NewTextHandler(&buf, nil))) // info and above
	formatted := false
	l.Debug("%s", loud{&formatted})
	if formatted || buf.Len() > 0 {
		t.Errorf("formatted: %v, written: %q", formatted, &buf)
	}
	l.Info("%s", loud{&formatted})
	if !formatted || !strings.Contains(buf.String(), "loud") {
		t.Errorf("formatted: %v, written: %q", formatted, &buf)
	}
}

func TestFromSlogNilPanics(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "is nil") || !strings.Contains(r, "give ") {
			t.Errorf("FromSlog(nil) panicked with %q, want a sentence that says what to give", r)
		}
	}()
	FromSlog(nil)
}

func TestFromSlogOfTheSameLoggerIsEqual(t *testing.T) {
	own, _ := ownSlog()
	other, _ := ownSlog()
	once, again := FromSlog(own), FromSlog(own)
	if once != again || once == FromSlog(other) {
		t.Error("equality does not follow the *slog.Logger")
	}
}

func TestTheSourceOfARecordIsTheCaller(t *testing.T) {
	restore(t)
	buf := captureSlog(t)
	own, ownBuf := ownSlog()
	check := func(what string, buf *bytes.Buffer, log func(string, ...any)) {
		t.Helper()
		buf.Reset()
		_, _, line, _ := runtime.Caller(0)
		log("where")
		if want := fmt.Sprintf("slog_test.go:%d ", line+1); !strings.Contains(buf.String(), want) {
			t.Errorf("%s: the record has no source %q: %q", what, want, buf)
		}
	}
	check("function", buf, Warn)
	check("Default", buf, Default().Warn)
	check("FromSlog", ownBuf, FromSlog(own).Warn)
	SetDefaultLogger(FromSlog(own))
	check("function with FromSlog set", ownBuf, Warn)
	check("Default with FromSlog set", ownBuf, Default().Warn)
}
