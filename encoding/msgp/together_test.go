package msgp

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp/internal/entitytest"
	"github.com/mgtv-tech/jetcache-go/encoding/msgpack"
)

// exchange writes v by each of the codecs, and reads each result by each of the codecs.
func exchange[T any](t *testing.T, v T) {
	t.Helper()
	for _, writer := range []string{Name, msgpack.Name} {
		for _, reader := range []string{Name, msgpack.Name} {
			stored := mustMarshal(t, encoding.GetCodec(writer), &v)
			var got T
			err := encoding.GetCodec(reader).Unmarshal(stored, &got)
			localZeros(reflect.ValueOf(&got).Elem())
			localZeros(reflect.ValueOf(&v).Elem())
			if err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%s wrote and %s read %.300s, %v, want %.300s", writer, reader, fmt.Sprintf("%+v", got), err, fmt.Sprintf("%+v", v))
			}
		}
	}
}

// localZeros sets zero times to the local zone, as generated code does.
func localZeros(v reflect.Value) {
	if at, ok := reflect.TypeAssert[time.Time](v); ok {
		if at.IsZero() {
			v.Set(reflect.ValueOf(at.Local()))
		}
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			localZeros(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				localZeros(v.Field(i))
			}
		}
	}
}

// Both codecs read and write the types that follow the package comment.
func TestBothCodecsReadEachOther(t *testing.T) {
	exchange(t, user())
	exchange(t, entitytest.User{Roles: []string{}, Attrs: map[string]string{}, Created: time.Time{}})
	exchange(t, entitytest.User{})
	exchange(t, entitytest.Users{user(), {}})
	exchange(t, entitytest.Small{A: -1 << 31, B: 1<<31 - 1})
	exchange(t, entitytest.Point{X: 1.5})
	exchange(t, tree(4))
	exchange(t, forms())
	exchange(t, entitytest.Forms{})
	exchange(t, entitytest.Forms{
		Bytes: []byte{}, Ints: []int{}, Texts: []string{}, Map: map[string]string{}, Counts: map[string]int{},
		List: []entitytest.Small{}, Pointers: []*entitytest.Small{},
	})
	for _, n := range []int64{0, 31, 127, 128, 255, 256, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1} {
		exchange(t, entitytest.Forms{Int: int(n), Int64: n, Uint: uint(n), Uint64: uint64(n), Duration: time.Duration(n), Ints: []int{int(n), int(-n)}})
		exchange(t, entitytest.Forms{Int: int(-n), Int64: -n, Uint64: uint64(n) << 1, Duration: time.Duration(-n)})
		if n < 1<<20 {
			exchange(t, entitytest.Forms{Text: strings.Repeat("x", int(n)), Bytes: make([]byte, n), Ints: make([]int, n)})
		}
	}
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(1, 0), time.Unix(0, 1), time.Unix(-1, 0), time.Unix(-1, 999_999_999), time.Unix(1<<31, 0), time.Unix(1<<32-1, 0),
		time.Unix(1<<32, 0), time.Unix(1<<34-1, 999_999_999), time.Unix(1<<34, 0), time.Unix(1<<34, 1), time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC).Local(),
		time.Date(-1, 1, 1, 0, 0, 0, 5, time.UTC).Local(), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC).Local(),
	} {
		exchange(t, entitytest.Forms{Time: at, TimeOrNil: &at})
	}
}

// The two libraries disagree about types in the ways that the package comment describes.
func TestWhereTheCodecsDisagree(t *testing.T) {
	generated, reflected := encoding.Codec(codec{}), encoding.GetCodec(msgpack.Name)
	at := time.Unix(1700000000, 5)

	t.Run("names", func(t *testing.T) {
		var got entitytest.Renamed
		if err := reflected.Unmarshal(mustMarshal(t, generated, entitytest.Renamed{ID: 7, Note: "n"}), &got); err != nil || got != (entitytest.Renamed{}) {
			t.Errorf("msgpack read %+v, %v", got, err)
		}
		if err := generated.Unmarshal(mustMarshal(t, reflected, entitytest.Renamed{ID: 7, Note: "n"}), &got); err != nil || got != (entitytest.Renamed{}) {
			t.Errorf("msgp read %+v, %v", got, err)
		}
	})
	t.Run("times", func(t *testing.T) {
		var got entitytest.OldTime
		if err := reflected.Unmarshal(mustMarshal(t, generated, entitytest.OldTime{At: at}), &got); err == nil {
			t.Errorf("msgpack read %+v", got)
		}
		if err := generated.Unmarshal(mustMarshal(t, reflected, entitytest.OldTime{At: at}), &got); err != nil || !got.At.Equal(at) {
			t.Errorf("msgp read %+v, %v", got, err)
		}
		if err := generated.Unmarshal(mustMarshal(t, generated, entitytest.OldTime{At: at}), &got); err != nil || !got.At.Equal(at) {
			t.Errorf("msgp read %+v, %v", got, err)
		}
	})
	t.Run("nil", func(t *testing.T) {
		for _, v := range []entitytest.NotNil{
			{Map: map[string]string{}, Bytes: []byte{}}, {List: []string{}, Bytes: []byte{}}, {List: []string{}, Map: map[string]string{}},
		} {
			var got entitytest.NotNil
			if err := generated.Unmarshal(mustMarshal(t, reflected, v), &got); err == nil {
				t.Errorf("msgp read %+v", got)
			}
			got = entitytest.NotNil{}
			if err := generated.Unmarshal(mustMarshal(t, generated, v), &got); err != nil || got.List != nil || got.Map == nil {
				t.Errorf("msgp read its own as %+v, %v, want a nil list and an empty map", got, err)
			}
			if err := reflected.Unmarshal(mustMarshal(t, generated, v), &got); err != nil || got.List == nil || got.Map == nil || got.Bytes == nil {
				t.Errorf("msgpack read %+v, %v, want empty ones", got, err)
			}
		}
	})
	t.Run("nil within", func(t *testing.T) {
		exchange(t, entitytest.NotNilWithin{})
		exchange(t, entitytest.NotNilWithin{Lists: [][]int{{1}}, Map: map[string][]int{"k": {2}}})
		for _, v := range []entitytest.NotNilWithin{{Lists: [][]int{nil}}, {Map: map[string][]int{"k": nil}}} {
			var got entitytest.NotNilWithin
			if err := generated.Unmarshal(mustMarshal(t, reflected, v), &got); err == nil {
				t.Errorf("msgp read %+v", got)
			}
		}
	})
	t.Run("embedded structs", func(t *testing.T) {
		v := entitytest.Embedding{Base: entitytest.Base{Kind: "k"}}
		var first, second entitytest.Embedding
		if err := reflected.Unmarshal(mustMarshal(t, generated, v), &first); err != nil || first != v {
			t.Errorf("msgpack read %+v, %v", first, err)
		}
		if err := generated.Unmarshal(mustMarshal(t, reflected, v), &second); err != nil || second.Kind != "" {
			t.Errorf("msgp read %+v, %v", second, err)
		}
	})
	t.Run("interfaces", func(t *testing.T) {
		types := map[string]bool{}
		for _, writer := range []encoding.Codec{generated, reflected} {
			for _, reader := range []encoding.Codec{generated, reflected} {
				var got entitytest.Dynamic
				if err := reader.Unmarshal(mustMarshal(t, writer, entitytest.Dynamic{Value: int32(300)}), &got); err != nil {
					t.Error(err)
				}
				types[reflect.TypeOf(got.Value).String()] = true
			}
		}
		if len(types) < 2 {
			t.Errorf("300 is always one of %v", types)
		}
		var got entitytest.Dynamic
		if err := reflected.Unmarshal(mustMarshal(t, generated, entitytest.Dynamic{Value: at}), &got); err == nil {
			t.Errorf("msgpack read %+v", got)
		}
		err := generated.Unmarshal(mustMarshal(t, reflected, entitytest.Dynamic{Value: at}), &got)
		if _, ok := got.Value.(*msgp.RawExtension); err != nil || !ok {
			t.Errorf("msgp read %+v, %v", got, err)
		}
	})
}
