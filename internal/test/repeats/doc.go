// Package repeats tests what happens when a command of the adapter for Redis is carried out twice. A
// client sends a command again if its reply is lost, and TCP can deliver the first attempt long
// after the second one.
package repeats
