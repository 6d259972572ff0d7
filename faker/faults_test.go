package faker_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgesync/faker"
)

func TestParseFaults(t *testing.T) {
	for _, c := range []struct {
		specs string
		want  faker.Faults
	}{
		{"", faker.Faults{}},
		{"latency=200ms token-life=1m", faker.Faults{Latency: 200 * time.Millisecond, TokenLife: time.Minute}},
		{"status=500", faker.Faults{Status: 500, StatusEvery: 1}},
		{"status=429/3 hang=2 html truncate=4 success-false endless-next",
			faker.Faults{Status: 429, StatusEvery: 3, HangEvery: 2, HTMLEvery: 1, TruncateEvery: 4, SuccessFalseEvery: 1, EndlessNext: true}},
	} {
		got, err := faker.ParseFaults(strings.Fields(c.specs))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v", c.specs, got, err)
		}
	}
	for _, bad := range []string{"", "fire", "latency", "latency=-1s", "status", "status=200", "status=500/0", "hang=x", "html=0", "endless-next=1", "token-life=0s"} {
		if got, err := faker.ParseFaults([]string{bad}); err == nil || got != (faker.Faults{}) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func (s *site) raw(path string, timeout time.Duration) (*http.Response, []byte, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), timeout)
	defer cancel()
	response, err := s.head(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

// head asks for a page and returns when the answer begins.
func (s *site) head(ctx context.Context, path string) (*http.Response, error) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Token "+faker.DemoToken)
	if strings.HasPrefix(path, "/api/v1") {
		request.Header.Set("Authorization", s.token)
	}
	return http.DefaultClient.Do(request)
}

const somePage = "/api/dcim/devices/?limit=10"

func TestFaultsHitEveryNthPage(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 100, Faults: faker.Faults{Status: 429, StatusEvery: 3}})
	var statuses []int
	for range 6 {
		response, _, err := s.raw(somePage, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, response.StatusCode)
		if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") != "1" {
			t.Errorf("429 with Retry-After %q", response.Header.Get("Retry-After"))
		}
	}
	if want := []int{200, 200, 429, 200, 200, 429}; !reflect.DeepEqual(statuses, want) {
		t.Errorf("statuses %v, want %v", statuses, want)
	}
}

func TestFaultsOfTheBody(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 100, Armis: 100})
	_, s.token = s.login(faker.DemoSecret)

	s.SetFaults(faker.Faults{HTMLEvery: 1})
	if response, body, _ := s.raw(somePage, time.Minute); response.StatusCode != 200 || body[0] != '<' {
		t.Errorf("html: %d %.50s", response.StatusCode, body)
	}
	s.SetFaults(faker.Faults{TruncateEvery: 1})
	if response, body, _ := s.raw(somePage, time.Minute); response.StatusCode != 200 || len(body) < 100 || json.Valid(body) {
		t.Errorf("truncate: %d %.50s", response.StatusCode, body)
	}
	s.SetFaults(faker.Faults{SuccessFalseEvery: 1})
	if status, page := s.search("in:devices", 0, 10); status != 200 || page.Success || page.Message == "" {
		t.Errorf("success-false: %d %+v", status, page)
	}
	if response, body, _ := s.raw(somePage, time.Minute); response.StatusCode != 200 || !json.Valid(body) {
		t.Errorf("success-false of NetBox: %d %.50s", response.StatusCode, body)
	}
	s.SetFaults(faker.Faults{})
	if response, body, _ := s.raw(somePage, time.Minute); response.StatusCode != 200 || !json.Valid(body) {
		t.Errorf("no fault: %d %.50s", response.StatusCode, body)
	}
}

func TestHangSendsTheHeadOnly(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 100, Faults: faker.Faults{HangEvery: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	response, err := s.head(ctx, somePage)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	time.AfterFunc(200*time.Millisecond, cancel)
	if body, err := io.ReadAll(response.Body); !errors.Is(err, context.Canceled) || len(body) != 0 {
		t.Errorf("body %q, error %v", body, err)
	}
}

func TestLatencyDelaysAndEndsWithTheReader(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 100, Faults: faker.Faults{Latency: time.Hour}})
	if _, _, err := s.raw(somePage, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	s.SetFaults(faker.Faults{Latency: time.Millisecond})
	if _, body, err := s.raw(somePage, time.Minute); err != nil || !json.Valid(body) {
		t.Errorf("error %v", err)
	}
}

func TestEndlessNextNeverEndsAndRepeats(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 30, Armis: 25, Faults: faker.Faults{EndlessNext: true, TokenLife: time.Hour}})
	_, s.token = s.login(faker.DemoSecret)
	from, last := 0, 0
	for range 10 {
		_, page := s.search("in:devices", from, 10)
		if page.Data.Next == nil || *page.Data.Next <= from || page.Data.Count == 0 {
			t.Fatalf("page at %d: %+v", from, page.Data)
		}
		from, last = *page.Data.Next, page.Data.Results[0].ID
	}
	if from <= 25 || last > 25 {
		t.Errorf("came to offset %d, device %d", from, last)
	}
	var page netboxPage
	s.get("/api/dcim/devices/?limit=10&offset=1000", "Token "+faker.DemoToken, &page)
	if page.Next == nil || len(page.Results) == 0 {
		t.Errorf("page far past the end: %+v", page)
	}
}
