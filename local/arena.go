package local

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/coocood/freecache"
)

// Arena is a block of memory, allocated at once, that any number of FreeCaches share. When it is
// full, a new entry evicts an old one: the oldest that has not been used for longer than the
// average. An entry with its key can take up to 1/1024 of the arena. An Arena may be used
// concurrently.
type Arena struct {
	cache  *freecache.Cache
	clock  clock         // of all the stores
	stores atomic.Uint32 // how many FreeCaches there are, and so the number of the newest
}

// NewArena allocates an arena for FreeCaches that do not compete with others for memory. size is
// in bytes. Outside 512KB…8GB, and on a 32-bit platform from 2GB on, it is 256MB. NewArena panics
// if size is negative. The memory is freed when the arena and its FreeCaches are no longer
// reachable.
func NewArena(size Size) *Arena {
	if size < 0 {
		panic(fmt.Sprintf("local: NewArena: the size is %d bytes; give 512KB to 8GB, or 0 for 256MB", size))
	}
	return &Arena{cache: freecache.NewCache(arenaSize(size)), clock: newClock()}
}

// Limits of the size of an arena.
const (
	minArena     = 512 * KB
	maxArena     = 8 * GB
	defaultArena = 256 * MB
)

// arenaSize returns the size of an arena for which size was asked.
func arenaSize(size Size) int {
	fits := Size(int(size)) == size // an int may have 32 bits
	if size < minArena || size > maxArena || !fits {
		size = defaultArena
	}
	return int(size)
}

// processArena is the arena of NewFreeCache.
var processArena struct {
	once  sync.Once
	arena *Arena
}
