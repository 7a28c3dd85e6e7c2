package local

// Option is here so that programs which name this type of the original compile, such as
//
//	var opts []local.Option
//
// No function takes an Option, and none returns one. A store is configured by the arguments of
// its constructor and by UseRandomizedTTL.
type Option func(*options)

// options would be the settings of a store. There are none.
type options struct{}
