// Package torture checks the guarantees of a fleet of caches while everything around it fails.
//
// The test of this package starts one Redis, a database whose rows have versions, and nodes. Each
// node is a process with a cache. Between each node and Redis there are two proxies: one for its
// reads and writes, and one for its messages to other nodes. The proxies delay, cut and swallow
// what passes. They lose replies to commands that were carried out, and deliver the first attempt of
// a command after its repeat has succeeded. The nodes are stopped, killed and started again. The
// driver, which is the process of the test, makes the nodes read and write at random. A judge checks
// each read: once a write is acknowledged, no node may return an older version, except for the time
// that the message about the write takes to the local levels of other nodes.
//
// All times are those of the driver. A read begins when the driver asks for it, and a write is
// acknowledged when the driver has the answer. No clocks are compared.
//
// The files:
//
//   - judge.go decides whether a read is right; ledger.go has the history of a key, timeline.go the
//     history of a node, tally.go the counts.
//   - database.go has the versions.
//   - wire.go is how processes talk to each other; child.go starts, stops and kills them.
//   - operations.go has what nodes are asked for, and in which mix; deck.go deals faults.
//   - node_test.go is a node; fleet_test.go has the nodes and their proxies; driver_test.go asks the
//     nodes; troubles_test.go makes the faults.
//
// "make torture" runs it for minutes. TORTURE=10m says for how long.
package torture
