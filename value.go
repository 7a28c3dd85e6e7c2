package cache

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime/debug"
)

// placeholder is what both levels hold for a record that does not exist.
var placeholder = []byte{'*'}

func isPlaceholder(data []byte) bool { return len(data) == 1 && data[0] == '*' }

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
	}
	data, err := c.marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cache: encoding the value of %q, a %T, with the codec %q: %w", key, v, c.codec.Name(), err)
	}
	return data, nil
}

// decode sets dst, a pointer or nil, from stored bytes that are no placeholder.
func (c *jetCache) decode(key string, data []byte, dst any) error {
	if len(data) == 0 {
		return nil
	}
	switch dst := dst.(type) {
	case nil:
		return nil
	case *string:
		*dst = string(data)
		return nil
	case *[]byte:
		*dst = bytes.Clone(data)
		return nil
	case **string: // a T of *string
		s := string(data)
		*dst = &s
		return nil
	case **[]byte:
		b := bytes.Clone(data)
		*dst = &b
		return nil
	}
	if err := c.unmarshal(data, dst); err != nil {
		return fmt.Errorf("cache: decoding the value of %q into a %T with the codec %q (Delete removes a value of another type or codec): %w", key, dst, c.codec.Name(), err)
	}
	return nil
}

// marshal calls the codec; a panic, such as one of a value's own method, is an error.
func (c *jetCache) marshal(v any) (data []byte, err error) {
	defer recovered(&err)
	return c.codec.Marshal(v)
}

// unmarshal calls the codec; a panic is an error.
func (c *jetCache) unmarshal(data []byte, dst any) (err error) {
	defer recovered(&err)
	return c.codec.Unmarshal(data, dst)
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = &PanicError{Value: r, Stack: debug.Stack()}
	}
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
