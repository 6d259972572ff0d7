package faker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgesync/faker"
)

// site is a running faker and the credentials a reader has for it.
type site struct {
	*faker.Server
	t     *testing.T
	url   string
	token string
}

func serve(t *testing.T, options faker.Options) *site {
	t.Helper()
	server, err := faker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return &site{Server: server, t: t, url: listener.URL}
}

// call makes a request and returns the status and the decoded body.
func (s *site) call(request *http.Request, into any) int {
	s.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		s.t.Fatalf("%s: %v in %.200s", request.URL, err, body)
	}
	return response.StatusCode
}

func (s *site) get(path, authorization string, into any) int {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if strings.HasPrefix(path, "http") {
		request, err = http.NewRequest(http.MethodGet, path, nil)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	return s.call(request, into)
}

func (s *site) login(secret string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, s.url+"/api/v1/access_token/",
		strings.NewReader(url.Values{"secret_key": {secret}}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Data struct {
			AccessToken   string `json:"access_token"`
			ExpirationUTC string `json:"expiration_utc"`
		} `json:"data"`
		Success bool `json:"success"`
	}
	status := s.call(request, &answer)
	if answer.Success != (status == http.StatusOK) {
		s.t.Errorf("status %d with success %t", status, answer.Success)
	}
	return status, answer.Data.AccessToken
}

type armisPage struct {
	Data struct {
		Count, Total int
		Next, Prev   *int
		Results      []struct {
			ID         int
			IPAddress  string
			MACAddress string
			Site       struct{ Name string }
			RiskLevel  int
			Type       string
		}
	}
	Message string
	Success bool
}

func (s *site) search(aql string, from, length int) (int, armisPage) {
	s.t.Helper()
	var page armisPage
	path := fmt.Sprintf("/api/v1/search/?aql=%s&length=%d&from=%d", url.QueryEscape(aql), length, from)
	return s.get(path, s.token, &page), page
}

func TestArmisPagesHoldEveryDeviceOnce(t *testing.T) {
	s := serve(t, faker.Options{Armis: 2_345, Seed: 1})
	_, s.token = s.login(faker.DemoSecret)
	seen := map[int]bool{}
	for from, pages := 0, 0; ; pages++ {
		status, page := s.search("in:devices", from, 5_000)
		if status != http.StatusOK || !page.Success || page.Data.Total != 2_345 || page.Data.Count != len(page.Data.Results) {
			t.Fatalf("status %d, page %+v", status, page)
		}
		if len(page.Data.Results) > 1_000 {
			t.Fatalf("a page of %d", len(page.Data.Results))
		}
		for _, device := range page.Data.Results {
			if seen[device.ID] || device.IPAddress == "" || device.MACAddress == "" {
				t.Fatalf("device %+v", device)
			}
			seen[device.ID] = true
		}
		if page.Data.Next == nil {
			break
		}
		from = *page.Data.Next
	}
	if len(seen) != s.Counts().Armis || !seen[1] {
		t.Errorf("found %d of %d", len(seen), s.Counts().Armis)
	}
}

func TestAQLSelectsAndPagesAgree(t *testing.T) {
	s := serve(t, faker.Options{Armis: 5_000, Seed: 2})
	_, s.token = s.login(faker.DemoSecret)
	for _, c := range []struct {
		aql  string
		want func(id, risk int, kind, place string) bool
	}{
		{`in:devices site:Berlin`, func(_, _ int, _, place string) bool { return place == "Berlin" }},
		{`in:devices site:berlin,Oslo timeFrame:"7 Days"`, func(_, _ int, _, place string) bool { return place == "Berlin" || place == "Oslo" }},
		{`in:devices !site:Berlin riskLevel:>7`, func(_, risk int, _, place string) bool { return place != "Berlin" && risk > 7 }},
		{`in:devices type:"Patient Monitor"`, func(_, _ int, kind, _ string) bool { return kind == "Patient Monitor" }},
		{`in:devices riskLevel:<1`, func(_, risk int, _, _ string) bool { return risk < 1 }},
		{`in:devices !type:Laptop orderBy=id`, func(_, _ int, kind, _ string) bool { return kind != "Laptop" }},
	} {
		_, all := s.search("in:devices", 0, 1_000)
		found := map[int]bool{}
		total := -1
		for from := 0; ; {
			status, page := s.search(c.aql, from, 37)
			if status != http.StatusOK {
				t.Fatalf("%s: status %d: %s", c.aql, status, page.Message)
			}
			total = page.Data.Total
			for _, d := range page.Data.Results {
				if found[d.ID] || !c.want(d.ID, d.RiskLevel, d.Type, d.Site.Name) {
					t.Fatalf("%s: unexpected %+v", c.aql, d)
				}
				found[d.ID] = true
			}
			if page.Data.Next == nil {
				break
			}
			from = *page.Data.Next
		}
		if len(found) != total {
			t.Errorf("%s: found %d of %d", c.aql, len(found), total)
		}
		for _, d := range all.Data.Results {
			if c.want(d.ID, d.RiskLevel, d.Type, d.Site.Name) != found[d.ID] {
				t.Errorf("%s: device %+v found %t", c.aql, d, found[d.ID])
			}
		}
	}
}

func TestBadSearchesAreRefused(t *testing.T) {
	s := serve(t, faker.Options{Armis: 10})
	_, s.token = s.login(faker.DemoSecret)
	for _, aql := range []string{"", "type:Laptop", "in:alerts", `in:devices type:"Lap`, "in:devices colour:red", "in:devices riskLevel:high", "in:devices type:"} {
		if status, page := s.search(aql, 0, 10); status != http.StatusBadRequest || page.Success || page.Message == "" {
			t.Errorf("%q: status %d, %+v", aql, status, page)
		}
	}
	if status, _ := s.search("in:devices", 0, 0); status != http.StatusBadRequest {
		t.Errorf("a page of nothing: status %d", status)
	}
}

func TestArmisTokensExpire(t *testing.T) {
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000+clock.Load(), 0) }
	s := serve(t, faker.Options{Armis: 10, TokenLife: time.Minute, Now: now})
	if status, token := s.login("guess"); status != http.StatusForbidden || token != "" {
		t.Errorf("a wrong secret: status %d, token %q", status, token)
	}
	check := func(want int, why string) {
		t.Helper()
		if status, _ := s.search("in:devices", 0, 10); status != want {
			t.Errorf("%s: status %d, want %d", why, status, want)
		}
	}
	check(http.StatusUnauthorized, "no token")
	_, s.token = s.login(faker.DemoSecret)
	check(http.StatusOK, "a fresh token")
	clock.Add(60)
	check(http.StatusUnauthorized, "a token of a minute ago")
	_, s.token = s.login(faker.DemoSecret)
	check(http.StatusOK, "a renewed token")
	s.ExpireTokens()
	check(http.StatusUnauthorized, "a withdrawn token")
	_, s.token = s.login(faker.DemoSecret)
	forged := []byte(s.token)
	forged[3] ^= 1
	s.token = string(forged)
	check(http.StatusUnauthorized, "a token with another expiry")
}

func TestChurnMovesAddressesByItselfAndOnDemand(t *testing.T) {
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000+clock.Load(), 0) }
	s := serve(t, faker.Options{Armis: 50, ChurnEvery: time.Hour, Now: now})
	_, s.token = s.login(faker.DemoSecret)
	last := ""
	moved := func() bool {
		_, page := s.search("in:devices", 0, 50)
		addr := page.Data.Results[0].IPAddress
		defer func() { last = addr }()
		return addr != last
	}
	moved()
	if moved() || s.Epoch() != 0 {
		t.Error("addresses moved for no reason")
	}
	if s.Advance(); !moved() || s.Epoch() != 1 {
		t.Error("Advance moved nothing")
	}
	clock.Store(3600)
	_, s.token = s.login(faker.DemoSecret)
	if !moved() || s.Epoch() != 2 {
		t.Errorf("an hour later the epoch is %d", s.Epoch())
	}
}

type netboxPage struct {
	Count    int
	Next     *string
	Previous *string
	Results  []map[string]any
	Detail   string
}

func (s *site) list(path string) []map[string]any {
	s.t.Helper()
	var all []map[string]any
	for next := &path; next != nil; {
		var page netboxPage
		if status := s.get(*next, "Token "+faker.DemoToken, &page); status != http.StatusOK {
			s.t.Fatalf("%s: status %d: %s", *next, status, page.Detail)
		}
		if len(page.Results) > 1_000 {
			s.t.Fatalf("a page of %d", len(page.Results))
		}
		all, next = append(all, page.Results...), page.Next
		if next == nil && len(all) != page.Count {
			s.t.Errorf("%s: found %d of %d", path, len(all), page.Count)
		}
	}
	return all
}

func TestNetBoxListsDevicesAndVMsByPages(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 2_600})
	if c := s.Counts(); c.NetBoxDevices+c.NetBoxVMs != 2_600 || c.NetBoxVMs == 0 {
		t.Fatalf("counts %+v", c)
	}
	devices := s.list("/api/dcim/devices/?limit=5000")
	vms := s.list("/api/virtualization/virtual-machines/")
	if len(devices) != s.Counts().NetBoxDevices || len(vms) != s.Counts().NetBoxVMs {
		t.Errorf("found %d devices and %d virtual machines", len(devices), len(vms))
	}
	nameless := 0
	for _, device := range devices {
		if device["name"] == nil {
			nameless++
		}
		if device["role"] == nil || device["device_type"] == nil || device["config_context"] == nil || device["serial"] == "" {
			t.Fatalf("device %v", device)
		}
	}
	if nameless == 0 || nameless > len(devices)/10 {
		t.Errorf("%d devices have no name", nameless)
	}
	for _, thing := range s.list("/api/dcim/devices/?exclude=config_context&limit=1000") {
		if thing["config_context"] != nil {
			t.Fatal("config_context was to be left out")
		}
	}
}

func TestNetBoxInterfacesOfNamedOwners(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		s := serve(t, faker.Options{NetBox: 100, NetBoxLegacy: legacy})
		ports := s.list("/api/dcim/interfaces/?device_id=3&device_id=7&device_id=3&device_id=9999&limit=2")
		owners, macs := map[float64]bool{}, 0
		for _, port := range ports {
			owners[port["device"].(map[string]any)["id"].(float64)] = true
			_, modern := port["mac_addresses"]
			if modern == legacy {
				t.Fatalf("legacy %t: interface %v", legacy, port)
			}
			if port["mac_address"] != nil {
				macs++
			}
		}
		if len(owners) != 2 || !owners[3] || !owners[7] || macs < 2 {
			t.Errorf("interfaces of %v with %d MACs", owners, macs)
		}
		if ports := s.list("/api/virtualization/interfaces/?virtual_machine_id=1"); ports[0]["virtual_machine"] == nil {
			t.Errorf("interface %v", ports[0])
		}
	}
}

func TestNetBoxChecksItsToken(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 10})
	modern := serve(t, faker.Options{NetBox: 10, Token: "nbt_key.secret"})
	for _, c := range []struct {
		site   *site
		header string
		want   int
	}{
		{s, "Token " + faker.DemoToken, http.StatusOK},
		{s, "", http.StatusForbidden},
		{s, "Token wrong", http.StatusForbidden},
		{s, "Bearer " + faker.DemoToken, http.StatusForbidden},
		{modern, "Bearer nbt_key.secret", http.StatusOK},
		{modern, "Token nbt_key.secret", http.StatusForbidden},
	} {
		var page netboxPage
		if status := c.site.get("/api/dcim/devices/", c.header, &page); status != c.want || (status == http.StatusOK) == (page.Detail != "") {
			t.Errorf("%q: status %d, detail %q", c.header, status, page.Detail)
		}
	}
}

func TestNextCanNameAnotherHost(t *testing.T) {
	s := serve(t, faker.Options{NetBox: 100, NextBase: "https://netbox.internal:8443"})
	var page netboxPage
	s.get("/api/dcim/devices/?limit=10", "Token "+faker.DemoToken, &page)
	if page.Next == nil || !strings.HasPrefix(*page.Next, "https://netbox.internal:8443/api/dcim/devices/?") {
		t.Errorf("next is %v", page.Next)
	}
}

func TestAMillionDevicesCostNothingUntilAsked(t *testing.T) {
	s := serve(t, faker.Options{Armis: 1_000_000, NetBox: 1_000_000})
	_, s.token = s.login(faker.DemoSecret)
	_, page := s.search("in:devices", 999_990, 1_000)
	if page.Data.Count != 10 || page.Data.Next != nil || page.Data.Results[9].ID != 1_000_000 {
		t.Errorf("the last page is %+v", page.Data)
	}
}

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	for _, options := range []faker.Options{{Armis: -1}, {NetBox: 1_000_001}, {ChurnEvery: -1}, {TokenLife: -1}} {
		if _, err := faker.New(options); err == nil {
			t.Errorf("%+v was accepted", options)
		}
	}
}
