// Package resilience tests what callers of a cache see while Redis or the database fails. Its table of
// faults, calls and options is in docs/resilience.md: a run with -write measures it and puts it there,
// and each other run checks that callers still see what it says. Its day of failures lasts for hours in
// a bubble of testing/synctest.
package resilience
