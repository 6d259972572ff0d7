package core

import (
	"context"

	"github.com/google/uuid"
)

// Notifier is how the processes that serve one platform tell each other what
// they should not go on remembering. A notice says that something changed, never
// what: whoever hears it asks the store.
type Notifier interface {
	// Notify has every other process hear the signal. What a Store's own
	// transactions change they tell by themselves, as part of the commit.
	Notify(ctx context.Context, signal Signal) error
	// Listen hands over what the other processes tell, in order, until ctx ends
	// or hear returns an error. Whenever something may have been missed it hands
	// over a notice of TopicLost, the first time when it begins.
	Listen(ctx context.Context, hear func(Signal) error) error
}

// Signal is what one process tells the others.
type Signal struct {
	Topic Topic `json:"topic"`
	// Tenant is whom it concerns; zero where it is no tenant in particular.
	Tenant uuid.UUID `json:"tenant,omitzero"`
	// Data means what the topic says.
	Data string `json:"data,omitempty"`
}

// Topic is what a notice is about.
type Topic string

// The topics.
const (
	// TopicTenant: the tenant's row or its authorities.
	TopicTenant Topic = "tenant"
	// TopicConfig: the tenant's services or sources.
	TopicConfig Topic = "config"
	// TopicEvents: there are new events of the tenant.
	TopicEvents Topic = "events"
	// TopicRelay: a Notice, in Data.
	TopicRelay Topic = "relay"
	// TopicLost: anything may have changed.
	TopicLost Topic = "lost"
)

// notifierOf is how a store reaches the others that have it open.
func notifierOf(store Store) Notifier {
	if notifier, ok := store.(Notifier); ok {
		return notifier
	}
	return alone{}
}

// alone is the Notifier of a process that has a store to itself.
type alone struct{}

func (alone) Notify(context.Context, Signal) error { return nil }

func (alone) Listen(ctx context.Context, _ func(Signal) error) error {
	<-ctx.Done()
	return ctx.Err()
}
