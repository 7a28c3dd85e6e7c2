package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
)

// The form in which each kind of value is stored, and the destinations that it can be read into.
func TestStoredFormsAndDestinations(t *testing.T) {
	type named string
	star := "x"
	tests := []struct {
		v      any
		stored string
	}{
		{nil, ""}, {"text", "text"}, {"", ""}, {[]byte{0, 255}, "\x00\xff"}, {[]byte(nil), ""}, {&star, "x"},
		{42, "\x2a\x00"}, {named("n"), "\xa1n\x00"}, {true, "\xc3\x00"},
	}
	for _, tt := range tests {
		n := both(t)
		if err := n.Set(ctx, "k", cache.Value(tt.v)); err != nil {
			t.Fatal(err)
		}
		if got := n.inRemote("k"); got != tt.stored {
			t.Errorf("%#v is stored as %q, want %q", tt.v, got, tt.stored)
		}
	}

	n := both(t)
	n.remote.Put("text", "raw")
	n.remote.Put("empty", "")
	n.remote.Put("int", "\x2a\x00")
	s, b, i := "before", []byte("before"), 7
	for key, check := range map[string]func() error{
		"text":  func() error { return n.Get(ctx, "text", &s) },
		"bytes": func() error { return n.Get(ctx, "text", &b) },
		"int":   func() error { return n.Get(ctx, "int", &i) },
		"nil":   func() error { return n.Get(ctx, "text", nil) },
	} {
		if err := check(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if s != "raw" || string(b) != "raw" || i != 42 {
		t.Errorf("read %q, %q, %d", s, b, i)
	}
	for _, dst := range []any{&s, &b, &i} {
		if err := n.Get(ctx, "empty", dst); err != nil {
			t.Errorf("empty bytes into a %T: %v", dst, err)
		}
	}
	if s != "raw" || string(b) != "raw" || i != 42 {
		t.Errorf("empty bytes changed a destination: %q, %q, %d", s, b, i)
	}
}

func TestAnEmptyStringIsAValue(t *testing.T) {
	n := both(t)
	strs := cache.NewT[int, string](n.Cache)
	if err := strs.Set(ctx, "k", 1, ""); err != nil {
		t.Fatal(err)
	}
	load := func(_ context.Context, ids []int) (map[int]string, error) { return map[int]string{2: ""}, nil }
	for _, where := range []string{"loaded", "local", "remote"} {
		if where == "remote" {
			n.DeleteFromLocalCache("k:1")
			n.DeleteFromLocalCache("k:2")
		}
		got, err := strs.MGetWithErr(ctx, "k", []int{1, 2, 3}, load)
		one, okOne := got[1]
		two, okTwo := got[2]
		if err != nil || len(got) != 2 || !okOne || !okTwo || one != "" || two != "" {
			t.Errorf("%s: %v, %v", where, got, err)
		}
	}
	if s, err := strs.Get(ctx, "k", 1, nil); s != "" || err != nil {
		t.Errorf("Get: %q, %v", s, err)
	}
	if !strs.Exists(ctx, "k", 1) || strs.Exists(ctx, "k", 3) {
		t.Error("Exists is wrong about an empty string or a placeholder")
	}
}

func TestAValueThatLooksLikeThePlaceholder(t *testing.T) {
	star := "*"
	starBytes := []byte("*")
	for _, v := range []any{star, starBytes, &star, &starBytes} {
		n := both(t)
		_ = n.Set(ctx, "k", cache.Value("old"))
		if err := n.Set(ctx, "k", cache.Value(v)); !errors.Is(err, cache.ErrReservedValue) || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("Set of a %T: %v", v, err)
		}
		n.expectStored(t, "k", "old", "old")
		if err := n.Set(ctx, "k", returns(v, nil)); !errors.Is(err, cache.ErrReservedValue) {
			t.Errorf("Set by Do of a %T: %v", v, err)
		}
		if s, err := onceString(n, "once", returns(v, nil)); s != "*" || err != nil {
			t.Errorf("Once of a %T: %q, %v", v, s, err)
		}
		n.expectStored(t, "once", "-", "-")
	}
	n := both(t)
	got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "m", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
		return map[int]string{1: "*", 2: "fine"}, nil
	})
	if got[1] != "*" || got[2] != "fine" || err != nil {
		t.Errorf("MGetWithErr: %v, %v", got, err)
	}
	n.expectStored(t, "m:1", "-", "-")
	n.expectStored(t, "m:2", "fine", "fine")
}

func TestBytesAreCopied(t *testing.T) {
	n := both(t)
	in := []byte("value")
	if err := n.Set(ctx, "k", cache.Value(in)); err != nil {
		t.Fatal(err)
	}
	loaded := []byte("value")
	var fromOnce []byte
	if err := n.Once(ctx, "once", cache.Value(&fromOnce), returns(loaded, nil)); err != nil {
		t.Fatal(err)
	}
	clear(in)
	clear(loaded)
	clear(fromOnce)
	for _, key := range []string{"k", "once"} {
		for range 2 {
			var out []byte
			if err := n.Get(ctx, key, &out); err != nil || !bytes.Equal(out, []byte("value")) {
				t.Errorf("%q is %q, %v", key, out, err)
			}
			clear(out)
		}
	}
}

func TestPointersAreStoredAsWhatTheyPointTo(t *testing.T) {
	s, b := "text", []byte("bytes")
	for want, v := range map[string]any{"text": &s, "bytes": &b, "": (*string)(nil)} {
		n := both(t)
		if err := n.Set(ctx, "k", cache.Value(v)); err != nil {
			t.Fatal(err)
		}
		n.expectStored(t, "k", want, want)
	}
}

func TestAValueThatFailsToEncode(t *testing.T) {
	n := both(t)
	things := cache.NewT[int, any](n.Cache)
	got, err := things.MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]any, error) {
		return map[int]any{1: func() {}, 2: "fine"}, nil
	})
	if got[1] == nil || got[2] != "fine" || err == nil || !strings.Contains(err.Error(), `"k:1"`) {
		t.Errorf("got %v, %v", got, err)
	}
	n.expectStored(t, "k:1", "-", "-")
	n.expectStored(t, "k:2", "\xa4fine\x00", "\xa4fine\x00") // the codec's form: an interface can hold anything
	if _, err := onceString(n, "k", returns(func() {}, nil)); err == nil || !strings.Contains(err.Error(), `"k"`) {
		t.Errorf("Once: %v", err)
	}
	if err := n.Set(ctx, "k", cache.Value(func() {})); err == nil {
		t.Error("Set: no error")
	}
	n.expectStored(t, "k", "-", "-")
}

func TestInvalidDestinationsAreRefused(t *testing.T) {
	n := both(t)
	_ = n.Set(ctx, "k", cache.Value("v"))
	n.counts.take()
	for _, dst := range []any{"text", 7, user{}, (*string)(nil), (*[]byte)(nil), (*user)(nil), map[string]int{}, []int{}, func() {}} {
		for name, err := range map[string]error{
			"Get": n.Get(ctx, "k", dst), "GetSkippingLocal": n.GetSkippingLocal(ctx, "k", dst), "Once": n.Once(ctx, "new", cache.Value(dst), never(t)),
		} {
			if !errors.Is(err, cache.ErrInvalidDestination) || !strings.Contains(err.Error(), "got a ") {
				t.Errorf("%s into a %T: %v", name, dst, err)
			}
		}
	}
	n.expectStored(t, "k", "v", "v")
	// A destination of another type is an error, and the stored value stays.
	if err := n.Get(ctx, "k", new(int)); err == nil {
		t.Error("text was read into an int")
	}
	n.expectStored(t, "k", "v", "v")
}

func TestATextIsStoredSoThatRedisCountersWork(t *testing.T) {
	n := onlyRemote(t)
	if err := n.Set(ctx, "n", cache.Value("41")); err != nil {
		t.Fatal(err)
	}
	if got := n.inRemote("n"); got != "41" {
		t.Errorf("the remote holds %q, on which INCR would fail", got)
	}
}

func TestCodecsByName(t *testing.T) {
	for name, want := range map[string]string{"json": `{"ID":1,"Name":"user 1","Roles":["r"]}`, "sonic": `{"ID":1,"Name":"user 1","Roles":["r"]}`, "JSON": `{"ID":1,"Name":"user 1","Roles":["r"]}`} {
		n := both(t, cache.WithCodec(name))
		if err := n.Set(ctx, "k", cache.Value(userOf(1))); err != nil {
			t.Fatal(err)
		}
		if got := n.inRemote("k"); got != want {
			t.Errorf("%s wrote %q", name, got)
		}
		var u user
		if err := n.Get(ctx, "k", &u); err != nil || fmt.Sprint(u) != fmt.Sprint(userOf(1)) {
			t.Errorf("%s read %v, %v", name, u, err)
		}
	}
	if encoding.GetCodec("sonic") == nil {
		t.Error("sonic has no stand-in in the registry")
	}
	text := panicText(func() { cache.New(cache.WithCodec("nope")) })
	if !strings.Contains(text, `"nope"`) || !strings.Contains(text, "import its package") {
		t.Errorf("an unregistered codec panics with %q", text)
	}
}

// A panic of a codec, or of a value's own method, is not said to be the loader's.
func TestACodecsPanicIsNotTheLoaders(t *testing.T) {
	n := both(t, cache.WithCodec("json"))
	for _, err := range []error{
		n.Set(ctx, "k", cache.Value(panicsWhenEncoded{})),
		n.Once(ctx, "k", returns(panicsWhenEncoded{}, nil)),
	} {
		var p *cache.PanicError
		if !errors.As(err, &p) || strings.Contains(err.Error(), "loader") || !strings.Contains(err.Error(), "the codec") {
			t.Errorf("got %v", err)
		}
	}
}

// panicsWhenEncoded is a value whose own method panics.
type panicsWhenEncoded struct{}

func (panicsWhenEncoded) MarshalJSON() ([]byte, error) { panic("the pieces") }

func TestLongKeysAreCutInErrorsAndLogs(t *testing.T) {
	log := captureLog(t)
	n := both(t)
	n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
	key := strings.Repeat("k", 100_000)
	for _, err := range []error{
		n.Get(ctx, key, nil), n.Set(ctx, key, cache.Value("v")), n.Delete(ctx, key), n.Set(ctx, key+"\xff", cache.Value("v")),
		n.Set(ctx, key, cache.Value(func() {})), n.Set(ctx, key, cache.Value("*")),
	} {
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
		}
	}
	for _, line := range log.lines {
		if len(line) > 2000 {
			t.Errorf("a log line of %d bytes", len(line))
		}
	}
}

type (
	author struct {
		Name  string
		Posts []*post
	}
	post struct {
		Title  string
		Author *author
	}
)

// A value that refers back to itself, as an ORM makes them, is an error that names the way. It does
// not end the process.
func TestAValueWithACycleIsAnError(t *testing.T) {
	for _, codec := range []string{"msgpack", "json", "sonic"} {
		n := both(t, cache.WithCodec(codec))
		a := &author{Name: "Ada", Posts: []*post{{Title: "one"}, {Title: "two"}}}
		a.Posts[1].Author = a
		authors := cache.NewT[int, *author](n.Cache)
		_, get := authors.Get(ctx, "a", 1, func(context.Context, int) (*author, error) { return a, nil })
		got, mget := authors.MGetWithErr(ctx, "a", []int{1}, func(context.Context, []int) (map[int]*author, error) { return map[int]*author{1: a}, nil })
		for what, err := range map[string]error{"T.Get": get, "MGet": mget, "Set": authors.Set(ctx, "a", 1, a)} {
			if err == nil || !strings.Contains(err.Error(), "author") || !strings.Contains(err.Error(), "Posts[1].Author") || len(err.Error()) > 4096 {
				t.Errorf("%s, %s: %.300v", codec, what, err)
			}
		}
		if got[1] != a {
			t.Errorf("%s: MGet returns %v", codec, got)
		}
		n.expectStored(t, "a:1", "-", "-")
	}
}
