package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgesync/proto/payload"
)

// How patient a client is with a source that asks to be left alone for a while.
const (
	maxWait  = time.Minute
	maxWaits = 5
)

// maxRedirects is how many redirects within the endpoint's own host are followed.
const maxRedirects = 5

// Client makes the requests of one source. Each has a deadline and a largest
// answer, stays with the endpoint's scheme and host whatever a redirect says,
// and fails with errors that hold no secret.
type Client struct {
	options Options
	http    *http.Client
	base    *url.URL
	secrets []string
}

// Call is one request.
type Call struct {
	// Path is appended to the endpoint ("/api/v1/search/").
	Path string
	// Query is an encoded query string.
	Query string
	// Form makes the request a POST of these fields.
	Form url.Values
	// Authorization is the header's value, or empty.
	Authorization string
}

// NewClient makes the client of a source. Its errors never show the secrets nor
// the Authorization of a call.
func NewClient(config payload.Source, options Options, secrets ...string) (*Client, error) {
	base, err := parseEndpoint(config.Endpoint)
	if err != nil {
		return nil, err
	}
	client := &Client{options: options.withDefaults(), base: base, secrets: secrets}
	if client.http, err = httpClient(options.HTTP, config.InsecureSkipVerify); err != nil {
		return nil, err
	}
	client.http.CheckRedirect = client.checkRedirect
	return client, nil
}

// parseEndpoint says nothing of the text it refuses: it may hold a password.
func parseEndpoint(endpoint string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimRight(endpoint, "/"))
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "":
		return nil, errors.New("read endpoint: it must be a URL such as https://inventory.example.com")
	case base.User != nil:
		return nil, errors.New("read endpoint: it must not hold a user or a password; credentials have fields of their own")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("read endpoint: it must not hold a query or a fragment")
	}
	return base, nil
}

// BaseURL is an endpoint without what calls put behind it: people give the
// address of the API where that of the server is wanted. Of suffixes such as
// "/api/v1" and "/api" the first that its path ends in is taken off.
func BaseURL(endpoint string, suffixes ...string) string {
	endpoint = strings.TrimRight(endpoint, "/")
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	for _, suffix := range suffixes {
		if strings.HasSuffix(parsed.Path, suffix) {
			return strings.TrimSuffix(endpoint, suffix)
		}
	}
	return endpoint
}

// ownTransport serves all clients without one of their own.
var ownTransport = func() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	return transport
}()

func httpClient(given *http.Client, insecure bool) (*http.Client, error) {
	client := &http.Client{}
	if given != nil {
		*client = *given
	}
	client.Timeout, client.Jar = 0, nil
	if client.Transport == nil {
		client.Transport = ownTransport
	}
	if !insecure {
		return client, nil
	}
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("skip TLS verification: a transport of type %T cannot", client.Transport)
	}
	transport = transport.Clone()
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.InsecureSkipVerify = true
	client.Transport = transport
	return client, nil
}

// checkRedirect keeps credentials, in headers and bodies alike, from any host
// but the endpoint's.
func (c *Client) checkRedirect(request *http.Request, via []*http.Request) error {
	if request.URL.Scheme != c.base.Scheme || place(request.URL) != place(c.base) {
		return Errorf(ReasonRedirect, "redirected to %s, which is another place than the endpoint",
			clean(request.URL.Scheme+"://"+request.URL.Host, maxQuote))
	}
	if len(via) > maxRedirects {
		return Errorf(ReasonRedirect, "redirected more than %d times", maxRedirects)
	}
	return nil
}

// place is the host and port of a URL, in one spelling.
func place(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// JSON makes the call and decodes its answer. While the source answers 429 or
// 503 with a bearable Retry-After, it is left alone that long and asked again.
// An error is an *Error, or the context's own.
func (c *Client) JSON(ctx context.Context, call Call, decode func(body []byte) error) error {
	for waits := 0; ; waits++ {
		body, err := c.once(ctx, call)
		if err == nil {
			return c.tell(call, decode(body))
		}
		pause := RetryAfter(err)
		if pause <= 0 || pause > maxWait || waits == maxWaits {
			return err
		}
		if err := c.options.Wait(ctx, pause); err != nil {
			return err
		}
	}
}

// tell says of an answer that does not decode which call it answered.
func (c *Client) tell(call Call, err error) error {
	var failed *Error
	if errors.As(err, &failed) && failed.doing == "" {
		failed.doing, failed.what = c.doing(call), c.outside(failed.what, call)
	}
	return err
}

// once makes the call a single time and returns the body of status 200.
func (c *Client) once(ctx context.Context, call Call) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	request, err := c.request(bounded, call)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, c.transportError(call, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, c.options.MaxResponse+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, c.transportError(call, err)
	case int64(len(body)) > c.options.MaxResponse:
		return nil, &Error{Reason: ReasonSize, Status: response.StatusCode, doing: c.doing(call),
			what: fmt.Sprintf("the answer is longer than %d bytes", c.options.MaxResponse)}
	case response.StatusCode != http.StatusOK:
		return nil, c.statusError(call, response, body)
	}
	return body, nil
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if call.Form != nil {
		method, body = http.MethodPost, bytes.NewReader([]byte(call.Form.Encode()))
	}
	target := c.base.String() + call.Path
	if call.Query != "" {
		target += "?" + call.Query
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, &Error{Reason: ReasonAnswer, doing: c.doing(call), what: "the request cannot be made"}
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "edgesync")
	if call.Form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if call.Authorization != "" {
		request.Header.Set("Authorization", call.Authorization)
	}
	return request, nil
}

// redacted stands for a secret in what a source says.
const redacted = "[redacted]"

// doing names a call without its query string.
func (c *Client) doing(call Call) string {
	verb := "get "
	if call.Form != nil {
		verb = "post "
	}
	return verb + c.base.String() + call.Path
}

// outside makes text of the source's fit to be part of an error.
func (c *Client) outside(text string, call Call) string {
	_, token, _ := strings.Cut(call.Authorization, " ")
	secrets := append([]string{call.Authorization, token}, c.secrets...)
	// Of two that begin alike the longer goes first: nothing of it is to be left.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, redacted, url.QueryEscape(secret), redacted)
		}
	}
	// All in one pass: a secret may be part of what another was replaced by.
	return cut(strings.NewReplacer(pairs...).Replace(clean(text, len(text))), maxQuote)
}

// retryAfter reads RFC 9110's Retry-After: seconds or a date. Servers that count
// parts of a second round them down to none; those mean to be asked again, so
// none is taken for one.
func (c *Client) retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return max(time.Second, time.Duration(seconds)*time.Second)
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(c.options.Now()))
	}
	return 0
}
