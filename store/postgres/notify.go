package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"edgesync/core"
)

// channel is what every process that has the store open listens to.
const channel = "edgesync"

// message is a notice on its way, with who sent it.
type message struct {
	From string `json:"from"`
	core.Notice
}

var _ core.Notifier = (*Store)(nil)

// Notify has the other processes hear a notice.
func (s *Store) Notify(ctx context.Context, notice core.Notice) error {
	text, err := s.encode(notice)
	if err == nil {
		err = s.again(ctx, func() error {
			_, err := s.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, text)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("notify of %s: %w", notice.Topic, err)
	}
	return nil
}

func (s *Store) encode(notice core.Notice) (string, error) {
	data, err := json.Marshal(message{s.self, notice})
	return string(data), err
}

// tell sends what a transaction changed when it commits, and not otherwise.
func (s *Store) tell(ctx context.Context, tx pgx.Tx, target *schema, w *session) error {
	if len(w.notices) == 0 {
		return nil
	}
	texts := make([]string, len(w.notices))
	for i, notice := range w.notices {
		if notice.Tenant == uuid.Nil {
			notice.Tenant = target.tenant
		}
		var err error
		if texts[i], err = s.encode(notice); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `SELECT pg_notify($1, text) FROM unnest($2::text[]) text`, channel, texts); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// Listen hears the other processes on a connection of its own, which is opened
// again whenever it is lost.
func (s *Store) Listen(ctx context.Context, hear func(core.Notice) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := s.listen(ctx, hear)
		var refused *refusedNotice
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

// refusedNotice is an error of who hears, not of the connection.
type refusedNotice struct{ cause error }

func (r *refusedNotice) Error() string { return r.cause.Error() }

func (s *Store) listen(ctx context.Context, hear func(core.Notice) error) error {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
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
	if err := hear(core.Notice{Topic: core.TopicLost}); err != nil {
		return &refusedNotice{err}
	}
	for {
		got, err := s.wait(ctx, conn)
		if err != nil {
			return err
		}
		if got == nil || got.From == s.self {
			continue
		}
		if err := hear(got.Notice); err != nil {
			return &refusedNotice{err}
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
