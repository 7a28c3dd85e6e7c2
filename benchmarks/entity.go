package benchmarks

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:generate go run github.com/tinylib/msgp@v1.6.0 -io=false -tests=false -unexported

//msgp:newtime

// entity is what the caches hold: a record as services keep them, with text, a list, a time
// and a map, 250 to 400 bytes in MessagePack. As a Go value it takes less than the 128 bytes
// from which on Go's maps allocate for each of their values.
type entity struct {
	ID         int64
	Name       string
	Email      string
	Roles      []string
	CreatedAt  time.Time
	Attributes map[string]string
}

var (
	givenNames  = []string{"Amara", "Benedikt", "Chiyo", "Dolores", "Emeka", "Fatima", "Gustaf", "Hannelore", "Ismail", "Jacqueline", "Katarzyna"}
	familyNames = []string{"Abernathy", "Bergstrom", "Castellanos", "Dimitriou", "Eriksen", "Fitzgerald", "Goncalves"}
	roleSets    = [][]string{{"reader", "commenter"}, {"reader", "editor", "reviewer"}, {"reader", "editor", "administrator"}}
	countries   = []string{"Argentina", "Belgium", "Cameroon", "Denmark", "Estonia"}
	languages   = []string{"es-AR", "nl-BE", "fr-CM", "da-DK", "et-EE"}
	timezones   = []string{"America/Cordoba", "Europe/Brussels", "Africa/Douala", "Europe/Copenhagen", "Europe/Tallinn"}
	plans       = []string{"free", "professional", "enterprise"}
)

// pick returns the element of list that belongs to id.
func pick[T any](list []T, id int64) T { return list[id%int64(len(list))] }

// entityOf returns the entity with this id: always the same content, in memory of its own.
func entityOf(id int64) entity {
	given, family := pick(givenNames, id), pick(familyNames, id)
	number := strconv.FormatInt(id, 10)
	return entity{
		ID:        id,
		Name:      given + " " + family,
		Email:     strings.ToLower(given+"."+family) + number + "@example.com",
		Roles:     slices.Clone(pick(roleSets, id)),
		CreatedAt: time.UnixMilli(1_400_000_000_000 + 3_600_001*id).UTC(),
		Attributes: map[string]string{
			"country":  pick(countries, id),
			"language": pick(languages, id),
			"plan":     pick(plans, id),
			"phone":    "+1 555 0" + number,
			"address":  "221 " + family + " Road",
			"timezone": pick(timezones, id),
			"credit":   strconv.FormatInt(id*37%100_000, 10),
			"referrer": "https://www.example.com/campaign/" + number,
		},
	}
}

// clone returns a copy of e that shares nothing with it that could change.
func (e entity) clone() entity {
	e.Roles = slices.Clone(e.Roles)
	e.Attributes = maps.Clone(e.Attributes)
	return e
}

// same reports whether e and other mean the same. A decoded time has another location.
func (e entity) same(other entity) bool {
	return e.ID == other.ID && e.Name == other.Name && e.Email == other.Email &&
		slices.Equal(e.Roles, other.Roles) && e.CreatedAt.Equal(other.CreatedAt) &&
		maps.Equal(e.Attributes, other.Attributes)
}
