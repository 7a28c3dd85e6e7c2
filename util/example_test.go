package util_test

import (
	"fmt"

	"github.com/mgtv-tech/jetcache-go/util"
)

func ExampleMergeMap() {
	defaults := map[string]int{"retries": 3, "workers": 4}
	given := map[string]int{"workers": 8}
	fmt.Println(util.MergeMap(defaults, given))
	// Output: map[retries:3 workers:8]
}

func ExampleSafeRand_RandN() {
	id := util.NewSafeRand().RandN(16)
	fmt.Println(len(id))
	// Output: 16
}

func ExampleString() {
	b := []byte("users:7")
	fmt.Println(util.String(b)) // b must not be changed from now on
	// Output: users:7
}
