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
