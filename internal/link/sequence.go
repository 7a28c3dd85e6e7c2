package link

import (
	"fmt"
	"maps"
)

// sequence follows the tokens of a channel, and notices missing messages. It learns of tokens in two
// ways: by the messages that are received, and by checks, which read the newest token. A check
// begins with begin. Then the token is read. When all messages have been received that were
// published before that, the check ends with end.
//
// The zero sequence knows no token. Its owner guards it.
type sequence struct {
	// last is the newest token: every message up to it was received, or is part of a gap that was
	// reported. It has no nonce before the end of the first check.
	last token
	// checked is the token that the last check has read.
	checked token
	// strange are the nonces of received messages that have not the nonce of last, with the newest
	// number. Either the token was replaced, or the messages are about another database of the same
	// server. A check tells.
	strange map[string]uint64
	// foreign are the nonces of messages about other databases.
	foreign map[string]bool
}

// maxNonces bounds the maps of a sequence.
const maxNonces = 64

// receive takes the token of a message that was received. gap is why messages are missing, or "".
func (s *sequence) receive(t token) (gap string) {
	switch {
	case t.nonce == "" || s.foreign[t.nonce]:
	case t.nonce != s.last.nonce:
		if _, known := s.strange[t.nonce]; !known && s.last.nonce != "" {
			gap = "a message has an unknown token"
		}
		if s.strange == nil || len(s.strange) >= maxNonces {
			s.strange = make(map[string]uint64)
		}
		s.strange[t.nonce] = t.number
	case t.number == s.last.number+1:
		s.last = t
	default:
		gap = fmt.Sprintf("message %d follows message %d", t.number, s.last.number)
		s.last = t
	}
	return gap
}

// begin begins a check.
func (s *sequence) begin() (begun sequence) {
	return sequence{last: s.last, strange: maps.Clone(s.strange)}
}

// end ends a check with the token that was read. gap is why messages are missing, or "". In the
// first check of a sequence it is always "".
func (s *sequence) end(begun sequence, read token) (gap string) {
	s.checked = read
	switch {
	case s.last.nonce == "":
		s.adopt(read)
	case read.nonce != s.last.nonce:
		gap = "the token of the channel was replaced, as it is when the server has lost data"
		s.adopt(read)
	case begun.last.nonce == read.nonce && read.number < begun.last.number:
		gap = fmt.Sprintf("message %d was received, but the server knows of %d messages only", begun.last.number, read.number)
		s.last = read
	case read.number > s.last.number:
		gap = fmt.Sprintf("%d messages are missing", read.number-s.last.number)
		s.last = read
	}
	for nonce := range begun.strange {
		// Its messages were published before the token was read, and it is not the token's nonce.
		if _, still := s.strange[nonce]; !still {
			continue
		}
		delete(s.strange, nonce)
		if s.foreign == nil || len(s.foreign) >= maxNonces {
			s.foreign = make(map[string]bool)
		}
		s.foreign[nonce] = true
	}
	return gap
}

// adopt makes read the newest token, or a later one of a message that was received already.
func (s *sequence) adopt(read token) {
	s.last = token{max(read.number, s.strange[read.nonce]), read.nonce}
	delete(s.strange, read.nonce)
	delete(s.foreign, read.nonce)
}
