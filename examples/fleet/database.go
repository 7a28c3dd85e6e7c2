package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// User is what the database holds, and what is cached. The version counts the changes.
type User struct {
	ID      int
	Version int
	Name    string
}

func (u User) String() string { return fmt.Sprintf("%s (v%d)", u.Name, u.Version) }

// errNoUser is what our database says when there is no such user, as sql.ErrNoRows would.
var errNoUser = errors.New("no such user")

// latency is how long a query or a change takes.
const latency = 20 * time.Millisecond

// database stands for the service's own: it is slow, all processes use it, and what it says is
// the truth. It is a directory with a file for each version of each user. Who first makes the
// file of the next version has committed that; a process that is killed leaves nothing half done.
type database struct {
	dir    string
	client string // who asks, for the log of queries
	// at is called at some points, so that the story can stop the time there.
	at func(ctx context.Context, p point) error
}

// point is where the story can stop a query or a change.
type point string

const (
	hasRead    point = "has read"    // and has not returned yet
	willCommit point = "will commit" // the next thing it does
	committed  point = "committed"   // and has not returned yet
)

func openDatabase(dir, client string) *database {
	return &database{dir: dir, client: client, at: func(context.Context, point) error { return nil }}
}

// user is the query for one user.
func (db *database) user(ctx context.Context, id int) (User, error) {
	if err := db.log(id); err != nil {
		return User{}, err
	}
	if err := sleep(ctx, latency); err != nil {
		return User{}, err
	}
	u, err := db.newest(id)
	if err != nil {
		return User{}, err
	}
	return u, db.at(ctx, hasRead)
}

// rename is a transaction that changes a user.
func (db *database) rename(ctx context.Context, id int, name string) error {
	if err := sleep(ctx, latency); err != nil {
		return err
	}
	if err := db.at(ctx, willCommit); err != nil {
		return err
	}
	u, err := db.newest(id)
	if err != nil {
		return err
	}
	if err := db.insert(User{ID: id, Version: u.Version + 1, Name: name}); err != nil {
		return err
	}
	return db.at(ctx, committed)
}

// insert commits u, unless this version is there already.
func (db *database) insert(u User) error {
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(db.dir, "draft-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(data)
	if err = errors.Join(err, draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), db.file(u.ID, u.Version))
}

// newest returns what a user is now, at once and without a line in the log.
func (db *database) newest(id int) (u User, err error) {
	for version := 1; ; version++ {
		data, err := os.ReadFile(db.file(id, version))
		switch {
		case errors.Is(err, fs.ErrNotExist) && version == 1:
			return User{}, errNoUser
		case errors.Is(err, fs.ErrNotExist):
			return u, nil
		case err != nil:
			return User{}, err
		}
		if err := json.Unmarshal(data, &u); err != nil {
			return User{}, fmt.Errorf("user %d, version %d: %w", id, version, err)
		}
	}
}

func (db *database) file(id, version int) string {
	return filepath.Join(db.dir, fmt.Sprintf("user-%d.v%d.json", id, version))
}

func (db *database) logFile() string { return filepath.Join(db.dir, "queries.log") }

// log notes a query.
func (db *database) log(id int) error {
	f, err := os.OpenFile(db.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "node %s asks for user %d\n", db.client, id)
	return errors.Join(err, f.Close())
}

// queries returns how many queries all processes together have made.
func (db *database) queries() (n int, err error) {
	data, err := os.ReadFile(db.logFile())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, b := range data {
		if b == '\n' {
			n++
		}
	}
	return n, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
