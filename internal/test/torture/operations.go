package torture

import "math/rand/v2"

// The ways in which a node reads.
const (
	gets          = "T.Get"
	gathers       = "T.MGet"
	fetches       = "Once"
	peeks         = "Get"
	peeksRemotely = "GetSkippingLocal"
	fetchesPast   = "T.Fetch past local"
	refreshes     = "T.Fetch with Refresh"
	refreshesOnce = "Once with Refresh"
)

// The ways in which a node writes. A write updates the database first; mutates updates it within
// the call of Mutate.
const (
	deletes    = "Delete"
	deletesAll = "MDelete"
	sets       = "Set"
	setsAll    = "MSet"
	setsLoaded = "Set with Do"
	mutates    = "Mutate"
)

// asksState makes a node return its state.
const asksState = "state"

// operation is a way to read or write, which the driver picks at random.
type operation struct {
	how    string
	weight int  // its share of all operations of its kind
	many   bool // it is for several keys
	// carries says that it writes a value that it was given. The driver must not run another write
	// of the key at the same time: only the database knows which of the two is the newer one.
	carries bool
}

var (
	readings = []operation{
		{how: gets, weight: 6},
		{how: gathers, weight: 4, many: true},
		{how: fetches, weight: 4},
		{how: peeks, weight: 3},
		{how: peeksRemotely, weight: 2},
		{how: fetchesPast, weight: 1},
		{how: refreshes, weight: 1},
		{how: refreshesOnce, weight: 1},
	}
	writings = []operation{
		{how: deletes, weight: 4},
		{how: deletesAll, weight: 2, many: true},
		{how: sets, weight: 4, carries: true},
		{how: setsAll, weight: 2, many: true, carries: true},
		{how: setsLoaded, weight: 2},
		{how: mutates, weight: 3, many: true},
	}
)

const (
	nodes = 3
	// hotKeys is the number of keys that most calls of the usual mix are for.
	hotKeys = 5
)

// mix is what the driver makes the nodes do.
type mix struct {
	readings, writings []operation
	hot                int // the number of keys that most calls are for
	writeEvery         int // one call of so many is a write
	// apart makes one node read only, with no other trouble than late news, and the others write only. Zero means that
	// all nodes do both. Otherwise it is the number of writing calls of a node that are under way.
	apart int
}

var (
	usual = mix{readings: readings, writings: writings, hot: hotKeys, writeEvery: 6}
	// invalidations removes a few keys again and again, while they are loaded. The rate of changes
	// is such that one or two of them come while a key is loaded.
	invalidations = mix{
		readings: []operation{
			{how: peeksRemotely, weight: 2},
			{how: fetchesPast, weight: 4},
			{how: gathers, weight: 1, many: true},
		},
		writings: []operation{
			{how: deletes, weight: 4},
			{how: mutates, weight: 1},
		},
		hot: 2, apart: 2,
	}
	// batches reads and writes many keys at a time.
	batches = mix{
		readings: []operation{
			{how: gathers, weight: 8, many: true},
			{how: gets, weight: 2},
			{how: peeksRemotely, weight: 2},
			{how: fetchesPast, weight: 1},
		},
		writings: []operation{
			{how: setsAll, weight: 4, many: true, carries: true},
			{how: deletesAll, weight: 4, many: true},
			{how: mutates, weight: 2, many: true},
			{how: deletes, weight: 1},
		},
		hot: 2 * hotKeys, writeEvery: 4,
	}
	// replacements sets keys. Only one call at a time sets a key, so they are for more keys.
	replacements = mix{
		readings: []operation{
			{how: peeksRemotely, weight: 4},
			{how: fetchesPast, weight: 1},
		},
		writings: []operation{
			{how: sets, weight: 4, carries: true},
			{how: setsAll, weight: 2, many: true, carries: true},
			{how: deletes, weight: 1},
		},
		hot: 2 * hotKeys, apart: 4,
	}
)

// reads reports whether a node only reads.
func (x *mix) reads(node int) bool { return x.apart > 0 && node == nodes-1 }

// writes reports whether the next call of a worker of a node is a write.
func (x *mix) writes(node int) bool {
	if x.apart > 0 {
		return !x.reads(node)
	}
	return rand.IntN(x.writeEvery) == 0
}

// workers returns the number of workers of a node, of which there are usually so many.
func (x *mix) workers(node, usually int) int {
	if x.apart > 0 && !x.reads(node) {
		return x.apart
	}
	return usually
}

// pick returns one of operations at random.
func pick(operations []operation) operation {
	sum := 0
	for _, o := range operations {
		sum += o.weight
	}
	n := rand.IntN(sum)
	for _, o := range operations {
		if n -= o.weight; n < 0 {
			return o
		}
	}
	panic("torture: no operation has a weight")
}
