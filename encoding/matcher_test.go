package encoding_test

import (
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding"
	_ "github.com/mgtv-tech/jetcache-go/encoding/json"
	_ "github.com/mgtv-tech/jetcache-go/encoding/msgp"
	_ "github.com/mgtv-tech/jetcache-go/encoding/msgpack"
	_ "github.com/mgtv-tech/jetcache-go/encoding/sonic"
)

type (
	matchA struct {
		Title string
		Words int
	}
	matchB struct {
		Number string
		Parts  []matchA
	}
	matchEmbedded struct {
		matchA
		Extra int
	}
	matchEmpty struct {
		Other string `json:",omitempty" msgpack:",omitempty"`
	}
	matchRenamed struct {
		Title string `json:"heading" msgpack:"heading"`
	}
	matchLarge struct {
		Number string
		Text   string
	}
)

func TestMatchesNoField(t *testing.T) {
	long := string(make([]byte, 4096)) // is stored as S2
	for _, name := range []string{"msgpack", "msgp", "json", "sonic"} {
		c := encoding.GetCodec(name)
		for what, tt := range map[string]struct {
			stored any
			into   any
			want   bool
		}{
			"the type itself":         {matchA{}, new(matchA), false},
			"another type":            {matchA{"t", 1}, new(matchB), true},
			"another type, zero":      {matchA{}, new(matchB), true},
			"through pointers":        {matchA{"t", 1}, new(*matchB), true},
			"an embedded type":        {matchA{"t", 1}, new(matchEmbedded), false},
			"what embeds it":          {matchEmbedded{matchA{"t", 1}, 2}, new(matchA), false},
			"an object without field": {matchEmpty{}, new(matchB), false},
			"renamed":                 {matchA{"t", 1}, new(matchRenamed), true},
			"renamed, itself":         {matchRenamed{"t"}, new(matchRenamed), false},
			"large":                   {matchLarge{"1", long}, new(matchA), true},
			"a map":                   {map[string]int{"Title": 1}, new(matchA), false},
			"into a map":              {matchA{"t", 1}, new(map[string]any), false},
			"into an interface":       {matchA{"t", 1}, new(any), false},
			"a list":                  {[]int{1}, new(matchA), false},
			"a text":                  {"text", new(matchA), false},
			"nil":                     {nil, new(matchA), false},
			"into a time":             {matchA{"t", 1}, new(time.Time), false},
			"into nil":                {matchA{"t", 1}, nil, false},
		} {
			data, err := c.Marshal(tt.stored)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.(encoding.FieldMatcher).MatchesNoField(data, tt.into); got != tt.want {
				t.Errorf("%s, %s: %v", name, what, got)
			}
		}
		for _, damaged := range []string{"", "\x00", "\x01", "{", "\x81\x00", "\xdf\xff\xff\xff\xff\x00"} {
			if c.(encoding.FieldMatcher).MatchesNoField([]byte(damaged), new(matchA)) {
				t.Errorf("%s: %q", name, damaged)
			}
		}
	}
}
