package remote

import "time"

// SetPings sets the interval of pings on connections that listen.
func SetPings(r Remote, interval time.Duration) { r.(*GoRedisV9Adapter).pings = interval }
