package cache

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/shape"
)

// encode returns the bytes that are stored for v. They are the cache's own.
func (c *jetCache) encode(key string, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return []byte{}, nil
	case string:
		return []byte(v), nil
	case []byte:
		return append([]byte{}, v...), nil
	case *string:
		if v != nil {
			return []byte(*v), nil
		}
		return []byte{}, nil
	case *[]byte:
		if v != nil {
			return append([]byte{}, *v...), nil
		}
		return []byte{}, nil
	case throughCodec:
		return c.marshal(key, v.value)
	}
	return c.marshal(key, v)
}

// throughCodec is a text that the codec stores like any other value. T uses it where V is an
// interface type: raw text would be read back as whatever the codec takes it for.
type throughCodec struct{ value any }

// codecForm returns v as T stores it.
func codecForm[V any](v V) any {
	if reflect.TypeFor[V]().Kind() == reflect.Interface {
		switch any(v).(type) {
		case string, []byte, *string, *[]byte:
			return throughCodec{v}
		}
	}
	return v
}

// encodeForSet is encode for a value that the caller wants to be stored.
func (c *jetCache) encodeForSet(key string, v any) ([]byte, error) {
	data, err := c.encode(key, v)
	if err == nil && record.IsPlaceholder(data) {
		err = fmt.Errorf("%w: key %s", ErrReservedValue, quote.Key(key))
	}
	if err == nil {
		err = c.path.CheckSize(key, data)
	}
	return data, err
}

// deliver gives a caller the stored bytes of a key.
func (c *jetCache) deliver(key string, data []byte, dst any) error {
	if record.IsPlaceholder(data) {
		return c.errNotFound
	}
	return c.decode(key, data, dst)
}

// undecodable is the error of stored bytes that cannot be decoded.
type undecodable struct{ error }

func (e undecodable) Unwrap() error { return e.error }

// isUndecodable reports whether err, which decode has returned, is that of stored bytes.
func isUndecodable(err error) bool {
	_, ok := err.(undecodable) //nolint:errorlint // one that is deeper inside comes from another cache, used while decoding
	return ok
}

// reportUndecodable logs that a value which was just stored cannot be decoded. Its caller has got
// what the loader returned.
func (c *jetCache) reportUndecodable(key string, err error) {
	c.observe.Error(c.damage, "what was just stored under %s cannot be decoded, so each read of it calls its loader; store a type that the codec can also decode: %v", quote.Key(key), err)
}

// decode sets dst, a pointer or nil, from stored bytes that are no placeholder. Its error is
// undecodable.
func (c *jetCache) decode(key string, data []byte, dst any) error {
	switch dst := dst.(type) {
	case nil:
		return nil
	case **string: // a T of *string, which keeps the difference between nil and ""
		s := string(data)
		*dst = &s
		return nil
	case **[]byte:
		b := bytes.Clone(data)
		*dst = &b
		return nil
	}
	if len(data) == 0 {
		return nil
	}
	switch dst := dst.(type) {
	case *string:
		*dst = string(data)
		return nil
	case *[]byte:
		*dst = bytes.Clone(data)
		return nil
	}
	if err := c.unmarshal(data, dst); err != nil {
		return undecodable{fmt.Errorf("cache: decoding the value of %s into a %T with the codec %q (Delete removes a value of another type or codec): %w", quote.Key(key), dst, c.codec.Name(), err)}
	}
	return nil
}

// marshal calls the codec. A panic, such as one of a value's own method, is an error.
func (c *jetCache) marshal(key string, v any) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack(), What: "the codec, or a method of the value that it encodes,"}
		}
		if err != nil {
			data, err = nil, fmt.Errorf("cache: encoding the value of %s, a %T, with the codec %q: %w", quote.Key(key), v, c.codec.Name(), err)
		}
	}()
	c.warnOfShape(v)
	return c.codec.Marshal(v)
}

// warnOfShape warns, once per type, of what of its values is not stored.
func (c *jetCache) warnOfShape(v any) {
	t := reflect.TypeOf(v)
	if _, seen := c.warned.shapes.Load(t); seen {
		return
	}
	if _, seen := c.warned.shapes.LoadOrStore(t, struct{}{}); seen {
		return
	}
	if text := shape.Warning(t); text != "" {
		c.observe.Warn(nil, "values of type %s do not come back as they were stored: %s; export the fields, or give the type methods that encode and decode it", t, text)
	}
}

// errNoFieldFits is why an object cannot be decoded into a struct that has none of its fields.
var errNoFieldFits = errors.New("the stored object has fields, but none of them is a field of this type: two types may share a key")

// unmarshal calls the codec. A panic is an error, and so is an object of which nothing fits.
func (c *jetCache) unmarshal(data []byte, dst any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack(), What: "the codec, or a method of the value that it decodes,"}
		}
	}()
	if err := c.codec.Unmarshal(data, dst); err != nil {
		return err
	}
	if c.matcher != nil && isZeroStruct(dst) && c.matcher.MatchesNoField(data, dst) {
		return errNoFieldFits
	}
	return nil
}

// isZeroStruct reports whether dst points to a struct without a value in any field. It is asked
// after each decoding; few results are.
func isZeroStruct(dst any) bool {
	v := reflect.ValueOf(dst)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v.Kind() == reflect.Struct && v.IsZero()
}

// checkDestination returns an error unless values can be decoded into dst.
func checkDestination(dst any) error {
	switch dst := dst.(type) {
	case nil:
		return nil
	case *string:
		if dst != nil {
			return nil
		}
	case *[]byte:
		if dst != nil {
			return nil
		}
	default:
		if v := reflect.ValueOf(dst); v.Kind() == reflect.Pointer && !v.IsNil() {
			return nil
		}
	}
	return fmt.Errorf("%w: got a %T", ErrInvalidDestination, dst)
}
