package benchmarks

import (
	"testing"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
)

func TestAnEntityIsOfARealisticSize(t *testing.T) {
	smallest, largest := 1<<30, 0
	for id := int64(1); id <= keyCount; id += 17 {
		data, err := msgpack.Marshal(entityOf(id))
		if err != nil {
			t.Fatal(err)
		}
		smallest, largest = min(smallest, len(data)), max(largest, len(data))
	}
	t.Logf("%d to %d bytes", smallest, largest)
	if smallest < 250 || largest > 400 {
		t.Errorf("entities take %d to %d bytes in MessagePack, want 250 to 400", smallest, largest)
	}
}

func TestAnEntitySurvivesEncoding(t *testing.T) {
	e := entityOf(12_345)
	data, err := msgpack.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got entity
	if err := msgpack.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !got.same(e) {
		t.Errorf("decoded %+v\nencoded %+v", got, e)
	}
}

func TestACloneSharesNothing(t *testing.T) {
	e := entityOf(3)
	c := e.clone()
	if !c.same(e) {
		t.Fatalf("the clone is %+v\nof %+v", c, e)
	}
	c.Roles[0], c.Attributes["plan"] = "changed", "changed"
	if !e.same(entityOf(3)) {
		t.Error("changing a clone changes its origin")
	}
}

func TestAMapKeepsEntitiesInPlace(t *testing.T) {
	if size := unsafe.Sizeof(entity{}); size > 128 {
		t.Errorf("an entity takes %d bytes: a map of them would allocate for each", size)
	}
}
