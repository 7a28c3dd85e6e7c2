// Package faults tests caches on a Redis that is not as it should be: it hangs, evicts keys, was
// replaced by its replica, or fails for some keys of a batch. Package torture does it at random; here
// each fault comes alone.
package faults
