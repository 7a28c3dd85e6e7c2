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

	"github.com/redis/go-redis/v9/logging"
)

// runNode runs the program as a node of the fleet. It serves the requests of the story until its
// standard input ends.
func runNode(name, addr, dir string) error {
	log.SetFlags(0)   // the story prints the name of the node with each line
	logging.Disable() // go-redis logs each failed connection, and the cache logs failures, too
	db := openDatabase(dir, name)
	var stops stops
	db.at = stops.pass
	s := newService(addr, db)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, s.close())
	}
	server := &http.Server{Handler: routes(s, &stops), ReadHeaderTimeout: patience}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the story ends or is killed
		_ = server.Close()
	}()
	fmt.Println(listener.Addr())
	if err = server.Serve(listener); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.close())
}

// answer is what a node answers about a user.
type answer struct {
	User   User
	Took   time.Duration // in the node
	Failed string        // the error; empty if there was none
}

func routes(s *service, stops *stops) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(id int) (User, error) { return s.user(r.Context(), id) })
	})
	mux.HandleFunc("PUT /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(id int) (User, error) { return User{}, s.rename(r.Context(), id, r.FormValue("name")) })
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.health()) })
	// Only the story needs these:
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

// stops lets the story stop the next query or transaction at a point.
type stops struct {
	mu      sync.Mutex
	at      point         // guarded by mu; empty if nothing is to stop
	reached chan struct{} // guarded by mu; closed when a query or a transaction has stopped
	goOn    chan struct{} // guarded by mu; closed when it may continue
}

func (s *stops) set(at point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.reached, s.goOn = at, make(chan struct{}), make(chan struct{})
}

// pass waits for release if p is the point to stop at.
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

// wait waits until a query or a transaction has stopped.
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
