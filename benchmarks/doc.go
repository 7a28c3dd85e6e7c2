// Package benchmarks measures jetcache-go beside what its users would pick instead: raw
// otter, ristretto and freecache, which are the floor; go-redis/cache, sturdyc, theine,
// hashicorp's LRU, rueidis with client-side caching, and go-redis with a decoder. Each is
// used as its documentation says.
//
// All of it is in the tests of this package. The commands are in the README beside it;
// cmd/report turns several runs into tables and plots.
package benchmarks
