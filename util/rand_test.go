package util

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
)

func TestInt63nIsWithinItsRange(t *testing.T) {
	r := NewSafeRand()
	seen := map[int64]int{}
	for range 10_000 {
		seen[r.Int63n(5)]++
	}
	for n := range int64(5) {
		if seen[n] < 1500 { // 2,000 are expected; 500 less is more than ten standard deviations
			t.Errorf("%d was drawn %d times of 10,000", n, seen[n])
		}
		delete(seen, n)
	}
	if len(seen) > 0 {
		t.Errorf("out of [0, 5): %v", seen)
	}
	if got := r.Int63n(1); got != 0 {
		t.Errorf("Int63n(1) = %d", got)
	}
	if got := r.Int63n(math.MaxInt64); got < 0 {
		t.Errorf("Int63n of the largest number = %d", got)
	}
}

func TestInt63nOfAnEmptyRangePanics(t *testing.T) {
	for _, n := range []int64{0, -1, math.MinInt64} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, fmt.Sprintf("Int63n(%d)", n)) || !strings.Contains(r, "give 1 or more") {
					t.Errorf("Int63n(%d) panicked with %q, want a sentence that says what to give", n, r)
				}
			}()
			NewSafeRand().Int63n(n)
		}()
	}
}

func TestRandNHasTheLengthAndTheAlphabet(t *testing.T) {
	r := NewSafeRand()
	for _, n := range []int{1, 2, 15, 16, 17, 31, 32, 33, 1000} {
		got := r.RandN(n)
		if len(got) != n || strings.Trim(got, hexDigits) != "" {
			t.Errorf("RandN(%d) = %q", n, got)
		}
	}
	for _, n := range []int{0, -1, math.MinInt} {
		if got := r.RandN(n); got != "" {
			t.Errorf("RandN(%d) = %q", n, got)
		}
	}
	long := r.RandN(10_000)
	for _, digit := range hexDigits {
		if n := strings.Count(long, string(digit)); n < 375 { // 625 are expected; 250 less is more than ten standard deviations
			t.Errorf("of 10,000 characters %d are %c", n, digit)
		}
	}
}

func TestRandNDiffersBetweenCalls(t *testing.T) {
	r := NewSafeRand()
	if a, b := r.RandN(16), r.RandN(16); a == b {
		t.Errorf("two calls gave %q", a)
	}
}

func TestSafeRandConcurrently(t *testing.T) {
	r := NewSafeRand()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[string]bool{}
	)
	for range 8 {
		wg.Go(func() {
			for range 100 {
				r.Int63n(10)
				text := r.RandN(32)
				mu.Lock()
				seen[text] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 800 {
		t.Errorf("800 calls gave %d different strings", len(seen))
	}
}
