package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// runNode is the program as a node of the fleet: it serves what the story asks for, and ends
// with its standard input.
func runNode(name, addr, dir string) error {
	log.SetFlags(0) // the story says who and when
	db := openDatabase(dir, name)
	var stops stops
	db.at = stops.pass
	s := newService(addr, db)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, s.close())
	}
	server := &http.Server{Handler: routes(s, &stops)}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the story ends, or has been killed
		_ = server.Close()
	}()
	fmt.Println(listener.Addr())
	if err = server.Serve(listener); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.close())
}

// answer is what a node says of a user.
type answer struct {
	User   User
	Took   time.Duration // within the node
	Failed string        // why there is no user, or it was not changed; empty: it was well
}

func routes(s *service, stops *stops) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(id int) (User, error) { return s.user(r.Context(), id) })
	})
	mux.HandleFunc("PUT /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(id int) (User, error) { return User{}, s.rename(r.Context(), id, r.FormValue("name")) })
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { reply(w, s.health()) })
	// For the story alone:
	mux.HandleFunc("POST /stop", func(_ http.ResponseWriter, r *http.Request) { stops.set(point(r.FormValue("at"))) })
	mux.HandleFunc("GET /stopped", func(_ http.ResponseWriter, r *http.Request) { stops.wait(r.Context()) })
	mux.HandleFunc("POST /go", func(http.ResponseWriter, *http.Request) { stops.release() })
	return mux
}

func serve(w http.ResponseWriter, r *http.Request, do func(id int) (User, error)) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	began := time.Now()
	u, err := do(id)
	a := answer{User: u, Took: time.Since(began)}
	if err != nil {
		a.Failed = err.Error()
	}
	reply(w, a)
}

func reply(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("replying: %v", err)
	}
}

// stops lets the story stop the next query or change at a point.
type stops struct {
	mu      sync.Mutex
	at      point         // guarded by mu; empty: nowhere
	reached chan struct{} // guarded by mu: closed when somebody is there
	goOn    chan struct{} // guarded by mu: closed when it may go on
}

func (s *stops) set(at point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.reached, s.goOn = at, make(chan struct{}), make(chan struct{})
}

// pass waits if p is where to stop.
func (s *stops) pass(ctx context.Context, p point) error {
	s.mu.Lock()
	if s.at != p {
		s.mu.Unlock()
		return nil
	}
	s.at = ""
	goOn := s.goOn
	close(s.reached)
	s.mu.Unlock()
	select {
	case <-goOn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait waits until somebody has stopped.
func (s *stops) wait(ctx context.Context) {
	s.mu.Lock()
	reached := s.reached
	s.mu.Unlock()
	select {
	case <-reached:
	case <-ctx.Done():
	}
}

func (s *stops) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.goOn)
}
