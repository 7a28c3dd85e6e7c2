// Package torture checks what a fleet of caches promises while everything around it fails.
//
// The test of this package starts nodes, which are processes of their own with a cache in each,
// one Redis, and a database whose rows have versions. Between each node and Redis there are two
// proxies, one for what it stores and reads, one for the messages to other nodes, which delay,
// cut and swallow what passes; nodes are stopped, killed and started again. The driver, which is
// the process of the test, has the nodes read and write at random, and a judge looks at each
// read: once a write has been acknowledged, no node may return an older version, but for the
// time that news of it takes to other nodes' local levels.
//
// All times are those of the driver: a read begins when the driver asks for it, and a write is
// acknowledged when the driver has the answer. No clocks are compared.
//
// The files: judge.go says what is right, ledger.go what is known of a key, timeline.go of a
// node, tally.go what was seen; database.go has the versions, wire.go is how processes talk to
// each other, child.go starts, stops and kills them, deck.go deals faults. The tests have the rest: node_test.go
// is a node, fleet_test.go the nodes and their proxies, driver_test.go what they are asked for.
//
// "make torture" runs it for minutes: TORTURE=10m says for how many.
package torture
