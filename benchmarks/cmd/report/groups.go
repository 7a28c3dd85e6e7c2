package main

import (
	"slices"
	"strings"
)

// group is what belongs into one table and one plot: several of us and of the peers, in one
// or several columns.
type group struct {
	title string
	text  string
	// pattern says where in a benchmark's name are who was measured, and the column.
	pattern string
	unit    string
	columns []column // nil stands for those that the names have, in their order
	allocs  bool     // show the allocations, too
}

// column is one of the ways in which each was measured.
type column struct {
	name  string // in the benchmarks' names
	title string
}

// Places of a pattern.
const (
	whoPlace    = "{who}"
	columnPlace = "{column}"
)

var modes = []column{{"serial", "one goroutine"}, {"parallel", "all processors"}}

// groups returns the groups that something was measured for.
func groups(r *results) []group {
	all := []group{
		{title: "Local hit", pattern: "LocalHit/{who}/{column}", unit: "ns/op", columns: modes, allocs: true,
			text: "All data is in the local store. There are 100,000 entities, and the reads follow Zipf's law. T.Get returns the shared entity, and `clone` a copy of it. Once decodes an entity of its own for each call."},
		{title: "Local hit of a string", pattern: "LocalHitString/{who}/{column}", unit: "ns/op", columns: modes, allocs: true,
			text: "A value of a type that cannot be changed, such as a string, is shared without an option for it."},
		{title: "Client-side caching", pattern: "ClientSideCaching/{who}/{column}", unit: "ns/op", columns: modes, allocs: true,
			text: "A local hit of rueidis, whose client-side cache Redis informs of changes."},
		{title: "Local write, room for all", pattern: "LocalWrite/update/{who}/{column}", unit: "ns/op", columns: modes, allocs: true,
			text: "A write of 300 bytes into a store. Most writes replace an entry. `raw ristretto` returns before the entry can be read, and may drop the entry."},
		{title: "Local write, full store", pattern: "LocalWrite/evict/{who}/{column}", unit: "ns/op", columns: modes, allocs: true,
			text: "The same writes into stores that have room for a tenth of the keys."},
		{title: "Local write of an entity", pattern: "LocalWriteEntity/{who}", unit: "ns/op", allocs: true,
			text: "An entity is encoded and stored."},
		{title: "Remote hit", pattern: "RemoteHit/{who}/{column}", unit: "ns/op", allocs: true,
			text:    "All data is in a Redis on the same machine. The time is the duration of the run divided by the operations of all callers, so a shorter time means a higher throughput.",
			columns: []column{{"callers=1", "1 caller"}, {"callers=16", "16 callers"}, {"callers=128", "128 callers"}}},
		{title: "MGet of 100, all local", pattern: "MGetLocal/{who}/{column}", unit: "ns/op", columns: modes, allocs: true,
			text: "A batch of 100 ids, all of which are in the local store."},
		{title: "MGet of 100, all remote", pattern: "MGetRemote/{who}", unit: "ns/op", allocs: true,
			text: "`reads TTL` has a local level that is always empty, and asks Redis for the remaining lifetime of each value. `WithoutTTL` has the same local level, but does not ask. `fills Otter` stores the values in its local level."},
		{title: "MGet of 100, all missing", pattern: "MGetMissing/{who}", unit: "ns/op", allocs: true,
			text: "A batch of ids that no level has: it asks Redis, calls the loader, encodes the values and writes them back."},
		{title: "Writing and removing 100 at once", pattern: "BatchWrite/{who}/{column}", unit: "ns/op", columns: []column{{"set", "set"}, {"delete", "delete"}}, allocs: true,
			text: "T.MSet is compared with encoding and a pipeline of SET, and T.MDelete with one DEL."},
		{title: "Overlapping batches", pattern: "OverlappingBatches/{who}", unit: "ids-asked",
			text: "32 batches at the same time, each with 100 of the same 200 ids, on an empty cache. The figure is the number of ids that the loader was asked for. The best possible number is 200."},
		{title: "Stampede", pattern: "Stampede/{who}", unit: "p99-ms",
			text: "1,000 callers of one missing key, whose loader takes 50 ms. The figure is the 99th percentile of the time that the callers wait."},
		{title: "Memory of an entry", pattern: "Memory/{who}", unit: "heap-B/entry",
			text: "A million entries with values of 100 bytes, in stores that have room for a tenth more. The figure includes the key, the value and everything that the store keeps for them. A FreeCache allocates its whole arena, here 256 MB, when it is made."},
		{title: "Empty stores", pattern: "Empty/{who}", unit: "heap-KiB",
			text: "The memory of an empty store that was made for 1,000 entries."},
	}
	for _, trace := range traces(r) {
		all = append(all, group{title: "Hit ratio, " + trace, pattern: "HitRatio/" + trace + "/{column}/{who}", unit: "hit-%",
			text: "Each key of the trace is read by Get, and after a miss written by Set. The stores have room for a part of the keys. After each Set of `raw ristretto`, the benchmark waits until the entry can be read."})
	}
	all = append(all, group{title: "Codecs", pattern: "Codec/{who}/{column}", unit: "ns/op", columns: []column{{"marshal", "encode"}, {"unmarshal", "decode"}}, allocs: true,
		text: "The entity is encoded and decoded. `plain msgpack` is the library alone. The codec adds a trailer byte, compression if it makes the value smaller, and checks of the bytes that it decodes."})
	return slices.DeleteFunc(all, func(g group) bool { return len(g.rows(r)) == 0 })
}

// traces returns the traces that were played.
func traces(r *results) []string {
	var all []string
	for _, name := range r.names {
		if parts := strings.Split(name, "/"); len(parts) == 4 && parts[0] == "HitRatio" && !slices.Contains(all, parts[1]) {
			all = append(all, parts[1])
		}
	}
	return all
}

// match returns who and which column a benchmark's name means, if it is of this group.
func (g group) match(name string) (who, col string, ok bool) {
	want, have := strings.Split(g.pattern, "/"), strings.Split(name, "/")
	if len(want) != len(have) {
		return "", "", false
	}
	for i, place := range want {
		switch place {
		case whoPlace:
			who = have[i]
		case columnPlace:
			col = have[i]
		case have[i]:
		default:
			return "", "", false
		}
	}
	return who, col, true
}

// bench returns the name of a benchmark of the group.
func (g group) bench(who, col string) string {
	return strings.NewReplacer(whoPlace, who, columnPlace, col).Replace(g.pattern)
}

// rows returns who was measured.
func (g group) rows(r *results) []string {
	var rows []string
	for _, name := range r.names {
		if who, _, ok := g.match(name); ok && !slices.Contains(rows, who) {
			rows = append(rows, who)
		}
	}
	return rows
}

// cols returns the columns.
func (g group) cols(r *results) []column {
	if g.columns != nil {
		return g.columns
	}
	var cols []column
	for _, name := range r.names {
		_, col, ok := g.match(name)
		if c := (column{col, sizeText(col)}); ok && !slices.Contains(cols, c) {
			cols = append(cols, c)
		}
	}
	return cols
}

// value returns one cell.
func (g group) value(r *results, who string, c column) (float64, bool) {
	return r.median(r.at(g.bench(who, c.name), g.unit))
}

// file returns the name of the group's plot.
func (g group) file() string {
	name := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, g.title)
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	return name + ".svg"
}

// label is a name as people read it.
func label(who string) string { return strings.ReplaceAll(who, "_", " ") }

// ours reports whether a name is one of jetcache-go.
func ours(who string) bool {
	if strings.HasPrefix(who, "T.") || strings.HasPrefix(who, "Once_") {
		return true
	}
	return slices.Contains([]string{"Otter", "TinyLFU", "FreeCache", "msgpack", "json", "sonic", "msgp"}, who)
}
