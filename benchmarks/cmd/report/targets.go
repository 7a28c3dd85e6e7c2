package main

import (
	"fmt"
	"slices"
	"strings"
)

// target is one line of what is to be reached.
type target struct {
	what, beside string
	ours         series
	floor        []series // measured beside it; of several, the best one counts
	limit        limit
	allocs       *ceiling
}

// limit says what the ratio of ours to the floor may be.
type limit struct {
	kind limitKind
	n    float64
}

type limitKind int

const (
	onlyShown    limitKind = iota // no target: the ratio is for information
	atMostTimes                   // ours is at most n times the floor
	fasterTimes                   // the floor takes at least n times as long as ours
	below                         // ours is less than n, whatever the floor
	exactly                       // ours is n
	atMost                        // ours is at most n
	withinPoints                  // ours is at most n less than the highest of the floor
)

// ceiling bounds allocations: at most n, and those of a series if there is one.
type ceiling struct {
	n     float64
	above *series
}

// localPeers are the stores that hit ratios are compared with.
var localPeers = []string{"raw_otter", "theine", "raw_ristretto", "hashicorp_LRU"}

// targets returns all targets; those of hit ratios follow the traces that were played.
func targets(r *results) []target {
	ns := func(bench string) series { return r.at(bench, "ns/op") }
	noAllocs := &ceiling{}
	decoder := r.at("Codec/plain_msgpack/unmarshal", "allocs/op")
	twoMore := &ceiling{n: 2, above: &decoder}

	var all []target
	for _, mode := range []string{"serial", "parallel"} {
		faster := 8.0
		if mode == "parallel" {
			faster = 10
		}
		hit := func(name string) series { return ns("LocalHit/" + name + "/" + mode) }
		text := func(name string) series { return ns("LocalHitString/" + name + "/" + mode) }
		all = append(all,
			target{"T.Get, local hit, Otter, " + mode, "raw otter", hit("T.Get_Otter"), []series{hit("raw_otter")}, limit{atMostTimes, 1.5}, noAllocs},
			target{"the same", "go-redis/cache Once", hit("T.Get_Otter"), []series{hit("go-redis_cache_Once")}, limit{fasterTimes, faster}, nil},
			target{"T.Get with a clone, " + mode, "raw otter and the same clone", hit("T.Get_Otter_clone"), []series{hit("raw_otter_clone")}, limit{atMostTimes, 1.3}, nil},
			target{"T.Get of a string, " + mode, "raw otter", text("T.Get_Otter"), []series{text("raw_otter")}, limit{atMostTimes, 1.6}, noAllocs},
			target{"T.Get, FreeCache, " + mode, "raw freecache and plain msgpack", hit("T.Get_FreeCache"), []series{hit("raw_freecache_msgpack")}, limit{atMostTimes, 1.1}, twoMore},
			target{"Once, FreeCache, " + mode, "raw freecache and plain msgpack", hit("Once_FreeCache"), []series{hit("raw_freecache_msgpack")}, limit{atMostTimes, 1.1}, twoMore},
		)
		batch := func(name string) series { return ns("MGetLocal/" + name + "/" + mode) }
		all = append(all, target{"MGet of 100, all local, Otter, " + mode, "otter BulkGet", batch("T.MGet_Otter"), []series{batch("raw_otter_BulkGet")}, limit{atMostTimes, 3}, &ceiling{n: 6}})
		for _, size := range []string{"update", "evict"} {
			write := func(name string) series { return ns("LocalWrite/" + size + "/" + name + "/" + mode) }
			all = append(all, target{fmt.Sprintf("Otter write (%s), %s", size, mode), "raw otter", write("Otter"), []series{write("raw_otter")}, limit{atMostTimes, 1.3}, nil})
		}
	}
	parallel := "LocalHit/T.Get_Otter/parallel"
	all = append(all,
		target{"T.Get, local hit, two processors", "itself on one", ns(parallel), []series{{parallel, 1, "ns/op"}}, limit{fasterTimes, 1.7}, nil},
		target{"remote hit, 16 callers, pipelining", "go-redis GET and msgpack", ns("RemoteHit/T.Get_AutoPipeline/callers=16"), []series{ns("RemoteHit/go-redis_GET_msgpack/callers=16")}, limit{fasterTimes, 1.3}, nil},
		target{"remote hit, 128 callers, pipelining", "go-redis GET and msgpack", ns("RemoteHit/T.Get_AutoPipeline/callers=128"), []series{ns("RemoteHit/go-redis_GET_msgpack/callers=128")}, limit{fasterTimes, 2}, nil},
		target{"MGet of 100, all remote", "MGET and plain decode", ns("MGetRemote/T.MGet"), []series{ns("MGetRemote/go-redis_MGET_msgpack")}, limit{atMostTimes, 1.25}, nil},
		target{"the same beside a local level, WithoutTTL", "MGET and plain decode", ns("MGetRemote/T.MGet_WithoutTTL"), []series{ns("MGetRemote/go-redis_MGET_msgpack")}, limit{atMostTimes, 1.25}, nil},
		target{"the same, reading the remaining TTL", "WithoutTTL", ns("MGetRemote/T.MGet_reads_TTL"), []series{ns("MGetRemote/T.MGet_WithoutTTL")}, limit{}, nil},
		target{"MGet of 100, all missing, written back", "MGET, encode, pipeline of SET", ns("MGetMissing/T.MGet"), []series{ns("MGetMissing/go-redis_MGET_SET_msgpack")}, limit{atMostTimes, 1.3}, nil},
		target{"32 x 100 overlapping ids of 200, cold", "ids asked for", r.at("OverlappingBatches/T.MGet_Otter", "ids-asked"), nil, limit{exactly, 200}, nil},
		target{"stampede of 1,000, loader 50 ms", "p99", r.at("Stampede/T.Get_Otter", "p99-ms"), nil, limit{atMost, 55}, nil},
		target{"the same", "loads", r.at("Stampede/T.Get_Otter", "loads"), nil, limit{exactly, 1}, nil},
		target{"1,000,000 entries of 100 bytes, Otter", "raw otter", r.at("Memory/Otter", "heap-B/entry"), []series{r.at("Memory/raw_otter", "heap-B/entry")}, limit{atMostTimes, 1.1}, nil},
		target{"empty NewTinyLFU(1000)", "heap", r.at("Empty/TinyLFU", "heap-KiB"), nil, limit{below, 1024}, nil},
		target{"empty NewOtter(1000)", "heap", r.at("Empty/Otter", "heap-KiB"), nil, limit{below, 100}, nil},
	)
	return append(all, hitRatioTargets(r)...)
}

// hitRatioTargets returns those of each trace and size that was played.
func hitRatioTargets(r *results) []target {
	var all []target
	var played []string
	for _, name := range r.names {
		parts := strings.Split(name, "/")
		if len(parts) != 4 || parts[0] != "HitRatio" {
			continue
		}
		if run := strings.Join(parts[:3], "/"); !slices.Contains(played, run) {
			played = append(played, run)
		}
	}
	for _, run := range played {
		parts := strings.Split(run, "/")
		var peers []series
		for _, peer := range localPeers {
			peers = append(peers, r.at(run+"/"+peer, "hit-%"))
		}
		for _, store := range []string{"Otter", "TinyLFU"} {
			all = append(all, target{
				fmt.Sprintf("hit ratio, %s, %s, %s", store, parts[1], sizeText(parts[2])), "the best of the peers",
				r.at(run+"/"+store, "hit-%"), peers, limit{withinPoints, 1.5}, nil,
			})
		}
	}
	return all
}

// sizeText says what "keys=5%" means.
func sizeText(column string) string {
	return strings.ReplaceAll(strings.TrimPrefix(column, "keys="), "%", " % of the keys")
}
