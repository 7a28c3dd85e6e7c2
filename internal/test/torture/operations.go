package torture

import "math/rand/v2"

// How a node is asked to read …
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

// … to write, which begins with an update of the database, but for mutates, which has it within …
const (
	deletes    = "Delete"
	deletesAll = "MDelete"
	sets       = "Set"
	setsAll    = "MSet"
	setsLoaded = "Set with Do"
	mutates    = "Mutate"
)

// … and to say how it is.
const asksState = "state"

// operation is something that nodes are asked for, at random.
type operation struct {
	how    string
	weight int // how often, of all of its kind
	many   bool
	// carries says that it writes a value that the driver must not have overtaken by another
	// write: which of two that are under way at a time counts, only the database knows.
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
