package faker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults is how the server misbehaves. The zero value is a server that behaves.
// A field that ends in Every is hit by every so many-th page: 1 by each, 0 by none.
type Faults struct {
	// Latency is added to every answer.
	Latency time.Duration
	// Status is sent in place of every StatusEvery-th page; 429 and 503 say
	// Retry-After: 1.
	Status, StatusEvery int
	// HangEvery sends the head and then nothing until the reader gives up.
	HangEvery int
	// HTMLEvery sends a login page with status 200.
	HTMLEvery int
	// TruncateEvery sends the first half of the JSON.
	TruncateEvery int
	// SuccessFalseEvery has Armis answer 200 with success false.
	SuccessFalseEvery int
	// EndlessNext has every page name a next one; past the end the listing
	// starts over.
	EndlessNext bool
	// TokenLife, when set, replaces Options.TokenLife.
	TokenLife time.Duration
}

// faultParsers set one fault each from the value behind its "=".
var faultParsers = map[string]func(*Faults, string) error{
	"latency": func(f *Faults, v string) (err error) { f.Latency, err = duration(v); return },
	"status": func(f *Faults, v string) (err error) {
		code, every, _ := strings.Cut(v, "/")
		if f.Status, err = strconv.Atoi(code); err != nil || f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("wants an HTTP error status from 400 to 599, or STATUS/N for every nth page")
		}
		f.StatusEvery, err = nth(every)
		return
	},
	"hang":          func(f *Faults, v string) (err error) { f.HangEvery, err = nth(v); return },
	"html":          func(f *Faults, v string) (err error) { f.HTMLEvery, err = nth(v); return },
	"truncate":      func(f *Faults, v string) (err error) { f.TruncateEvery, err = nth(v); return },
	"success-false": func(f *Faults, v string) (err error) { f.SuccessFalseEvery, err = nth(v); return },
	"endless-next": func(f *Faults, v string) error {
		if f.EndlessNext = true; v != "" {
			return fmt.Errorf("takes no value")
		}
		return nil
	},
	"token-life": func(f *Faults, v string) (err error) { f.TokenLife, err = duration(v); return },
}

// FaultNames lists what ParseFaults knows, in alphabetical order.
func FaultNames() []string {
	names := make([]string, 0, len(faultParsers))
	for name := range faultParsers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ParseFaults reads "NAME" and "NAME=VALUE" as given on a command line.
func ParseFaults(specs []string) (Faults, error) {
	var faults Faults
	for _, spec := range specs {
		name, value, _ := strings.Cut(spec, "=")
		parse, known := faultParsers[name]
		if !known {
			return Faults{}, fmt.Errorf("parse fault %q: it must be one of %s", name, strings.Join(FaultNames(), ", "))
		}
		if err := parse(&faults, value); err != nil {
			return Faults{}, fmt.Errorf("parse fault %q: %w", spec, err)
		}
	}
	return faults, nil
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("wants a duration such as 200ms or 1m")
	}
	return d, nil
}

func nth(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("wants a whole number N above 0, for every nth page")
	}
	return n, nil
}

// wait holds a request back for the latency in force; false when the reader
// went away meanwhile.
func (s *Server) wait(r *http.Request) bool {
	latency := s.faults.Load().Latency
	if latency <= 0 {
		return true
	}
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// page serves an endpoint that lists, with the faults that hit pages.
func (s *Server) page(endpoint func(*http.Request) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		faults := *s.faults.Load()
		number := s.pages.Add(1)
		hits := func(every int) bool { return every > 0 && number%uint64(every) == 0 }
		switch {
		case hits(faults.StatusEvery):
			write(w, failure(faults.Status))
			return
		case hits(faults.HangEvery):
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		case hits(faults.HTMLEvery):
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<!DOCTYPE html>\n<html><title>Sign in</title><form method=\"post\"></form></html>\n"))
			return
		case hits(faults.SuccessFalseEvery) && strings.HasPrefix(r.URL.Path, "/api/v1/"):
			write(w, refusal(http.StatusOK, "The search could not be executed."))
			return
		}
		result := endpoint(r)
		body, err := json.Marshal(result.body)
		if err == nil && hits(faults.TruncateEvery) {
			send(w, result, body[:len(body)/2])
			return
		}
		write(w, result)
	}
}

func failure(status int) answer {
	a := answer{status: status, body: detail(http.StatusText(status))}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		a.header = map[string]string{"Retry-After": "1"}
	}
	return a
}
