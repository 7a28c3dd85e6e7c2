package stats

import (
	"math/bits"
	"runtime"
	"time"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// defaultInterval is how often a Stats logs unless WithStatsInterval says otherwise.
const defaultInterval = time.Minute

// Options are the settings of NewStatsLogger. The functions that return an Option set them.
type Options struct {
	interval time.Duration
	cells    spread // nil if the exported fields of Stats are counted in directly
	log      logger.Logger
}

// Option changes a setting of NewStatsLogger.
type Option func(*Options)

// WithStatsInterval sets how often the counts are logged. The default is one minute, and zero or
// less means the default.
func WithStatsInterval(d time.Duration) Option {
	return func(o *Options) {
		o.interval = defaultInterval
		if d > 0 {
			o.interval = d
		}
	}
}

// WithLogger sets where the table goes: it is written to l at info level. Caches with the same
// interval and the same l (by ==) share one table. The default is the logger that the package
// logger has set at that time. WithLogger panics if l is nil.
func WithLogger(l logger.Logger) Option {
	if l == nil {
		panic("stats: WithLogger: the logger is nil; give a logger.Logger, or leave the option out to use the one that package logger has set")
	}
	return func(o *Options) { o.log = l }
}

// WithSpreadCounters makes it cheap to count on several processors at the same time: each
// counter is spread over several places in memory. The exported fields are then brought up to
// date only by Update, by Close, and at each interval. By default, the fields are always exact,
// and processors that count at the same time wait for each other. The statistics that a cache
// makes for itself have this option.
func WithSpreadCounters() Option {
	return func(o *Options) {
		// More cells than processors, so that two processors seldom use the same cell.
		o.cells = make(spread, 1<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)))
	}
}
