package level

import (
	"errors"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// answered reports whether the store has answered a call that failed with err: the server has replied
// with an error, or the key has no place for a fence or a lease. Then other calls will be answered,
// too.
func answered(err error) bool {
	var reply interface{ RedisError() } // go-redis' redis.Error
	return errors.As(err, &reply) || errors.Is(err, remote.ErrNoSibling)
}

// silence sets the Silent of those of recs for which a call got no answer and returned err.
func silence(recs []*record.Record, err error) {
	if err == nil {
		return
	}
	for i, failed := range each(recs, err) {
		if failed != nil && !answered(failed) {
			recs[i].Silent = failed
		}
	}
}
