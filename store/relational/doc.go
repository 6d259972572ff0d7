// Package relational is the part of a store that does not depend on the kind of
// its database: what core's transactions read and write, in SQL that every kind
// understands, and how dire's plans become rows. A kind of store gives it
// sessions. It knows no driver, opens nothing, and decides nothing about devices,
// tenants or identities.
package relational
