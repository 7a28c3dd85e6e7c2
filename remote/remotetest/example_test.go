package remotetest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// A Memory that is down for writes.
func ExampleMemory_SetFault() {
	m := remotetest.NewMemory()
	m.SetFault(func(_ context.Context, op string, keys ...string) error {
		if op == "set" {
			return errors.New("read-only replica")
		}
		return nil
	})
	fmt.Println(m.SetEX(context.Background(), "k", "v", 0))
	_, err := m.Get(context.Background(), "k")
	fmt.Println(err, m.Calls("set"))
	// Output:
	// read-only replica
	// remotetest: key is absent 1
}
