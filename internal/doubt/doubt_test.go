package doubt

import (
	"fmt"
	"sync"
	"testing"
)

func TestNothingIsInDoubtAtFirst(t *testing.T) {
	var none *Set
	if none.Has("a") || none.Now() != nil {
		t.Error("a nil Set has a key in doubt")
	}
	var s Set
	if s.Has("a") || s.Any() {
		t.Error("a new Set has a key in doubt")
	}
}

func TestAfterAGapKeysThatWereStoredSinceAreNotInDoubt(t *testing.T) {
	var s Set
	before := s.Now()
	s.Gap()
	before.Stored("asked for before the gap")
	s.Now().Stored("a")
	for key, want := range map[string]bool{"a": false, "b": true, "asked for before the gap": true} {
		if got := s.Has(key); got != want {
			t.Errorf("Has(%q) = %v, want %v", key, got, want)
		}
	}
	second := s.Now()
	s.Gap()
	second.Stored("a")
	if !s.Has("a") {
		t.Error("a was asked for before the second gap and is not in doubt")
	}
}

func TestWhileALinkIsDownEverythingIsInDoubt(t *testing.T) {
	var s Set
	s.Down()
	s.Now().Stored("a")
	if !s.Has("a") {
		t.Error("a is not in doubt while the link is down")
	}
	s.Down() // a second link
	s.Up(false)
	s.Now().Stored("a")
	if !s.Has("a") {
		t.Error("a is not in doubt while one of two links is down")
	}
	s.Up(false)
	if !s.Has("a") {
		t.Error("a was stored while the link was down and is not in doubt")
	}
	p := s.Now()
	p.Stored("a")
	if s.Has("a") {
		t.Error("a was stored when the links were up and is in doubt")
	}
	s.End(p)
	if s.Has("b") || s.Any() {
		t.Error("an entry is in doubt after End")
	}
}

func TestAPhaseIsOverWithTheNextGapAndWithTheEndOfItsDoubts(t *testing.T) {
	var none *Set
	if !none.Is(none.Now()) {
		t.Error("a nil Set has phases")
	}
	var s Set
	first := s.Now()
	if !s.Is(first) {
		t.Error("the first phase is over at once")
	}
	s.Gap()
	second := s.Now()
	s.End(second)
	for name, p := range map[string]*Phase{"before the gap": first, "since the gap": second} {
		if s.Is(p) {
			t.Errorf("the phase %s is not over", name)
		}
	}
	ended := s.Now()
	ended.Stored("a")
	if !s.Is(ended) || s.Has("a") || s.Has("b") {
		t.Error("an entry is in doubt after End")
	}
}

func TestALinkThatComesUpOverAFreshStoreLeavesNoDoubt(t *testing.T) {
	var s Set
	s.Down()
	s.Down()
	s.Up(true)
	if !s.Has("a") {
		t.Error("nothing is in doubt while the other link is down")
	}
	s.Up(true)
	if s.Any() {
		t.Error("an entry of a store that was empty is in doubt")
	}
}

func TestEndEndsOnlyItsOwnPhase(t *testing.T) {
	var s Set
	s.Gap()
	p := s.Now()
	s.Gap()
	s.End(p)
	if !s.Has("a") {
		t.Error("the end of an older phase ended the newer one")
	}
	s.Down()
	s.End(s.Now())
	if !s.Has("a") {
		t.Error("a phase ended while the link was down")
	}
}

func TestAPhaseRemembersABoundedNumberOfKeys(t *testing.T) {
	var s Set
	s.Gap()
	p := s.Now()
	for i := range maxKeys + maxKeys/4 {
		p.Stored(fmt.Sprint(i))
	}
	n := 0
	for i := range p.shards {
		n += len(p.shards[i].stored)
	}
	if n > maxKeys || n < maxKeys*9/10 {
		t.Errorf("%d keys are remembered, want up to %d", n, maxKeys)
	}
}

func TestConcurrentUse(t *testing.T) {
	var s Set
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				switch key := fmt.Sprint(i % 50); {
				case g == 0 && i%50 == 0:
					s.Gap()
				case g == 1 && i%100 == 0:
					s.Down()
					s.Up(false)
				case g%2 == 0:
					s.Now().Stored(key)
				default:
					s.Has(key)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkHas(b *testing.B) {
	var none, gap Set
	gap.Gap()
	gap.Now().Stored("user:1")
	for name, s := range map[string]*Set{"never": &none, "afterGap": &gap} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.Has("user:1") {
					b.Fatal("in doubt")
				}
			}
		})
	}
}
