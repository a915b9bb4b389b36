// Package state is the daemon's durable state: one SQLite database that holds
// the last checkpoint of the engine, where sources go on, the findings as they
// were last told, and the outbox. What belongs together is committed together.
//
// In: commits. Out: what was committed last, after whatever end.
package state

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the database's driver
)

// FileName is the database's name in the data directory.
const FileName = "state.db"

// ErrNewer is wrapped by the error of Open for a database that a newer version
// of the program has made.
var ErrNewer = errors.New("made by a newer version of tidewaiter")

// Store is an open database. Safe for concurrent use.
type Store struct{ db *sql.DB }

// versions are the steps from each version of the form to the next. They are
// never changed once released: a new form is a new step.
var versions = []string{`
CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE piece (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE mark (sensor TEXT PRIMARY KEY, token TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE finding (id TEXT PRIMARY KEY, severity INTEGER NOT NULL, told INTEGER NOT NULL, state TEXT NOT NULL,
	last INTEGER NOT NULL, updated INTEGER NOT NULL, json BLOB NOT NULL);
CREATE INDEX finding_updated ON finding (updated);
CREATE TABLE delivery (id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, notice TEXT NOT NULL, finding TEXT NOT NULL,
	severity INTEGER NOT NULL, json BLOB, made INTEGER NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
	state TEXT NOT NULL, fault TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0, UNIQUE (sink, notice));
CREATE INDEX delivery_due ON delivery (sink, state, due);
`}

// Open opens or makes the database in a folder. It fails with ErrNewer, and
// with what the database says.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // only its owner may read what findings hold
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	f.Close()
	db, err := sql.Open("sqlite", "file:"+escape(path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(256)&_pragma=cache_size(-2048)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	db.SetMaxOpenConns(1)
	s := &Store{db}
	if err := s.upgrade(); err != nil {
		db.Close()
		return nil, fmt.Errorf("state: %s: %w", path, err)
	}
	return s, nil
}

// escape makes a path safe within a URI.
func escape(path string) string {
	out := make([]byte, 0, len(path))
	for _, c := range []byte(path) {
		if c == '?' || c == '#' || c == '%' {
			out = fmt.Appendf(out, "%%%02x", c)
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// upgrade brings the database to the newest form.
func (s *Store) upgrade() error {
	return s.within(func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRow("PRAGMA user_version").Scan(&have); err != nil {
			return err
		}
		if have > len(versions) {
			return fmt.Errorf("%w: its form is %d, this one knows %d", ErrNewer, have, len(versions))
		}
		for _, step := range versions[have:] {
			if _, err := tx.Exec(step); err != nil {
				return err
			}
		}
		_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(versions)))
		return err
	})
}

// within runs do in a transaction.
func (s *Store) within(do func(*sql.Tx) error) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Checkpoint is the engine's state up to the end of an epoch of the journal.
type Checkpoint struct {
	Epoch int
	At    time.Time
	// Data is the partition's snapshot; nil if there is none.
	Data []byte
}

// pieceSize is how much of a checkpoint is stored in one row.
const pieceSize = 1 << 20

// Checkpoint gives the last checkpoint, the zero one if there is none.
func (s *Store) Checkpoint() (c Checkpoint, err error) {
	var at int64
	err = s.db.QueryRow("SELECT epoch, at FROM checkpoint").Scan(&c.Epoch, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return Checkpoint{}, nil
	}
	if err != nil {
		return c, fmt.Errorf("state: read checkpoint: %w", err)
	}
	c.At = time.Unix(0, at)
	rows, err := s.db.Query("SELECT data FROM piece ORDER BY seq")
	if err != nil {
		return c, fmt.Errorf("state: read checkpoint: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var piece sql.RawBytes
		if err := rows.Scan(&piece); err != nil {
			return c, fmt.Errorf("state: read checkpoint: %w", err)
		}
		c.Data = append(c.Data, piece...)
	}
	return c, rows.Err()
}

// Finding is a finding as it is kept.
type Finding struct {
	ID string
	// Severity is what it is now; Told what was told of it, at most.
	Severity, Told int
	State          string
	// Last is the time of its last evidence, Unix nanoseconds.
	Last int64
	// JSON is the OCSF Detection Finding.
	JSON []byte
}

// Notice is what one sink is to be told.
type Notice struct {
	Sink, ID, Finding string
	Severity          int
	JSON              []byte
}

// Commit is what is committed together; what is empty stays as it is.
type Commit struct {
	At         time.Time
	Checkpoint *Checkpoint
	Marks      map[string]string
	Facts      map[string]string
	Findings   []Finding
	Notices    []Notice
}

// Commit commits all of it, or nothing.
func (s *Store) Commit(c *Commit) error {
	err := s.within(func(tx *sql.Tx) error {
		if err := putCheckpoint(tx, c.Checkpoint); err != nil {
			return err
		}
		for sensor, token := range c.Marks {
			if _, err := tx.Exec("INSERT INTO mark VALUES (?1, ?2) ON CONFLICT DO UPDATE SET token = ?2", sensor, token); err != nil {
				return err
			}
		}
		for name, value := range c.Facts {
			if _, err := tx.Exec("INSERT INTO fact VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", name, value); err != nil {
				return err
			}
		}
		for _, f := range c.Findings {
			_, err := tx.Exec(`INSERT INTO finding VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
				ON CONFLICT DO UPDATE SET severity = ?2, told = max(told, ?3), state = ?4, last = ?5, updated = ?6, json = ?7`,
				f.ID, f.Severity, f.Told, f.State, f.Last, c.At.UnixNano(), f.JSON)
			if err != nil {
				return err
			}
		}
		for _, n := range c.Notices {
			_, err := tx.Exec("INSERT INTO delivery (sink, notice, finding, severity, json, made, due, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 'due') ON CONFLICT DO NOTHING",
				n.Sink, n.ID, n.Finding, n.Severity, n.JSON, c.At.UnixNano())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("state: commit: %w", err)
	}
	return nil
}

func putCheckpoint(tx *sql.Tx, c *Checkpoint) error {
	if c == nil {
		return nil
	}
	if _, err := tx.Exec("INSERT INTO checkpoint VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET epoch = ?1, at = ?2", c.Epoch, c.At.UnixNano()); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM piece"); err != nil {
		return err
	}
	for seq, rest := 0, c.Data; len(rest) > 0; seq++ {
		n := min(len(rest), pieceSize)
		if _, err := tx.Exec("INSERT INTO piece VALUES (?, ?)", seq, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// Mark is where a sensor goes on, "" if nothing is known.
func (s *Store) Mark(sensor string) (string, error) {
	return s.text("SELECT token FROM mark WHERE sensor = ?", sensor)
}

// Marks gives every mark that begins with prefix, by what follows it.
func (s *Store) Marks(prefix string) (map[string]string, error) {
	rows, err := s.db.Query("SELECT substr(sensor, length(?1) + 1), token FROM mark WHERE substr(sensor, 1, length(?1)) = ?1", prefix)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var name, token string
		if err := rows.Scan(&name, &token); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		all[name] = token
	}
	return all, rows.Err()
}

// Fact is something that was noted by name, "" if it was not.
func (s *Store) Fact(name string) (string, error) {
	return s.text("SELECT value FROM fact WHERE name = ?", name)
}

func (s *Store) text(query, key string) (string, error) {
	var text string
	err := s.db.QueryRow(query, key).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("state: %w", err)
	}
	return text, nil
}

// Findings lists the findings by id, without their JSON.
func (s *Store) Findings() (map[string]Finding, error) {
	rows, err := s.db.Query("SELECT id, severity, told, state, last FROM finding")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	all := map[string]Finding{}
	for rows.Next() {
		var f Finding
		if err := rows.Scan(&f.ID, &f.Severity, &f.Told, &f.State, &f.Last); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		all[f.ID] = f
	}
	return all, rows.Err()
}

// FindingJSON gives one finding's JSON, nil if it is not there.
func (s *Store) FindingJSON(id string) ([]byte, error) {
	var json []byte
	err := s.db.QueryRow("SELECT json FROM finding WHERE id = ?", id).Scan(&json)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("state: %w", err)
	}
	return json, nil
}

// Changed gives the JSON of each finding that was written at a time or later,
// with when, until do fails.
func (s *Store) Changed(since time.Time, do func(json []byte, updated time.Time) error) error {
	rows, err := s.db.Query("SELECT json, updated FROM finding WHERE updated >= ? ORDER BY updated, id", since.UnixNano())
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var json []byte
		var updated int64
		if err := rows.Scan(&json, &updated); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		if err := do(json, time.Unix(0, updated)); err != nil {
			return err
		}
	}
	return rows.Err()
}

// EachFinding gives every finding's JSON, the one with the latest evidence
// first, until do fails.
func (s *Store) EachFinding(do func(json []byte) error) error {
	rows, err := s.db.Query("SELECT json FROM finding ORDER BY last DESC, id")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var json []byte
		if err := rows.Scan(&json); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		if err := do(json); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Expire removes findings that nothing happened to since a time, and deliveries
// that were done or given up before it.
func (s *Store) Expire(before time.Time) error {
	return s.within(func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM finding WHERE updated < ?", before.UnixNano()); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM delivery WHERE state != 'due' AND done < ?", before.UnixNano())
		return err
	})
}
