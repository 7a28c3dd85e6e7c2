package remote

import "time"

// SetPings sets the interval of pings on the connections of listeners.
func SetPings(r Remote, interval time.Duration) { r.(*GoRedisV9Adapter).pings = interval }
