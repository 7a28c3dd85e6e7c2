package encoding

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeCodec struct{ name string }

func (fakeCodec) Marshal(any) ([]byte, error) { return nil, nil }
func (fakeCodec) Unmarshal([]byte, any) error { return nil }
func (f fakeCodec) Name() string              { return f.name }

func TestRegistry(t *testing.T) {
	RegisterCodec(fakeCodec{"Mixed-Case"})
	if c := GetCodec("mixed-case"); c == nil {
		t.Error("a codec is not found under its lower-cased name")
	}
	if c := GetCodec("MIXED-case"); c == nil {
		t.Error("a codec is not found whatever the case")
	}
	if c := GetCodec("absent"); c != nil {
		t.Errorf("an absent codec is %v, want nil", c)
	}
	RegisterCodec(fakeCodec{"MIXED-CASE"})
	if c := GetCodec("mixed-case"); c.Name() != "MIXED-CASE" {
		t.Errorf("the last registration did not win: got %q", c.Name())
	}
}

func TestRegisterCodecRefuses(t *testing.T) {
	for name, codec := range map[string]Codec{"nil": nil, "empty": fakeCodec{}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), name) {
					t.Errorf("panicked with %v, want a sentence with %q", r, name)
				}
			}()
			RegisterCodec(codec)
		})
	}
}

func TestRegistryConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 100 {
				RegisterCodec(fakeCodec{fmt.Sprint("c", g)})
				GetCodec("c0")
			}
		})
	}
	wg.Wait()
}
