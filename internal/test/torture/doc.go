// Package torture checks the guarantees of a fleet of caches while everything around it fails.
//
// The tests of this package start one Redis, or a cluster, a database whose rows have versions, and
// nodes. Each node is a process with a cache. Between each node and Redis there are proxies: one for its
// reads and writes, and one for its messages to other nodes, and so for each master of a cluster. The
// driver, which is the process of the test, makes the nodes read and write at random. A judge checks
// each read: once a write is acknowledged, no node may return an older version, except for the time
// that the message about the write takes to the local levels of other nodes. In the end of each round,
// when nothing is under way, all copies must equal the database.
//
// All times are those of the driver. A read begins when the driver asks for it, and a write is
// acknowledged when the driver has the answer. No clocks are compared.
//
// # What is judged in each trouble
//
//   - A link is slow, cut, or swallows all bytes, or a node is stopped: as always. But a node that
//     cannot ask the remote, or whose calls get no answer in time, may return what is in doubt from its
//     local level. Such reads are exempt; reads past the local level never are.
//   - Replies are lost, and first attempts arrive after their repeats: as always. The value of a Set
//     that failed may arrive until the link has been whole for a while. A Set that was acknowledged
//     must not come again: its fence refuses that.
//   - A node is killed: what it was writing was not acknowledged. The driver writes the key again in the
//     end, unless the write was a Mutate: that leaves nothing old behind, as long as its closed fence
//     was not lost.
//   - Redis evicts keys, also fences: reads are judged as always. There are three differences. An
//     acknowledged Set may come again if its link was faulty and its fence was evicted since. A
//     Mutate whose closed fence is evicted while its function runs must say so, and its change is
//     complete all the same. The Mutate of a killed node must be written again if its fence may have
//     been lost.
//   - A replica is promoted that lacks the newest writes: the driver reads what the replica has, and
//     moves the nodes. For each key, one old version is right from then on: that which the new master
//     has. It must not come back after the key was written again, nor after a read of the remote has
//     found a newer one. If the new master has nothing, nothing old is right. So a load from before the
//     promotion that is stored after it is noticed, also if the change that it overlooked was lost.
//   - Batches fail in part, because one master is not reached or because a pipeline is torn: if the error
//     is a remote.KeysError, the keys that it does not name are acknowledged. The others must equal the
//     database in the end.
//   - Many nodes and several caches a process: as always.
//
// # The files
//
//   - judge.go decides whether a read is right; ledger.go has the history of a key, timeline.go the
//     history of a node, losses.go what Redis forgets, tally.go the counts.
//   - database.go has the versions.
//   - wire.go is how processes talk to each other; child.go starts, stops and kills them.
//   - operations.go has what nodes are asked for, and in which mix; deck.go deals faults.
//   - node_test.go is a node, clients_test.go its clients; fleet_test.go has the nodes and their proxies; driver_test.go asks the
//     nodes; troubles_test.go, eviction_test.go and promotion_test.go make the faults.
//
// "make torture" runs it for minutes. TORTURE=10m says for how long.
package torture
