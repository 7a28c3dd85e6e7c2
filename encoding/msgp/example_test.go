package msgp_test

import (
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp/internal/entitytest"
	"github.com/mgtv-tech/jetcache-go/encoding/msgpack"
)

// A cache made with cache.WithCodec("msgp") writes users by their generated code; one with the
// codec "msgpack", elsewhere in the fleet, reads them.
func Example() {
	user := entitytest.User{ID: 7, Name: "Ada", Roles: []string{"editor"}, Created: time.Unix(1709209815, 0)}
	stored, err := encoding.GetCodec(msgp.Name).Marshal(user)
	fmt.Println(len(stored), err)

	var back entitytest.User
	err = encoding.GetCodec(msgpack.Name).Unmarshal(stored, &back)
	fmt.Println(back.ID, back.Name, back.Roles, back.Created.Equal(user.Created), err)
	// Output:
	// 56 <nil>
	// 7 Ada [editor] true <nil>
}
