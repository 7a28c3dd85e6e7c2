package cache

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Info says where the answer of a call came from, and why. Explain and ExplainEach fill it.
type Info struct {
	// Source is where the value, or the answer that the record does not exist, came from. It is
	// SourceNone if there is no answer.
	Source Source
	// Stale is true if the value is used beyond its TTL; see WithStaleOnError.
	Stale bool
	// Age is the time since the value was loaded, as far as that is known. For a value from the remote
	// it is what has passed of the TTL that the call would give it. It is 0 if it is not known.
	Age time.Duration
	// TTL is what is left of the value's TTL: in the local level for SourceLocal, and otherwise in the
	// remote. Below zero, it is how long the value has been stale. It is 0 if it is not known, and for
	// a value that does not expire.
	TTL time.Duration
	// Stored is true if the call, or the one that loaded for it, has stored the value in the remote or,
	// if that is not written, in the local level.
	Stored bool
	// Reason is why the levels before Source did not answer. It is ReasonNone for a hit in the local
	// level.
	Reason Reason
	// Waited is how long the call took. It is 0 for a hit in the local level.
	Waited time.Duration
	// Loaded is how long the loader took, in this call or in the one that it waited for. It is 0 if
	// there was no load in this process, and for a stale value.
	Loaded time.Duration
	// Err is why the value is stale, or why the remote gave no answer. The call may have succeeded.
	Err error

	joined bool // the answer is that of a load that another caller led
}

// Source says where an answer came from.
type Source string

// The sources of answers.
const (
	SourceNone   Source = ""
	SourceLocal  Source = "local"
	SourceRemote Source = "remote"
	SourceLoader Source = "loader" // this call's own loader
	SourceCaller Source = "caller" // a load that another caller of this process led
	SourceNode   Source = "node"   // a load of another node, which this call waited for; see WithLease
)

// Reason says why a level did not answer.
type Reason string

// The reasons. No others will be returned, except in a new minor version.
const (
	ReasonNone        Reason = ""            // it was a hit in the local level
	ReasonMiss        Reason = "miss"        // no level had the key
	ReasonExpired     Reason = "expired"     // the local level had it, but beyond its TTL; known only if it keeps such values
	ReasonDoubted     Reason = "doubted"     // messages of other nodes may have been missed since it was stored
	ReasonSkipped     Reason = "skipped"     // SkipLocal
	ReasonUndecodable Reason = "undecodable" // what was stored could not be decoded
	ReasonDistrusted  Reason = "distrusted"  // an earlier change of the key has not reached the remote; see ErrRemoteUncertain
	ReasonBreaker     Reason = "breaker"     // the remote was not called; see WithRemoteBreaker
	ReasonUnreachable Reason = "unreachable" // the remote gave no answer, or an error
)

// Explain makes Once and Fetch fill info before they return. info must not be used meanwhile. A hit in the
// local level costs no allocation with it, but a second look. By default, and with nil, nothing is filled.
// It has no effect over a wrapped Cache that does not pass it on.
func Explain(info *Info) ItemOption { return ItemOption{kind: itemExplain, value: info} }

// ExplainEach makes MFetch call each, before it returns, with the index of each of ids and its Info. An id
// that is there twice is explained twice. The calls are made by the goroutine of the caller. It has no
// effect on other calls, and over a wrapped Cache.
func ExplainEach(each func(i int, info Info)) ItemOption {
	return ItemOption{kind: itemExplainEach, value: each}
}

// CacheStatus returns the value of a Cache-Status header (RFC 9211) about the call, for the cache with
// this name: for example "name; hit; ttl=30; detail=local". name may be any text.
func (i *Info) CacheStatus(name string) string {
	var b strings.Builder
	b.WriteString(structuredName(name))
	switch {
	case i.Source == SourceLocal || i.Source == SourceRemote && i.Reason != ReasonUndecodable:
		b.WriteString("; hit")
	case i.Reason == ReasonExpired:
		b.WriteString("; fwd=stale")
	case i.Reason == ReasonSkipped, i.Reason == ReasonBreaker:
		b.WriteString("; fwd=bypass")
	default:
		b.WriteString("; fwd=miss")
	}
	if i.TTL != 0 {
		fmt.Fprintf(&b, "; ttl=%d", int64(math.Floor(i.TTL.Seconds())))
	}
	if i.Stored {
		b.WriteString("; stored")
	}
	if i.joined || i.Source == SourceCaller || i.Source == SourceNode {
		b.WriteString("; collapsed")
	}
	detail := string(i.Source)
	if i.Reason != ReasonNone {
		detail += "-" + string(i.Reason)
	}
	if detail = strings.Trim(detail, "-"); detail != "" {
		b.WriteString("; detail=" + detail)
	}
	return b.String()
}

// structuredName returns name as a token of RFC 9651 if it is one, and as a string otherwise. Bytes that
// a string cannot have become "?".
func structuredName(name string) string {
	if isToken(name) {
		return name
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(name) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func isToken(s string) bool {
	const others = "!#$%&'*+-.^_`|~:/0123456789"
	for i := range len(s) {
		letter := 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z'
		if !letter && s[i] != '*' && (i == 0 || !strings.Contains(others, s[i:i+1])) {
			return false
		}
	}
	return s != ""
}

// explainLocal returns the Info of a hit in the local level.
func (c *jetCache) explainLocal(key string) Info {
	info := Info{Source: SourceLocal}
	if lived, ok := c.local.Life(key); ok {
		info.Age = lived.Age
		if lived.Left != math.MaxInt64 {
			info.TTL = lived.Left
		}
		info.Stale = lived.Left <= 0
	}
	return info
}

// localReason returns why the local level does not answer.
func (c *jetCache) localReason(key string, opts *item) Reason {
	if opts.skipLocal {
		return ReasonSkipped
	}
	if _, ok := c.local.Doubted(key); ok {
		return ReasonDoubted
	}
	h, ok := c.path.AtHand(key)
	switch {
	case !ok:
		return ReasonMiss
	case h.Left <= 0:
		return ReasonExpired
	}
	return ReasonNone // see WithEarlyRefresh
}

// reasonOf returns why the levels did not answer for rec: why the remote did not, if there is more to say
// than that it did not have the key, and otherwise why the local level did not.
func reasonOf(rec *record.Record, locally Reason) Reason {
	err := rec.Got.Err
	if err == nil {
		err = rec.Silent
	}
	switch {
	case rec.Out.From == record.Local && !rec.Out.Stale: // a copy in doubt, or one that another load has just stored
		return locally
	case rec.Reload:
		return ReasonUndecodable
	case errors.Is(err, level.ErrUnavailable):
		return ReasonBreaker
	case errors.Is(err, ErrRemoteUncertain):
		return ReasonDistrusted
	case err != nil:
		return ReasonUnreachable
	}
	return locally
}

// explained is what is known of one key when its read has ended.
type explained struct {
	key     string
	rec     *record.Record // nil if another caller led the load
	out     record.Outcome
	locally Reason
	err     error // of the load, if a stale value was taken in place of it
	ttl     time.Duration
}

// explain returns the Info of a read that was no plain hit.
func (c *jetCache) explain(e explained) Info {
	info := Info{Reason: e.locally, TTL: e.out.Left, Stored: e.out.Stored, Loaded: e.out.Took, Err: e.err, joined: e.rec == nil}
	if e.rec != nil {
		info.Loaded = e.rec.Took
		info.Reason = reasonOf(e.rec, e.locally)
		if info.Err == nil {
			info.Err = e.rec.Got.Err
		}
	}
	switch {
	case e.out.Kind == record.Miss:
		return info
	case e.out.From == record.Local:
		local := c.explainLocal(e.key)
		info.Source, info.Age, info.TTL, info.Stale = SourceLocal, local.Age, local.TTL, local.Stale
		info.joined = false
	case e.out.Elsewhere:
		info.Source = SourceNode
	case e.out.From == record.Remote:
		info.Source = SourceRemote
		if life := c.path.LongestLifetimes(e.ttl).Remote; e.out.Left > 0 && life > e.out.Left {
			info.Age = life - e.out.Left
		}
	case e.rec == nil:
		info.Source = SourceCaller
	default:
		info.Source = SourceLoader
	}
	return info
}

// explainRead fills the Info of a read of one key.
func (s *single) explainRead(out record.Outcome, err error) {
	e := explained{key: s.key, out: out, locally: s.locally, ttl: s.opts.ttl, err: s.failure}
	if s.led {
		e.rec = &s.rec
	}
	*s.opts.explain = s.c.explain(e)
	info := s.opts.explain
	if info.Waited = time.Since(s.began); info.Err == nil && err != nil && info.Source == SourceNone {
		info.Err = err
	}
}

// explainID is explainLocal for the key of an id of T.
func explainID[K comparable](c *jetCache, prefix string, id K) Info {
	b := newKeyBuffer(prefix, c.separator, id)
	defer b.release()
	return c.explainLocal(b.view())
}

// batchInfos are the Infos of the keys of a batch. The methods of a nil batchInfos do nothing.
type batchInfos struct {
	batch   *batch
	began   time.Time
	locally []Reason // by slot: why the local level did not answer
	infos   []Info   // by slot
}

func newBatchInfos(b *batch) *batchInfos {
	n := &batchInfos{b, time.Now(), make([]Reason, len(b.keys)), make([]Info, len(b.keys))}
	for i, key := range b.keys {
		n.locally[i] = b.c.localReason(key, &b.opts)
	}
	return n
}

// local explains slot i by what the local level has, in place of the error of a load if there is one.
func (n *batchInfos) local(i int, err error) {
	if n != nil {
		n.infos[i] = n.batch.c.explainLocal(n.batch.keys[i])
		n.infos[i].Err = err
		if n.infos[i].Stale {
			n.infos[i].Reason = ReasonExpired
		}
	}
}

// led explains slot i by the load of this batch.
func (n *batchInfos) led(i int, k *loadKey) {
	if n == nil {
		return
	}
	e := explained{rec: &k.Record, out: k.Out, err: k.Err}
	if k.hasValue && e.out.Kind == record.Miss { // the loader has returned it beside its error
		e.out.Kind, e.out.From = record.Value, record.Loader
	}
	n.set(i, e)
}

// joined explains slot i by the load of another caller.
func (n *batchInfos) joined(i int, out record.Outcome, err error) {
	if n != nil {
		n.set(i, explained{out: out, err: err})
	}
}

func (n *batchInfos) set(i int, e explained) {
	e.key, e.locally, e.ttl = n.batch.keys[i], n.locally[i], n.batch.opts.ttl
	n.infos[i] = n.batch.c.explain(e)
}

// end hands the Infos to the slots: the batch has ended.
func (n *batchInfos) end() {
	waited := time.Since(n.began)
	for i := range n.infos {
		if n.infos[i].Source != SourceLocal || n.infos[i].Stale {
			n.infos[i].Waited = waited
		}
		n.batch.slots.explain(i, n.infos[i])
	}
}
