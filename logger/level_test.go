package logger

import (
	"fmt"
	"strings"
	"testing"
)

func TestLevelsHaveTheNumbersAndTextsOfThePrefix(t *testing.T) {
	for number, want := range []struct {
		level Level
		text  string
	}{
		{LevelDebug, "[DEBUG] "},
		{LevelInfo, "[INFO] "},
		{LevelWarn, "[WARN] "},
		{LevelError, "[ERROR] "},
		{4, "[Level(4)] "},
	} {
		if int(want.level) != number || want.level.String() != want.text {
			t.Errorf("level %d is %d, %q, want %q", number, int(want.level), want.level, want.text)
		}
	}
}

func TestSetLevelOfSomethingElsePanics(t *testing.T) {
	for _, l := range []Level{-4, -1, 4, 8} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, fmt.Sprintf("SetLevel(%d)", int(l))) || !strings.Contains(r, "give ") {
					t.Errorf("SetLevel(%d) panicked with %q, want a sentence that says what to give", int(l), r)
				}
			}()
			SetLevel(l)
		}()
	}
	if !enabled(LevelInfo) || enabled(LevelDebug) {
		t.Error("a level that does not exist has changed the level")
	}
}

func TestTheLevelHoldsWhicheverLoggerIsSet(t *testing.T) {
	log := func() {
		Debug("d %d", 1)
		Info("i %d", 2)
		Warn("w %d", 3)
		Error("e %d", 4)
	}
	for _, tt := range []struct {
		level Level
		want  string
	}{
		{LevelDebug, "debug d 1,info i 2,warn w 3,error e 4"},
		{LevelInfo, "info i 2,warn w 3,error e 4"},
		{LevelWarn, "warn w 3,error e 4"},
		{LevelError, "error e 4"},
	} {
		t.Run(strings.Trim(tt.level.String(), "[] "), func(t *testing.T) {
			restore(t)
			SetLevel(tt.level)

			buf := captureSlog(t)
			log()
			if got := messages(buf); got != tt.want {
				t.Errorf("slog got %q, want %q", got, tt.want)
			}

			rec := &recLogger{}
			SetDefaultLogger(rec)
			log()
			if got := strings.Join(rec.lines, ","); got != tt.want {
				t.Errorf("the logger that was set got %q, want %q", got, tt.want)
			}

			own, ownBuf := ownSlog()
			SetDefaultLogger(FromSlog(own))
			log()
			if got := messages(ownBuf); got != tt.want {
				t.Errorf("the slog.Logger that was set got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDefaultLevelIsInfo(t *testing.T) {
	buf := captureSlog(t)
	Debug("hidden")
	Info("shown")
	if got := messages(buf); got != "info shown" {
		t.Errorf("at the default level the log is %q", got)
	}
}
