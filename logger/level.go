package logger

import (
	"fmt"
	"sync/atomic"
)

// Level is the severity of a line. A higher level is more severe.
type Level int

// The levels, from the least severe to the most severe.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// String returns the level in brackets with a space behind, ready to be put in front of a line:
// "[DEBUG] ", "[INFO] ", "[WARN] " or "[ERROR] ".
func (l Level) String() string {
	switch l {
	case LevelDebug:
		return "[DEBUG] "
	case LevelInfo:
		return "[INFO] "
	case LevelWarn:
		return "[WARN] "
	case LevelError:
		return "[ERROR] "
	}
	return fmt.Sprintf("[Level(%d)] ", int(l))
}

// aboveInfo is the level that SetLevel set, minus LevelInfo: its zero value means LevelInfo.
var aboveInfo atomic.Int64

// SetLevel sets the least severe level that is written. Lines below it are dropped, whichever
// logger is set. The default is LevelInfo. SetLevel panics if l is not one of the four levels.
//
// The level holds for the functions of this package and for Default. It does not hold for a
// Logger that is called directly, such as one that FromSlog returned.
//
// SetLevel may be called at any time and by any goroutine.
func SetLevel(l Level) {
	if l < LevelDebug || l > LevelError {
		panic(fmt.Sprintf("logger: SetLevel(%d): there is no such level; give LevelDebug (0), LevelInfo (1), LevelWarn (2) or LevelError (3)", int(l)))
	}
	aboveInfo.Store(int64(l - LevelInfo))
}

// enabled reports whether lines of level l are written.
func enabled(l Level) bool { return int64(l-LevelInfo) >= aboveInfo.Load() }
