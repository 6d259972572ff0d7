package join_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.step.sm/crypto/jose"

	"edgesync/certs/join"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := join.KeyID(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func aToken(keyID string) join.Token {
	return join.Token{
		ID: "b2c1", KeyID: keyID, Issuer: "acme", CAURL: "https://ca.example.org:9443", RootFingerprint: strings.Repeat("ab", 32),
		TrustDomain: "edgesync.local", Tenant: "acme", Partition: "default", Component: "hq-sync",
		GatewayAddr: "gw.example.org:50052", GatewayServerName: "agent-gateway.edgesync.local",
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func sign(t testing.TB, token join.Token, key *ecdsa.PrivateKey) string {
	t.Helper()
	text, err := token.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenSaysWhatItWasMintedFor(t *testing.T) {
	key, id := newKey(t)
	want := aToken(id)
	text := sign(t, want, key)
	for what, read := range map[string]func() (join.Token, error){
		"parse":  func() (join.Token, error) { return join.Parse(text) },
		"verify": func() (join.Token, error) { return join.Verify(text, &key.PublicKey, now.Add(59*time.Minute)) },
	} {
		got, err := read()
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	if len(text) > join.MaxText/2 {
		t.Errorf("a token has %d bytes", len(text))
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, id := newKey(t)
	other, _ := newKey(t)
	text := sign(t, aToken(id), key)
	for what, try := range map[string]struct {
		text string
		key  *ecdsa.PublicKey
		now  time.Time
	}{
		"another key":   {text, &other.PublicKey, now},
		"its end":       {text, &key.PublicKey, now.Add(time.Hour + time.Second)},
		"its beginning": {text, &key.PublicKey, now.Add(-2 * time.Minute)},
		"a longer life": {edit(t, text, "exp", now.Add(48*time.Hour).Unix()), &key.PublicKey, now.Add(2 * time.Hour)},
	} {
		if _, err := join.Verify(try.text, try.key, try.now); err == nil {
			t.Errorf("a token is good in spite of %s", what)
		}
	}
}

// edit changes one claim and leaves the signature.
func edit(t testing.TB, text, claim string, value any) string {
	t.Helper()
	parts := strings.Split(text, ".")
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	if claims[claim] = value; value == nil {
		delete(claims, claim)
	}
	if data, err = json.Marshal(claims); err != nil {
		t.Fatal(err)
	}
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(data) + "." + parts[2]
}

func TestParseRefuses(t *testing.T) {
	key, id := newKey(t)
	text := sign(t, aToken(id), key)
	for claim, values := range map[string][]any{
		"jti":                 {nil, "", strings.Repeat("x", 200)},
		"iss":                 {nil},
		"sub":                 {nil, "hq-sync.default.bolt.edgesync.local", "hq-sync.default.acme.", "*.default.acme.edgesync.local"},
		"aud":                 {nil, "http://ca.example.org/1.0/sign", "https://ca.example.org/", "https://u@ca.example.org/1.0/sign", "https:///1.0/sign", "https://ca.example.org/1.0/sign?x", []string{"https://a/1.0/sign", "https://b/1.0/sign"}},
		"sha":                 {nil, "ab", strings.Repeat("AB", 32), strings.Repeat("zz", 32)},
		"sans":                {nil, []string{}, []string{"hq-sync.default.acme.edgesync.local"}, []string{"a", "b", "c"}},
		"tenant":              {nil, "ACME", "acme.evil", "аcme"},
		"partition":           {nil, "../x"},
		"component_id":        {nil, "hq.sync", ""},
		"gateway_addr":        {nil, ""},
		"gateway_server_name": {nil},
		"exp":                 {nil},
		"iat":                 {nil},
	} {
		for _, value := range values {
			if got, err := join.Parse(edit(t, text, claim, value)); err == nil {
				t.Errorf("%s = %v is read as %+v", claim, value, got)
			}
		}
	}
}

func TestParseRefusesOtherSignatures(t *testing.T) {
	header := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	key, id := newKey(t)
	parts := strings.Split(sign(t, aToken(id), key), ".")
	for what, text := range map[string]string{
		"none":          header(`{"alg":"none","kid":"x"}`) + "." + parts[1] + ".",
		"HS256":         header(`{"alg":"HS256","kid":"x"}`) + "." + parts[1] + "." + parts[2],
		"no key id":     header(`{"alg":"ES256"}`) + "." + parts[1] + "." + parts[2],
		"long key id":   header(`{"alg":"ES256","kid":"`+strings.Repeat("x", 200)+`"}`) + "." + parts[1] + "." + parts[2],
		"two parts":     parts[0] + "." + parts[1],
		"four parts":    strings.Join(parts, ".") + ".x",
		"too long":      strings.Join(parts, ".") + strings.Repeat("A", join.MaxText),
		"no base64":     "!." + parts[1] + "." + parts[2],
		"JSON form":     `{"payload":"` + parts[1] + `","signatures":[]}`,
		"nothing":       "",
		"only the dots": "..",
	} {
		if _, err := join.Parse(text); err == nil {
			t.Errorf("a token with %s is read", what)
		}
	}
}

// TestErrorsQuoteNoToken: a token is a secret as long as it is good.
func TestErrorsQuoteNoToken(t *testing.T) {
	key, id := newKey(t)
	text := sign(t, aToken(id), key)
	signature := text[strings.LastIndex(text, ".")+1:]
	for _, damaged := range []string{text[1:], text + "!", strings.Replace(text, ".", "", 1), edit(t, text, "exp", "x")} {
		_, err := join.Parse(damaged)
		if err == nil {
			t.Fatalf("a damaged token is read")
		}
		if strings.Contains(err.Error(), signature) || strings.Contains(err.Error(), damaged) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

func TestStepReadsIt(t *testing.T) {
	key, id := newKey(t)
	parsed, err := jose.ParseSigned(sign(t, aToken(id), key))
	if err != nil {
		t.Fatal(err)
	}
	var claims jose.Claims
	if err := parsed.Claims(&key.PublicKey, &claims); err != nil {
		t.Fatal(err)
	}
	if parsed.Headers[0].KeyID != id || claims.Issuer != "acme" || claims.Audience[0] != "https://ca.example.org:9443/1.0/sign" {
		t.Errorf("step reads %+v with key %q", claims, parsed.Headers[0].KeyID)
	}
}

func FuzzParse(f *testing.F) {
	key, id := newKey(f)
	text := sign(f, aToken(id), key)
	f.Add(text)
	f.Add("..")
	f.Add(edit(f, text, "aud", "https://[::1]:9/1.0/sign"))
	f.Add(edit(f, text, "exp", 1e30))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := join.Parse(text)
		if err != nil {
			return
		}
		if _, err := token.CommonName(); err != nil {
			t.Errorf("a token was read that has no name: %v", err)
		}
		if !strings.HasPrefix(token.CAURL, "https://") || token.KeyID == "" || token.ID == "" {
			t.Errorf("a token was read that says %+v", token)
		}
	})
}
