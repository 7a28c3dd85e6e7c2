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

// User is a row of the database, and what the service caches. Version counts its changes.
type User struct {
	ID      int
	Version int
	Name    string
}

// String returns what the story says of a user.
func (u User) String() string { return fmt.Sprintf("%s (v%d)", u.Name, u.Version) }

// errNoUser is what the database returns for an unknown id, as database/sql returns
// sql.ErrNoRows.
var errNoUser = errors.New("no such user")

// latency is how long a query or a transaction takes.
const latency = 20 * time.Millisecond

// database stands for the database of the service. All processes use it. It is a directory with
// one file for each version of each user. A transaction commits by creating the file of the next
// version, so a process that is killed leaves no half of a change.
type database struct {
	dir    string
	client string // names the process in the log of queries
	// at is called at each point, where the story may stop the process.
	at func(ctx context.Context, p point) error
}

// point is a place in a query or a transaction where the story can stop it.
type point string

const (
	hasRead    point = "has read"    // the query has read the row, and has not returned
	willCommit point = "will commit" // the transaction commits next
	committed  point = "committed"   // the transaction has committed, and has not returned
)

func openDatabase(dir, client string) *database {
	return &database{dir: dir, client: client, at: func(context.Context, point) error { return nil }}
}

// user queries one user.
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

// rename changes the name of a user in a transaction.
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

// insert commits u. It returns an error if this version exists.
func (db *database) insert(u User) error {
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(db.dir, "draft-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // a draft that stays is in nobody's way
	_, err = draft.Write(data)
	if err := errors.Join(err, draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), db.file(u.ID, u.Version))
}

// newest returns the newest version of a user. It is for the story: it takes no time and leaves
// no line in the log of queries.
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

// log appends a line about a query to the log.
func (db *database) log(id int) error {
	f, err := os.OpenFile(db.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "node %s asks for user %d\n", db.client, id)
	return errors.Join(err, f.Close())
}

// queries returns how many queries all processes have made together.
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
