package state

import (
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Delivery is one notice on its way to one sink.
type Delivery struct {
	ID int64
	Notice
	Made, Due time.Time
	Tries     int
	// State is "due", "done" or "dead"; Fault why it failed the last time.
	State, Fault string
}

// The states of a delivery.
const (
	Due  = "due"
	Done = "done"
	Dead = "dead"
)

const deliveryColumns = "id, sink, notice, finding, severity, json, made, due, tries, state, fault"

func scanDelivery(row interface{ Scan(...any) error }) (d Delivery, err error) {
	var made, due int64
	err = row.Scan(&d.ID, &d.Sink, &d.Notice.ID, &d.Finding, &d.Severity, &d.JSON, &made, &due, &d.Tries, &d.State, &d.Fault)
	d.Made, d.Due = time.Unix(0, made), time.Unix(0, due)
	return d, err
}

// Next gives the delivery to a sink that has been due longest. ok is false if
// none is due; when is then the time at which the next one will be, if any.
func (s *Store) Next(sink string, now time.Time) (d Delivery, ok bool, when time.Time, err error) {
	d, err = scanDelivery(s.db.QueryRow("SELECT "+deliveryColumns+" FROM delivery WHERE sink = ? AND state = 'due' ORDER BY due, id LIMIT 1", sink))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return d, false, time.Time{}, nil
	case err != nil:
		return d, false, time.Time{}, fmt.Errorf("state: outbox: %w", err)
	}
	return d, !d.Due.After(now), d.Due, nil
}

// Delivered notes that a sink has taken a notice. Its text is kept no longer.
func (s *Store) Delivered(id int64, at time.Time) error {
	return s.set("UPDATE delivery SET state = 'done', json = NULL, fault = '', done = ?2, tries = tries + 1 WHERE id = ?1", id, at.UnixNano())
}

// Failed notes why a delivery failed, and when it is tried again.
func (s *Store) Failed(id int64, fault string, again time.Time) error {
	return s.set("UPDATE delivery SET fault = ?2, due = ?3, tries = tries + 1 WHERE id = ?1", id, fault, again.UnixNano())
}

// GiveUp makes a delivery a dead letter.
func (s *Store) GiveUp(id int64, fault string, at time.Time) error {
	return s.set("UPDATE delivery SET state = 'dead', fault = ?2, done = ?3, tries = tries + 1 WHERE id = ?1", id, fault, at.UnixNano())
}

func (s *Store) set(query string, args ...any) error {
	if _, err := s.db.Exec(query, args...); err != nil {
		return fmt.Errorf("state: outbox: %w", err)
	}
	return nil
}

// Deliveries lists deliveries in a state, "" for all, to a sink, "" for any, the
// oldest first, at most limit.
func (s *Store) Deliveries(state, sink string, limit int) ([]Delivery, error) {
	rows, err := s.db.Query("SELECT "+deliveryColumns+" FROM delivery WHERE (?1 = '' OR state = ?1) AND (?2 = '' OR sink = ?2) ORDER BY id LIMIT ?3", state, sink, limit)
	if err != nil {
		return nil, fmt.Errorf("state: outbox: %w", err)
	}
	defer rows.Close()
	var all []Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, fmt.Errorf("state: outbox: %w", err)
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// Resend makes dead letters due again: those with the ids, or all of a sink, ""
// for every one's, if there are no ids. It gives how many.
func (s *Store) Resend(sink string, ids []int64, now time.Time) (int64, error) {
	sum := int64(0)
	err := s.within(func(tx *sql.Tx) error {
		if len(ids) == 0 {
			r, err := tx.Exec("UPDATE delivery SET state = 'due', due = ?2, tries = 0 WHERE state = 'dead' AND (?1 = '' OR sink = ?1)", sink, now.UnixNano())
			if err == nil {
				sum, err = r.RowsAffected()
			}
			return err
		}
		for _, id := range ids {
			r, err := tx.Exec("UPDATE delivery SET state = 'due', due = ?2, tries = 0 WHERE state = 'dead' AND id = ?1", id, now.UnixNano())
			if err != nil {
				return err
			}
			n, err := r.RowsAffected()
			if err != nil {
				return err
			}
			sum += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("state: outbox: %w", err)
	}
	return sum, nil
}

// Waiting counts the deliveries by sink and state.
func (s *Store) Waiting() (map[string]map[string]int, error) {
	rows, err := s.db.Query("SELECT sink, state, count(*) FROM delivery GROUP BY sink, state")
	if err != nil {
		return nil, fmt.Errorf("state: outbox: %w", err)
	}
	defer rows.Close()
	all := map[string]map[string]int{}
	for rows.Next() {
		var sink, state string
		var n int
		if err := rows.Scan(&sink, &state, &n); err != nil {
			return nil, fmt.Errorf("state: outbox: %w", err)
		}
		if all[sink] == nil {
			all[sink] = map[string]int{}
		}
		all[sink][state] = n
	}
	return all, rows.Err()
}
