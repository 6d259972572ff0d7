package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/core"
)

// channel is what every process that has the store open listens to.
const channel = "edgesync"

// message is a signal, or a part of one, on its way, with who sent it.
type message struct {
	From string `json:"from"`
	core.Signal
	// Part numbers the parts: of two that are the same PostgreSQL would drop one.
	Part int `json:"part,omitempty"`
	// More is set while further parts of Data follow. PostgreSQL hands over what one
	// transaction sent in order and with nothing in between.
	More bool `json:"more,omitempty"`
}

// maxPart is how much of Data one notification carries: PostgreSQL takes 8,000
// bytes, and JSON may double what is quoted in it.
const maxPart = 3000

var _ core.Notifier = (*Store)(nil)

// Notify has the other processes hear a notice.
func (s *Store) Notify(ctx context.Context, signal core.Signal) error {
	texts, err := s.encode(signal)
	if err == nil {
		err = s.again(ctx, func() error {
			_, err := s.pool.Exec(ctx, `SELECT pg_notify($1, text) FROM unnest($2::text[]) text`, channel, texts)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("notify of %s: %w", signal.Topic, err)
	}
	return nil
}

func (s *Store) encode(signal core.Signal) (texts []string, err error) {
	rest := []rune(signal.Data)
	for part := 0; part == 0 || len(rest) > 0; part++ {
		n := min(len(rest), maxPart/utf8.UTFMax)
		signal.Data, rest = string(rest[:n]), rest[n:]
		text, err := json.Marshal(message{From: s.self, Signal: signal, Part: part, More: len(rest) > 0})
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// tell sends what a transaction changed when it commits, and not otherwise.
func (s *Store) tell(ctx context.Context, tx pgx.Tx, target *schema, w *session) error {
	if len(w.notices) == 0 {
		return nil
	}
	var texts []string
	for _, signal := range w.notices {
		if signal.Tenant == uuid.Nil {
			signal.Tenant = target.tenant
		}
		parts, err := s.encode(signal)
		if err != nil {
			return err
		}
		texts = append(texts, parts...)
	}
	if _, err := tx.Exec(ctx, `SELECT pg_notify($1, text) FROM unnest($2::text[]) text`, channel, texts); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// Listen hears the other processes on a connection of its own, which is opened
// again whenever it is lost.
func (s *Store) Listen(ctx context.Context, hear func(core.Signal) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := s.listen(ctx, hear)
		var refused *refusedSignal
		if errors.As(err, &refused) {
			return refused.cause
		}
		if time.Since(began) > time.Minute {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// refusedSignal is an error of who hears, not of the connection.
type refusedSignal struct{ cause error }

func (r *refusedSignal) Error() string { return r.cause.Error() }

func (s *Store) listen(ctx context.Context, hear func(core.Signal) error) error {
	config := s.config.Copy()
	if err := s.opts.ask(config); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockDeadline)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	if err := hear(core.Signal{Topic: core.TopicLost}); err != nil {
		return &refusedSignal{err}
	}
	data := ""
	for {
		got, err := s.wait(ctx, conn)
		if err != nil {
			return err
		}
		if got == nil || got.From == s.self {
			continue
		}
		if data += got.Data; got.More {
			continue
		}
		got.Data, data = data, ""
		if err := hear(got.Signal); err != nil {
			return &refusedSignal{err}
		}
	}
}

// silence is how long a connection may say nothing until it is asked whether it
// still lives: one whose other end is gone would be listened to for ever.
const silence = 15 * time.Second

// wait returns the next message, or nil when there was none for a while or it is
// none of ours.
func (s *Store) wait(ctx context.Context, conn *pgx.Conn) (*message, error) {
	waiting, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	notification, err := conn.WaitForNotification(waiting)
	if err != nil {
		if ctx.Err() != nil || waiting.Err() == nil {
			return nil, err
		}
		asking, cancel := context.WithTimeout(ctx, silence)
		defer cancel()
		return nil, conn.Ping(asking)
	}
	var got message
	if err := json.Unmarshal([]byte(notification.Payload), &got); err != nil {
		return nil, nil
	}
	return &got, nil
}
