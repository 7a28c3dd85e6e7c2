package link

import (
	"fmt"
	"strings"
	"testing"
)

// play gives a sequence tokens: "5.a" is a message, "=5.a" is a whole check in which the token is
// read, "(" begins a check and ")5.a" ends it. It returns "!" where a gap was noticed, and "." where
// none was.
func play(s *sequence, steps string) (got string) {
	var begun sequence
	for step := range strings.FieldsSeq(steps) {
		gap := ""
		switch step[0] {
		case '=':
			gap = s.end(s.begin(), parseToken(step[1:]))
		case '(':
			begun = s.begin()
		case ')':
			gap = s.end(begun, parseToken(step[1:]))
		default:
			gap = s.receive(parseToken(step))
		}
		if gap == "" {
			got += "."
		} else {
			got += "!"
		}
	}
	return got
}

func TestSequencesOfTokens(t *testing.T) {
	for _, tt := range [][2]string{
		{"=5.a 6.a 7.a =7.a 8.a =8.a", "......"},
		{"=5.a 7.a 8.a", ".!."},                                 // a message skips a number
		{"=5.a =6.a 7.a =7.a", ".!.."},                          // the newest message is missing
		{"5.a 6.a ( 7.a )6.a 8.a =8.a", "......."},              // messages before the first check
		{"( 6.a 8.a )5.a 9.a =9.a", "......"},                   // one is missing, but only before the first check
		{"=5.a 6.a 5.a", "..!"},                                 // a number comes back
		{"=5.a 6.a =5.a 6.a =6.a", "..!.."},                     // the server has lost the newest message
		{"=5.a ( 6.a )5.a 7.a =7.a", "......"},                  // a message came after the token was read
		{"=5.a =1.b 2.b =2.b", ".!.."},                          // the token was replaced
		{"=5.a =5.b 6.b", ".!."},                                // by one with the same number
		{"=5.a 1.b 2.b =2.b 3.b =3.b", ".!.!.."},                // and messages came before the check
		{"=5.a ( 1.b 2.b 3.b )1.b 4.b =4.b", "..!..!.."},        // during the check
		{"=5.a 1.x 2.x =5.a 3.x 7.x 6.a =6.a", ".!......"},      // messages about another database
		{"=5.a 1.x 1.y 2.x 2.y =5.a 3.x 3.y =5.a", ".!!......"}, // and about a third one
		{"=5.a ( 1.x )5.a =5.a 2.x", "..!..."},                  // they came during a check
		{"=5.a 1.x =5.a =2.x 3.x", ".!.!."},                     // what was foreign is the token now
		{"=5.a 1.x =5.a =2.x 3.x =4.x", ".!.!.!"},               // and a message of it is missing
		{"=5.a x 1 .a 1.", "....."},                             // texts that are no tokens
	} {
		var s sequence
		if got := play(&s, tt[0]); got != tt[1] {
			t.Errorf("%s: the gaps are %s, want %s", tt[0], got, tt[1])
		}
	}
}

func TestASequenceIsBounded(t *testing.T) {
	var s sequence
	play(&s, "=1.a")
	for i := range 10 * maxNonces {
		play(&s, fmt.Sprintf("1.n%d", i))
		if i%3 == 0 {
			play(&s, "=1.a")
		}
	}
	if len(s.strange) > maxNonces || len(s.foreign) > maxNonces {
		t.Errorf("it remembers %d and %d nonces", len(s.strange), len(s.foreign))
	}
}
