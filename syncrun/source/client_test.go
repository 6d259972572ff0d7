package source_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

const (
	secret = "canary s3cret/+&"
	token  = "canary-token-77"
)

func newClient(t *testing.T, endpoint string, options source.Options) *source.Client {
	t.Helper()
	client, err := source.NewClient(payload.Source{Endpoint: endpoint}, options, secret)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// get makes a call that carries every secret there is.
func get(t *testing.T, client *source.Client) (string, error) {
	t.Helper()
	var got string
	call := source.Call{Path: "/things/", Query: "q=canary-query", Authorization: "Token " + token}
	err := client.JSON(t.Context(), call, func(body []byte) error {
		got = string(body)
		var into struct{ Name string }
		return source.Decode(body, &into)
	})
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error holds a secret: %s", err)
	}
	return got, err
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// serveTLS answers {} under a certificate nobody knows.
func serveTLS(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{}")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func reason(err error) source.Reason {
	var failed *source.Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return ""
}

func TestStatusesAndBodiesAreToldApart(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   source.Reason
		text   string
	}{
		{200, `{"name":"x"}`, "", ""},
		{200, ``, source.ReasonAnswer, "empty"},
		{200, " <html>canary", source.ReasonAnswer, "web page"},
		{200, `{"name":"x`, source.ReasonAnswer, "ends in the middle"},
		{200, `{"name":x}`, source.ReasonAnswer, "not JSON"},
		{200, `{"name":{"a":1}}`, source.ReasonAnswer, `"Name" is of type object`},
		{204, ``, source.ReasonAnswer, "status 204"},
		{400, `{"message":"no such column"}`, source.ReasonQuery, "no such column"},
		{400, `{"device_id":["Select a valid choice. 77 is not one of the available choices."]}`, source.ReasonQuery, "(device_id: Select a valid choice. 77 is not"},
		{400, `{"code":17,"detail":{"a":1},"status":"bad"}`, source.ReasonQuery, "status 400;"},
		{401, `{}`, source.ReasonToken, "status 401"},
		{403, `{"detail":"You do not have permission"}`, source.ReasonPermission, "You do not have permission"},
		{404, `<html>`, source.ReasonAnswer, "status 404"},
		{429, ``, source.ReasonRateLimit, "status 429"},
		{500, `{"error":"oops"}`, source.ReasonServer, "oops"},
		{500, `{"error":"the token ` + token + ` and the key ` + secret + ` and ` + url.QueryEscape(secret) + `"}`, source.ReasonServer, "[redacted]"},
		{502, "{\"detail\":\"\\u001b[31mred\\u0007\\u202e\\nline " + strings.Repeat("long ", 100) + "\"}", source.ReasonServer, "red"},
	} {
		endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		_, err := get(t, newClient(t, endpoint, source.Options{}))
		if reason(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("status %d, body %.30q: %v (reason %q)", c.status, c.body, err, reason(err))
		}
		if err == nil {
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.text) || !strings.HasPrefix(text, "get "+endpoint+"/things/: ") || len(text) > 500 {
			t.Errorf("status %d, body %.30q: text %q", c.status, c.body, text)
		}
		if strings.ContainsAny(err.Error(), "\x1b\x07\n\u202e") {
			t.Errorf("control characters in %q", err)
		}
	}
}

// Secrets that are part of each other, or of what stands for them, neither leave
// anything of themselves nor make the text unreadable.
func TestSecretsThatResembleEachOther(t *testing.T) {
	for said, c := range map[string]struct {
		authorization string
		secrets       []string
	}{
		"boom te down":     {"Token te", []string{"e", "te"}},
		"boom abcdef down": {"", []string{"abc", "abcdef"}},
	} {
		endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"error":"`+said+`"}`)
		})
		client, err := source.NewClient(payload.Source{Endpoint: endpoint}, source.Options{}, c.secrets...)
		if err != nil {
			t.Fatal(err)
		}
		err = client.JSON(t.Context(), source.Call{Path: "/", Authorization: c.authorization}, func([]byte) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "(boom [redacted] down)") {
			t.Errorf("%q is told as %v", said, err)
		}
	}
}

func TestAServerThatCannotBeReachedIsExplained(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	tlsServer := serveTLS(t)
	for _, c := range []struct {
		endpoint string
		want     source.Reason
	}{
		{closed.URL, source.ReasonConnect},
		{"http://no-such-host.invalid", source.ReasonName},
		{tlsServer.URL, source.ReasonTLS},
	} {
		_, err := get(t, newClient(t, c.endpoint, source.Options{}))
		if reason(err) != c.want {
			t.Errorf("%s: %v (reason %q)", c.endpoint, err, reason(err))
		}
	}
}

func TestInsecureSkipVerifyConcernsOneClientOnly(t *testing.T) {
	server := serveTLS(t)
	given := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	config := payload.Source{Endpoint: server.URL, InsecureSkipVerify: true}
	client, err := source.NewClient(config, source.Options{HTTP: given})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, client); err != nil {
		t.Errorf("with verification off: %v", err)
	}
	if _, err := get(t, newClient(t, server.URL, source.Options{HTTP: given})); reason(err) != source.ReasonTLS {
		t.Errorf("another client with the same transport: %v", err)
	}
	odd := &http.Client{Transport: http.NewFileTransport(http.Dir("."))}
	if _, err := source.NewClient(config, source.Options{HTTP: odd}); err == nil {
		t.Error("a transport that verifies as it likes was accepted")
	}
}

func TestARequestHasADeadlineForItsWholeAnswer(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"no head": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no body": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		_, err := get(t, newClient(t, serve(t, handler), source.Options{Timeout: 50 * time.Millisecond}))
		if reason(err) != source.ReasonTimeout || !strings.Contains(err.Error(), "50ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheCallersEndIsNotTheSourcesFault(t *testing.T) {
	gone := errors.New("the run was stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	endpoint := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(gone)
		<-r.Context().Done()
	})
	err := newClient(t, endpoint, source.Options{}).JSON(ctx, source.Call{Path: "/"}, func([]byte) error { return nil })
	if !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

func TestAnAnswerHasALargestSize(t *testing.T) {
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			if _, err := w.Write(make([]byte, 100)); err != nil {
				return
			}
		}
	})
	if _, err := get(t, newClient(t, endpoint, source.Options{MaxResponse: 9_999})); reason(err) != source.ReasonSize {
		t.Errorf("error %v", err)
	}
}

func TestRedirectsToAnotherHostGetNothing(t *testing.T) {
	var stolen atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { stolen.Store(true) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other+"/canary-path", status) })
		client := newClient(t, endpoint, source.Options{})
		for _, call := range []source.Call{
			{Path: "/", Authorization: "Token " + token},
			{Path: "/", Form: url.Values{"secret_key": {secret}}},
		} {
			err := client.JSON(t.Context(), call, func([]byte) error { return nil })
			if reason(err) != source.ReasonRedirect || !strings.Contains(err.Error(), other) || strings.Contains(err.Error(), "canary") {
				t.Errorf("status %d: %v", status, err)
			}
		}
	}
	if stolen.Load() {
		t.Error("the other host was asked")
	}
}

// TestRedirectsThatNameACredentialAreToldWithoutIt redirects to a host whose name
// holds what the source was sent.
func TestRedirectsThatNameACredentialAreToldWithoutIt(t *testing.T) {
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+token+".example/", http.StatusFound)
	})
	err := newClient(t, endpoint, source.Options{}).JSON(t.Context(), source.Call{Path: "/", Authorization: "Token " + token}, func([]byte) error { return nil })
	if reason(err) != source.ReasonRedirect || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), ".example") {
		t.Errorf("told as %v", err)
	}
}

func TestRedirectsWithinTheHostAreFollowedForAWhile(t *testing.T) {
	var hops atomic.Int32
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if hops.Add(-1) >= 0 {
			http.Redirect(w, r, "/again", http.StatusFound)
			return
		}
		if r.Header.Get("Authorization") == "" {
			t.Error("the token was lost on the way")
		}
		_, _ = io.WriteString(w, "{}")
	})
	for jumps, ok := range map[int32]bool{1: true, 5: true, 6: false} {
		hops.Store(jumps)
		if _, err := get(t, newClient(t, endpoint, source.Options{})); (err == nil) != ok {
			t.Errorf("%d redirects: %v", jumps, err)
		}
	}
}

// A redirect to the same host that spelled out the port of its scheme was taken
// for one to another place.
func TestARedirectMaySpellTheSamePlaceDifferently(t *testing.T) {
	for _, c := range []struct {
		endpoint, location string
		same               bool
	}{
		{"https://inventory.example", "https://Inventory.example:443/x", true},
		{"https://inventory.example:443", "https://inventory.example/x", true},
		{"http://inventory.example", "http://inventory.example:80/x", true},
		{"http://[2001:db8::1]:80", "http://[2001:DB8::1]/x", true},
		{"https://inventory.example", "https://inventory.example:8443/x", false},
		{"https://inventory.example:443", "http://inventory.example:443/x", false},
		{"http://inventory.example", "https://inventory.example/x", false},
	} {
		asked := 0
		transport := roundTripper(func(r *http.Request) *http.Response {
			if asked++; asked == 1 {
				return &http.Response{StatusCode: 308, Header: http.Header{"Location": {c.location}}, Body: http.NoBody, Request: r}
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}")), Request: r}
		})
		_, err := get(t, newClient(t, c.endpoint, source.Options{HTTP: &http.Client{Transport: transport}}))
		if (err == nil) != c.same || !c.same && (reason(err) != source.ReasonRedirect || asked != 1) {
			t.Errorf("%s redirected to %s: %v after %d requests", c.endpoint, c.location, err, asked)
		}
	}
}

type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestRetryAfterIsHonoured(t *testing.T) {
	start := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, header string
		status       int
		// failures are how many answers fail before one succeeds.
		failures int32
		waits    []time.Duration
		ok       bool
		after    time.Duration
	}{
		{"seconds", "7", 429, 2, []time.Duration{7 * time.Second, 7 * time.Second}, true, 0},
		{"less than a second", "0", 429, 1, []time.Duration{1e9}, true, 0},
		{"date", start.Add(30 * time.Second).Format(http.TimeFormat), 503, 1, []time.Duration{30 * time.Second}, true, 0},
		{"too long", "3600", 429, 1, nil, false, time.Hour},
		{"too often", "1", 429, 100, []time.Duration{1e9, 1e9, 1e9, 1e9, 1e9}, false, time.Second},
		{"nothing said", "", 429, 1, nil, false, 0},
		{"nonsense", "-5", 429, 1, nil, false, 0},
		{"past", start.Add(-time.Hour).Format(http.TimeFormat), 503, 1, nil, false, 0},
	} {
		var left atomic.Int32
		left.Store(c.failures)
		endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if left.Add(-1) >= 0 {
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(c.status)
				return
			}
			_, _ = io.WriteString(w, "{}")
		})
		var waits []time.Duration
		_, err := get(t, newClient(t, endpoint, source.Options{
			Now:  func() time.Time { return start },
			Wait: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil },
		}))
		if (err == nil) != c.ok || fmt.Sprint(waits) != fmt.Sprint(c.waits) || source.RetryAfter(err) != c.after {
			t.Errorf("%s: error %v, waits %v, retry after %s", c.name, err, waits, source.RetryAfter(err))
		}
	}
}

func TestWaitingEndsWithTheCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "50")
		w.WriteHeader(http.StatusTooManyRequests)
		time.AfterFunc(time.Millisecond, cancel)
	})
	err := newClient(t, endpoint, source.Options{}).JSON(ctx, source.Call{Path: "/"}, func([]byte) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestEndpointsAreCheckedAndNotRepeated(t *testing.T) {
	for _, endpoint := range []string{
		"", "canary", "ftp://canary", "https://", "https://:443", "://canary", "https://user:canary@host", "https://canary@host",
		"https://host/?token=canary", "https://host/#canary", "https://ho st/canary", "http://[::canary",
	} {
		_, err := source.NewClient(payload.Source{Endpoint: endpoint}, source.Options{})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

func TestAnEndpointMayHaveAPath(t *testing.T) {
	var path string
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := get(t, newClient(t, endpoint+"/inventory/", source.Options{})); err != nil || path != "/inventory/things/" {
		t.Errorf("path %q, error %v", path, err)
	}
}

func TestBaseURL(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://api": "https://api", "https://api/api/": "https://api", "https://host/inventory/api": "https://host/inventory",
		"https://host/apiary": "https://host/apiary", "https://host/api/v1": "https://host", "https://host/api?x=1": "https://host/api?x=1", "::": "::",
	} {
		if got := source.BaseURL(endpoint, "/api/v1", "/api"); got != want {
			t.Errorf("%s is %s", endpoint, got)
		}
	}
}

func TestPageSize(t *testing.T) {
	for text, want := range map[string]int{"": 77, "1": 1, "10000": 10_000, "0": -1, "-3": -1, "10001": -1, "many": -1} {
		config := payload.Source{Credentials: map[string]string{payload.CredentialPageSize: text}}
		got, err := source.PageSize(config, 77)
		if (err == nil) != (want > 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
