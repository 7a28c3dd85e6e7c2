package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// DoFunc loads a value: for Once when no level has it, for Set in place of Value. It returns the error
// of WithErrNotFound to say that the record does not exist. It should end when ctx does. A nil DoFunc
// stands for none.
//
// All DoFuncs that are used with one key must load the same value: concurrent callers share one load,
// so one caller gets what another caller's DoFunc has returned. If what a caller may see depends on
// the caller, the key has to say who it is.
type DoFunc func(ctx context.Context) (any, error)

// ItemOption configures one call of Once or Set.
type ItemOption struct {
	kind  itemKind
	on    bool
	ttl   time.Duration
	beta  float64
	value any
	do    DoFunc
}

type itemKind uint8

const (
	itemNothing itemKind = iota
	itemValue
	itemDo
	itemTTL
	itemSetNX
	itemSetXX
	itemSkipLocal
	itemRefresh
	itemLoadTimeout
	itemStaleOnError
	itemStaleWhile
	itemSoftTimeout
	itemEarlyRefresh
	itemExplain
	itemExplainEach
)

// Value gives Set the value to store, and Once the pointer to what it decodes into; nil
// makes Once decode nothing.
func Value(v any) ItemOption { return ItemOption{kind: itemValue, value: v} }

// Do gives the function that loads the value. With Set it wins over Value. Default: none:
// Once then answers a miss with ErrCacheMiss.
func Do(do DoFunc) ItemOption { return ItemOption{kind: itemDo, do: do} }

// TTL sets how long the remote keeps the value. The local level keeps it no longer. Default, and for
// zero: the remote expiry of the cache. Below zero, the remote is not written, and the local level
// still is.
func TTL(d time.Duration) ItemOption { return ItemOption{kind: itemTTL, ttl: d} }

// SetNX makes the value be stored only if the key is absent. Default: false. SetXX wins.
func SetNX(on bool) ItemOption { return ItemOption{kind: itemSetNX, on: on} }

// SetXX makes the value be stored only if the key is present. Default: false.
func SetXX(on bool) ItemOption { return ItemOption{kind: itemSetXX, on: on} }

// SkipLocal makes the call neither read nor fill the local level. If the call writes a value, it
// removes what the local level has of the key. Default: false.
func SkipLocal(on bool) ItemOption { return ItemOption{kind: itemSkipLocal, on: on} }

// Refresh makes Once have the key refreshed in the background, as WithRefreshDuration says. Default:
// false. It has no effect on Set, without WithRefreshDuration, and without Do; the latter two are
// logged once.
func Refresh(on bool) ItemOption { return ItemOption{kind: itemRefresh, on: on} }

// item is what the ItemOptions of one call have set.
type item struct {
	value     any
	do        DoFunc
	ttl       time.Duration
	condition record.Condition
	skipLocal bool
	refresh   bool

	explain     *Info           // nil if nobody asks
	explainEach func(int, Info) // nil if nobody asks

	// Zero: that of the cache; below zero: none.

	loadTimeout, staleOnError, staleWhile, softTimeout time.Duration
	earlyBeta                                          float64
}

func newItem(opts []ItemOption) item {
	var it item
	var nx, xx bool
	for i := range opts {
		switch o := &opts[i]; o.kind {
		case itemNothing: // the zero ItemOption
		case itemValue:
			it.value = o.value
		case itemDo:
			it.do = o.do
		case itemTTL:
			it.ttl = o.ttl
		case itemSetNX:
			nx = o.on
		case itemSetXX:
			xx = o.on
		case itemSkipLocal:
			it.skipLocal = o.on
		case itemRefresh:
			it.refresh = o.on
		case itemLoadTimeout:
			it.loadTimeout = o.ttl
		case itemStaleOnError:
			it.staleOnError = o.ttl
		case itemStaleWhile:
			it.staleWhile = o.ttl
		case itemSoftTimeout:
			it.softTimeout = o.ttl
		case itemEarlyRefresh:
			it.earlyBeta = o.beta
		case itemExplain:
			it.explain, _ = o.value.(*Info)
		case itemExplainEach:
			it.explainEach, _ = o.value.(func(int, Info))
		}
	}
	switch {
	case xx:
		it.condition = record.IfPresent
	case nx:
		it.condition = record.IfAbsent
	}
	return it
}

// plain reports whether none of Value, Do, SetNX and SetXX was given.
func (i *item) plain() bool {
	return i.value == nil && i.do == nil && i.condition == record.Always
}

// refusal is the error of a call that was given options which it does not take.
func refusal(call, without string) error {
	return fmt.Errorf("%w: %s does not take %s", ErrInvalidOption, call, without)
}

// options returns the ItemOptions that set what i holds, except Value and Do.
func (i *item) options() (opts []ItemOption) {
	if i.ttl != 0 {
		opts = append(opts, TTL(i.ttl))
	}
	switch i.condition {
	case record.Always:
	case record.IfAbsent:
		opts = append(opts, SetNX(true))
	case record.IfPresent:
		opts = append(opts, SetXX(true))
	}
	if i.skipLocal {
		opts = append(opts, SkipLocal(true))
	}
	for _, o := range []ItemOption{LoadTimeout(i.loadTimeout), StaleOnError(i.staleOnError), StaleWhileRevalidate(i.staleWhile), SoftTimeout(i.softTimeout)} {
		if o.ttl != 0 {
			opts = append(opts, o)
		}
	}
	if i.earlyBeta != 0 {
		opts = append(opts, EarlyRefresh(i.earlyBeta))
	}
	if i.explain != nil {
		opts = append(opts, Explain(i.explain))
	}
	if i.refresh {
		opts = append(opts, Refresh(true))
	}
	return opts
}
